"""Error lines from the journal of each host: one short program per reading, resumed where the last one began.

Nothing is installed on a host. Lines of a process' first seconds are left out: a new process says things at its start
that an old one has said long ago. Messages of systemd about the unit are not the service's own and left out, too.

A reading goes from the newest line back to the one that the last reading began with, within bounds (journal.sh). So a
burst costs the lines beyond the bounds, which are counted and told, and never the next reading.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gopub import tails
from gopub.canon import Json, read_json
from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.health.logevents import Classes, Joiner, Said, count, say_left
from gopub.health.samples import LogCounts, NoData
from gopub.health.sources import LogsConnection, LogTarget
from gopub.process import Call, Result, call_on

MOST_LINES = 20_000
"""Lines of one reading that are looked at, the newest of them."""
MOST_BYTES = 2 * 1024 * 1024
"""What one reading may print; a connection carries at most 4 MiB of a program's output."""
FEW_BYTES = 128 * 1024
"""The same for a host whose last reading did not end in time."""
MOST_TEXT = 16_000
"""Characters of one line that are judged."""
HOST_SECONDS = 3
"""How long the journal is read on the host."""
_PROCESSES = 1000
"""Of so many processes of one host it is remembered when they began."""
_COUNT = re.compile(r"[0-9]{1,18}")
_PRIORITIES = {str(number): number for number in range(8)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry of the unit."""

    text: str
    priority: int
    at: float
    invocation: str
    unit: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reading went: lines printed and left out, why it stopped (see journal.sh), and the newest line's cursor."""

    read: int
    left: int
    why: str
    cursor: str


@dataclass(slots=True)
class _Place:
    """Where the reading of one host's log stands; ``newest`` is a time of the host's own clock."""

    newest: float = 0.0
    cursor: str = ""
    most: int = MOST_BYTES
    began: dict[str, float] = field(default_factory=dict)
    invocation: str = ""
    joiner: Joiner = field(default_factory=Joiner)
    """Of the newest process: a panic may have its first lines in one reading and the others in the next."""


class Journald(LogsConnection):
    """The journal of each host, read through SSH."""

    kind: Literal["journald"] = "journald"

    def open(self) -> JournaldSource:
        """The journals of hosts that channels lead to."""
        return JournaldSource()


class JournaldSource:
    """A ``LogSource`` on the journal of each host, through the channel that the driver holds anyway."""

    def __init__(self, *, warmup: float = 5.0, timeout: float = 4.0, clock: Clock | None = None) -> None:
        """Leave out ``warmup`` seconds after each process' first line; give a host ``timeout`` seconds."""
        self._warmup, self._timeout = warmup, timeout
        self._clock = clock or SystemClock()
        self._places: dict[tuple[str, str, str], _Place] = {}

    async def read(self, target: LogTarget, since: float) -> LogCounts | NoData:
        """New error lines since the last reading of this host and release, at first since ``since``.

        ``since`` is a time of our clock; the host is told how long ago that is, for its clock may be another.
        """
        place = self._places.setdefault((target.host, target.release, target.unit), _Place())
        most, place.most = place.most, FEW_BYTES  # until this one has worked, the next one is to be a small one
        try:
            command = call_on(target.channel, to_read(target.unit, place.cursor, self._clock.now() - since, most))
            done = await asyncio.wait_for(command, self._timeout)
        except TimeoutError:
            return NoData(f"journald on {target.host} did not answer within {self._timeout:g}s")
        except (GopubError, OSError) as error:
            return NoData(f"journald on {target.host} unreachable: {_first_line(error)}")
        entries, ended = parse_reading(done.out)
        complaint = _complaint(done, ended)
        if ended is None or (complaint and not ended.read + ended.left):
            return NoData(f"journald on {target.host}: {complaint or 'its answer has no end'}")
        place.most = MOST_BYTES
        found = Classes()
        left = say_left(self._count(target, place, entries, ended, found))
        notes = tuple(f"{target.host}: {note}" for note in (complaint, _skipped(ended), *left) if note)
        return LogCounts(target.host, target.release, dict(found), len(entries), ended.cursor, notes, found.examples)

    def _count(
        self, target: LogTarget, place: _Place, entries: Sequence[Entry], ended: Ended, found: Counter[str]
    ) -> int:
        """Count what is new; how many error lines were left out as harmless."""
        left = 0
        lost = place.cursor and ended.why != "start"  # a flood, or a rotated journal that no longer has that line
        known = place.newest if lost else 0.0
        for entry in entries:
            if entry.at > known and _own(entry, target.unit) and not self._starting(place, entry):
                joiner, said = _joiner(place, entry.invocation)
                said += joiner.take(entry.text, entry.priority)
                left += count(said, found, target.harmless) if said else 0
        left += count(place.joiner.end(), found, target.harmless)
        place.newest = max([place.newest, *(entry.at for entry in entries)])
        place.cursor = ended.cursor
        return left

    def _starting(self, place: _Place, entry: Entry) -> bool:
        began = place.began.setdefault(entry.invocation, entry.at)
        if len(place.began) > _PROCESSES:  # one that starts again and again
            del place.began[next(iter(place.began))]
        return entry.at - began < self._warmup


def _joiner(place: _Place, invocation: str) -> tuple[Joiner, tuple[Said, ...]]:
    """What joins the lines of this process, and what ended with another one: its lines never go on in this one's."""
    said: tuple[Said, ...] = ()
    if invocation != place.invocation:
        said = place.joiner.end()
        place.invocation, place.joiner = invocation, Joiner()
    return place.joiner, said


def to_read(unit: str, cursor: str, age: float, most: int = MOST_BYTES) -> Call:
    """What is asked: back to a cursor, without one to what is ``age`` seconds old (whole seconds, rounded up).

    By verb it is the unit of the instance that the channel is for.
    """
    said = {"cursor": cursor, "age": str(max(math.ceil(age), 0)), "most": str(most), "lines": str(MOST_LINES)}
    arguments = said | {"within": str(HOST_SECONDS)}
    return Call("logs", arguments, ("sh", "-c", tails.text("journal"), "gopub", unit, *arguments.values()))


def parse_reading(out: bytes) -> tuple[list[Entry], Ended | None]:
    """The entries, oldest first, and how the reading ended; None when its last line is missing."""
    *lines, last = out.splitlines() or [b""]
    words = last.decode(errors="replace").split(" ")
    if len(words) != 5 or words[0] != "gopub" or not all(_COUNT.fullmatch(word) for word in words[1:3]):
        return [], None
    return parse_entries(reversed(lines)), Ended(int(words[1]), int(words[2]), words[3], words[4])


def parse_entries(lines: Iterable[bytes]) -> list[Entry]:
    """The entries; a line that is no JSON object of the journal is passed over."""
    entries = []
    for line in lines:
        try:
            record = read_json(line, limit=MOST_BYTES)
            if isinstance(record, dict):
                entries.append(_entry(record))
        except ValueError:
            continue
    return entries


def _complaint(done: Result, ended: Ended | None) -> str:
    """What ``journalctl`` says, if it failed; without lines it may end with 1 and say nothing."""
    failed = ended is None or ended.why in {"failed", "slow"}
    said = done.err.strip().decode(errors="replace") if failed else ""
    if not said and ended is not None and ended.why == "slow":
        return f"its journal was not read to the end within {HOST_SECONDS}s"
    return _first_line(said) if said else ""


def _skipped(ended: Ended) -> str:
    """The note on lines that nobody judges."""
    if ended.why in {"lines", "slow"}:
        return f"more than {ended.left} older lines were skipped"
    return f"{ended.left} lines were skipped" if ended.left else ""


def _entry(record: dict[str, Json]) -> Entry:
    return Entry(
        text=_text(record.get("MESSAGE"))[:MOST_TEXT],
        priority=_PRIORITIES.get(str(record.get("PRIORITY")), 6),  # a service may write anything there
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
