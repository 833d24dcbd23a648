"""Error lines from the journal of each host: one ``journalctl`` per reading, resumed where the last one ended.

Nothing is installed on a host. Lines of a process' first seconds are left out: a new process says things at its start
that an old one has said long ago. Messages of systemd about the unit are not the service's own and left out, too.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.health.loglines import classes
from gopub.health.samples import NoData
from gopub.health.sources import LogCounts, LogTarget
from gopub.process import Result

MAX_LINES = 20_000
"""Newest lines of one reading; a service that says more between two looks is sampled, and the reading says so."""
_FIELDS = "MESSAGE,PRIORITY,_SYSTEMD_UNIT,_SYSTEMD_INVOCATION_ID"


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry of the unit."""

    text: str
    priority: int
    at: float
    invocation: str
    unit: str


@dataclass(slots=True)
class _Place:
    """Where the reading of one host's log stands."""

    since: float
    cursor: str = ""
    began: dict[str, float] = field(default_factory=dict)


class JournaldSource:
    """A ``LogSource`` on the journal of each host, through the channel that the driver holds anyway."""

    def __init__(self, *, warmup: float = 5.0, timeout: float = 4.0) -> None:
        """Leave out ``warmup`` seconds after each process' first line; give a host ``timeout`` seconds."""
        self._warmup, self._timeout = warmup, timeout
        self._places: dict[tuple[str, str, str], _Place] = {}

    async def read(self, target: LogTarget, since: float) -> LogCounts | NoData:
        """New error lines since the last reading of this host and release, at first since ``since``."""
        place = self._places.setdefault((target.host, target.release, target.unit), _Place(since))
        try:
            command = target.channel.exec(argv(target.unit, place.since, place.cursor))
            done = await asyncio.wait_for(command, self._timeout)
        except TimeoutError:
            return NoData(f"journald on {target.host} did not answer within {self._timeout:g}s")
        except (GopubError, OSError) as error:
            return NoData(f"journald on {target.host} unreachable: {_first_line(error)}")
        if done.code and (done.err.strip() or not done.out):
            return self._failed(target, place, done)
        return self._counted(target, place, done.out)

    def _failed(self, target: LogTarget, place: _Place, done: Result) -> LogCounts | NoData:
        if not done.err.strip():
            return LogCounts(target.host, target.release, {}, 0, place.cursor)
        place.cursor = ""  # a rotated journal no longer knows it; the next reading starts at the time instead
        complaint = _first_line(done.err.decode(errors="replace"))
        return NoData(f"journald on {target.host}: {complaint}")

    def _counted(self, target: LogTarget, place: _Place, out: bytes) -> LogCounts:
        found: Counter[str] = Counter()
        entries, cursor = parse_entries(out.splitlines())
        for entry in entries:
            place.since = max(place.since, entry.at)
            if _own(entry, target.unit) and not self._starting(place, entry):
                found.update(classes(entry.text, entry.priority))
        place.cursor = cursor or place.cursor
        notes = (
            (f"more than {MAX_LINES} lines on {target.host}: older ones skipped",) if len(entries) >= MAX_LINES else ()
        )
        return LogCounts(target.host, target.release, dict(found), len(entries), place.cursor, notes)

    def _starting(self, place: _Place, entry: Entry) -> bool:
        began = place.began.setdefault(entry.invocation, entry.at)
        return entry.at - began < self._warmup


def argv(unit: str, since: float, cursor: str) -> tuple[str, ...]:
    """The command: from a cursor, else from a time (whole seconds, rounded down)."""
    start = f"--after-cursor={cursor}" if cursor else f"--since=@{int(since)}"
    return (
        "journalctl",
        f"--unit={unit}",
        "--output=json",
        f"--output-fields={_FIELDS}",
        "--all",
        "--no-pager",
        "--quiet",
        f"--lines={MAX_LINES}",
        start,
    )


def parse_entries(lines: Iterable[bytes]) -> tuple[list[Entry], str]:
    """The entries and the cursor of the last one; a line that is no JSON object is passed over."""
    entries, cursor = [], ""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            cursor = str(record.get("__CURSOR") or cursor)
            entries.append(_entry(record))
    return entries, cursor


def _entry(record: dict[str, Json]) -> Entry:
    return Entry(
        text=_text(record.get("MESSAGE")),
        priority=int(str(record.get("PRIORITY") or 6)),
        at=int(str(record.get("__REALTIME_TIMESTAMP") or 0)) / 1e6,
        invocation=str(record.get("_SYSTEMD_INVOCATION_ID") or ""),
        unit=str(record.get("_SYSTEMD_UNIT") or ""),
    )


def _text(message: Json) -> str:
    """A message is text, a list of bytes when it is not UTF-8, a list of texts when the field repeats, or null."""
    if isinstance(message, str):
        return message
    if isinstance(message, Sequence) and all(isinstance(byte, int) for byte in message):
        return bytes(int(str(byte)) & 0xFF for byte in message).decode(errors="replace")
    return str(message or "")


def _own(entry: Entry, unit: str) -> bool:
    name = unit if "." in unit else f"{unit}.service"
    return entry.unit in ("", name)


def _first_line(value: object) -> str:
    return (str(value).strip().splitlines() or ["no answer"])[0][:200]
