"""What a rollout did is told live, entry by entry, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.database import engine_of
from gopub.journal.entry import Entry
from gopub.journal.reading import whoami
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.views.follow import Follower, line_printer

ENV = "env/hello/lab"


def opened(journal: Journal, rollout: str) -> None:
    at = len(journal.read(ENV))
    parts: list[tuple[str, int, list[ev.Event]]] = [
        (ENV, at, [ev.EnvOpened(rollout, "a" * 64)]),
        (f"rollout/{rollout}", 0, [ev.Opened(rollout, "hello", "lab", "a" * 64, "1.0.0")]),
    ]
    journal.append_all(parts, actor="me")


def closed(journal: Journal, rollout: str) -> None:
    journal.append(ENV, len(journal.read(ENV)), [ev.EnvClosed(rollout, Outcome.WITHDRAWN)], actor="me")


def test_each_entry_is_told_once_and_a_rollout_that_was_over_at_once_is_told_too(tmp_path: Path) -> None:
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    opened(journal, "old")
    closed(journal, "old")
    told: list[Entry] = []
    follower = Follower(journal, "hello", "lab", told.append)
    follower.catch_up()
    assert told == []
    for rollout in ("refused", "short"):
        opened(journal, rollout)
        closed(journal, rollout)
    opened(journal, "long")
    follower.catch_up()
    follower.catch_up()
    assert [entry.stream for entry in told] == ["rollout/refused", "rollout/short", "rollout/long"]
    journal.append("rollout/long", 1, [ev.Settling()], actor="me")
    closed(journal, "long")
    follower.catch_up()
    assert (told[-1].event, len(told), follower.rollout) == (ev.Settling(), 4, "long")


def test_one_that_another_process_drives_is_not_told_as_ours(tmp_path: Path) -> None:
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    opened(journal, "theirs")
    journal.append("rollout/theirs", 1, [ev.SeatTaken(1, "ann@there:1")], actor="ann")
    told: list[Entry] = []
    everything: list[Entry] = []
    own = Follower(journal, "hello", "lab", told.append, own=True)
    control = Follower(journal, "hello", "lab", everything.append)
    journal.append("rollout/theirs", 2, [ev.Settling()], actor="ann")
    own.catch_up()
    control.catch_up()
    assert (told, [entry.event for entry in everything]) == ([], [ev.Settling()])
    closed(journal, "theirs")
    opened(journal, "ours")
    journal.append("rollout/ours", 1, [ev.SeatTaken(2, whoami())], actor="me")
    own.catch_up()
    assert [entry.stream for entry in told] == ["rollout/ours"] * 2


def test_hosts_that_are_waited_for_are_named_again_after_ten_silent_seconds(tmp_path: Path) -> None:
    clock, lines = ManualClock(), list[str]()
    journal = open_journal(str(tmp_path / "journal.db"), clock)
    opened(journal, "r-1")
    show = line_printer(lines.append, clock)
    follower = Follower(journal, "hello", "lab", show, show.idle, show.known)

    def told_after(seconds: float) -> list[str]:
        lines.clear()
        asyncio.run(clock.sleep(seconds))
        follower.catch_up()
        return [line.partition("  ")[2] for line in lines]

    journal.append("rollout/r-1", 1, [ev.SwitchIntended(("app1", "app2"), "2", "canary")], actor="me")
    follower.catch_up()
    assert told_after(9.0) == [], "control: not yet"
    waits = "to run the new release and pass the health check"
    assert told_after(3.0) == [f"still waiting for app1, app2 {waits}, 12s"]
    assert told_after(1.0) == []
    journal.append("rollout/r-1", 2, [ev.HostSwitched("app1", "2", "canary")], actor="me")
    assert told_after(1.0) == ["app1 runs the new release, proven by its process"]
    assert told_after(10.0) == [f"still waiting for app2 {waits}, 24s"]
    journal.append("rollout/r-1", 3, [ev.HostSwitched("app2", "2", "canary")], actor="me")
    follower.catch_up()
    assert told_after(60.0) == [], "nobody is waited for any more"


class Counting(Journal):
    """Counts the entries that were read of rollouts."""

    given = 0

    def read(self, stream: str, after: int = 0) -> list[Entry]:
        entries = super().read(stream, after)
        self.given += len(entries) if stream.startswith("rollout/") else 0
        return entries


def test_a_look_reads_what_is_new_however_long_the_rollout_is(tmp_path: Path) -> None:
    """It looks four times a second beside the driver: what it read again after a bake of hours held up the driver."""
    open_journal(str(tmp_path / "journal.db"), ManualClock()).close()
    journal = Counting(engine_of(str(tmp_path / "journal.db"), 5.0), ManualClock())
    told: list[Entry] = []
    follower = Follower(journal, "hello", "lab", told.append, own=True)
    opened(journal, "long")
    journal.append("rollout/long", 1, [ev.SeatTaken(1, whoami())], actor="me")
    for number in range(50):
        journal.append("rollout/long", number + 2, [ev.HostStaged(f"app{number}")], actor="me")
        follower.catch_up()
    assert [entry.version for entry in told] == list(range(1, 53)), "control: each once, in order"
    assert journal.given == 52
