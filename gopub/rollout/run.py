"""A rollout being driven: its state, its seat, and the only way to change edges and journal.

Every change is written before it is done. A ``Run`` can be dropped at any instruction; another one made from the
journal goes on. It decides nothing: see ``machine``, ``plan``, ``tables`` and ``decision``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from gopub.build.artifact import FileRef
from gopub.errors import GopubError, LockedError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.journal.late import Late, drop, keep
from gopub.journal.state import fold
from gopub.journal.store import Seat
from gopub.journal.streams import asked_of, stream_of
from gopub.plan.model import Plan, PlannedStep
from gopub.release.admitting import Considered
from gopub.release.model import Release
from gopub.rollout.tables import Pools, pools_of, table_of
from gopub.store.protocol import fetch
from gopub.telemetry import log
from gopub.traffic.protocol import MOST_SKEW, EdgeAck, EdgeStatus, agree_on_latency, agree_on_time, say_skew
from gopub.traffic.table import RouteTable
from gopub.wiring.ports import Ports

LEASE = 30.0
"""Seconds that a driver's lease lives without being renewed."""
TERM = 30.0
"""Seconds that edges keep sending the canary traffic without hearing from a driver."""
RENEW = 5.0
"""Seconds between two renewals of lease and term."""
QUICK = 4.0
"""Seconds that a renewal of the term waits for the edges; the next one is not far."""
PUT_TRIES = 3
HURRY = 1.0
"""Seconds that a driver which goes back waits for a journal that somebody holds."""
REST = 10.0
"""Seconds for which a journal that failed on the way back is not asked again: edges and hosts come first."""

_log = log("rollout")


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
        self.considered: Considered | None = None
        self.refused = ""
        self.notes: tuple[str, ...] = ()
        self.facts: Mapping[str, HostFacts] = {}
        self.unwritten: list[ev.Event] = []
        self.alarms: list[str] = []
        self.skews: dict[str, float] = {}
        self.edges: dict[str, str | None] = {}
        self._n = 0
        self._revision = 0
        self._table: RouteTable | None = None
        self._held: RouteTable | None = None
        self._putting = asyncio.Lock()
        self._renewing: asyncio.Task[tuple[EdgeAck, ...]] | None = None
        self._silent: frozenset[str] = frozenset()
        self._rests_until = 0.0
        self._leased_until = ports.clock.now() + LEASE
        self._fetching = asyncio.Lock()
        self._archives: dict[str, bytes] = {}
        if self.state.back:
            self.hurry()

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

    async def archive(self, ref: FileRef) -> bytes:
        """An archive of the store, fetched once for all hosts."""
        async with self._fetching:
            if ref.digest not in self._archives:
                self._archives[ref.digest] = await fetch(self.ports.store, ref)
            return self._archives[ref.digest]

    def next_n(self) -> int:
        """The next order number under this seat."""
        self._n += 1
        return self._n

    def record(self, *events: ev.Event, must: bool = True) -> None:
        """Append to the journal and fold; with ``must=False`` a journal that is down does not stop us (going back).

        What it did not take is written with the next entry that it does take; after a failure it is left alone for a
        while, so that a locked one delays neither edges nor hosts.
        """
        if not events:
            return
        state = fold(events, self.state)
        waiting = [*self.unwritten, *events]
        if must or self.ports.clock.now() >= self._rests_until:
            waiting = self._append(waiting, state.version - len(waiting), must=must)
        before, self.unwritten, self.state = self.unwritten, waiting, state
        if waiting:
            self._keep_unwritten()
        elif before:
            drop(self.ports.kits, self.rollout)

    def _append(self, waiting: list[ev.Event], version: int, *, must: bool) -> list[ev.Event]:
        """Write what waits, and give what waits still."""
        try:
            self.ports.journal.append(
                stream_of(self.rollout), version, waiting, actor=self.actor, trace=self.trace, seat=self.seat
            )
        except LockedError:
            raise
        except GopubError as error:
            if must:
                raise
            self.alarm(f"journal down: {error.problem}")
            self._rests_until = self.ports.clock.now() + REST
            return waiting
        return []

    def hurry(self, seconds: float | None = None) -> None:
        """From here on wait only so long (``HURRY``) for a journal that somebody holds; it is asked again at once."""
        self.ports.journal.wait_at_most(HURRY if seconds is None else seconds)
        self._rests_until = 0.0

    def _keep_unwritten(self) -> None:
        missing, state = tuple(self.unwritten), self.state
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

    async def claim_edges(self) -> dict[str, str]:
        """Learn the edges' revision, so that ours grow from there; gives the edges that did not answer, and why."""
        if self.ports.router is None or not self.plan.upstream:
            return {}
        statuses = await self.ports.router.status(self.plan.app, self.plan.env, self.plan.upstream)
        self._hear(statuses)
        self._revision = max([self._revision, *(status.revision for status in statuses)])
        held = [status.table for status in statuses if status.table and status.table.rollout == self.rollout]
        self._held = max(held, key=lambda table: table.revision, default=None)
        silent = {status.edge: status.error for status in statuses if status.error}
        self._silent = frozenset(silent)
        return silent

    async def shift(
        self, pools: Pools, weight: int, *, why: str, step: PlannedStep | None = None, growing: bool = True
    ) -> None:
        """Write, then put, the table for these pools on every edge.

        Raises:
            GopubError: GP715 an edge did not take it while the canary grows; going back only alarms.
        """
        if self.ports.router is None or not self.plan.upstream:
            return
        now, warm = self.ports.clock.now(), growing and "" not in self.edges.values()
        given = self._held.weight_at(now) if self._held else self.state.weight
        table = table_of(self.plan, pools, weight, step=step, until=now + TERM, warm=warm, weight_from=given)
        await self.put(table, why=why, growing=growing)

    async def put(self, table: RouteTable, *, why: str, growing: bool, patient: bool = False) -> None:
        """Write, then put, a table; see ``shift``. With ``patient`` silent edges are asked again going back as well."""
        stable, canary = (tuple(p.host for p in track.peers) if track else () for track in (table.stable, table.canary))
        self.record(ev.TableIntended(why, table.weight, stable, canary), must=growing)
        acks = await self._send(table, again=growing or patient)
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

    async def _send(self, table: RouteTable, *, again: bool) -> tuple[EdgeAck, ...]:
        """Put a table in force; a renewal that is under way gives way to it.

        The same order is sent again to edges that did not take it: those that did answer as they did. Without
        ``again`` edges that were silent at the last table already are not waited for more than once.
        """
        if self._renewing:
            self._renewing.cancel()
        async with self._putting:
            self._table = self._held = table
            ordered = self._order(table)
            acks: tuple[EdgeAck, ...] = ()
            for attempt in range(PUT_TRIES):
                acks = await self._put(ordered)
                failed = frozenset(ack.edge for ack in acks if not ack.ok)
                if not failed or attempt + 1 == PUT_TRIES or (failed <= self._silent and not again):
                    break
                if self._revision > ordered.revision:
                    ordered = self._order(table)
                await self.ports.clock.sleep(0.5)
            self._silent = failed
            return acks

    def _hear(self, answers: Iterable[EdgeAck | EdgeStatus]) -> None:
        """Remember who each edge is and how far its clock is from ours; what follows from that binds growth only."""
        for answer in answers:
            if answer.ok if isinstance(answer, EdgeAck) else not answer.error:
                self.edges[answer.edge] = answer.identity
            self.edges.setdefault(answer.edge, None)
            if answer.skew is None:
                continue
            if abs(answer.skew) > MOST_SKEW >= abs(self.skews.get(answer.edge, 0.0)):
                self.alarm(f"the clock of edge {answer.edge} is {say_skew(answer.skew)} this machine's")
            self.skews[answer.edge] = answer.skew

    def insist_on_edges(self) -> None:
        """What begins now counts on the canary's term and on edges that know the table."""
        agree_on_time(self.skews)
        agree_on_latency(self.plan.latency, self.edges)

    def _order(self, table: RouteTable) -> RouteTable:
        self._revision += 1
        return replace(table, revision=self._revision).ordered(self.seat.epoch, self.seat.token, self.next_n())

    async def _put(self, ordered: RouteTable) -> tuple[EdgeAck, ...]:
        """Send an order once, and learn the revisions of those that refuse it."""
        acks = await self.ports.router.put(ordered) if self.ports.router else ()
        self._revision = max([self._revision, *(ack.revision for ack in acks)])
        self._hear(acks)
        return acks

    def renew_lease(self) -> None:
        """Prolong the right to drive; it depends on the journal alone."""
        self.ports.journal.renew_seat(self.seat, LEASE, patience=QUICK)
        self._leased_until = self.ports.clock.now() + LEASE

    async def renew_term(self) -> None:
        """Prolong the canary's term on the edges, the dead man's switch: once, and never while a table is being put.

        A driver that no longer holds its lease prolongs nothing: somebody else may be about to drive.

        Raises:
            GopubError: GP715 an edge did not take it, which its next try may mend.
        """
        table = self._table
        if table is None or table.canary is None or table.canary_until is None or self._putting.locked():
            return
        if self.ports.clock.now() >= self._leased_until:
            return
        renewed = self._order(replace(table, canary_until=self.ports.clock.now() + TERM))
        self._renewing = asyncio.create_task(self._put(renewed))
        try:
            done, _ = await asyncio.wait({self._renewing}, timeout=QUICK)
            if not done:
                raise GopubError("GP715", f"the edges did not all answer within {QUICK:g}s", hint="are they up?")
            bad = [] if self._renewing.cancelled() else [ack for ack in self._renewing.result() if not ack.ok]
            if bad:
                raise GopubError("GP715", "; ".join(f"{ack.edge}: {ack.error}" for ack in bad), hint="is it up?")
        finally:
            self._renewing.cancel()
            self._renewing = None

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[Run]:
        """Renew lease and term in the background while the body runs; give the seat up at the end.

        Each has a task of its own: a silent edge must not cost the lease, nor a lost lease the warning about an edge.
        """
        keepers = [asyncio.create_task(self._keep(self._lease_kept)), asyncio.create_task(self._keep(self.renew_term))]
        try:
            yield self
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            with suppress(GopubError):
                self.ports.journal.renew_seat(self.seat, 0, patience=QUICK)

    async def _lease_kept(self) -> None:
        self.renew_lease()

    async def _keep(self, renew: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(RENEW)
            try:
                await renew()
            except LockedError as error:
                self._leased_until = 0.0
                self.alarm(error.problem)
                return
            except GopubError as error:
                self.alarm(f"could not renew: {error.problem}")
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end what guards the canary
                _log.exception("%s could not renew", self.rollout)
                self.alarm(f"could not renew: {error!r}")

    def pools(self) -> Pools:
        """Where the hosts stand, by the journal."""
        return pools_of(self.state)

    def asked(self) -> tuple[ev.Asked, ...]:
        """What people asked of this rollout, oldest first."""
        events: Iterable[ev.Event] = (entry.event for entry in self.ports.journal.read(asked_of(self.rollout)))
        return tuple(event for event in events if isinstance(event, ev.Asked))
