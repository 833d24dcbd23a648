"""What somebody else would write: a backend behind every door, each small, and each doing what its door promises."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from statistics import median
from typing import Any, Literal

from pydantic import Field

from gopub.clock import SystemClock
from gopub.errors import GopubError, UsageError
from gopub.evidence.keys import KeySigner, SignerConnection
from gopub.evidence.trust import SigstoreConnection, Trust, read_trust
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.inventory import Inventory, InventoryConnection
from gopub.fleet.protocol import FleetConnection
from gopub.health.loglines import classes
from gopub.health.samples import CounterSnapshot, LogCounts, NoData, RawSeries, RuntimeSample, RuntimeSnapshot
from gopub.health.sources import LogsConnection, LogTarget, MetricsConnection
from gopub.notify.protocol import Answer, NotifyConnection
from gopub.process import Executor
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.store.backends.directory import DirectoryStore
from gopub.store.protocol import StoreConnection
from gopub.traffic import RouteTable, encode, from_json, validate
from gopub.traffic.door import Connect, RouterConnection
from gopub.traffic.protocol import EdgeAck, EdgeStatus


class Shelf(StoreConnection):
    """A shelf."""

    kind: Literal["shelf"] = "shelf"
    folder: LocalPath
    """The folder."""
    label: str = "none"
    """A label."""

    def open(self):
        return DirectoryStore(self.folder)


class Names(InventoryConnection):
    """Hosts by their names."""

    kind: Literal["names"] = "names"
    names: tuple[str, ...]
    """The names."""
    roles: dict[str, str] = Field(default_factory=dict)
    """What those do that are no app."""

    def open(self):
        return Inventory("names", tuple(map(self._host, dict.fromkeys(self.names))))

    def _host(self, name: str):
        role = self.roles.get(name, "app")
        return Host(name, name, labels={"role": role}, groups=frozenset({"all", role}))


class Paper(RouterConnection):
    """Proxies that read their table from a file on their machine."""

    kind: Literal["paper"] = "paper"
    folder: str = "/var/lib/paper"
    """Where an edge's table.json lies, and its held.json: the requests of each host now."""

    def open(self, edges: Sequence[str], connect: Connect):
        return PaperRouter(edges, connect, self.folder)


LOOK = """cd "$1" && printf '{"now": %s, "held": %s, "table": %s}' "$(date +%s.%N)" \
"$(cat held.json 2>/dev/null || echo '{}')" "$(cat table.json 2>/dev/null || echo null)" """
WRITE = 'cd "$1" && cat >table.new && sync table.new && mv table.new table.json'


class PaperRouter:
    """A proxy reads the file anew at every request, so a table is in force once it has its name."""

    def __init__(self, edges: Sequence[str], connect: Connect, folder: str):
        self.edges, self.connect, self.folder = tuple(edges), connect, folder

    async def put(self, table: RouteTable):
        return tuple([await self._put(edge, table) for edge in self.edges])

    async def status(self, app: str, env: str, upstream: str):
        return tuple([await self._status(edge, app, env, upstream) for edge in self.edges])

    async def close(self):
        pass

    async def _put(self, edge: str, table: RouteTable):
        held, skew = None, None
        try:
            validate(table)
            channel = await self.connect(edge)
            held, _, skew = await self._look(channel, table.upstream)
            if held != table:
                refuse(table, held)
                await self._run(channel, WRITE, table.upstream, encode(table))
        except (GopubError, OSError, ValueError) as error:
            why = f"{error.code} {error.problem}" if isinstance(error, GopubError) else str(error)
            return EdgeAck(edge, ok=False, revision=held.revision if held else 0, error=why, skew=skew)
        return EdgeAck(edge, ok=True, revision=table.revision, skew=skew)

    async def _status(self, edge: str, app: str, env: str, upstream: str):
        try:
            table, counted, skew = await self._look(await self.connect(edge), upstream)
        except (GopubError, OSError, ValueError) as error:
            return EdgeStatus(edge, error=error.problem if isinstance(error, GopubError) else str(error))
        if table and (table.app, table.env) != (app, env):
            return EdgeStatus(edge, error=f"it serves {table.app}/{table.env}")
        return EdgeStatus(edge, table, dict.fromkeys(table.hosts() if table else (), 0) | counted, skew=skew)

    async def _look(self, channel: Executor, upstream: str) -> tuple[RouteTable | None, dict[str, int], float]:
        begun = SystemClock().now()
        said = json.loads(await self._run(channel, LOOK, upstream))
        skew = min(0.0, said["now"] - begun) + max(0.0, said["now"] - SystemClock().now())
        return from_json(said["table"]) if said["table"] else None, said["held"], skew

    async def _run(self, channel: Executor, program: str, upstream: str, stdin: bytes = b"") -> bytes:
        place = f"{self.folder}/{upstream}"
        done = await channel.exec(["sh", "-c", f'mkdir -p "$1" && {program}', "paper", place], stdin)
        if done.code:
            raise OSError(done.err.decode(errors="replace"))
        return done.out


def refuse(table: RouteTable, held: RouteTable | None) -> None:
    """A seat that is over orders nothing, nor does one its own orders of before."""
    if held is None:
        return
    if (table.app, table.env) != (held.app, held.env):
        raise ValueError("the upstream belongs to another app and env")
    if table.epoch < held.epoch:
        raise ValueError("the epoch is over")
    if table.epoch == held.epoch and (table.token != held.token or table.n <= held.n):
        raise ValueError("another seat has this epoch, or the order is not newer")
    if table.revision <= held.revision:
        raise ValueError("the revision does not grow")


class Abacus(MetricsConnection):
    """Series in a file, one a line: name, labels, and samples of a time and a number, in JSON."""

    kind: Literal["abacus"] = "abacus"
    file: LocalPath
    """The file."""
    token: SecretRef | None = None
    """Who may look."""

    def open(self):
        return AbacusSource(self.file)


Labels = Mapping[str, str]
Points = list[tuple[float, float]]
KEPT, OLD = 300.0, 5
"""A sample is of now for so many seconds; an edge is stale after so many intervals of its samples."""
FILED = {
    "gopub_edge_endpoint_attempts_total": "endpoints",
    "gopub_edge_endpoint_answers_total": "endpoints",
    "gopub_edge_request_seconds_bucket": "timed",
    "gopub_edge_warming_request_seconds_bucket": "warming",
}


class AbacusSource:
    """Reads the file anew at each question."""

    def __init__(self, file):
        self.file = file

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float):
        try:
            series = self._read()
            edges, notes, interval = fresh_edges(series, {"app": app, "env": env}, at)
            rows = counted(series, {"app": app, "env": env}, releases, at)
        except (OSError, ValueError) as error:
            return NoData(f"{self.file}: {error}")
        return CounterSnapshot(at, rows, edges, interval, notes)

    async def history(self, app: str, env: str, releases: Sequence[str], at: float):
        try:
            series = self._read()
            moments = [at - ago for ago in range(3600, -1, -300)]
            found = [(moment, counted(series, {"app": app, "env": env}, releases, moment)) for moment in moments]
        except (OSError, ValueError) as error:
            return NoData(f"{self.file}: {error}")
        return tuple(CounterSnapshot(moment, rows, dict.fromkeys({r.edge for r in rows}, moment))
                     for moment, rows in found if rows)  # fmt: skip

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float):
        try:
            series = self._read()
        except (OSError, ValueError) as error:
            return NoData(f"{self.file}: {error}")
        found: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(lambda: {"pauses": {}}))
        for name, labels, points in series:
            value, host = newest(points, at), labels.get("host", "")
            if value is None or host not in hosts or labels.get("app") != app or labels.get("env", env) != env:
                continue
            if name == "go_gc_heap_live_bytes":
                found[host][labels["instance"]]["heap"] = value
            elif name == "go_sched_pauses_total_gc_seconds_bucket":
                found[host][labels["instance"]]["pauses"][float(labels["le"])] = value
        single = {host: processes for host, processes in found.items() if len(processes) == 1}
        samples = [RuntimeSample(host, at, **next(iter(of.values()))) for host, of in sorted(single.items())]
        return RuntimeSnapshot(at, tuple(samples))

    def _read(self) -> list[tuple[str, Labels, Points]]:
        rows = [json.loads(line) for line in self.file.read_text("utf-8").split("\n") if line]
        return [(row["name"], row["labels"], [(at, float(value)) for at, value in row["samples"]]) for row in rows]


def newest(points: Points, at: float) -> float | None:
    """The value as of a moment."""
    return next((value for when, value in reversed(points) if at - KEPT < when <= at), None)


def fresh_edges(series: list[tuple[str, Labels, Points]], ours: Labels, at: float):
    """The edges that still tell something, and notes on those that do not."""
    times: dict[str, list[float]] = {}
    for name, labels, points in series:
        seen = [when for when, _ in points if at - KEPT < when <= at]
        if name == "gopub_edge_table_revision" and labels.items() >= ours.items() and seen:
            times[labels["instance"]] = seen
    if not times:
        raise ValueError("no edge tells of this app and env")
    gaps = [after - before for seen in times.values() for before, after in pairwise(seen)]
    interval = median(gaps) if gaps else None
    old = {edge: at - seen[-1] for edge, seen in times.items() if at - seen[-1] > OLD * (interval or 15.0)}
    notes = tuple(f"stale: {edge} told nothing for {age:g}s" for edge, age in sorted(old.items()))
    if len(old) == len(times):
        raise ValueError("; ".join(notes))
    return {edge: seen[-1] for edge, seen in times.items() if edge not in old}, notes, interval


def counted(series: list[tuple[str, Labels, Points]], ours: Labels, releases: Sequence[str], at: float):
    """The counters of these releases, by edge, release and host."""
    rows: dict[tuple[str, str, str], dict[str, dict[Any, float]]] = {}
    for name, labels, points in series:
        kind = "classes" if name == "gopub_edge_attempts_total" else FILED.get(name)
        value = newest(points, at)
        if kind is None or value is None or labels["release"] not in releases or not labels.items() >= ours.items():
            continue
        if not isfinite(value) or value < 0:
            raise ValueError(f"{name} of {labels['host']} is {value}: no counter")
        place = (labels["instance"], labels["release"], labels["host"])
        row = rows.setdefault(place, {"classes": {}, "timed": {}, "warming": {}, "endpoints": {}})
        row[kind][key_of(labels)] = value
    return tuple(RawSeries(*place, *row.values()) for place, row in sorted(rows.items()))


def key_of(labels: Labels):
    """What of a host is counted: a class, an endpoint and how it went, or a bound."""
    if "endpoint" in labels:
        return labels["endpoint"], labels.get("outcome") or labels["pace"]
    return labels["class"] if "class" in labels else float(labels["le"])


class Diary(LogsConnection):
    """A file of lines on each host, each with its time before it."""

    kind: Literal["diary"] = "diary"
    folder: str = "/var/log/diary"
    """Where a unit's file lies on its host."""

    def open(self):
        return DiarySource(self.folder)


READ = '[ ! -e "$2" ] || exec tail -n "$1" "$2"'
"""A unit that has said nothing has no file yet."""


class DiarySource:
    """Knows how many lines of each file it has read."""

    def __init__(self, folder: str):
        self.folder, self.read_of = folder, defaultdict[tuple[str, str], int](int)

    async def read(self, target: LogTarget, since: float):
        key = (target.host, target.unit)
        try:
            done = await target.channel.exec(
                ["sh", "-c", READ, "diary", f"+{self.read_of[key] + 1}", f"{self.folder}/{target.unit}"]
            )
        except (GopubError, OSError) as error:
            return NoData(f"{target.host}: {error}")
        if done.code:
            return NoData(f"{target.host}: {done.err.decode(errors='replace')}")
        lines = [line.partition(" ") for line in done.out.decode(errors="replace").splitlines()]
        self.read_of[key] += len(lines)
        found: dict[str, int] = defaultdict(int)
        for when, _, text in lines:
            for name in classes(text, 6) if float(when) >= since else ():
                found[name] += 1
        return LogCounts(target.host, target.release, dict(found), len(lines), str(self.read_of[key]))


class Pigeon(FleetConnection):
    """Pigeons."""

    kind: Literal["pigeon"] = "pigeon"
    loft: str = "loft"
    """Where they live."""

    def options(self):
        return SshOptions(user=self.loft)

    def open(self):
        return SshFleet()


class Seal(SignerConnection):
    """A seal."""

    kind: Literal["seal"] = "seal"
    private: SecretRef
    """The private key."""

    def open(self):
        return KeySigner.parse(self.private.reveal().encode())


class Notary(SigstoreConnection):
    """A notary, who believes whom his book names, and nobody without one."""

    kind: Literal["notary"] = "notary"
    book: LocalPath | None = None
    """A trusted root."""

    def open(self, name):
        if self.book is None:
            return Trust(name, (), (), (), ())
        try:
            data = self.book.read_bytes()
        except OSError:
            raise UsageError("GP318", f"there is no book {self.book}", hint="name one") from None
        return read_trust(data, file=str(self.book), name=name)


class Tower:
    """A tower with a bell."""

    def __init__(self, folder):
        self.folder = folder

    async def send(self, message):
        if not self.folder.is_dir():
            return Answer(taken=False, says="the bell is away")
        name = f"{len(list(self.folder.iterdir()))}-{id(message)}"
        (self.folder / name).write_text(f"{message.title}\n{message.body}", "utf-8")
        return Answer(taken=True, says="rung")


class Bell(NotifyConnection):
    """A bell."""

    kind: Literal["bell"] = "bell"
    folder: LocalPath
    """Where those who hear it write down what they heard."""

    def open(self):
        return Tower(self.folder)


DRAWERS = {"top": "of-the-top-drawer"}


class Drawer(SecretRef):
    """A drawer."""

    drawer: str
    """Which one."""

    def open(self):
        return DRAWERS.get(self.drawer, "")

    def __str__(self):
        return f"drawer {self.drawer}"
