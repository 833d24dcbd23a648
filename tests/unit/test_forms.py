"""The form of an approval stays one that somebody can fill in: what was answered is kept, what is lost is made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled

from tasks.approving import NEEDED, Needed, request

ONE = Needed("hello", "prod", "2", "r-1", 2, "wants to begin")


@dataclass
class Form:
    """A run on the server."""

    id: UUID
    state: State[Any]
    inputs: dict[str, str] = field(default_factory=dict)


class Server:
    """The Prefect server as far as forms need it: a run for each idempotency key, and the inputs of each run."""

    def __init__(self) -> None:
        self.forms: dict[str, Form] = {}

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

    async def set_flow_run_state(self, which: UUID, state: State[Any], *, force: bool) -> None:
        assert force
        self._form(which).state = state

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
