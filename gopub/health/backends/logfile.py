"""Error lines from a file on each host: what is new since the last reading, by the file's inode and an offset.

Nothing is installed on a host. A file that is turned over (another one has its name by now) is read to its end where
it still lies beside the new one, and one that was cut short from its beginning. One reading takes at most
``MOST_BYTES`` of each, the newest; what is left out is told. A line without an end is left for the next reading.

A file does not say when a line was written, nor which process wrote it. So the first reading begins at the end of the
file; where the time before a rollout is asked for it takes the last ``MOST_BYTES``. A file that was not there at the
first reading is new as a whole. A process' first seconds are not left out.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator

from gopub import tails
from gopub.errors import GopubError
from gopub.health.logevents import Classes, Joiner, count, say_left
from gopub.health.samples import LogCounts, NoData
from gopub.health.sources import LogsConnection, LogTarget
from gopub.process import Call, call_on
from gopub.spec.fields import refuse

MOST_BYTES = 1024 * 1024
"""Of one file and reading; two files may be read, and a connection carries at most 4 MiB of a program's output."""
MOST_LINES = 20_000
MOST_TEXT = 16_000
"""Characters of one line that are judged."""
_NONE = b"gopub none\n"
"""The answer where no file has that name."""
_ABSENT = "none"
"""Stands for the inode of a file that is not there yet; no file has it."""
_HEAD = re.compile(rb"gopub (\d{1,20}) (\d{1,18}) (\d{1,18}) (\d{1,18})\n")


def _whole_path(path: str) -> str:
    if not path.startswith("/") or not path.isprintable():
        raise refuse("GP116", "the whole path on a host is needed", "such as /var/log/{app}/app.log")
    return path


Split = Callable[[bytes, str], tuple[str, ...] | None]
"""The texts that a line of the file holds for the service of this name; None where it is no such line."""


def _itself(line: bytes, app: str) -> tuple[str, ...]:  # noqa: ARG001 - a file of one service
    return (line[: 4 * MOST_TEXT].decode(errors="replace"),)


WholePath = Annotated[str, AfterValidator(_whole_path)]


@dataclass(slots=True)
class _Place:
    """Where the reading of one file stands."""

    inode: str = ""
    offset: int = 0
    joiner: Joiner = field(default_factory=Joiner)
    split: Split = _itself
    app: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """New bytes of one file: its inode, where in it they begin, and its size."""

    inode: str
    start: int
    data: bytes
    size: int


class LogFile(LogsConnection):
    """A file on each host, read through SSH."""

    kind: Literal["logfile"] = "logfile"
    path: WholePath
    """Where it lies on every host; {app} stands for the name of the service's unit."""

    def open(self) -> FileSource:
        """The files of hosts that channels lead to."""
        return FileSource(self.path)


class FileSource:
    """A ``LogSource`` on a file of each host, through the channel that the driver holds anyway."""

    def __init__(self, path: str, *, timeout: float = 4.0, split: Split = _itself) -> None:
        """Give a host ``timeout`` seconds, of which the program there has one less.

        ``split`` says what texts a line of the file holds for a service, None where it is no such line.
        """
        self._path, self.timeout, self._split = path, timeout, split
        self._places: dict[tuple[str, str, str], _Place] = {}

    async def read(self, target: LogTarget, since: float) -> LogCounts | NoData:  # noqa: ARG002 - a file has no times
        """New error lines since the last reading of this host and release; ``since`` is not known of a file."""
        app = target.unit.removesuffix(".service").partition("@")[0]  # both slots of an instance share it
        place = self._places.setdefault((target.host, target.release, target.unit), _Place(split=self._split, app=app))
        path = self._path.replace("{app}", app)
        fresh = not place.inode and not target.past
        try:
            call = to_read(path, place.inode, place.offset, 0 if fresh else MOST_BYTES, int(self.timeout) - 1)
            done = await asyncio.wait_for(call_on(target.channel, call), self.timeout)
        except TimeoutError:
            return NoData(f"{path} on {target.host} was not read within {self.timeout:g}s")
        except (GopubError, OSError) as error:
            return NoData(f"{path} on {target.host} cannot be read: {_line(str(error))}")
        parts = parse_parts(done.out)
        if not parts:
            if done.out == _NONE:
                place.inode = place.inode or _ABSENT
            return NoData(f"{path} on {target.host}: {_line(done.err.decode(errors='replace'))}")
        found = Classes()
        gone = place.inode not in {"", _ABSENT, *(part.inode for part in parts)}
        lines, skipped, unread, strange, left = _take(place, parts, found, target.harmless, fresh=fresh)
        told = (
            *((f"what stood last in the file that was {path} is gone",) if gone else ()),
            *((f"{skipped} bytes of {path} were skipped",) if skipped else ()),
            *((f"{unread} lines of {path} were skipped",) if unread else ()),
            *((f"{strange} lines of {path} are of another format",) if strange else ()),
            *say_left(left),
        )
        notes = tuple(f"{target.host}: {note}" for note in told)
        cursor = f"{place.inode}:{place.offset}"
        return LogCounts(target.host, target.release, dict(found), lines, cursor, notes, found.examples)


def to_read(path: str, inode: str, offset: int, most: int, seconds: int = 3) -> Call:
    """What is asked: all that is new."""
    cursor = f"{inode}:{offset}" if inode else ""
    arguments = {"path": path, "cursor": cursor, "most": str(most), "within": str(seconds)}
    program = ("sh", "-c", tails.text("logfile"), "gopub", path, inode, str(offset), str(most))
    return Call("logs", arguments, ("timeout", str(seconds), *program))


def parse_parts(out: bytes) -> tuple[Part, ...]:
    """The parts of an answer, each as long as its head says; a part that was cut off ends the answer."""
    parts: list[Part] = []
    while match := _HEAD.match(out):
        inode, start, length, size = (int(word) for word in match.groups())
        data, out = out[match.end() : match.end() + length], out[match.end() + length :]
        parts.append(Part(str(inode), start, data, size))
    return tuple(parts)


def _take(
    place: _Place, parts: tuple[Part, ...], found: Counter[str], harmless: frozenset[str], *, fresh: bool
) -> tuple[int, int, int, int, int]:
    """Count whole lines; how many there were, and bytes, lines and strange lines that nobody judges, and harmless."""
    lines = skipped = unread = strange = left = 0
    for part in parts:
        same = part.inode == place.inode and place.offset <= part.size
        known = place.offset if same else 0
        data, last = part.data, part is parts[-1]
        if part.start > known and not fresh:
            head = data.find(b"\n") + 1  # it begins within a line
            skipped += (part.start - known + head) if place.inode else 0
            data = data[head:]
        end = data.rfind(b"\n") + 1 if last else len(data)
        if last and not end and len(data) >= MOST_BYTES:  # one line that is longer than a reading
            end, skipped, data = 0, skipped + len(data), b""
        place.inode, place.offset = part.inode, part.start + len(part.data) - (len(data) - end)
        texts = data[:end].splitlines()
        lines += len(texts)
        unread += max(len(texts) - MOST_LINES, 0)
        for raw in texts[-MOST_LINES:]:
            said = place.split(raw.lstrip(b"\0"), place.app)  # cut short under a program that writes on: a hole first
            strange += said is None
            for text in said or ():
                events = place.joiner.take(text[:MOST_TEXT], 6)
                left += count(events, found, harmless) if events else 0
    return lines, skipped, unread, strange, left + count(place.joiner.end(), found, harmless)


def _line(text: str) -> str:
    return (text.strip().splitlines() or ["no answer"])[0][:200]
