"""One run of the schedule at a time: a living one is left alone in one line, one that died keeps nobody out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flows import promote, recover
from gopub.clock import ManualClock, SystemClock
from gopub.journal.seat import LONGEST, Seat
from gopub.journal.store import Journal, open_journal
from gopub.usecases.alone import LEASE, alone
from tasks.alone import one_at_a_time
from tests.flows.serverkit import until


@pytest.fixture
def journal(tmp_path, monkeypatch) -> Journal:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    return open_journal(str(tmp_path / "journal.db"), SystemClock())


@pytest.fixture
def a_worker(monkeypatch) -> None:
    """This process is the one that a worker started for a run."""
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "none")


def held(journal: Journal, *, lease: float, what: str = "recover") -> Seat:
    return journal.take_seat(Seat("", what, 0, "other", "deploy@ci:42"), rollout="", lease=lease)


class Beside(ManualClock):
    """While somebody waits by it, another process lives and renews its lease."""

    def __init__(self, journal: Journal, seat: Seat) -> None:
        super().__init__()
        self.journal, self.seat, self.slept = journal, seat, 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.journal.renew_seat(self.seat, 600.0 + self.slept)
        await super().sleep(seconds)


class Leaping(ManualClock):
    """It is put back by an hour whenever somebody waits; how long that was is counted."""

    slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        assert self.slept < 10 * LEASE, "it waits for as long as the clock was put back"
        await super().sleep(seconds - 3600.0)


@asynccontextmanager
async def living(journal: Journal, what: str) -> AsyncIterator[None]:
    """Another process is at it."""
    seat = held(journal, lease=600.0, what=what)

    async def keep() -> None:
        while True:
            journal.renew_seat(seat, 600.0)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(keep())
    yield
    task.cancel()


@one_at_a_time
async def recovering(app: str = "", env: str = "") -> list[dict[str, object]]:
    return [{"app": app, "env": env}]


async def test_who_comes_second_learns_who_is_at_it(journal):
    clock = Beside(journal, held(journal, lease=600.0))
    async with alone(journal, "recover", clock) as other:
        assert other == "deploy@ci:42"
    assert clock.slept >= LEASE  # as long as a process that died would have kept it
    async with alone(journal, "promote", ManualClock()) as other:
        assert other == ""


@pytest.mark.parametrize("clock", [ManualClock(), Leaping()], ids=["steady", "put back"])
async def test_a_dead_holder_s_lease_that_ends_in_an_hour_keeps_nobody_out(journal, clock):
    """Its clock was ahead."""
    dead = held(journal, lease=LONGEST - 60.0)
    async with alone(journal, "recover", clock) as other:
        assert other == ""
        mine, lives = journal.seated("", "recover")
        assert (mine.epoch, lives) == (dead.epoch + 1, True)
        assert journal.lease_end("", "recover") < SystemClock().now() + 60.0


async def test_a_holder_that_died_keeps_nobody_out(journal):
    held(journal, lease=1.0)
    async with alone(journal, "recover", SystemClock()) as other:
        assert other == ""


async def test_the_place_is_renewed_while_the_work_lasts_and_free_afterwards(journal):
    async with alone(journal, "recover", SystemClock()):
        mine, lives = journal.seated("", "recover") or (None, False)
        assert mine and lives
        journal.renew_seat(mine, 0)

        async def lives_again() -> bool:
            return journal.seated("", "recover")[1]

        assert not await lives_again()
        await until("its lease lives again", lives_again)
    held(journal, lease=1.0)  # refused while the lease lives


async def test_a_second_run_ends_well_in_one_line(journal, a_worker, caplog):
    async with living(journal, "recovering"):
        with caplog.at_level(logging.INFO):
            state = await recovering("", "")
    says = "another run of recovering is at it (deploy@ci:42); nothing is left for this one"
    assert (state.type.value, state.message) == ("COMPLETED", says)
    assert [one.getMessage() for one in caplog.records if one.name.endswith("alone")] == [says]


async def test_what_a_person_asks_for_asks_nobody(journal, a_worker, monkeypatch):
    held(journal, lease=600.0, what="recovering")
    assert await recovering("orders", "") == [{"app": "orders", "env": ""}]
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")
    assert await recovering("", "") == [{"app": "", "env": ""}]


async def test_a_journal_that_is_away_keeps_nobody_from_the_work(tmp_path, a_worker, monkeypatch):
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path))
    assert await recovering("", "") == [{"app": "", "env": ""}]


@pytest.mark.parametrize("flow", [promote.promote, recover.recover], ids=lambda flow: flow.name)
def test_the_flows_of_the_schedule_go_one_at_a_time(flow):
    wrapped, seen = flow.fn, set()
    while wrapped is not None:
        seen.add(wrapped.__code__.co_filename.rsplit("/", 2)[-2:][-1])
        wrapped = getattr(wrapped, "__wrapped__", None)
    assert "alone.py" in seen
