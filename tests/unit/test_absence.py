"""A rollout that nobody drives, whose drivers die, or that waits for too long: told once, and taken back in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.journal import events as ev
from gopub.journal import notices
from gopub.journal.entry import Entry
from gopub.journal.reading import asked
from gopub.journal.streams import told_of
from gopub.judge.gates import HOLD
from gopub.plan.model import Outcome
from gopub.rollout.holding import guard
from gopub.usecases.giving_up import ACTOR, folded, give_up
from gopub.usecases.post import carry_all
from gopub.views.absence import GIVEN_UP_AFTER, GIVEN_UP_WITHIN, TOLD_AFTER, Seen, absence, gives_up
from gopub.views.messages import message
from gopub.views.news import STUCK_AFTER, Loss
from tests.support.memory import EARS, Ear
from tests.support.rollout_world import World, reach
from tests.support.told_world import told_in_a_room
from tests.unit.views_world import STEPS, moving, plan

MOVING = moving("r-1", "hello", "prod")
SEAT = ev.SeatTaken(2, "ann@desk:2", "recover")
APPROVED = ev.Asked("promote:0", "go", "ops", 1000.0)
WAITING: list[ev.Event] = [
    *MOVING[:3], ev.Planned(plan("r-1", "hello", "prod", steps=(replace(STEPS[0], approve="ops"), STEPS[1]))),
    ev.Waiting(0, "step 1 waits for the approval of ops"),
]  # fmt: skip


def seen(events: Sequence[ev.Event], after: float, *said: ev.Asked, driven: bool = False, lease_end: float = 0,
         apart: float = 60.0) -> Seen:  # fmt: skip
    """``after`` seconds after the last entry, which came at 1000, as all do but drivers: ``apart`` from each other."""
    last = sum(isinstance(one, ev.SeatTaken) for one in events)
    entries, drivers = list[Entry](), 0
    for n, one in enumerate(events):
        drivers += isinstance(one, ev.SeatTaken)
        entries.append(Entry(n, "rollout/r-1", n + 1, one, "ann", "", 1000.0 - apart * (last - drivers), ""))
    state, tries = folded(entries)
    return Seen(state, tries, said, driven, lease_end, 1000.0 + after)


def kinds(one: Seen) -> list[Loss]:
    return [news.lost.why for news in absence(one) if news.lost]


def test_one_that_nobody_drives_for_minutes_is_told_and_one_that_is_driven_or_over_is_not():
    assert kinds(seen(MOVING, STUCK_AFTER)) == [Loss.NOBODY]
    assert kinds(seen(MOVING, STUCK_AFTER - 1)) == [], "the next look of recover may be about to take it up"
    assert kinds(seen(MOVING, 9 * STUCK_AFTER, driven=True)) == []
    assert kinds(seen(MOVING, STUCK_AFTER, lease_end=1010.0)) == [], "its lease ended later than its last entry"
    assert kinds(seen(MOVING, STUCK_AFTER, lease_end=1e12)) == [Loss.NOBODY], "a lease that a wrong clock wrote"
    over = [*MOVING, ev.GoingBack(Outcome.WITHDRAWN, 0, "x"), ev.TrafficOff(1.0), ev.Closed(Outcome.WITHDRAWN)]
    assert kinds(seen(over, 9 * STUCK_AFTER)) == []


def test_it_is_the_same_news_until_it_got_further():
    first, again = absence(seen(MOVING, STUCK_AFTER)), absence(seen([*MOVING, SEAT], STUCK_AFTER))
    assert first[0].key == again[0].key, "another driver came and went, and nothing is different"
    further = absence(seen([*MOVING, SEAT, ev.StepPassed(0)], STUCK_AFTER))
    assert further[0].key != first[0].key


def test_drivers_that_die_are_told_also_while_the_next_one_tries():
    assert kinds(seen([*MOVING, *[SEAT] * TOLD_AFTER], 1, driven=True)) == [Loss.DIES]
    assert kinds(seen([*MOVING, *[SEAT] * (TOLD_AFTER - 1)], 1, driven=True)) == []
    table = ev.TableIntended("in", 2500, ("app2",), ("app1",))
    assert kinds(seen([*MOVING, *[SEAT, table] * TOLD_AFTER], 1)) == [Loss.DIES], "an intent written again is nothing"


def test_a_bake_that_is_observed_further_by_each_driver_goes_on():
    looks = [ev.Judged(0, "HOLD", 4, "too few", observed=10.0 * n) for n in range(1, GIVEN_UP_AFTER + 2)]
    better = [event for look in looks for event in (SEAT, look)]
    assert kinds(seen([*MOVING, *better], 1)) == []
    same = [event for _ in looks for event in (SEAT, looks[0])]
    stays = seen([*MOVING, looks[0], *same], 1)
    assert kinds(stays) == [Loss.DIES] and gives_up(stays.state, stays.tries, ())


def test_one_that_waits_for_longer_than_it_may_take_is_told_and_one_whose_window_comes_is_not():
    deadline = plan("r-1", "hello", "prod").deadline
    assert kinds(seen(WAITING, deadline)) == [Loss.WAITS]
    assert kinds(seen(WAITING, deadline - 1)) == []
    windowed = [*MOVING[:3], ev.Planned(plan("r-1", "hello", "prod", windows=("Mon 02:00-03:00 UTC",))),
                ev.Waiting(0, "step 1 waits for the window")]  # fmt: skip
    assert kinds(seen(windowed, 2 * deadline)) == [], "nobody has to do anything: it opens by itself"
    held = ev.Asked(HOLD, "lunch", "ann", 1000.0)
    assert kinds(seen(WAITING, deadline, held)) == [], "a person holds it, and knows"


def test_one_that_may_go_on_and_that_nobody_wakes_is_told():
    assert kinds(seen(WAITING, STUCK_AFTER, APPROVED)) == [Loss.NOBODY]
    assert kinds(seen(WAITING, STUCK_AFTER, replace(APPROVED, at=1001.0))) == [], "it was approved not long ago"
    assert kinds(seen(WAITING, STUCK_AFTER)) == [], "control: it waits for a person"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    ("one", "words", "command"),
    [
        (seen(MOVING, STUCK_AFTER), "1970-01-01 00:16", "gopub rollback hello --env prod"),
        (seen([*MOVING, *[SEAT] * 4], 1), "4", "gopub rollback hello --env prod"),
        (seen(WAITING, 7200), "step 1 waits for the approval of ops", "gopub promote r-1"),
    ],
)
def test_the_message_says_why_and_what_to_run(one: Seen, words: str, command: str, lang: str):
    (news,) = absence(one)
    lines = message(news, lang).body.splitlines()
    assert words in lines[0] and command in lines[-1]


def test_only_what_may_still_go_back_is_given_up_and_only_once():
    dying = seen([*MOVING, *[SEAT] * GIVEN_UP_AFTER], 1)
    assert gives_up(dying.state, dying.tries, ())
    assert not gives_up(dying.state, replace(dying.tries, times=GIVEN_UP_AFTER - 1), ())
    quick = seen([*MOVING, *[SEAT] * GIVEN_UP_AFTER], 1, apart=GIVEN_UP_WITHIN / GIVEN_UP_AFTER)
    assert quick.tries.times == GIVEN_UP_AFTER
    assert not gives_up(quick.state, quick.tries, ()), "a service that is started again and again for some minutes"
    assert not gives_up(dying.state, dying.tries, (ev.Asked("abort"),)), "asked for already"
    assert not gives_up(dying.state, dying.tries, (ev.Asked(HOLD),)), "a person holds it"
    settling = seen([*MOVING, ev.StepPassed(0), ev.StepReached(1, 1.0), ev.StepPassed(1), ev.Settling(),
                     *[SEAT] * 99], 1)  # fmt: skip
    assert not gives_up(settling.state, settling.tries, ()), "all of it was good: to go back is more than to go on"
    back = seen([*MOVING, ev.GoingBack(Outcome.ROLLED_BACK, 3, "x"), *[SEAT] * 99], 1)
    assert not gives_up(back.state, back.tries, ()) and kinds(back) == [Loss.DIES], "told, and tried for ever"


@pytest.fixture
def ear() -> Ear:
    made = Ear()
    EARS["room"] = made
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ear: Ear) -> World:
    return told_in_a_room(tmp_path, monkeypatch)


def look(world: World) -> None:
    asyncio.run(carry_all(world.journal, world.clock.now(), clock=world.clock))


def test_who_looks_after_all_tells_it_once_whoever_looks_again(world: World, ear: Ear):
    run = world.driver()
    asyncio.run(reach(run))
    asyncio.run(world.clock.sleep(STUCK_AFTER))
    world.journal.renew_seat(run.seat, 1800)
    look(world)
    assert ear.came == [], "control: its driver lives"
    world.journal.renew_seat(run.seat, 0)
    look(world)
    look(world)
    assert [one.title for one in ear.came] == ["hello 2 in lab: stuck"]
    assert "nobody has driven it since" in ear.came[0].body
    assert isinstance(world.journal.read(told_of("r1"))[0].event, notices.NoticeDue)


def test_after_many_drivers_it_is_taken_back_by_the_next_one_and_says_why(world: World):
    run = world.driver()
    asyncio.run(reach(run))
    for _ in range(GIVEN_UP_AFTER - 1):
        run.record(replace(SEAT, epoch=run.seat.epoch))
        asyncio.run(world.clock.sleep(60.0))
        world.journal.renew_seat(run.seat, 1800)
    assert give_up(world.journal, ["r1"]) == [] and asked(world.journal, "r1") == ()
    run.record(replace(SEAT, epoch=run.seat.epoch))
    assert give_up(world.journal, ["r1", "nosuch"]) == ["r1"]
    assert give_up(world.journal, ["r1"]) == []
    (said,) = asked(world.journal, "r1")
    assert (said.what, said.actor) == ("abort", ACTOR)
    asyncio.run(guard(run))
    assert run.state.back and run.state.back.outcome is Outcome.WITHDRAWN, "not blamed: nobody knows whose fault it is"
    assert f"{GIVEN_UP_AFTER} drivers in a row" in run.state.back.reason
