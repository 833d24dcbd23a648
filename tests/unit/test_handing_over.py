"""What becomes of a run whose process Prefect ends for a pause: another goes on, its rollout has ended, or neither."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.exceptions import Pause

from gopub.plan.model import Outcome
from gopub.rollout import back
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from gopub.usecases.ask import ask
from tasks.pausing import Left
from tests.support.rollout_world import World, in_memory, reach


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    in_memory(monkeypatch)
    made = World(tmp_path).driver()
    asyncio.run(reach(made))
    return made


def left_by(run: Run, *, scheduled: bool = False) -> Left:
    details = StateDetails(pause_reschedule=scheduled)
    left = Left()
    left.note(run, Pause(state=State(type=StateType.PAUSED, name="Suspended", state_details=details)))
    return left


def test_what_nobody_holds_any_more_is_gone_on_with_by_another_run(run: Run) -> None:
    left = left_by(run)
    assert left.found is not None
    assert (left.found.rollout, left.ended) == (run.rollout, None)
    assert left_by(run, scheduled=True) == Left(), "Prefect starts the next process of this one"


def test_what_is_held_is_left_to_recover(run: Run) -> None:
    ask(run.ports.journal, run.rollout, "hold", "lunch", actor="ann", clock=run.ports.clock)
    assert left_by(run) == Left()


def test_what_is_over_ends_under_the_name_of_its_outcome(run: Run) -> None:
    """The process hears of a suspension late: somebody resumed the run, and Prefect takes it for one that runs."""
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(run))
    left = left_by(run)
    assert left.found is None
    assert left.ended is not None
    assert (left.ended.name, left.ended.type) == ("Rolled back", StateType.FAILED)
