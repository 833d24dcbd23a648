"""A rollout's page and bar are one each on the server, changed in place, and made anew where somebody deleted them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_UI_URL, temporary_settings

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.store import open_journal
from gopub.rollout.run import Run
from gopub.views.board import Ways, scene
from gopub.views.pages import TextPage
from tasks.board import Board
from tests.unit.views_world import moving

RUN = "11111111-1111-4111-8111-111111111111"


class Artifacts:
    """The Prefect server as far as artifacts need it; ``away`` answers the next calls that make one with an error."""

    def __init__(self) -> None:
        self.kept: dict[UUID, dict[str, Any]] = {}
        self.away = 0
        self.keys: set[str] = set()
        self.asked: list[list[str]] = []
        self.broken = False
        self.forms: list[Any] = []
        self.tags: list[list[str]] = []

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

    async def read_latest_artifacts(self, artifact_filter: Any) -> list[Any]:
        if self.broken:
            raise TimeoutError
        self.asked.append(artifact_filter.key.any_)
        return [SimpleNamespace(key=key) for key in artifact_filter.key.any_ if key in self.keys]

    async def read_flow_runs(self, flow_run_filter: Any, limit: int) -> list[Any]:
        self.tags.append(flow_run_filter.tags.all_)
        assert [one.value for one in flow_run_filter.state.type.any_] == ["PAUSED"]
        return self.forms[:limit]

    def said(self) -> list[tuple[str, Any, str]]:
        return [(one["type"], one["data"], one["run"]) for one in self.kept.values()]


@pytest.fixture
def board(tmp_path) -> Board:
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    state = SimpleNamespace(app="hello", env="prod")
    run = cast(
        "Run",
        SimpleNamespace(
            ports=SimpleNamespace(journal=journal, clock=ManualClock()), rollout="r-1", state=state, asked=tuple
        ),
    )
    return Board(run, (), [UUID(RUN)])


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


async def test_it_links_to_what_the_server_has_and_to_nothing_else(board: Board):
    """A second rollout of an env has a later epoch and one driver: the UI draws an empty page for a key without one."""
    later = [
        replace(one, epoch=7, run="first") if isinstance(one, ev.SeatTaken) else one
        for one in moving("r-1", "hello", "prod")
    ]
    server = Artifacts()
    server.keys = {"hello-prod-runs", "hello-prod-plan"}
    with temporary_settings({PREFECT_UI_URL: "http://ui"}):
        assert (await ways(board, server, later)).links == {"the plan": "http://ui/artifacts/key/hello-prod-plan"}
        server.keys.add("hello-release")
        again = [*later, ev.SeatTaken(8, "bob@desk:2", run="second")]
        assert list((await ways(board, server, again)).links) == ["the release", "the plan", "its runs"]
        asked = len(server.asked)
        await ways(board, server, again)
        assert len(server.asked) == asked, "what is known to be there is not asked for again"
    with temporary_settings({PREFECT_UI_URL: None}):
        assert (await ways(board, server, again)).links == {}, "control: a UI without an address"


async def test_it_leads_to_the_form_of_its_own_step_while_that_waits(board: Board):
    baked = [*moving("r-1", "hello", "prod"), ev.Judged(0, "PROMOTE", 7, "good", {}, observed=60.0)]
    server, run = Artifacts(), uuid4()
    server.forms = [form(uuid4(), "r-0", 2), form(uuid4(), "r-1", 1), form(run, "r-1", 2)]
    with temporary_settings({PREFECT_UI_URL: "http://ui"}):
        assert (await ways(board, server, baked)).form == f"http://ui/runs/flow-run/{run}"
        assert set(server.tags[-1]) == {"gopub-approval", "app:hello", "env:prod"}
        server.forms.pop()
        assert (await ways(board, server, baked)).form == "", "control: those of others are none"
        asked = len(server.tags)
        assert (await ways(board, server, baked[:-1])).form == ""
        assert len(server.tags) == asked, "nothing is asked for while nothing waits"


async def test_a_server_that_does_not_say_what_it_has_gets_the_page_without_links(board: Board):
    """All of the page was missing, for minutes, though the server took pages."""
    server = Artifacts()
    server.keys = {"hello-prod-plan"}
    moved = moving("r-1", "hello", "prod")
    with temporary_settings({PREFECT_UI_URL: "http://ui"}):
        server.broken = True
        assert await ways(board, server, moved) == Ways(known=False)
        for one in (Entry(n, "rollout/r-1", n, one, "ann", "", n, "") for n, one in enumerate(moved, 1)):
            board.heard(one)
        await draw(board, server)
        [page, bar] = server.said()
        assert "## step 1 of 2, 25%: bakes" in page[1]
        assert "Links may be missing here" in page[1]
        assert bar[0] == "progress"
        server.broken = False
        await draw(board, server)
        [page, _] = server.said()
        assert "See also [the plan](http://ui/" in page[1], "control: it says it the next time"
        assert "missing" not in page[1]
        server.broken = True
        assert (await ways(board, server, moved)).links, "what was known to be there before is still linked"


def form(run: UUID, rollout: str, step: int) -> Any:
    return SimpleNamespace(id=run, parameters={"rollout": rollout, "step": step})


async def draw(board: Board, server: Artifacts) -> None:
    await board._draw(cast("PrefectClient", server))


async def ways(board: Board, server: Artifacts, events: list[ev.Event]) -> Ways:
    entries = [Entry(n, "rollout/r-1", n, one, "ann", "", n, "") for n, one in enumerate(events, 1)]
    return await board._ways(cast("PrefectClient", server), scene(entries, (), 100.0))
