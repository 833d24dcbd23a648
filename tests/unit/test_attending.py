"""Where no worker is, the receiver's process tells people that nobody goes on; where one is, it leaves it to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployments.api.app import create_app
from deployments.api.parts import Parts
from deployments.attending import FEWEST, Attending
from gopub.errors import GopubError
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import told_of
from gopub.views.news import STUCK_AFTER
from tests.support.memory import EARS, Ear
from tests.support.rollout_world import World, drive, reach
from tests.support.told_world import told_in_a_room
from tests.unit.apikit import make_kit


@dataclass
class Pool:
    """What the engine says of its workers; None: it does not answer."""

    there: bool | None = False

    async def attended(self) -> bool:
        if self.there is None:
            raise GopubError("GP918", "the Prefect server does not answer", hint="is it up?")
        return self.there


@pytest.fixture
def ear() -> Ear:
    made = Ear()
    EARS["room"] = made
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ear: Ear) -> World:
    del ear
    return told_in_a_room(tmp_path, monkeypatch)


def parts_of(world: World, folder: Path, attended: Callable[[], Awaitable[bool]]) -> Parts:
    def opened() -> Journal:
        return open_journal(str(world.kits.parent / "journal.db"), world.clock)

    return replace(make_kit(folder).parts, clock=world.clock, journal=opened, attended=attended)


def stands_still(world: World) -> None:
    """Its driver died minutes ago, and nobody came."""
    run = world.driver()
    asyncio.run(reach(run))
    world.journal.renew_seat(run.seat, 0)
    asyncio.run(world.clock.sleep(STUCK_AFTER))


@pytest.mark.parametrize("there", [False, None], ids=["no worker", "no server"])
def test_it_is_told_once_where_nobody_else_can_tell(world: World, ear: Ear, tmp_path: Path, there: bool | None):
    stands_still(world)
    attending = Attending(parts_of(world, tmp_path, Pool(there).attended))

    async def looks(number: int) -> list[bool]:
        return [await attending.look() for _ in range(number)]

    assert asyncio.run(looks(FEWEST - 1)) == [False] * (FEWEST - 1), "control: a worker may be started anew"
    assert ear.came == []
    assert asyncio.run(looks(3)) == [True, False, True], "once a minute"
    assert [one.title for one in ear.came] == ["hello 2 in lab: stuck"]
    assert "nobody has driven it since" in ear.came[0].body
    assert len(world.journal.read(told_of("r1"))) == 3, "due, tried, taken: a worker that is back repeats none of it"


def test_it_is_left_to_a_worker_where_one_is(world: World, ear: Ear, tmp_path: Path):
    stands_still(world)
    pool = Pool()
    attending = Attending(parts_of(world, tmp_path, pool.attended))

    async def looks() -> list[bool]:
        told = [await attending.look() for _ in range(FEWEST - 1)]
        pool.there = True
        told.append(await attending.look())
        pool.there = False
        return [*told, *[await attending.look() for _ in range(FEWEST - 1)]]

    assert not any(asyncio.run(looks())), "a worker that comes and goes begins the count anew"
    assert ear.came == []


def test_one_that_is_driven_stands_not_still(world: World, ear: Ear, tmp_path: Path):
    run = world.driver()
    asyncio.run(reach(run))
    asyncio.run(world.clock.sleep(STUCK_AFTER))
    world.journal.renew_seat(run.seat, 1800)
    attending = Attending(parts_of(world, tmp_path, Pool().attended))

    async def looks() -> bool:
        return any([await attending.look() for _ in range(FEWEST)])

    assert asyncio.run(looks()), "it looked"
    assert ear.came == []


def test_the_receiver_looks_by_itself_also_after_a_journal_that_was_away(world: World, ear: Ear, tmp_path: Path):
    stands_still(world)
    asked: list[bool] = []

    def opened() -> Journal:
        asked.append(True)
        if len(asked) == 1:
            raise GopubError("GP701", "the journal cannot be opened", hint="mend it")
        return open_journal(str(world.kits.parent / "journal.db"), world.clock)

    app = create_app(replace(parts_of(world, tmp_path, Pool().attended), journal=opened))

    async def served() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(ear.arrived.wait(), 60)

    asyncio.run(served())
    assert [one.title for one in ear.came] == ["hello 2 in lab: stuck"]
    assert len(asked) > 1


def test_an_end_that_a_dead_worker_left_untold_is_told(world: World, ear: Ear, tmp_path: Path):
    drive(world, "bad")
    assert ear.came == [], "control: whoever drove it told nobody"
    attending = Attending(parts_of(world, tmp_path, Pool().attended))

    async def looks() -> None:
        for _ in range(FEWEST):
            await attending.look()

    asyncio.run(looks())
    assert [one.title for one in ear.came] == ["hello 2 in lab: rolled back"]
