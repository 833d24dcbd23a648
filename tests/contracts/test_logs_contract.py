"""What the judge may expect of any source of log lines, ours on a real journald: each line once, no host hidden."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.health.backends.journald import Journald, JournaldSource
from gopub.health.backends.logfile import FileSource, LogFile
from gopub.health.backends.otlp import OtlpFile
from gopub.health.receiver.keeping import Keeper
from gopub.health.receiver.requests import receive
from gopub.health.samples import LogCounts, NoData
from gopub.health.sources import BEFORE, LogSource, LogTarget
from gopub.process import Executor, Result, run
from tests.contracts.journal_server import Machine, journal

HOUR = 3600.0
WITHIN = 60.0
"""Seconds for what was said to be read, where a busy machine may come late to it."""
_UNITS = count()


@dataclass
class LogsGround:
    """Two hosts whose services say lines, and a source that reads them."""

    opened: Callable[[], LogSource]
    """A source that has read nothing."""
    channels: Mapping[str, Executor]
    say: Callable[[str, str, bytes], Awaitable[None]]
    """Host, unit, and the line; it can be read when this returns."""
    now: Callable[[], float]
    apart: Callable[[], Awaitable[None]]
    """Let so much time pass that what was said before is before."""
    away: Callable[[str, bool], None]
    """Let a host be away, or back."""
    within: float = WITHIN
    dated: bool = True
    """Whether the log knows when a line was said. One that does not is read from where the first look found its end."""
    serve: Callable[[str, str], None] = lambda _host, _unit: None
    """Let the service of a host and unit be there, before it says anything."""

    def target(self, host: str = "h1", unit: str = "", release: str = "r1") -> LogTarget:
        """A log; of a unit that nobody else has, where none is named."""
        target = LogTarget(host, release, unit or f"hello-{next(_UNITS)}.service", self.channels[host])
        self.serve(host, target.unit)
        return target

    async def begin(self, source: LogSource, *targets: LogTarget) -> float:
        """Since when what is said is to be read: a dated log is read from a time, any other has its first look now."""
        since = self.now() - HOUR
        for target in () if self.dated else targets:
            assert (await good(source, target, since)).classes == {}
        return since

    async def says(self, target: LogTarget, *lines: str) -> None:
        """What the service of a log says, a line after the other."""
        for line in lines:
            await self.say(target.host, target.unit, line.encode())


async def good(source: LogSource, target: LogTarget, since: float) -> LogCounts:
    found = await source.read(target, since)
    assert isinstance(found, LogCounts), found
    return found


async def read(ground: LogsGround, source: LogSource, target: LogTarget, since: float, errors: int) -> dict[str, int]:
    """The classes of all that is read until there are so many errors, and of one reading more."""
    total: Counter[str] = Counter()
    end = SystemClock().now() + ground.within
    while True:
        found = await source.read(target, since)
        total.update(found.classes if isinstance(found, LogCounts) else {})
        if total["level:error"] >= errors or SystemClock().now() > end:
            break
    total.update((await good(source, target, since)).classes)
    return dict(total)


def said(*templates: str) -> dict[str, int]:
    """The classes of lines that begin with ERROR."""
    return {"level:error": len(templates)} | {f"template:ERROR {text}": 1 for text in templates}


class LogsContract:
    """The suite; a subclass gives ``ground``, with the hosts h1 and h2."""

    async def test_each_line_is_counted_once_by_its_classes(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        since = await ground.begin(source, target)
        await ground.says(target, "ERROR one", "all well")
        assert await read(ground, source, target, since, 1) == said("one")
        await ground.says(target, "ERROR two", "level=error msg=three")
        found = await read(ground, source, target, since, 2)
        assert found == {"level:error": 2, "template:ERROR two": 1, "template:three": 1}
        assert (await good(source, target, since)).classes == {}

    async def test_a_reading_tells_whose_it_is_and_how_much_was_read(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target(release="abc")
        since = await ground.begin(source, target)
        await ground.says(target, "ERROR one", "all well", "all well")
        found = await good(source, target, since)
        assert (found.host, found.release, found.lines) == ("h1", "abc", 3)

    async def test_lines_of_before_are_not_counted(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        await ground.says(target, "ERROR old")
        await ground.apart()
        since = ground.now()
        assert (await good(source, target, since)).classes == {}
        await ground.says(target, "ERROR new")
        assert await read(ground, source, target, since, 1) == said("new")
        other, past = ground.opened(), target if ground.dated else replace(target, release=f"r1{BEFORE}")
        assert await read(ground, other, past, since - HOUR, 2) == said("old", "new"), "control: the old one is there"

    async def test_the_time_before_a_rollout_is_read_apart_from_all_else(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        await ground.says(target, "ERROR old")
        past, since = replace(target, release=f"r1{BEFORE}"), ground.now() - HOUR
        assert await read(ground, source, past, since, 1) == said("old")
        await ground.apart()
        since = ground.now()
        assert (await good(source, target, since)).classes == {}
        await ground.says(target, "ERROR new")
        assert await read(ground, source, target, since, 1) == said("new")

    async def test_the_cursor_is_where_the_next_reading_begins(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        since = await ground.begin(source, target)
        await ground.says(target, "ERROR one")
        first = await good(source, target, since)
        again = await good(source, target, since)
        await ground.says(target, "ERROR two")
        later = await good(source, target, since)
        assert first.cursor
        assert first.cursor == again.cursor != later.cursor

    async def test_a_source_that_was_opened_anew_reads_from_the_beginning(self, ground: LogsGround) -> None:
        """A driver that died is followed by another one; what the first one read is nothing to it.

        Without times its beginning is its own first look; what was said until then is neither read nor taken for new.
        """
        target, one, two = ground.target(), ground.opened(), ground.opened()
        since = await ground.begin(one, target)
        await ground.says(target, "ERROR one")
        assert await read(ground, one, target, since, 1) == said("one")
        await ground.begin(two, target)
        assert await read(ground, two, target, since, ground.dated) == (said("one") if ground.dated else {})
        await ground.says(target, "ERROR two")
        assert await read(ground, one, target, since, 1) == said("two")
        assert await read(ground, two, target, since, 1) == said("two")

    async def test_each_host_is_read_for_itself(self, ground: LogsGround) -> None:
        source, one = ground.opened(), ground.target("h1")
        two = ground.target("h2", one.unit)
        since = await ground.begin(source, one, two)
        await ground.says(one, "ERROR of the first")
        await ground.says(two, "ERROR of the second", "ERROR again")
        assert await read(ground, source, one, since, 1) == said("of the first")
        assert await read(ground, source, two, since, 2) == said("of the second", "again")
        await ground.says(one, "ERROR later")
        await ground.says(two, "ERROR later")
        found = await asyncio.gather(read(ground, source, one, since, 1), read(ground, source, two, since, 1))
        assert found == [said("later")] * 2

    async def test_each_unit_is_read_for_itself(self, ground: LogsGround) -> None:
        source, ours, theirs = ground.opened(), ground.target(), ground.target()
        since = await ground.begin(source, ours, theirs)
        await ground.says(theirs, "ERROR of a neighbour")
        await ground.says(ours, "ERROR of ours")
        assert await read(ground, source, ours, since, 1) == said("of ours")
        assert await read(ground, source, theirs, since, 1) == said("of a neighbour")

    async def test_a_unit_that_has_said_nothing_is_read_and_no_failure(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        since = await ground.begin(source, target)
        found = await good(source, target, since)
        assert (found.classes, found.lines) == ({}, 0)
        await ground.says(target, "ERROR one")
        assert await read(ground, source, target, since, 1) == said("one")

    async def test_a_host_that_is_away_is_told_and_hides_no_other(self, ground: LogsGround) -> None:
        source, one = ground.opened(), ground.target("h1")
        two = ground.target("h2", one.unit)
        since = await ground.begin(source, one, two)
        await ground.says(one, "ERROR one")
        ground.away("h2", True)
        there, gone = await asyncio.gather(read(ground, source, one, since, 1), source.read(two, since))
        assert there == said("one")
        assert isinstance(gone, NoData), "silence is not health"
        assert "h2" in gone.reason

    async def test_what_was_said_meanwhile_is_counted_when_the_host_is_back(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target("h2")
        since = await ground.begin(source, target)
        await ground.says(target, "ERROR before")
        assert await read(ground, source, target, since, 1) == said("before")
        ground.away("h2", True)
        await ground.says(target, "ERROR meanwhile")
        assert isinstance(await source.read(target, since), NoData)
        ground.away("h2", False)
        await ground.says(target, "ERROR after")
        assert await read(ground, source, target, since, 2) == said("meanwhile", "after")

    async def test_lines_that_are_no_text_are_lines(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        since = await ground.begin(source, target)
        await ground.say(target.host, target.unit, b"ERROR \xff\xfe")
        await ground.say(target.host, target.unit, "ERROR \N{SNOWMAN} $(reboot) ' \" \\ `x`".encode())
        await ground.says(target, "ERROR one")
        found = await read(ground, source, target, since, 3)
        assert (found["level:error"], found["template:ERROR one"]) == (3, 1)

    async def test_many_lines_are_all_read(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        since = await ground.begin(source, target)
        await asyncio.gather(*(ground.says(target, f"ERROR {n}", f"well {n}") for n in range(40)))
        assert await read(ground, source, target, since, 40) == {"level:error": 40, "template:ERROR *": 40}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Machine]]:
    folder = tmp_path_factory.mktemp("journals")
    with ExitStack() as stack:
        yield {name: stack.enter_context(journal(name, folder)) for name in ("h1", "h2")}


class TestJournald(LogsContract):
    KIND = "journald"

    @pytest.fixture
    def ground(self, machines: dict[str, Machine]) -> Iterator[LogsGround]:
        clock = SystemClock()
        yield LogsGround(
            lambda: JournaldSource(warmup=0.0, timeout=WITHIN),  # a busy machine is not what is tested here
            machines,
            lambda host, unit, text: machines[host].say(unit, text),
            clock.now,
            lambda: clock.sleep(2.1),  # the journal is asked for whole seconds
            lambda host, away: setattr(machines[host], "down", away),
        )
        for machine in machines.values():
            machine.down = False

    def test_that_is_what_its_connection_opens(self) -> None:
        assert type(Journald().open()) is JournaldSource

    async def test_a_real_journal_says_nothing_besides(self, ground: LogsGround) -> None:
        target = ground.target()
        await ground.says(target, "ERROR one")
        assert (await good(ground.opened(), target, ground.now() - HOUR)).notes == ()


class Shelf:
    """A host with a folder of log files, on this machine."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.down = name, folder / name, False
        self.folder.mkdir()

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        if self.down:
            raise GopubError("GP413", f"{self.name} cannot be reached")
        return await run(argv, stdin=stdin, cwd=self.folder, check=False)

    def file(self, unit: str) -> Path:
        return self.folder / f"{unit.removesuffix('.service')}.log"


class Under:
    """Gives each host's channel the paths of its own folder: the hosts of this test share one machine."""

    def __init__(self, shelf: Shelf, path: str) -> None:
        self.shelf, self._path = shelf, path

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        return await self.shelf.exec(tuple(self.here(word) for word in argv), stdin)

    def here(self, word: str) -> str:
        """The path in the host's folder; any other word as it is."""
        return f"{self.shelf.folder}{word.removeprefix(self._path)}" if word.startswith(self._path) else word


def on_shelves(folder: Path, opened: Callable[[], LogSource], written: Callable[[bytes, str], bytes]) -> LogsGround:
    """Hosts with a file for each unit, in which a line stands as ``written``."""
    shelves = {name: Shelf(name, folder) for name in ("h1", "h2")}

    async def say(host: str, unit: str, text: bytes) -> None:
        with shelves[host].file(unit).open("ab") as file:
            file.write(written(text, unit) + b"\n")

    async def at_once() -> None:
        """A file has no times to keep apart."""

    return LogsGround(
        opened,
        {name: Under(shelf, "/var/log/acme") for name, shelf in shelves.items()},
        say,
        SystemClock().now,
        at_once,
        lambda host, away: setattr(shelves[host], "down", away),
        within=0.0,
        dated=False,
        serve=lambda host, unit: shelves[host].file(unit).touch(),
    )


class TestLogFile(LogsContract):
    KIND = "logfile"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> LogsGround:
        return on_shelves(
            tmp_path, lambda: FileSource("/var/log/acme/{app}.log", timeout=WITHIN), lambda text, _unit: text
        )

    def test_that_is_what_its_connection_opens(self) -> None:
        assert type(LogFile(path="/var/log/{app}.log").open()) is FileSource


class TestOtlp(LogsContract):
    KIND = "otlp"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> LogsGround:
        def opened() -> LogSource:
            source = OtlpFile(path="/var/log/acme/{app}.log").open()
            source.timeout = WITHIN
            return source

        return on_shelves(tmp_path, opened, exported)

    def test_that_is_what_its_connection_opens(self) -> None:
        assert type(OtlpFile(path="/var/log/{app}.log").open()) is FileSource


class TestReceived(LogsContract):
    """The same kind, on files that the receiver of each host writes of what it was sent."""

    KIND = "otlp"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> Iterator[LogsGround]:
        def opened() -> LogSource:
            source = OtlpFile(path="/var/log/acme/{app}.jsonl").open()
            source.timeout = WITHIN
            return source

        ground = on_shelves(tmp_path, opened, exported)
        keepers = {name: Keeper(tmp_path / name, most=8000, spare=0) for name in ground.channels}

        async def say(host: str, unit: str, text: bytes) -> None:
            sent = Parse(exported(text, unit), ExportLogsServiceRequest()).SerializeToString()
            keepers[host].keep(receive(sent, protobuf=True, refuses=lambda _service: "").lines)

        def serve(host: str, unit: str) -> None:
            (tmp_path / host / f"{unit.removesuffix('.service')}.jsonl").touch()

        yield replace(ground, say=say, serve=serve)
        for keeper in keepers.values():
            keeper.close()

    async def test_lines_are_read_to_the_end_of_a_file_that_is_turned_over(self, ground: LogsGround) -> None:
        source, target = ground.opened(), ground.target()
        since = await ground.begin(source, target)
        for n in range(120):
            await ground.says(target, f"ERROR {n}")
            if n % 30 == 0:
                assert (await good(source, target, since)).notes == ()
        last = await good(source, target, since)
        assert (last.classes["level:error"], last.notes) == (29, ())
        two = ground.opened()
        await ground.begin(two, target)
        before = await read(ground, two, replace(target, release=f"r1{BEFORE}"), since, 1)
        assert before["level:error"] < 60, "control: most of them are in older ones, and some in none"


def exported(text: bytes, unit: str) -> bytes:
    """A line as a Collector writes it, with the same of a neighbour."""
    record = {"severityNumber": 0, "body": {"stringValue": text.decode(errors="replace")}}
    services = (unit.removesuffix(".service"), "neighbour")
    named = ([{"key": "service.name", "value": {"stringValue": service}}] for service in services)
    return json.dumps(
        {"resourceLogs": [{"resource": {"attributes": one}, "scopeLogs": [{"logRecords": [record]}]} for one in named]}
    ).encode()
