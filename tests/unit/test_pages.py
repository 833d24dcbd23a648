"""A page is shown if that is easily done: a server that does not take it keeps no rollout waiting."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tasks import pages


async def test_a_server_that_never_answers_is_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(pages, "SHOWN_WITHIN", 0.05)
    reached = []

    @pages.page
    async def silent_page() -> None:
        reached.append("asked")
        await asyncio.Event().wait()
        reached.append("answered")

    with caplog.at_level(logging.WARNING, "gopub.pages"):
        await silent_page()
    assert reached == ["asked"]
    assert "silent_page is not shown in Prefect: TimeoutError" in caplog.text


async def test_a_server_that_refuses_stops_nothing(caplog):
    @pages.page
    async def refused_page(name: str) -> None:
        raise ConnectionRefusedError(f"no server for {name}")

    with caplog.at_level(logging.WARNING, "gopub.pages"):
        await refused_page("r1")
    assert "refused_page is not shown in Prefect: no server for r1" in caplog.text


async def test_a_run_that_is_cancelled_while_it_shows_a_page_is_cancelled():
    @pages.page
    async def endless_page() -> None:
        await asyncio.Event().wait()

    drawing = asyncio.create_task(endless_page())
    await asyncio.sleep(0)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
