"""A rollout being driven: its state, its seat, and the only way to change edges and journal.

Every change is written before it is done. A ``Run`` can be dropped at any instruction; another one made from the
journal goes on. It decides nothing: see ``machine``, ``plan``, ``tables`` and ``decision``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.clock import Clock
from gopub.errors import GopubError, LockedError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet
from gopub.health.sources import LogSource, MetricSource
from gopub.release.model import Release, SignedRelease
from gopub.rollout import events as ev
from gopub.rollout.journal import Journal, Seat
from gopub.rollout.late import Late, drop, keep
from gopub.rollout.machine import State, advance, fold
from gopub.rollout.model import Plan, PlannedStep
from gopub.rollout.tables import Pools, pools_of, table_of
from gopub.spec.kinds import Nginx
from gopub.spec.models import Environment
from gopub.store.protocol import ArtifactStore
from gopub.telemetry import log
from gopub.traffic.protocol import MOST_SKEW, EdgeAck, EdgeStatus, Router, agree_on_time, say_skew
from gopub.traffic.table import RouteTable

LEASE = 30.0
"""Seconds that a driver's lease lives without being renewed."""
TERM = 30.0
"""Seconds that edges keep sending the canary traffic without hearing from a driver."""
RENEW = 5.0
"""Seconds between two renewals of lease and term."""
PUT_TRIES = 3

_log = log("rollout")


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as objects of the core's protocols; opened by ``gopub.drive.ports``."""

    journal: Journal
    clock: Clock
    fleet: Fleet
    hosts: tuple[Host, ...]
    environment: Environment
    store: ArtifactStore
    kits: Path
    router: Router | None = None
    metrics: MetricSource | None = None
    logs: LogSource | None = None
    edges: tuple[Host, ...] = ()
    edge_connection: Nginx | None = None


def stream_of(rollout: str) -> str:
    """The journal stream of a rollout."""
    return f"rollout/{rollout}"


def asked_of(rollout: str) -> str:
    """The stream in which people ask its driver for something."""
    return f"asked/{rollout}"


def env_stream(app: str, env: str) -> str:
    """The journal stream of an (app, env)."""
    return f"env/{app}/{env}"


class Run:
    """One driver's hold on one rollout."""

    def __init__(self, ports: Ports, seat: Seat, rollout: str, *, actor: str, trace: str) -> None:
        """Read the rollout's state; the seat must have been taken already."""
        self.ports = ports
        self.seat = seat
        self.actor = actor
        self.trace = trace
        self.rollout = rollout
        self.state = fold(entry.event for entry in ports.journal.read(stream_of(rollout)))
        self.release: Release | None = None
        self.signed: SignedRelease | None = None
        self.accepted_key = ""
        self.facts: Mapping[str, HostFacts] = {}
        self.unwritten: list[ev.Event] = []
        self.alarms: list[str] = []
        self.skews: dict[str, float] = {}
        self._n = 0
        self._revision = 0
        self._table: RouteTable | None = None
        self._putting = asyncio.Lock()
        self._fetching = asyncio.Lock()
        self._archives: dict[str, bytes] = {}

    @property
    def plan(self) -> Plan:
        """The plan; a rollout that is not planned has nothing to drive."""
        if self.state.plan is None:
            raise GopubError("GP709", f"rollout {self.rollout} has no plan yet", hint="see `gopub explain`")
        return self.state.plan

    def host(self, name: str) -> Host:
        """The inventory's host of a planned name."""
        for host in self.ports.hosts:
            if host.name == name:
                return host
        raise GopubError("GP714", f"host {name!r} of the plan is no longer in the inventory",
                         hint="put it back until this rollout has ended")  # fmt: skip

    async def archive(self, key: str) -> bytes:
        """An archive of the store, fetched once for all hosts."""
        async with self._fetching:
            if key not in self._archives:
                self._archives[key] = await self.ports.store.get(key)
            return self._archives[key]

    def next_n(self) -> int:
        """The next order number under this seat."""
        self._n += 1
        return self._n

    def record(self, *events: ev.Event, must: bool = True) -> None:
        """Append to the journal and fold; with ``must=False`` a journal that is down does not stop us (going back)."""
        if not events:
            return
        state = self.state
        for event in events:
            state, _ = advance(state, event)
        try:
            waiting = [*self.unwritten, *events]
            self.ports.journal.append(
                stream_of(self.rollout), state.version - len(waiting), waiting,
                actor=self.actor, trace=self.trace, seat=self.seat,
            )  # fmt: skip
            if self.unwritten:
                self.unwritten.clear()
                drop(self.ports.kits, self.rollout)
        except LockedError:
            raise
        except GopubError as error:
            if must:
                raise
            self.alarm(f"journal down: {error.problem}")
            self.unwritten.extend(events)
            self._keep_unwritten(state)
        self.state = state

    def _keep_unwritten(self, state: State) -> None:
        missing = tuple(self.unwritten)
        late = Late(self.rollout, state.app, state.env, state.version - len(missing), missing, self.actor, self.trace)
        try:
            keep(self.ports.kits, late)
        except OSError as error:
            self.alarm(f"the journal is down, and nothing can be kept beside it: {error}")

    def alarm(self, text: str) -> None:
        """Something a person must know of although the work goes on."""
        if text not in self.alarms:
            self.alarms.append(text)
            _log.warning("%s: %s", self.rollout, text)

    async def claim_edges(self) -> None:
        """Learn the edges' revision, so that ours grow from there; where a canary serves, take it over.

        The driver before us may have been gone longer than the canary's term: its table is put again under our seat.
        """
        if self.ports.router is None or not self.plan.upstream:
            return
        statuses = await self.ports.router.status(self.plan.app, self.plan.env, self.plan.upstream)
        self._hear(statuses)
        self._revision = max([self._revision, *(status.revision for status in statuses)])
        under_way = self.state.back is None and self.state.closed is None
        if under_way and self.pools().at("canary"):
            reached = [step for step in self.plan.steps if step.index in self.state.reached]
            await self.shift(self.pools(), self.state.weight, why="taken over", step=reached[-1] if reached else None)

    async def shift(
        self, pools: Pools, weight: int, *, why: str, step: PlannedStep | None = None, growing: bool = True
    ) -> None:
        """Write, then put, the table for these pools on every edge.

        Raises:
            GopubError: GP715 an edge did not take it while the canary grows; going back only alarms.
        """
        if self.ports.router is None or not self.plan.upstream:
            return
        table = table_of(self.plan, pools, weight, step=step, until=self.ports.clock.now() + TERM)
        await self.put(table, why=why, growing=growing)

    async def put(self, table: RouteTable, *, why: str, growing: bool) -> None:
        """Write, then put, a table; see ``shift``."""
        stable, canary = (tuple(p.host for p in track.peers) if track else () for track in (table.stable, table.canary))
        self.record(ev.TableIntended(why, table.weight, stable, canary), must=growing)
        acks = await self._send(table)
        said = {ack.edge: "ok" if ack.ok else ack.error for ack in acks}
        self.record(ev.TablePut(table.weight, said), must=growing)
        bad = {edge: error for edge, error in said.items() if error != "ok"}
        if not bad:
            return
        text = "; ".join(f"{edge}: {error}" for edge, error in bad.items())
        if growing:
            raise GopubError("GP715", f"an edge did not take the table ({text})",
                             hint="the canary grows only when every edge has acknowledged")  # fmt: skip
        self.alarm(f"an edge did not take the table: {text}")

    async def _send(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        router = self.ports.router
        if router is None:
            return ()
        async with self._putting:
            self._table = table
            acks: tuple[EdgeAck, ...] = ()
            for attempt in range(PUT_TRIES):
                self._revision += 1
                ordered = replace(table, revision=self._revision).ordered(
                    self.seat.epoch, self.seat.token, self.next_n()
                )
                acks = await router.put(ordered)
                self._hear(acks)
                if all(ack.ok for ack in acks):
                    break
                self._revision = max([self._revision, *(ack.revision for ack in acks)])
                if attempt + 1 < PUT_TRIES:
                    await self.ports.clock.sleep(0.5)
            return acks

    def _hear(self, answers: Iterable[EdgeAck | EdgeStatus]) -> None:
        """Remember how far each edge's clock is from ours; going on is refused elsewhere, going back never."""
        for answer in answers:
            if answer.skew is None:
                continue
            if abs(answer.skew) > MOST_SKEW >= abs(self.skews.get(answer.edge, 0.0)):
                self.alarm(f"the clock of edge {answer.edge} is {say_skew(answer.skew)} this machine's")
            self.skews[answer.edge] = answer.skew

    def insist_on_clocks(self) -> None:
        """What begins now counts on the canary's term; see ``agree_on_time``."""
        agree_on_time(self.skews)

    async def renew(self) -> None:
        """Prolong the lease, and the canary's term on the edges: the dead man's switch."""
        self.ports.journal.renew_seat(self.seat, LEASE)
        if self._table and self._table.canary:
            await self._send(replace(self._table, canary_until=self.ports.clock.now() + TERM))

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[Run]:
        """Renew lease and term in the background while the body runs; give the seat up at the end."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            with suppress(GopubError):
                self.ports.journal.renew_seat(self.seat, 0)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            try:
                await self.renew()
            except LockedError as error:
                self.alarm(error.problem)
                return
            except GopubError as error:
                self.alarm(f"could not renew: {error.problem}")

    def pools(self) -> Pools:
        """Where the hosts stand, by the journal."""
        return pools_of(self.state)

    def asked(self) -> tuple[ev.Asked, ...]:
        """What people asked of this rollout, oldest first."""
        events: Iterable[ev.Event] = (entry.event for entry in self.ports.journal.read(asked_of(self.rollout)))
        return tuple(event for event in events if isinstance(event, ev.Asked))
