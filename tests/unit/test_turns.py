"""How a rollout of days stands is read without its looks, and is what all of them together tell."""

from __future__ import annotations

import asyncio

import pytest

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.state import fold
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.usecases.recover import active
from gopub.views.notices import notices
from tasks.approving import steps_of
from tests.unit.verdicts import BAKING, LOW, drawn, event
from tests.unit.views_world import moving

STREAM = "rollout/r-1"
DUE = event(drawn({"gate": "step 2 waits for the approval of ops"}))
LOOKS: list[ev.Event] = [
    *[event(drawn(BAKING | {"observed": 1.0 + n})) for n in range(6)],
    ev.SeatTaken(2, "bob@desk:2"),
    event(drawn(score=LOW)),
    *[event(drawn(BAKING))] * 4,
    DUE, DUE, event(drawn(score=LOW)), DUE, DUE,
    ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors"),
]  # fmt: skip
EVENTS = [*moving("r-1", "hello", "prod"), *LOOKS]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Journal, float]:
    """The journal, and when the first entry was written; they are a second apart."""
    clock = ManualClock()
    journal, begun = open_journal(str(tmp_path_factory.mktemp("turns") / "journal.db"), clock), clock.now()
    journal.append("env/hello/prod", 0, [ev.EnvOpened("r-1", "b" * 64)], actor="me")
    for number, one in enumerate(EVENTS):
        journal.append(STREAM, number, [one], actor="me")
        asyncio.run(clock.sleep(1.0))
    return journal, begun


def test_of_looks_in_a_row_the_last_one_tells_the_state(kept: tuple[Journal, float]):
    journal, _ = kept
    turns = journal.read_turns(STREAM)
    assert [one.version for one in turns if isinstance(one.event, ev.Judged)] == [18, len(EVENTS) - 1]
    assert [one.event for one in turns if not isinstance(one.event, ev.Judged)] == [
        one for one in EVENTS if not isinstance(one, ev.Judged)
    ]
    assert read_state(journal, "r-1") == fold(EVENTS), "its version too"
    assert next(active(journal)).state == fold(EVENTS)
    assert steps_of(turns) == steps_of(journal.read(STREAM)) == {1}
    assert read_state(journal, "r-none").rollout == ""


@pytest.mark.parametrize("second", range(len(EVENTS) + 1))
def test_what_is_told_since_some_time_needs_no_looks_from_before(kept: tuple[Journal, float], second: int):
    journal, begun = kept
    since = begun + second
    whole = notices(journal.read(STREAM))
    some = {one.id for one in notices(journal.read_turns(STREAM, since), since)}
    wanted = {one.id for one in whole if one.at >= since}
    assert wanted <= some <= {one.id for one in whole}
    assert len(some) - len(wanted) <= 1, "that an approval is missing may be told again, as the same"
    assert len(journal.read_turns(STREAM, since)) <= len(EVENTS)


def test_entries_after_a_version_and_how_many_there_are(kept: tuple[Journal, float]):
    journal, _ = kept
    assert [one.version for one in journal.read(STREAM, after=len(EVENTS) - 2)] == [len(EVENTS) - 1, len(EVENTS)]
    assert journal.versions("rollout/") == {STREAM: len(EVENTS)}
    assert journal.versions("") == {STREAM: len(EVENTS), "env/hello/prod": 1}
