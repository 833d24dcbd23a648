"""A fleet and edges in memory.

They fence, remember and fail like the real ones, so that a rollout can be driven, killed and taken up again many
times in seconds. The real ones are tested on the lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.canon import sha256
from gopub.errors import GopubError
from gopub.fleet.enrolled import Enrolment
from gopub.fleet.facts import HostFacts, ReleaseDir, UnitFacts
from gopub.fleet.host import Host
from gopub.fleet.orders import Order, Record
from gopub.fleet.rootline import RootAnswer, RootVerb
from gopub.process import Result
from gopub.traffic.protocol import EdgeAck, EdgeStatus
from gopub.traffic.table import RouteTable
from tests.support.memory_admission import MemoryAdmission


@dataclass
class MemoryHost:
    """One machine: folders, the one that runs, and the fence."""

    name: str
    machine_id: str
    folders: dict[str, str] = field(default_factory=dict)
    current: str = ""
    previous: str = ""
    epoch: int = 0
    token: str = ""
    n: int = 0
    answered: dict[int, Record] = field(default_factory=dict)
    reachable: bool = True
    deaf: int = 0
    """So many questions for facts get no answer."""
    slow_facts: asyncio.Event | None = None
    slow_orders: asyncio.Event | None = None
    """It answers once this is set."""
    bad: frozenset[str] = frozenset()
    other_file: frozenset[str] = frozenset()
    """Folders whose process runs a file that is not the release's."""
    history: list[str] = field(default_factory=list)
    enrolled: bool = False
    memory: list[str] = field(default_factory=list)
    """Lines of what an enrolled host remembers of the journal."""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Of a folder what was rendered for it, by its path there."""
    hooks: dict[str, bool] = field(default_factory=dict)
    """The hooks that ran, by their id and name, and whether they ended well."""
    failing: frozenset[str] = frozenset()
    """Hooks that do not."""
    admission: MemoryAdmission | None = None
    """What it remembers of admissions, where it asks for them as an enrolled one does."""

    def facts(self) -> HostFacts:
        """As the host program would tell them."""
        release, _, render = self.current.partition("-")
        current = ReleaseDir(release, render, self.folders.get(self.current, "")) if self.current else None
        exe = f"/opt/x/releases/{self.current}/bin/x" if self.current else ""
        unit = UnitFacts("loaded", "active", "running", 7, 0, "i", exe, self.folders.get(self.current, ""))
        return HostFacts(
            self.name,
            self.machine_id,
            arch="amd64",
            current=current,
            previous=self.previous,
            releases=tuple(reversed(self.folders)),
            epoch=self.epoch,
            token=self.token,
            n=self.n,
            unit=unit if current else UnitFacts(),
            enrolled=self._enrolment(),
            files=tuple((path, sha256(data)) for path, data in self.files.get(self.current, {}).items()),
        )

    def _enrolment(self) -> Enrolment | None:
        if not self.enrolled:
            return None
        return Enrolment((self.name,), ("lab",), 1, "0" * 64, (), self.admission.admits if self.admission else 0)

    def answer(self, order: Order) -> Record:
        """Fence, then do."""
        if order.machine_id != self.machine_id:
            return self._record(order, "GP434", "another machine")
        if order.verb == "heads":
            values = {f"head.{n}": line for n, line in enumerate(self.memory)}
            return Record(self.name, "heads", 0, "", 0, ok=True, changed=False, values=values)
        if order.verb == "status":
            self._remember(order)
            return self._proof(order)
        if before := self._fence(order) or self._repeated(order) or self._unadmitted(order):
            return before
        self._hold(order)
        self._remember(order)
        record = self._do(order)
        self.answered[order.n] = record
        return record

    def _fence(self, order: Order) -> Record | None:
        if order.epoch < self.epoch or (order.epoch == self.epoch and order.token != self.token):
            return self._record(order, "GP431", f"epoch {order.epoch} is over, this host holds {self.epoch}")
        if order.epoch == self.epoch and order.n < self.n:
            return self._record(order, "GP433", "n is over")
        return None

    def _repeated(self, order: Order) -> Record | None:
        if order.n in self.answered and order.epoch == self.epoch:
            return replace(self.answered[order.n], changed=False)
        return None

    def _unadmitted(self, order: Order) -> Record | None:
        code = self.admission.refuse(order, self.folders, self.previous) if self.admission else ""
        return self._record(order, code, "it was not admitted here") if code else None

    def _hold(self, order: Order) -> None:
        if order.epoch > self.epoch:
            self.answered = {}
        self.epoch, self.token, self.n = order.epoch, order.token, order.n

    def _remember(self, order: Order) -> None:
        """As heads.sh does it."""
        if not (self.enrolled and order.journal):
            return
        seq, _, rest = order.journal.partition(":")
        said, _, rollout = rest.partition(":")
        last = self.memory[-1].split(" ") if self.memory else ["", "0", ""]
        if last[1:3] != [seq, said] and (order.verb != "status" or int(seq) > int(last[1])):
            at = f"2026-11-30T00:{len(self.memory) // 60:02}:{len(self.memory) % 60:02}Z"
            self.memory.append(f"{at} {seq} {said} {order.epoch} {order.verb} - {rollout or '-'}")

    def _do(self, order: Order) -> Record:
        self.history.append(f"{order.verb} {order.folder}")
        match order.verb:
            case "stage":
                self.folders.setdefault(order.folder, order.digests["binary"])
            case "switch" | "rollback":
                if order.folder not in self.folders:
                    return self._record(order, "GP439", "not staged")
                self.previous = self.current if self.current != order.folder else self.previous
                self.current = order.folder
            case "stop":
                self.current = ""
            case "verify":
                return self._proof(order)
            case "hook":
                return self._hook(order)
            case "prune":
                for name in order.arguments.get("remove", "").split():
                    self.folders.pop(name, None)
            case _:
                pass
        return self._record(order)

    def _hook(self, order: Order) -> Record:
        """As hook.sh does it: what ran is not run again."""
        if order.folder not in self.folders:
            return self._record(order, "GP439", "not staged")
        words = " ".join(order.arguments[f"word.{n}"] for n in range(100) if f"word.{n}" in order.arguments)
        key = f"{order.arguments['id']} {order.arguments['hook']}"
        if key not in self.hooks:
            self.history.append(f"ran {words}")
            self.hooks[key] = order.arguments["hook"] not in self.failing
        return self._record(order) if self.hooks[key] else self._record(order, "GP588", "it ended with exit-code")

    def _proof(self, order: Order) -> Record:
        if self.current != order.folder:
            return self._record(order, "GP444", f"current is {self.current or 'nothing'}, not {order.folder}")
        if self.current in self.other_file:
            return self._record(order, "GP444", f"process 7 runs /usr/bin/python3 with digest {'3' * 64}, not its own")
        if self.current in self.bad:
            return self._record(order, "GP446", f"{self.current} does not answer")
        return self._record(order)

    def _record(self, order: Order, code: str = "", message: str = "") -> Record:
        values = {"current": self.current, "unit.active": "active" if self.current else "inactive", "restarts": "0"}
        return Record(self.name, order.verb, order.epoch, order.token, order.n, ok=not code, changed=not code,
                      code=code, message=message, values=values)  # fmt: skip


@dataclass
class MemoryChannel:
    """A connection to a MemoryHost."""

    host: Host
    machine: MemoryHost

    async def run(self, order: Order, payload: Sequence[object] = (), *, timeout: float = 120.0) -> Record:
        """Carry out an order."""
        self._reach()
        if self.machine.slow_orders:
            await self.machine.slow_orders.wait()
        assert order.lines()
        del payload, timeout
        return self.machine.answer(order)

    async def facts(self, instance: str, *, timeout: float = 30.0) -> HostFacts:
        """What is so there."""
        self._reach()
        del instance, timeout
        if self.machine.slow_facts:
            await self.machine.slow_facts.wait()
        if self.machine.deaf:
            self.machine.deaf -= 1
            raise GopubError("GP415", f"{self.machine.name} did not answer in time")
        return self.machine.facts()

    async def exec(
        self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0, by_root: bool = False
    ) -> Result:
        """A rendered file is read; nothing else runs in memory."""
        del stdin, timeout, by_root
        if argv[0] == "head":
            folder, _, path = argv[-1].partition("/releases/")[2].partition("/")
            if (found := self.machine.files.get(folder, {}).get(path)) is not None and not self.machine.enrolled:
                return Result(tuple(argv), 0, found[: int(argv[2])], b"")
        return Result(tuple(argv), 1, b"", b"not in memory")

    async def ask(self, order: Order, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0) -> Result:
        """Nothing runs in memory."""
        del order
        return await self.exec(argv, stdin, timeout=timeout)

    async def enrolled(self, *, timeout: float = 30.0) -> bool:
        """Whether it checks orders."""
        self._reach()
        del timeout
        return self.machine.enrolled

    async def root(self, verb: RootVerb, said: bytes = b"", *, timeout: float = 120.0) -> RootAnswer | None:
        """Nor has it roots."""
        del verb, said, timeout
        return None

    async def close(self) -> None:
        """Nothing to end."""

    def _reach(self) -> None:
        if not self.machine.reachable:
            raise GopubError("GP413", f"{self.machine.name} cannot be reached")


class MemoryFleet:
    """Channels to machines in memory."""

    def __init__(self, machines: Mapping[str, MemoryHost]) -> None:
        self.machines = machines

    async def channel(self, host: Host) -> MemoryChannel:
        """The channel to that host."""
        return MemoryChannel(host, self.machines[host.name])

    async def close(self) -> None:
        """Nothing to end."""


@dataclass
class MemoryRouter:
    """One edge in memory: keeps the newest table, with the fence of the real one."""

    table: RouteTable | None = None
    down: bool = False
    skew: float | None = None
    identity: str = ""
    understands: int = 0
    """The version of tables, if it is of a kind that has them."""
    tables: list[RouteTable] = field(default_factory=list)
    slow_status: asyncio.Event | None = None
    slow_put: asyncio.Event | None = None
    """It answers once this is set."""

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Take a table, or say why not."""
        if self.slow_put:
            await self.slow_put.wait()
        held = self.table
        if self.down:
            return (EdgeAck("edge", False, 0, "cannot be reached"),)
        if table == held:
            return (EdgeAck("edge", True, table.revision, identity=self.identity),)
        if held and (table.epoch < held.epoch or (table.epoch == held.epoch and table.token != held.token)):
            return (EdgeAck("edge", False, held.revision, "epoch is over"),)
        if held and table.revision <= held.revision:
            return (EdgeAck("edge", False, held.revision, "revision does not grow"),)
        self.table = table
        self.tables.append(table)
        return (EdgeAck("edge", True, table.revision, skew=self.skew, identity=self.identity),)

    async def status(self, app: str, env: str, upstream: str) -> tuple[EdgeStatus, ...]:
        """What it holds."""
        if self.slow_status:
            await self.slow_status.wait()
        del app, env, upstream
        error = "cannot be reached" if self.down else ""
        return (EdgeStatus("edge", self.table, {}, error, self.skew, self.identity, tables=self.understands),)

    async def close(self) -> None:
        """Nothing to let go of."""


class MemoryEdges:
    """Several edges, each with its own table; one may be down, or never answer (``hung``)."""

    def __init__(self, *names: str) -> None:
        self.edges = {name: MemoryRouter() for name in names}
        self.hung: set[str] = set()
        self.limit = 0.2

    @property
    def table(self) -> RouteTable | None:
        """What the first one obeys."""
        return next(iter(self.edges.values())).table

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Order every edge at once; a hung one costs ``limit`` seconds."""
        return tuple(await asyncio.gather(*(self._put(name, edge, table) for name, edge in self.edges.items())))

    async def _put(self, name: str, edge: MemoryRouter, table: RouteTable) -> EdgeAck:
        if name in self.hung:
            await asyncio.sleep(self.limit)
            return EdgeAck(name, False, 0, "no answer in time")
        (ack,) = await edge.put(table)
        return replace(ack, edge=name)

    async def status(self, app: str, env: str, upstream: str) -> tuple[EdgeStatus, ...]:
        """What each one holds."""
        found = []
        for name, edge in self.edges.items():
            (status,) = await edge.status(app, env, upstream)
            silent = "no answer in time" if name in self.hung else status.error
            found.append(EdgeStatus(name, error=silent) if silent else replace(status, edge=name))
        return tuple(found)

    async def close(self) -> None:
        """Nothing to let go of."""
