"""Runs of kept deliveries: started in order and once, whatever hangs, fails or dies, and no answer waits for them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deployments.api.parts import Parts
from deployments.api.pauses import LONGEST_PAUSE, RETRY_EVERY, Pause, longer
from deployments.api.starting import GIVE_UP_AFTER, Starting, keep_starting, rest, start_one
from deployments.deliveries import Delivery
from deployments.starter import RunOrder, RunView
from gopub.canon import sha256
from gopub.errors import GopubError
from tests.unit.apikit import PUSHED, Kit, RecordingStarter, make_kit
from tests.unit.test_webhook_routes import QUEUED, headers, payload

AWAY = GopubError("GP918", "the Prefect server does not answer")
NO_REPOSITORY = GopubError("GP939", "the repository does not answer")
NONSENSE = ValueError("an answer that no client expects")
PROD, STAGING = "tag_push.json", "push.json"
SHORT = 0.05
"""Seconds of the real clock for an order that never ends."""


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


@dataclass(slots=True)
class Engine(RecordingStarter):
    """An engine that fails, hangs or dies at some orders, and counts its calls and those under way."""

    failing: dict[str, BaseException] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    now: Counter[tuple[str, str]] = field(default_factory=Counter)
    most: int = 0
    together: int = 1
    """How many the first ones wait for, so that chance has no say in it."""

    async def start(self, order: RunOrder) -> RunView:
        """Start it, or do what was told for a key that begins so."""
        self.calls.append(order.key)
        lane = (order.app, order.env)
        self.now[lane] += 1
        self.most = max(self.most, self.now.total())
        assert self.now[lane] == 1, "two at once into one env"
        try:
            while self.most < self.together:
                await asyncio.wait([asyncio.create_task(asyncio.sleep(0.001))])
            if any(order.key.startswith(key) for key in self.hanging):
                await asyncio.Event().wait()
            for key, error in self.failing.items():
                if order.key.startswith(key):
                    raise error
            return await RecordingStarter.start(self, order)
        finally:
            self.now[lane] -= 1

    @property
    def keys(self) -> list[str]:
        """Of what was started, the deliveries in their order."""
        return [order.key.split(":")[1] for order in self.orders]


async def pushed(kit: Kit, *deliveries: str, what: str = STAGING) -> None:
    """Each delivery tells of a push of its own."""
    for delivery in deliveries:
        commit = sha256(delivery.encode())[:40]
        kit.refs.push(commit)
        answer = await kit.hook(payload(what, after=commit, checkout_sha=commit), **headers(delivery))
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")


async def once(starting: Starting) -> None:
    await starting.look()
    await starting.idle()


def order(env: str, key: str) -> RunOrder:
    parameters = {"repository": "r", "ref": PUSHED}
    return RunOrder("orders", env, f"gitlab:{key}:orders:{env}", parameters)


async def kept_going(parts: Parts, until: Callable[[], bool], within: float = SHORT) -> None:
    """Run the task beside the answers until something holds."""
    task = asyncio.create_task(keep_starting(parts, within=within))
    while not task.done() and not until():
        await asyncio.wait([task], timeout=0.001)
    over = task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert not over, "it came to an end by itself"


async def test_while_the_engine_is_away_a_delivery_waits_and_is_started_later(kit: Kit, tmp_path: Path) -> None:
    kit.starter.broken = AWAY
    response = await kit.hook(payload(), **headers())
    assert (response.status_code, response.json()) == (202, QUEUED)
    assert (await kit.client.get("/healthz")).json()["waiting"] == 1
    assert await kit.settle() == 1

    kit.parts.deliveries.close()
    restarted = make_kit(tmp_path)
    assert await restarted.settle() == 0
    assert [order.key for order in restarted.starter.orders] == ["gitlab:d-1:orders:staging"]
    assert await restarted.settle() == 0
    assert len(restarted.starter.orders) == 1
    assert (await restarted.hook(payload(), **headers())).json()["status"] == "repeated"


async def test_a_repeated_delivery_of_what_waits_is_started_once(kit: Kit) -> None:
    kit.starter.broken = AWAY
    await pushed(kit, "d-1")
    assert await kit.settle() == 1
    kit.starter.broken = None
    kit.parts.fresh.clear()
    await pushed(kit, "d-1")
    assert kit.parts.fresh.is_set(), "it is looked at anew at once"
    assert (await kit.settle(), len(kit.starter.orders)) == (0, 1)


async def test_a_day_is_the_longest_wait(kit: Kit) -> None:
    kit.starter.broken = AWAY
    answer = await kit.hook(payload(), **headers())
    await kit.clock.sleep(GIVE_UP_AFTER)
    assert await kit.settle() == 1  # the control: not yet
    await kit.clock.sleep(1)
    assert await kit.settle() == 0
    kit.starter.broken = None
    assert (await kit.hook(payload(), **headers())).json() == {"status": "repeated", "runs": [], "given_up": True}
    assert (await kit.told(answer))["status"] == "given_up"
    assert kit.starter.orders == []


async def test_a_delivery_that_fails_in_a_new_way_is_kept_and_holds_up_none_after_it(kit: Kit) -> None:
    await pushed(kit, "d-1", "d-2")
    engine = Engine(failing={"gitlab:d-1": NONSENSE})
    starting = Starting(replace(kit.parts, starter=engine))
    await once(starting)
    assert (engine.keys, kit.parts.deliveries.count()) == (["d-2"], 1)
    engine.failing.clear()
    await once(starting)
    assert engine.keys == ["d-2"]  # it rests for a while
    await kit.clock.sleep(RETRY_EVERY)
    await once(starting)
    assert (engine.keys, kit.parts.deliveries.count()) == (["d-2", "d-1"], 0)


@pytest.mark.parametrize("error", [AWAY, NO_REPOSITORY, TimeoutError()])
async def test_what_goes_into_one_env_keeps_its_order_where_the_other_end_is_away(kit: Kit, error: Exception) -> None:
    await pushed(kit, *(f"d-{n}" for n in range(1, 6)))
    engine = Engine(failing={"gitlab:d-2": error})
    starting = Starting(replace(kit.parts, starter=engine))
    await once(starting)
    assert (engine.keys, engine.calls[2:]) == (["d-1"], [])
    engine.failing.clear()
    await kit.clock.sleep(RETRY_EVERY)
    await once(starting)
    assert engine.keys == ["d-1", "d-2", "d-3", "d-4", "d-5"]
    assert kit.parts.deliveries.count() == 0


async def test_an_engine_that_is_away_is_asked_less_and_less_often(kit: Kit) -> None:
    await pushed(kit, "d-1", "d-2")
    await pushed(kit, "d-3", what=PROD)
    engine = Engine(failing={"": AWAY})
    starting = Starting(replace(kit.parts, starter=engine))
    for _ in range(720):
        await once(starting)
        await kit.clock.sleep(RETRY_EVERY)
    assert 110 <= len(engine.calls) <= 260, len(engine.calls)  # two lanes, twice a minute: every 5 s would be 1440
    engine.failing.clear()
    await kit.clock.sleep(LONGEST_PAUSE)
    await once(starting)
    assert sorted(engine.keys) == ["d-1", "d-2", "d-3"]


async def test_an_engine_that_hangs_keeps_no_answer_and_no_other_env_waiting(kit: Kit) -> None:
    parts = replace(kit.parts, starter=(engine := Engine(hanging={"gitlab:d-1"})))
    starting = Starting(parts, within=60.0)
    await pushed(kit, "d-1")
    await starting.look()
    await pushed(kit, "d-2")
    await pushed(kit, "d-3", what=PROD)  # all three are answered
    await starting.look()
    for _ in range(60_000):
        if engine.keys == ["d-3"]:
            break
        await asyncio.wait([asyncio.create_task(asyncio.sleep(0.001))])
    assert engine.keys == ["d-3"]
    assert kit.parts.deliveries.count() >= 2
    with pytest.raises(TimeoutError):  # the control: an answer that waited for the run would not come
        async with asyncio.timeout(SHORT):
            await start_one(parts, row(kit), order("other", "d-1x"))
    await starting.stop()


def row(kit: Kit, key: str = "gitlab:d-1") -> Delivery:
    found = kit.parts.deliveries.find(key)
    assert found is not None
    return found


async def test_an_order_that_hangs_is_left_in_time_and_tried_again(kit: Kit) -> None:
    engine = Engine(hanging={"gitlab:d-1"})
    starting = Starting(replace(kit.parts, starter=engine), within=SHORT)
    await pushed(kit, "d-1", "d-2")
    await once(starting)
    assert (engine.keys, len(engine.calls)) == ([], 1)
    engine.hanging.clear()
    await kit.clock.sleep(RETRY_EVERY)
    await once(starting)
    assert (engine.keys, kit.parts.deliveries.count()) == (["d-1", "d-2"], 0)


@pytest.mark.parametrize("death", [asyncio.CancelledError(), NONSENSE, AWAY])
async def test_starting_goes_on_after_an_order_died_or_failed(kit: Kit, death: BaseException) -> None:
    engine = Engine(failing={"gitlab:d-1": death})
    await pushed(kit, "d-1", "d-2")

    def mended() -> bool:
        if len(engine.calls) > 3:
            engine.failing.clear()
        return len(engine.orders) == 2 and kit.parts.deliveries.count() == 0

    await kept_going(replace(kit.parts, starter=engine), mended)
    assert sorted(engine.keys) == ["d-1", "d-2"]


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (8, 2)])
async def test_so_many_are_started_at_once_and_no_more(kit: Kit, at_once: int, most: int) -> None:
    await pushed(kit, "d-1", "d-2")
    await pushed(kit, "d-3", "d-4", what=PROD)
    engine = Engine(together=most)
    await once(Starting(replace(kit.parts, starter=engine), at_once=at_once))
    assert (engine.most, len(engine.orders), kit.parts.deliveries.count()) == (most, 4, 0)


async def test_of_a_delivery_for_two_envs_the_one_that_is_started_is_not_started_again(kit: Kit) -> None:
    engine = Engine(failing={"gitlab:d-1:orders:prod": NONSENSE})
    parts = replace(kit.parts, starter=engine)
    parts.deliveries.begin("gitlab:d-1", "d", [order("staging", "d-1"), order("prod", "d-1")], kit.clock.now())
    starting = Starting(parts)
    await once(starting)
    assert row(kit).outcome is None
    engine.failing.clear()
    await kit.clock.sleep(RETRY_EVERY)
    await once(starting)
    runs = (row(kit).outcome or {})["runs"]
    assert [(one["env"], one["id"]) for one in runs] == [("staging", "run-1"), ("prod", "run-2")]
    assert Counter(engine.calls) == {"gitlab:d-1:orders:staging": 1, "gitlab:d-1:orders:prod": 2}


async def test_what_was_started_is_marked_once_the_file_can_be_written(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pushed(kit, "d-1")
    finish, tries = kit.parts.deliveries.finish, []

    def locked(key: str, outcome: dict[str, object]) -> None:
        tries.append(key)
        if len(tries) < 4:
            raise sqlite3.OperationalError("database is locked")
        finish(key, outcome)

    monkeypatch.setattr(kit.parts.deliveries, "finish", locked)
    engine = Engine()
    await kept_going(replace(kit.parts, starter=engine), lambda: kit.parts.deliveries.count() == 0)
    assert (engine.calls, len(tries)) == (["gitlab:d-1:orders:staging"], 4)


async def test_starting_goes_on_after_the_file_of_deliveries_could_not_be_read(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pushed(kit, "d-1")
    waiting, until, tries = kit.parts.deliveries.waiting, kit.clock.now() + 3600, []

    def locked() -> list[Delivery]:
        tries.append(kit.clock.now())
        if kit.clock.now() < until:
            raise sqlite3.OperationalError("database is locked")
        return waiting()

    monkeypatch.setattr(kit.parts.deliveries, "waiting", locked)
    await kept_going(kit.parts, lambda: bool(kit.starter.orders))
    assert [order.key for order in kit.starter.orders] == ["gitlab:d-1:orders:staging"]
    assert len(tries) < 40  # less and less often: an hour of tries every 5 s would be 720


def test_a_pause_doubles_up_to_a_limit_and_failures_at_one_moment_count_once() -> None:
    pause = longer(None, 1000.0)
    assert pause == Pause(RETRY_EVERY, 1000.0 + RETRY_EVERY)
    assert longer(pause, 1000.1) == pause
    lengths = []
    for _ in range(6):
        pause = longer(pause, pause.until)
        lengths.append(pause.length)
    assert lengths == [10.0, 20.0, 30.0, 30.0, 30.0, 30.0]
    assert longer(Pause(200.0, 0.0), 1.0, 300.0) == Pause(300.0, 301.0)


def test_a_clock_that_is_set_makes_nothing_wait_longer() -> None:
    pause = Pause(30.0, 1030.0)
    assert [pause.lasts(now) for now in (1000.0, 1029.9)] == [True, True]
    assert [pause.lasts(now) for now in (1030.0, 999.0, -80000.0)] == [False, False, False]
    assert [rest(took) for took in (-3600.0, 0.0, 0.5, 3600.0)] == [0.05, 0.05, 2.0, RETRY_EVERY]
