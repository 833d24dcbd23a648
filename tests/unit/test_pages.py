"""A page is shown if that is easily done: a server that does not take it keeps no rollout waiting."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from gopub.process import base_environment, run
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


async def test_the_way_back_waits_for_no_page(caplog):
    """A page that is put once the way back is over: had the rollout waited for it, it would never be."""
    back, told = asyncio.Event(), []

    @pages.page
    async def verdict_page() -> None:
        await back.wait()
        told.append("verdict")

    @pages.page
    async def progress_page() -> None:
        told.append("progress")

    with caplog.at_level(logging.WARNING, "gopub.pages"):
        async with pages.beside():
            await verdict_page()
            await progress_page()
            told.append("back")
            back.set()
    assert told == ["back", "verdict", "progress"]
    assert not caplog.text


async def test_a_page_for_which_nobody_waits_is_tried_again_and_one_that_is_waited_for_is_not(caplog):
    """A page that is drawn once only, such as that of all its runs, was gone for good where the server was busy."""
    tried: list[int] = []

    @pages.page
    async def runs_page(takes_it_at: int) -> None:
        tried.append(takes_it_at)
        if len(tried) < takes_it_at:
            raise TimeoutError

    with caplog.at_level(logging.WARNING, "gopub.pages"):
        async with pages.beside():
            await runs_page(pages.TRIES)
        assert (len(tried), caplog.text) == (pages.TRIES, "")
        tried.clear()
        await runs_page(2)
        assert (len(tried), caplog.text.count("not shown in Prefect")) == (1, 1), "control: it would hold a rollout up"
        tried.clear()
        async with pages.beside():
            await runs_page(99)
    assert (len(tried), caplog.text.count("not shown in Prefect")) == (pages.TRIES, 2)


async def test_a_server_that_hangs_is_given_up_once_all_is_done(monkeypatch, caplog):
    """A real one that takes the connection and says nothing; the rollout's own steps are done by then."""
    monkeypatch.setattr(pages, "SHOWN_WITHIN", 0.5)
    asked, never, done = asyncio.Event(), asyncio.Event(), []

    @pages.page
    async def verdict_page() -> None:
        async with get_client() as client:
            await client.hello()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await never.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    with (
        temporary_settings({PREFECT_API_URL: f"http://{host}:{port}/api"}),
        caplog.at_level(logging.WARNING, "gopub.pages"),
    ):
        async with pages.beside():
            await verdict_page()
            done.append("hosts are back")
            assert not caplog.text
            async with asyncio.timeout(60):
                await asked.wait()
    never.set()
    server.close()
    assert done == ["hosts are back"]
    assert "not shown in Prefect" in caplog.text


SHOWN_BY_A_DRIVER = """
import asyncio
from tests.flows import memory
from tasks import pages
from tasks import rollout as boxes


@pages.page
async def verdict_page():
    print("page")


async def drive():
    wish = boxes.Wish(app="hello", env="prod", version="2")
    async with boxes.driving(wish) as run:
        await verdict_page()
        print("way back of", run.rollout)
    print("over")


asyncio.run(drive())
"""


async def test_a_driver_shows_its_pages_beside_its_work(tmp_path):
    folder = Path(__file__).parents[2]
    kept = {"GOPUB_JOURNAL": str(tmp_path / "journal.db"), "GOPUB_TEST_BAD": str(tmp_path),
            "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}  # fmt: skip
    environment = base_environment(extra={**kept, "PYTHONPATH": str(folder)})
    done = await run([sys.executable, "-c", SHOWN_BY_A_DRIVER], cwd=folder, env=environment, timeout=300.0, check=False)
    assert done.text.splitlines() == ["way back of r-prod", "page", "over"], done.complaint
