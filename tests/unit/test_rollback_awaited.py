"""A rollback is not silent while it waits: it says for what, once, and again only where that changed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gopub.journal import events as ev
from gopub.journal.adopt import spools
from gopub.plan.model import Outcome
from gopub.rollout import seat
from gopub.usecases import aloud, rollback
from gopub.usecases.aloud import JOURNAL_IS_FREE
from gopub.usecases.rollback import take_back
from gopub.views import awaited
from gopub.views.awaited import EDGES, MOMENT, Awaited, answering
from tests.unit.test_rollback import Canary, _outcome, world

__all__ = ["world"]
BACK = ev.SwitchIntended(("app1", "app2"), "x", "stable")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is short here, and a host has all the time of the world."""
    monkeypatch.setattr(awaited, "MOMENT", 0.01)
    monkeypatch.setattr(aloud, "LOOK", 0.01)
    monkeypatch.setattr(rollback, "HOSTS_ANSWER_WITHIN", 600.0)


def told(let_go: Callable[[str], None]) -> list[str]:
    """The lines of a rollback; what holds it is let go by what is said of it, or never."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        let_go(line)

    async def goes_back() -> None:
        async with asyncio.timeout(120):
            await take_back("hello", "lab", tell=tell)

    asyncio.run(goes_back())
    return [line for line in lines if line.startswith("waiting")]


def opened(held: asyncio.Event, says: str) -> Callable[[str], None]:
    def let_go(line: str) -> None:
        if says in line:
            held.set()

    return let_go


def test_hosts_that_do_not_answer_are_named(world: Canary) -> None:
    held = world.machines["app2"].slow_facts = asyncio.Event()
    assert "waiting for app2 to say what it runs" in told(opened(held, "waiting for app2 to say what it runs"))


def test_edges_that_do_not_say_what_they_saw_are_told(world: Canary) -> None:
    held = world.router.slow_status = asyncio.Event()
    says = "waiting for the edges to say which order they saw last"
    assert says in told(opened(held, says))


def test_whoever_holds_the_journal_is_told_and_waited_for(world: Canary, tmp_path: Path, monkeypatch) -> None:
    """The loop lives meanwhile: a journal that is free after what is said of it is the one that is written to."""
    monkeypatch.setattr(rollback, "LOCKED", 20.0)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        says = f"waiting for {JOURNAL_IS_FREE}"
        assert says in told(lambda line: somebody.rollback() if line == says else None)
    assert _outcome(world.journal) is Outcome.ROLLED_BACK
    assert spools(world.kits) == [], "nothing was kept beside it"


def test_a_rollback_that_is_cancelled_while_it_waits_for_the_journal_keeps_no_seat(
    world: Canary, tmp_path, monkeypatch
):
    monkeypatch.setattr(rollback, "LOCKED", 20.0)
    monkeypatch.setattr(seat, "LEASE", 600.0)
    cancelled: list[asyncio.Task[None]] = []

    async def begun(somebody: sqlite3.Connection) -> None:
        def tell(line: str) -> None:
            if line.startswith(f"waiting for {JOURNAL_IS_FREE}"):
                cancelled[0].cancel()
                asyncio.get_running_loop().call_soon(somebody.rollback)

        cancelled.append(asyncio.create_task(take_back("hello", "lab", tell=tell)))
        with pytest.raises(asyncio.CancelledError):
            await cancelled[0]

    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        asyncio.run(begun(somebody))
    seated = world.journal.seated("hello", "lab")
    assert seated and not seated[1], "its lease was given up"


def test_edges_that_do_not_take_the_table_are_told(world: Canary) -> None:
    held = world.router.slow_put = asyncio.Event()
    assert f"waiting for {EDGES}" in told(opened(held, EDGES))


def test_a_host_that_is_brought_back_slowly_is_named(world: Canary) -> None:
    held = world.machines["app1"].slow_orders = asyncio.Event()
    says = "waiting for app1 to end open requests, run the release before and pass the health check"
    assert says in told(opened(held, says))


def test_it_is_said_once_and_again_where_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "MOMENT", MOMENT)
    now = Awaited().after(BACK, 100.0)
    assert now.line(100.0 + MOMENT - 0.1) == ""
    assert now.line(100.0 + MOMENT).startswith("waiting for app1 and app2 to end open requests")
    now = now.told()
    assert now.line(1000.0) == "", "it was said"
    now = now.after(ev.HostSwitched("app1", "x", "stable"), 1000.0)
    assert now.line(1000.0 + MOMENT).startswith("waiting for app2 to end open requests")
    assert now.after(ev.Closed(Outcome.ROLLED_BACK, ""), 1001.0).line(2000.0) == ""


def test_what_is_over_in_a_moment_needs_no_line() -> None:
    now = Awaited().after(ev.GoingBack(Outcome.ROLLED_BACK, 0, ""), 100.0)
    assert now.what == EDGES
    assert now.after(ev.TrafficOff(101.0), 101.0).line(2000.0) == ""
    assert answering([]) == ""
    assert answering(["a", "b", "c", "d"]) == "a, b and 2 more to say what they run"
