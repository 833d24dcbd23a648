"""A rollout that only goes back is laid out in one place, whole or not at all: for a rollback and for mending alike."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal.reading import read_env_state, read_state
from gopub.journal.seat import Seat
from gopub.journal.store import Journal, open_journal
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome
from gopub.rollout.backwards import begin_backwards
from tests.unit.views_world import NEW, plan

PLAN = replace(plan("r-back", "hello", "lab"), steps=())
OWED = ev.HostOwed("app2", "it is away", "x-y")
ROOT = Path(__file__).parent.parent.parent / "gopub"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_journal(str(tmp_path / "journal.db"), ManualClock())


def begin(journal: Journal, **changed: Any) -> Any:
    given = {"outcome": Outcome.MENDED, "reason": "why", "now": 7.0, "project": "/srv", "after": 0, "actor": "ann",
             "trace": "7" * 32, "owed": [OWED]}  # fmt: skip
    return begin_backwards(journal, PLAN, **(given | changed))


def written(journal: Journal) -> list[ev.Event]:
    return [entry.event for entry in journal.read("rollout/r-back")]


def test_one_that_mends_is_written_whole_and_waits_for_a_driver(journal):
    state = begin(journal)
    assert written(journal) == [
        ev.Opened("r-back", "hello", "lab", NEW, "2.0.0", "why", "/srv"), ev.Planned(PLAN), OWED,
        ev.SwitchIntended((), "", "stable"), ev.GoingBack(Outcome.MENDED, 0, "why", 7.0),
    ]  # fmt: skip
    assert read_state(journal, "r-back") == state
    assert (state.phase, state.canary, state.owed) == (Phase.GOING_BACK, (), ("app2",))
    assert read_env_state(journal, "hello", "lab").active == "r-back"
    assert journal.seated("hello", "lab") is None


def test_one_with_a_driver_brings_back_the_hosts_that_it_found_elsewhere(journal):
    seat = journal.take_seat(Seat("hello", "lab", 4, "t", "ann@desk:1"), rollout="r-back", lease=60.0)
    state = begin(journal, outcome=Outcome.ROLLED_BACK, on_release=["app1"], seat=seat)
    opened, taken, planned, switched, *rest = written(journal)
    assert (taken, switched) == (ev.SeatTaken(5, "ann@desk:1", "rollback"), ev.HostSwitched("app1", "2.0.0", "canary"))
    assert isinstance(opened, ev.Opened) and planned == ev.Planned(PLAN)
    assert rest == [OWED, ev.SwitchIntended((), "", "stable"), ev.GoingBack(Outcome.ROLLED_BACK, 0, "why", 7.0)]
    assert "app1" in state.canary


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"after": 1}, "GP704"),
        ({"seat": Seat("hello", "lab", 9, "another", "bob")}, "GP705"),
        ({"owed": [ev.HostOwed("stranger", "")]}, "GP733"),
        ({"outcome": Outcome.PROMOTED}, "GP702"),
    ],
)
def test_what_cannot_be_leaves_nothing_written(journal, changed, code):
    with pytest.raises(GopubError, match=code) as caught:
        begin(journal, **changed)
    assert isinstance(caught.value, LockedError) == (code in {"GP704", "GP705"})
    assert (written(journal), journal.streams("env/")) == ([], [])
    begin(journal)  # control: what can be is written
    assert len(written(journal)) == 5


def opens_an_env(source: str) -> bool:
    """Whether a module makes the entry by which an env becomes busy."""
    made = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(ast.unparse(func) in {"ev.EnvOpened", "EnvOpened"} for func in made)


def test_a_rollout_begins_in_two_places_forward_and_backwards():
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if opens_an_env(path.read_text("utf-8"))}
    assert found == {"rollout/seat.py", "rollout/backwards.py"}
