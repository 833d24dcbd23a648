"""A rollout that loses the journal midway goes back, and the journal learns of it, whoever lives then."""

from __future__ import annotations

import asyncio
import json
import random

import jsonschema
import pytest

from gopub import schemas
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.adopt import adopt
from gopub.journal.late import found
from gopub.journal.reading import read_state
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from gopub.rollout.back import go_back
from gopub.usecases.audit import judged, memories
from tests.support.rollout_world import World, chart, drive, in_memory


class FailingJournal(Journal):
    """Is down from an append on, for so many of them."""

    def __init__(self, journal: Journal, after: int, lasts: int) -> None:
        super().__init__(journal._engine, journal._clock)
        self.count, self._after, self._lasts = 0, after, lasts

    def append_all(self, *args, **kwargs):
        self.count += 1
        if self._after < self.count <= self._after + self._lasts:
            raise GopubError("GP701", "the journal cannot be written: disk I/O error")
        return super().append_all(*args, **kwargs)


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


def lost(world: World, after: int, lasts: int = 1000) -> None:
    """Drive until the journal is lost; the rollout goes back and the process ends."""
    run = world.driver(FailingJournal(world.journal, after, lasts))
    asyncio.run(chart(run, "good"))
    assert set(world.running().values()) == {world.old}


class Enrolled(World):
    """On hosts that remember the journal."""

    enrolled = True


@pytest.mark.parametrize("after", [6, 10, 14])
def test_what_the_journal_learned_late_is_no_history_that_was_rewritten(tmp_path, after):
    world = Enrolled(tmp_path)
    lost(world, after)
    before = world.journal.verify()
    assert adopt(world.journal, world.kits) == 1
    assert world.journal.verify() > before, "control: entries came that no host was told of"
    found = judged(world.journal, asyncio.run(memories(world.ports(), "hello", "lab")))
    assert found.failed is None, found.lines()


def appends(tmp_path) -> int:
    journal = FailingJournal(World(tmp_path).journal, 10_000, 0)
    drive(World(tmp_path), "good", journal)
    return journal.count


def test_what_went_back_without_the_journal_does_not_go_forward_with_it(tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    (tmp_path / "count").mkdir()
    total = appends(tmp_path / "count")
    for after in random.Random(seed).sample(range(8, total - 4), 4):
        (tmp_path / str(after)).mkdir()
        world = World(tmp_path / str(after))
        lost(world, after)
        assert read_state(world.journal, "r1").back is None, "control: the journal knows nothing of it"
        assert adopt(world.journal, world.kits) == 1
        assert read_state(world.journal, "r1").back is not None
        asyncio.run(_recover(world))
        assert set(world.running().values()) == {world.old}
        assert (world.env().active, world.env().quarantine) == ("", frozenset())
        assert list(found(world.kits)) == []


async def _recover(world: World) -> None:
    run = world.driver()
    await run.edges.claim()
    await go_back(run)


def test_a_journal_that_comes_back_in_time_is_told_by_the_driver_itself(tmp_path):
    world = World(tmp_path)
    lost(world, after=10, lasts=3)
    closed = read_state(world.journal, "r1").closed
    assert closed is not None and closed.outcome is Outcome.WITHDRAWN
    assert list(found(world.kits)) == []
    assert adopt(world.journal, world.kits) == 0


def test_what_others_wrote_since_stands(tmp_path):
    world = World(tmp_path)
    lost(world, after=12)
    version = len(world.journal.read(stream_of("r1")))
    world.journal.append(stream_of("r1"), version, [ev.SeatTaken(99, "somebody")], actor="somebody")
    assert adopt(world.journal, world.kits) == 0
    assert read_state(world.journal, "r1").back is None
    assert list(found(world.kits)) == []


def test_a_file_fits_its_schema(tmp_path):
    world = World(tmp_path)
    lost(world, after=12)
    (path,) = world.kits.glob("late-*.json")
    data = json.loads(path.read_text("utf-8"))
    wanted = jsonschema.Draft202012Validator(schemas.schema("late"))
    assert wanted.is_valid(data)
    assert not wanted.is_valid({**data, "schema": "gopub/late/v2"})
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "late-r1.json").write_text('{"events": [')
    with pytest.raises(GopubError, match=r"GP703 .*late-r1\.json cannot be understood"):
        list(found(tmp_path))
