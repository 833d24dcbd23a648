"""When what waits is woken, and how often `recover` looks: moments by the plan, one run for each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.state import fold
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.usecases.wakes import Wake, changes, next_look, something_to_look_after, wake_of
from tests.support.rollout_world import World

DAY = 20_000 * 86400.0
WINDOW = "10:00-11:00 UTC"


@pytest.fixture
def waiting(tmp_path):
    """A rollout that waits for its window, or for a person as well."""

    def made(*, approve: str = ""):
        plan = World(tmp_path).plan()
        steps = (replace(plan.steps[0], approve=approve or None), *plan.steps[1:])
        planned = ev.Planned(replace(plan, rollout="r-1", steps=steps, windows=(WINDOW,)))
        opened = ev.Opened("r-1", "hello", "prod", "b" * 64, "2")
        return fold([opened, ev.SeatTaken(1, "me@host:1"), ev.Admitted(), planned, ev.Waiting(0, "it waits")])

    return made


def test_a_window_wakes_at_its_opening_and_not_before(waiting) -> None:
    nine = DAY + 9 * 3600
    wake = wake_of(waiting(), (), nine)
    assert wake is not None
    assert (wake.app, wake.env, wake.rollout) == ("hello", "prod", "r-1")
    assert datetime.fromtimestamp(wake.at, UTC).strftime("%H:%M:%S") == "10:00:01"
    assert wake.key == f"wake:r-1:{int(DAY + 10 * 3600 + 1)}"
    tomorrow = wake_of(waiting(), (), DAY + 12 * 3600)
    assert tomorrow is not None
    assert tomorrow.at == wake.at + 86400


def test_what_only_a_person_can_open_and_what_is_open_needs_no_run(waiting) -> None:
    nine = DAY + 9 * 3600
    assert wake_of(waiting(approve="ops"), (), nine) is None
    assert wake_of(waiting(approve="ops"), (ev.Asked("promote:0", "", "ann", nine),), nine) is not None, "control"
    assert wake_of(waiting(), (), DAY + 10.5 * 3600) is None
    assert wake_of(waiting(), (ev.Asked("abort", "", "ann", nine),), nine) is None


def test_a_hold_moves_the_moment_to_its_deadline_and_resume_moves_it_back(waiting) -> None:
    nine, state = DAY + 9 * 3600, waiting()
    hold, resume = ev.Asked("hold", "", "ann", nine), ev.Asked("resume", "", "ann", nine + 60)
    held, again = wake_of(state, (hold,), nine + 1), wake_of(state, (hold, resume), nine + 61)
    assert held and again
    assert held.at == int(nine + state.plan.deadline + 1)
    assert again == wake_of(state, (), nine + 61)


def test_each_moment_has_one_run_and_what_is_over_none() -> None:
    one, moved = Wake("a", "prod", "r-1", 100), Wake("a", "prod", "r-1", 200)
    assert changes([one], {}) == ([one], [])
    assert changes([one], {one.key: "run-1"}) == ([], [])
    assert changes([moved], {one.key: "run-1"}) == ([moved], ["run-1"])
    assert changes([], {one.key: "run-1"}) == ([], ["run-1"])


def test_all_who_ask_within_a_minute_ask_for_the_same_look() -> None:
    assert {next_look(DAY + second) for second in range(30)} == {int(DAY) + 60}
    assert {next_look(DAY + second) for second in range(30, 60)} == {int(DAY) + 120}
    assert {next_look(DAY + second / 2) - DAY - second / 2 for second in range(120)} <= {x / 2 for x in range(61, 181)}


def test_an_idle_house_has_nothing_to_look_after_and_one_with_a_rollout_has(tmp_path) -> None:
    journal: Journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    assert not something_to_look_after(journal)
    journal.append("env/hello/prod", 0, [ev.EnvOpened("r-1", "b" * 64)], actor="me")
    assert something_to_look_after(journal)
    journal.append("env/hello/prod", 1, [ev.EnvClosed("r-1", Outcome.WITHDRAWN)], actor="me")
    assert not something_to_look_after(journal)
