"""What is only shown in Prefect keeps no rollout: without a server there is a line in the log, and that is all."""

from __future__ import annotations

import logging

from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks import marks


async def health(client: PrefectClient) -> str:
    """What the server says of itself."""
    return str(await client.api_healthcheck())


async def test_where_no_client_can_be_had_it_gives_what_was_said(caplog):
    """Prefect finds no server at all: it fails before there is a client to ask by."""
    with caplog.at_level(logging.WARNING), temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert await marks.from_prefect("nothing is shown", health, "otherwise") == "otherwise"
    assert "nothing is shown: Prefect does not answer: " in caplog.text


async def test_what_the_work_gives_is_given_and_what_it_raises_is_a_line(caplog):
    async def fails(_: PrefectClient) -> str:
        raise LookupError("gone")

    async def works(client: PrefectClient) -> str:
        return str(client.api_url)

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert await marks.from_prefect("x", works, "") == "http://127.0.0.1:9/api/", "control"
        with caplog.at_level(logging.WARNING):
            assert await marks.from_prefect("it is not tagged", fails, "otherwise") == "otherwise"
    assert "it is not tagged: Prefect does not answer: gone" in caplog.text


async def test_outside_of_a_run_nothing_is_asked(caplog):
    """A plain call of the flow's function: Prefect would start a server of its own for the question."""
    with caplog.at_level(logging.WARNING), temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert await marks.gone_on_with("hello", "lab") == ""
    assert "Prefect does not answer" not in caplog.text
