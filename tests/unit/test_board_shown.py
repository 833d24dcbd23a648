"""A rollout's page and bar are one each on the server, changed in place, and made anew where somebody deleted them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient

from gopub.clock import ManualClock
from gopub.journal.store import open_journal
from gopub.rollout.run import Run
from gopub.views.pages import TextPage
from tasks.board import Board

RUN = "11111111-1111-4111-8111-111111111111"


class Artifacts:
    """The Prefect server as far as artifacts need it; ``away`` answers the next calls that make one with an error."""

    def __init__(self) -> None:
        self.kept: dict[UUID, dict[str, Any]] = {}
        self.away = 0

    async def create_artifact(self, one: Any) -> Any:
        if one.type == "progress" and self.away:
            self.away -= 1
            raise ConnectionError("away")
        made = uuid4()
        self.kept[made] = {"type": one.type, "data": one.data, "run": str(one.flow_run_id)}
        return SimpleNamespace(id=made)

    async def request(self, method: str, path: str, *, path_params: dict[str, UUID], json: dict[str, Any]) -> None:
        there = self.kept.get(path_params["id"])
        if there is None:
            request = httpx.Request(method, f"http://server{path}")
            raise httpx.HTTPStatusError("no", request=request, response=httpx.Response(404, request=request))
        there |= json

    def said(self) -> list[tuple[str, Any, str]]:
        return [(one["type"], one["data"], one["run"]) for one in self.kept.values()]


@pytest.fixture
def board(tmp_path) -> Board:
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    state = SimpleNamespace(app="hello", env="prod")
    run = cast("Run", SimpleNamespace(ports=SimpleNamespace(journal=journal), rollout="r-1", state=state))
    return Board(run, [UUID(RUN)])


async def put(board: Board, server: Artifacts, text: str, share: float) -> None:
    await board._put(cast("PrefectClient", server), TextPage("hello-prod-rollout", "told", text), share)


async def test_it_is_changed_in_place_and_made_anew_where_it_was_deleted(board: Board):
    """A page that somebody deleted was asked for in vain each half a minute, and nothing was shown any more."""
    server = Artifacts()
    await put(board, server, "one", 1.0)
    await put(board, server, "two", 2.0)
    assert server.said() == [("markdown", "two", RUN), ("progress", 2.0, RUN)]
    del server.kept[next(iter(server.kept))]
    await put(board, server, "three", 3.0)
    await put(board, server, "four", 4.0)
    assert sorted(server.said(), key=lambda one: one[0]) == [("markdown", "four", RUN), ("progress", 4.0, RUN)]


async def test_one_that_the_server_took_by_half_is_no_two(board: Board):
    server = Artifacts()
    server.away = 1
    with pytest.raises(ConnectionError):
        await put(board, server, "one", 1.0)
    await put(board, server, "two", 2.0)
    assert server.said() == [("markdown", "two", RUN), ("progress", 2.0, RUN)]
