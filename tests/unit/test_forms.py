"""The form of an approval stays one that somebody can fill in: what was answered is kept, what is lost is made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running, Scheduled

from gopub.clock import ManualClock, SystemClock
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from gopub.usecases.ask import ask
from tasks.approving import NEEDED, Needed, request, settle
from tests.unit.test_approving import BACK, DUE
from tests.unit.verdicts import BAKING, drawn, event
from tests.unit.views_world import moving

ONE = Needed("hello", "prod", "2", "r-1", 2, "wants to begin")


@dataclass
class Form:
    """A run on the server."""

    id: UUID
    state: State[Any]
    inputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=lambda: dict(ONE.parameters))
    run_count: int = 1
    name: str = "approve-hello-prod-2-step-2"


class Server:
    """The Prefect server as far as forms need it: a run for each idempotency key, and the inputs of each run."""

    def __init__(self) -> None:
        self.forms: dict[str, Form] = {}
        self.told: dict[UUID, list[str]] = {}

    @property
    def last(self) -> Form:
        return list(self.forms.values())[-1]

    async def read_deployment_by_name(self, name: str) -> Any:
        assert name == "approve/approve"
        return SimpleNamespace(id=uuid4())

    async def create_flow_run_from_deployment(self, _which: UUID, *, idempotency_key: str, **given: Any) -> Form:
        return self.forms.setdefault(idempotency_key, Form(uuid4(), given["state"]))

    async def filter_flow_run_input(self, which: UUID, key_prefix: str, limit: int, **_: Any) -> list[Any]:
        found = [key for key in self._form(which).inputs if key.startswith(key_prefix)]
        return [SimpleNamespace(key=key) for key in found[:limit]]

    async def create_flow_run_input(self, which: UUID, *, key: str, value: str) -> None:
        assert key not in self._form(which).inputs, "the real one refuses a second of a name"
        self._form(which).inputs[key] = value

    async def create_logs(self, lines: list[Any]) -> None:
        for line in lines:
            self.told.setdefault(line.flow_run_id, []).append(line.message)

    async def set_flow_run_state(self, which: UUID, state: State[Any], *, force: bool) -> None:
        assert force
        self._form(which).state = state

    async def read_flow_runs(self, *, flow_run_filter: FlowRunFilter, limit: int) -> list[Form]:
        kinds = flow_run_filter.state.type.any_ if flow_run_filter.state and flow_run_filter.state.type else []
        return [one for one in self.forms.values() if one.state.type in (kinds or [])][:limit]

    async def read_flow_run_input(self, which: UUID, key: str) -> str:
        if key in self._form(which).inputs:
            return self._form(which).inputs[key]
        request = httpx.Request("GET", "http://prefect")
        raise httpx.HTTPStatusError("none", request=request, response=httpx.Response(404, request=request))

    def resume(self, answer: Mapping[str, str]) -> None:
        """As the page does it: the answer is kept, and the run waits for a worker."""
        self.last.inputs["approval-response"] = json.dumps(dict(answer))
        self.last.state = Scheduled(name="Resuming")

    def _form(self, which: UUID) -> Form:
        return next(one for one in self.forms.values() if one.id == which)


async def asked(server: Server) -> bool:
    return await request(cast("PrefectClient", server), ONE)


async def test_a_form_is_made_once_with_what_its_page_needs():
    server = Server()
    assert await asked(server)
    assert server.last.state.name == NEEDED
    assert set(server.last.inputs) == {"approval-schema", "approval-description"}
    assert not await asked(server)
    assert len(server.forms) == 1
    [said] = server.told[server.last.id]
    assert "press Resume" in said, "its page says what it is for, once"


async def test_an_answer_that_no_worker_has_taken_up_yet_is_not_asked_for_again():
    """It was paused again each minute, and the answer was lost: with all workers busy nobody could ever approve."""
    server = Server()
    await asked(server)
    server.resume({"decision": "approve", "name": "ann"})
    assert not await asked(server)
    assert (server.last.state.name, len(server.forms)) == ("Resuming", 1)


async def test_a_form_that_was_made_by_half_is_completed():
    server = Server()
    await asked(server)
    del server.last.inputs["approval-description"]
    server.last.state = Scheduled()
    assert await asked(server)
    assert (server.last.state.name, len(server.last.inputs), len(server.forms)) == (NEEDED, 2, 1)


@pytest.mark.parametrize("ended", [Cancelled, Failed, Crashed])
async def test_after_one_that_ended_and_decided_nothing_there_is_another(ended: Any):
    server = Server()
    for number in range(1, 4):
        assert await asked(server)
        assert (len(server.forms), server.last.state.name) == (number, NEEDED)
        server.last.state = ended()


@pytest.mark.parametrize("state", [Completed, Running])
async def test_after_one_that_decided_or_is_about_to_there_is_none(state: Any):
    server = Server()
    await asked(server)
    server.last.state = state()
    assert not await asked(server)
    assert len(server.forms) == 1


async def test_who_cancels_it_again_and_again_wants_none():
    server = Server()
    for _ in range(30):
        await asked(server)
        server.last.state = Cancelled()
    assert len(server.forms) == 10


def taken_up(kind: Any, ago: float) -> State[Any]:
    """A state that began so many seconds ago."""
    state: State[Any] = kind()
    since = datetime.fromtimestamp(SystemClock().now() - ago, UTC)
    return state.model_copy(update={"timestamp": since})


def waiting(folder: Path, *more: ev.Event) -> Journal:
    """A journal whose rollout waits for its second step's approval."""
    journal = open_journal(str(folder / "journal.db"), ManualClock())
    journal.append("env/hello/prod", 0, [ev.EnvOpened("r-1", "1" * 64)], actor="me")
    events = [*moving("r-1", "hello", "prod"), event(drawn(BAKING)), DUE, *more]
    journal.append("rollout/r-1", 0, events, actor="me")
    return journal


async def settled(server: Server, journal: Journal) -> int:
    return await settle(cast("PrefectClient", server), journal)


@pytest.mark.parametrize("kind", [Running, Pending])
async def test_an_answer_whose_worker_died_is_read_again_and_without_one_there_is_another(tmp_path: Path, kind: Any):
    """It stayed Running for ever, and nobody was asked again."""
    server, journal = Server(), waiting(tmp_path)
    assert await settled(server, journal) == 1
    server.resume({"decision": "approve", "name": "ann"})
    for count in (1, 2):
        server.last.state, server.last.run_count = taken_up(kind, 310), count
        assert await settled(server, journal) == 1
        assert (server.last.state.name, len(server.forms)) == ("Resuming", 1), "what was answered is not lost"
    server.last.state, server.last.run_count = taken_up(kind, 310), 3
    assert await settled(server, journal) == 2
    assert [one.state.name for one in server.forms.values()] == ["Crashed", NEEDED]
    server.last.state = taken_up(kind, 310)  # somebody forced it on without an answer
    assert await settled(server, journal) == 2
    assert [one.state.name for one in server.forms.values()] == ["Crashed", "Crashed", NEEDED]


async def test_one_that_somebody_calls_completed_has_decided_nothing(tmp_path: Path):
    """Its state can be changed by hand: nobody was asked again, and the rollout waited until its deadline."""
    server, journal = Server(), waiting(tmp_path)
    await settled(server, journal)
    server.last.state = Completed()
    assert await settled(server, journal) == 1
    assert [one.state.name for one in server.forms.values()] == ["Completed", NEEDED]
    ask(journal, "r-1", "promote:1", "", actor="ann")
    assert await settled(server, journal) == 1
    assert [one.state.name for one in server.forms.values()] == ["Completed", "Not needed"]
    assert await settled(server, journal) == 0


async def test_a_worker_that_is_at_it_is_left_alone(tmp_path: Path):
    server, journal = Server(), waiting(tmp_path)
    await settled(server, journal)
    server.resume({"decision": "approve", "name": "ann"})
    server.last.state = taken_up(Running, 200)
    assert await settled(server, journal) == 0
    assert (server.last.state.name, len(server.forms)) == ("Running", 1)


async def test_one_whose_worker_died_and_that_nobody_needs_any_more_makes_no_other(tmp_path: Path):
    server, journal = Server(), waiting(tmp_path)
    await settled(server, journal)
    server.last.state = taken_up(Running, 310)
    journal.append("rollout/r-1", len(journal.read("rollout/r-1")), [BACK], actor="me")
    assert await settled(server, journal) == 1
    assert [one.state.name for one in server.forms.values()] == ["Crashed"]
