"""Who hears of ends is told that what it was told does not hold any more: once, and never before the beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gopub.journal import events as ev
from gopub.journal import notices
from gopub.journal.entry import Entry
from gopub.journal.outbox import CLAIM, Letter, Name, ends, letters, opens_at, ready
from gopub.journal.state import State
from gopub.journal.tries import Tries
from gopub.plan.model import Outcome
from gopub.spec.alerting import is_own
from gopub.spec.loader import load_spec
from gopub.usecases.post import Post, carry_all
from gopub.views.news import STUCK_AFTER
from tests.support.memory import EARS, Ear
from tests.support.rollout_world import World, drive, in_memory, reach
from tests.support.rooms import Room, room

BACK = ev.GoingBack(Outcome.ROLLED_BACK, 3, "x")
CLOSED = ev.Closed(Outcome.PROMOTED, "")


def due(key: str, about: str, to: str = "am") -> notices.NoticeDue:
    return notices.NoticeDue(key, to, "t", "b", "info", about, 1.0)


def at(*events: tuple[float, ev.Event]) -> dict[Name, Letter]:
    return letters([Entry(n, "told/r", n + 1, event, "", "", when, "") for n, (when, event) in enumerate(events)])


@pytest.mark.parametrize(
    ("told", "state", "tries", "over"),
    [
        (due("approval-needed/2", "approval-needed"), State(reached={0: 1.0}), Tries(), False),
        (due("approval-needed/2", "approval-needed"), State(reached={0: 1.0, 1: 2.0}), Tries(), True),
        (due("approval-needed/2", "approval-needed"), State(back=BACK), Tries(), True),
        (due("stuck/1", "stuck"), State(reached={0: 1.0}), Tries(), False),
        (due("stuck/1", "stuck"), State(reached={0: 1.0}, passed=frozenset({0})), Tries(), True),
        (due("stuck/1", "stuck"), State(back=BACK), Tries(), True),
        (due("stuck/nobody/17", "stuck"), State(back=BACK), Tries(place=17), False),
        (due("stuck/nobody/17", "stuck"), State(), Tries(place=18), True),
        (due("stuck/nobody/17", "stuck"), State(closed=CLOSED), Tries(place=17), True),
        (due("ended", "owed"), State(closed=CLOSED), Tries(), False),
        (notices.NoticeDue("stuck/1", "am", "t", "b"), State(closed=CLOSED), Tries(), False),
    ],
)
def test_what_holds_is_over_once_it_does_not_any_more(told: notices.NoticeDue, state: State, tries: Tries, over: bool):
    found = ends(at((0.0, told)), state, tries)
    assert [(one.key, one.over, one.about) for one in found] == [(f"over/{told.key}", True, told.about)] * over
    again = at((0.0, told), *((1.0, one) for one in found))
    assert ends(again, state, tries) == [], "each is told once, and no end has an end"


def test_what_nobody_was_told_of_has_no_end_to_tell():
    told = due("stuck/1", "stuck")
    lost = (notices.NoticeTried("stuck/1", "am"), notices.NoticeLost("stuck/1", "am", "503"))
    assert ends(at((0.0, told), *((1.0, one) for one in lost)), State(closed=CLOSED), Tries()) == []


def test_an_end_overtakes_no_beginning_that_may_be_under_way():
    told, tried, taken = (
        due("stuck/1", "stuck"),
        notices.NoticeTried("stuck/1", "am"),
        notices.NoticeTaken("stuck/1", "am"),
    )
    (end,) = ends(at((0.0, told)), State(closed=CLOSED), Tries())
    under_way = at((0.0, told), (10.0, tried), (11.0, end))
    assert ready(under_way, 12.0) == []
    assert opens_at(under_way) == 10.0 + CLAIM, "then the beginning is tried again first"
    assert [one.due.over for one in ready(under_way, 10.0 + CLAIM)] == [False, True]
    arrived = at((0.0, told), (10.0, tried), (11.0, end), (12.0, taken))
    assert [one.due.key for one in ready(arrived, 12.0)] == ["over/stuck/1"]


@pytest.fixture
def web() -> Iterator[Room]:
    with room() as found:
        yield found


@pytest.fixture
def ear() -> Ear:
    made = Ear()
    EARS["room"] = made
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Room, ear: Ear) -> World:
    del ear
    in_memory(monkeypatch)
    made = World(tmp_path)
    made.at_home(monkeypatch)
    home = tmp_path / "project"
    spec = (home / "gopub.yaml").read_text()
    told = "notify: [room, {to: am, on: [stuck, approval-needed]}]"
    (home / "gopub.yaml").write_text(spec.replace("traffic: edge}", f"traffic: edge, {told}}}"))
    with (home / "connections.yaml").open("a") as file:
        file.write(f"room: {{kind: memory-room, ear: room}}\nam: {{kind: alertmanager, url: 'http://{web.address}'}}\n")
    made.project = str(home)
    made.environment = load_spec(home / "gopub.yaml").spec.environments["lab"]
    return made


def alerts(web: Room) -> list[dict[str, Any]]:
    return [alert for post in web.came for alert in post.json]


def ends_at(alert: dict[str, Any]) -> float:
    return datetime.fromisoformat(alert["endsAt"]).timestamp()


def test_an_alert_of_a_rollout_ends_with_it_and_a_chat_room_hears_of_no_ends(world: World, web: Room, ear: Ear):
    run = world.driver()
    asyncio.run(reach(run))
    asyncio.run(world.clock.sleep(STUCK_AFTER))
    world.journal.renew_seat(run.seat, 0)
    asyncio.run(carry_all(world.journal, world.clock.now(), clock=world.clock))
    (fires,) = alerts(web)
    assert fires["labels"]["alertname"] == "GopubStuck" and fires["labels"]["rollout"] == "r1"
    assert fires["labels"]["notice"].startswith("stuck/nobody/")
    assert is_own(fires["labels"]), "so that it holds no rollout where Alertmanager tells gopub of it"
    assert (fires["labels"]["app"], fires["labels"]["env"]) == ("hello", "lab")
    asyncio.run(carry_all(world.journal, world.clock.now(), clock=world.clock))
    assert len(alerts(web)) == 1, "control: as long as it holds nothing new is told"
    drive(world, "bad")
    for _ in range(2):
        asyncio.run(Post(world.journal, "r1", clock=world.clock).carry())
    _, over = alerts(web)
    assert over["labels"] == fires["labels"], "by its labels Alertmanager knows it again"
    assert over["startsAt"] == fires["startsAt"]
    assert ends_at(over) < ends_at(fires) and ends_at(over) <= world.clock.now()
    assert [one.title for one in ear.came] == ["hello 2 in lab: stuck", "hello 2 in lab: rolled back"]
    assert [one.about.event for one in ear.came] == ["stuck", "rolled-back"]


def test_what_is_over_before_it_was_taken_begins_nothing(world: World, web: Room):
    run = world.driver()
    asyncio.run(reach(run))
    asyncio.run(world.clock.sleep(STUCK_AFTER))
    world.journal.renew_seat(run.seat, 0)
    web.status = 503
    asyncio.run(carry_all(world.journal, world.clock.now(), clock=world.clock))
    drive(world, "bad")
    web.status, before = 200, len(alerts(web))
    asyncio.run(world.clock.sleep(CLAIM))
    asyncio.run(Post(world.journal, "r1", clock=world.clock).carry())
    came = alerts(web)[before:]
    assert len(came) == 2, "the beginning, which is tried again, and the end"
    assert all(ends_at(one) <= world.clock.now() for one in came)
