"""What REST and `gopub status` say of a rollout is the journal's word, not the state of an engine's run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from prefect.server.events.schemas.automations import EventTrigger

from deployments.engine import told
from deployments.setup.watchdog import watchdog
from deployments.starter import RunView
from gopub.cli.holding import hold
from gopub.cli.read import status
from gopub.journal.reading import asked, read_state
from gopub.plan.model import Outcome, Plan
from gopub.rollout import wait
from gopub.usecases.ask import ask_hold
from gopub.views.standing import standing
from tests.support.rollout_world import World, chart, in_memory

DONE = RunView("1", "deploy-hello", "Completed", "hello", "lab", final=True)
LATE = "02:00-06:00 UTC"


class Waits(World):
    """A rollout whose first step has a window; the clock stands at 22:13 UTC."""

    def plan(self) -> Plan:
        return replace(super().plan(), windows=(LATE,))


@pytest.fixture(autouse=True)
def _memory(monkeypatch):
    in_memory(monkeypatch)


def of_rest(world: World) -> RunView:
    """The run as REST shows it, though Prefect calls it completed."""
    known = standing(read_state(world.journal, "r1"), asked(world.journal, "r1"), world.clock.now())
    return told(DONE, known)


def test_a_rollout_that_waits_is_not_final_and_says_for_what_and_until_when(tmp_path):
    world = Waits(tmp_path)
    assert asyncio.run(wait.must_wait(world.driver()))
    shown = of_rest(world)
    assert (shown.final, shown.outcome) == (False, "waiting")
    assert (shown.waits_for, shown.until) == (f"step 1 waits for the window {LATE}", "2023-11-15T02:00:00+00:00")


def test_one_that_is_held_says_by_whom_and_until_when(tmp_path):
    world = World(tmp_path)
    world.driver()
    ask_hold(world.journal, "r1", "lunch", actor="ann", clock=world.clock)
    shown = of_rest(world)
    assert (shown.final, shown.outcome) == (False, "held")
    assert (shown.waits_for, shown.until) == ("held by ann since 2023-11-14 22:13:20 UTC: lunch",
                                              "2023-11-14T23:13:20+00:00")  # fmt: skip


def test_one_whose_run_is_lost_is_not_final_before_the_journal_says_so(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    assert (of_rest(world).final, of_rest(world).outcome) == (False, "active")
    asyncio.run(chart(run, "good"))
    assert run.state.closed.outcome is Outcome.PROMOTED
    assert (of_rest(world).final, of_rest(world).outcome) == (True, "promoted")


def test_status_says_it_as_well(tmp_path, monkeypatch, capsys):
    world = Waits(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    assert asyncio.run(wait.must_wait(world.driver()))
    ask_hold(world.journal, "r1", "lunch", actor="ann", clock=world.clock)
    status(as_json=True)
    [row] = json.loads(capsys.readouterr().out)["envs"]
    assert row["active"]["held"] == {
        "by": "ann", "reason": "lunch", "since": "2023-11-14T22:13:20+00:00", "until": "2023-11-14T23:13:20+00:00",
    }  # fmt: skip
    status()
    said = " ".join(capsys.readouterr().out.split())
    assert "held by ann since 2023-11-14 22:13:20 UTC (lunch); goes back at 2023-11-14 23:13:20 UTC;" in said
    assert hold_said(world, capsys).endswith("; it may still go back, and does at 2023-11-14 23:13:20 UTC")


def hold_said(world, capsys):
    """What `gopub hold` says of one that is held already."""
    hold("r1")
    return capsys.readouterr().err.splitlines()[0]


def test_status_of_what_was_never_released_says_of_what(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    for words, said in (({}, "nothing was released here yet"), ({"app": "x"}, "nothing of x was released here yet"),
                        ({"app": "x", "env": "prod"}, "nothing of x was released into prod here yet")):  # fmt: skip
        status(**words)
        assert capsys.readouterr().err.strip() == said


@pytest.mark.parametrize("name", ["Promoted", "Rolled back", "Waiting", "Gone on with", "Crashed", "heartbeat"])
def test_the_watchdog_knows_every_end_of_a_run(name):
    """By the server's own reading of the automation."""
    trigger = EventTrigger.model_validate(watchdog().trigger.model_dump(mode="json", exclude={"owner"}))
    assert trigger.expects(f"prefect.flow-run.{name}")
    assert not trigger.expects(f"prefect.task-run.{name}")
