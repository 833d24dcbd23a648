"""A rollout being driven: its seat with the lease on it, and what the boxes of the chart work with.

Every change is written before it is done. A ``Run`` can be dropped at any instruction; another one made from the
journal goes on. It decides nothing. The journal is written by its ``recorder``, the edges are changed by its ``edges``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from gopub.build.artifact import FileRef
from gopub.clock import SystemClock
from gopub.errors import GopubError, LockedError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.journal.seat import Seat
from gopub.journal.state import State, planned
from gopub.plan.floor import Before
from gopub.plan.model import Plan
from gopub.release.admitting import Considered
from gopub.release.model import Release
from gopub.rollout import lease
from gopub.rollout.edge_hand import EdgeHand
from gopub.rollout.recorder import Recorder
from gopub.rollout.tables import Pools, pools_of
from gopub.store.protocol import fetch
from gopub.telemetry import log
from gopub.tracing.context import TraceContext, current, of_trace, within
from gopub.wiring.ports import Ports

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
        self.recorder = Recorder(ports, seat, rollout, actor=actor, trace=trace)
        # What every box says is said to the run; where it goes is the recorder's business.
        self.record, self.alarm, self.hurry = self.recorder.record, self.recorder.alarm, self.recorder.hurry
        self.edges = EdgeHand(ports, seat, self.recorder, self.next_n)
        self.release: Release | None = None
        self.considered: Considered | None = None
        self.refused = ""
        self.notes: tuple[str, ...] = ()
        self.facts: Mapping[str, HostFacts] = {}
        self.before: Before | None = None
        self._n = 0
        self._leased_until = ports.clock.now() + lease.LEASE
        self._fetching = asyncio.Lock()
        self._archives: dict[str, bytes] = {}

    @property
    def state(self) -> State:
        """The rollout as it stands, with what the journal did not take yet."""
        return self.recorder.state

    @property
    def alarms(self) -> list[str]:
        """What a person must know of although the work goes on."""
        return self.recorder.alarms

    @property
    def plan(self) -> Plan:
        """The plan; a rollout that is not planned has nothing to drive."""
        return planned(self.state)

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

    def renew_lease(self) -> None:
        """Prolong the right to drive; it depends on the journal alone."""
        self.ports.journal.renew_seat(self.seat, lease.LEASE, patience=lease.QUICK)
        self._leased_until = self.ports.clock.now() + lease.LEASE

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[Run]:
        """Renew lease and term in the background while the body runs; give the seat up at the end.

        Each has a task of its own: a silent edge must not cost the lease, nor a lost lease the warning about an edge.
        """
        with within(self._place()):
            keepers = [asyncio.create_task(self._keep(work)) for work in (self._lease_kept, self.renew_term)]
            try:
                yield self
            finally:
                for keeper in keepers:
                    keeper.cancel()
                await asyncio.gather(*keepers, return_exceptions=True)
                with suppress(GopubError):
                    self.ports.journal.renew_seat(self.seat, 0, patience=lease.QUICK)

    def _place(self) -> TraceContext | None:
        """Where orders and tables belong: where this process is, unless another one began the rollout."""
        here = current()
        return here if here and here.trace == self.trace else of_trace(self.trace)

    async def _lease_kept(self) -> None:
        self.renew_lease()

    async def renew_term(self) -> None:
        """A driver that no longer holds its lease prolongs nothing: somebody else may be about to drive."""
        if self.ports.clock.now() < self._leased_until:
            await self.edges.renew_term()

    async def _keep(self, renew: Callable[[], Awaitable[None]]) -> None:
        while True:
            await SystemClock().sleep(lease.RENEW)  # hosts, edges and the database know no other time
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

    def asked(self) -> tuple[ev.Asked, ...]:
        """What people asked of this rollout, oldest first."""
        return asked(self.ports.journal, self.rollout)

    def pools(self) -> Pools:
        """Where the hosts stand, by the journal."""
        return pools_of(self.state)
