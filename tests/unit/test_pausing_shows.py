"""What the engine shows of a hold is written over the state that was read, and over none that came after it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from gopub.journal import events as ev
from gopub.judge.gates import HOLD, RESUME
from tasks.pausing import show

HELD = (ev.Asked(HOLD, "wait", "ann", 1.0),)
OVER = (*HELD, ev.Asked(RESUME, "go", "ann", 2.0))


def a_state(kind: StateType, name: str) -> State[None]:
    return State(type=kind, name=name, timestamp=datetime.fromtimestamp(1.5, UTC))


class Server:
    """Keeps one run; somebody else may be quicker between a reading and a writing."""

    def __init__(self, state: State[None]) -> None:
        self.run = FlowRun(id=uuid4(), flow_id=uuid4(), state=state)
        self.read = self.run.model_copy(deep=True)
        self.written: list[str | None] = []

    async def read_flow_run(self, _known: object) -> FlowRun:
        return self.run

    async def set_flow_run_state(self, _known: object, state: State[None], *, force: bool) -> None:
        assert force
        self.run.state = state
        self.written.append(state.name)


@pytest.mark.parametrize(
    ("asked", "was", "shown"),
    [
        (HELD, a_state(StateType.RUNNING, "Running"), ["Held"]),
        (OVER, a_state(StateType.RUNNING, "Held"), ["Running"]),
        (OVER, a_state(StateType.PAUSED, "Suspended"), ["Running"]),
        (HELD, a_state(StateType.RUNNING, "Held"), []),
        (OVER, a_state(StateType.SCHEDULED, "Resuming"), []),
    ],
)
async def test_a_run_says_whether_its_rollout_is_held(
    asked: tuple[ev.Asked, ...], was: State[None], shown: list[str]
) -> None:
    server = Server(was)
    await show(asked, server, [server.read])  # type: ignore[arg-type]
    assert server.written == shown


@pytest.mark.parametrize(
    "quicker", [a_state(StateType.SCHEDULED, "Resuming"), a_state(StateType.CANCELLING, "Cancelling")]
)
async def test_a_state_that_came_in_between_is_left_alone(quicker: State[None]) -> None:
    """Over a `Resuming` the run would be taken for one that runs, and its next process never started."""
    server = Server(a_state(StateType.PAUSED, "Suspended"))
    server.run.state = quicker
    await show(OVER, server, [server.read])  # type: ignore[arg-type]
    assert server.written == []
    assert server.run.state is quicker
