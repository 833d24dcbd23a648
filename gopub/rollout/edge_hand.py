"""The driver's hand on the edges: the only way that a rollout changes them. It decides nothing: see ``tables``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.seat import Seat
from gopub.journal.state import planned
from gopub.plan.model import Plan, PlannedStep
from gopub.rollout import lease
from gopub.rollout.recorder import Recorder
from gopub.rollout.tables import Pools, asked_of_edges, table_of
from gopub.tracing.attributes import of_table
from gopub.tracing.spans import Kind, span
from gopub.traffic.protocol import (
    MOST_SKEW,
    EdgeAck,
    EdgeStatus,
    Purpose,
    agree_on_latency,
    agree_on_tables,
    agree_on_time,
    put_for,
    say_skew,
)
from gopub.traffic.table import RouteTable
from gopub.wiring.ports import Ports

PUT_TRIES = 3


class EdgeHand:
    """Tables put in force, the canary's term, and what the edges say of themselves.

    ``known`` is every edge's identity as it told it (None: not told), ``skews`` how far its clock is from ours.
    """

    def __init__(self, ports: Ports, seat: Seat, recorder: Recorder, number: Callable[[], int]) -> None:
        """Know nothing of the edges yet; ``number`` gives the next order number under the seat."""
        self._ports = ports
        self._seat = seat
        self._recorder = recorder
        self._number = number
        self.known: dict[str, str | None] = {}
        self.skews: dict[str, float] = {}
        self._understood: dict[str, int] = {}
        self._revision = 0
        self._table: RouteTable | None = None
        self._held: RouteTable | None = None
        self._putting = asyncio.Lock()
        self._renewing: asyncio.Task[tuple[EdgeAck, ...]] | None = None
        self._silent: frozenset[str] = frozenset()

    @property
    def _plan(self) -> Plan:
        return planned(self._recorder.state)

    async def claim(self) -> dict[str, str]:
        """Learn the edges' revision, so that ours grow from there; gives the edges that did not answer, and why."""
        if self._ports.router is None or not self._plan.upstream:
            return {}
        statuses = await self._ports.router.status(self._plan.app, self._plan.env, self._plan.upstream)
        self._hear(statuses)
        self._revision = max([self._revision, *(status.revision for status in statuses)])
        held = [status.table for status in statuses if status.table and status.table.rollout == self._recorder.rollout]
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
        if self._ports.router is None or not self._plan.upstream:
            return
        now, warm = self._ports.clock.now(), growing and "" not in self.known.values()
        given = self._held.weight_at(now) if self._held else self._recorder.state.weight
        table = table_of(
            self._plan, pools, weight, step=step, until=now + lease.TERM, warm=warm, weight_from=given, now=now
        )
        await self.put(table, why=why, growing=growing)

    async def put(self, table: RouteTable, *, why: str, growing: bool, patient: bool = False) -> None:
        """Write, then put, a table; see ``shift``. With ``patient`` silent edges are asked again going back as well."""
        stable, canary = (tuple(p.host for p in track.peers) if track else () for track in (table.stable, table.canary))
        self._recorder.record(ev.TableIntended(why, table.weight, stable, canary), must=growing)
        acks = await self._send(table, "grow" if growing else "back", again=growing or patient)
        said = {ack.edge: "ok" if ack.ok else ack.error for ack in acks}
        self._recorder.record(ev.TablePut(table.weight, said), must=growing)
        bad = {edge: error for edge, error in said.items() if error != "ok"}
        if not bad:
            return
        text = "; ".join(f"{edge}: {error}" for edge, error in bad.items())
        if growing:
            raise GopubError("GP715", f"an edge did not take the table ({text})",
                             hint="the canary grows only when every edge has acknowledged")  # fmt: skip
        self._recorder.alarm(f"an edge did not take the table: {text}")

    async def _send(self, table: RouteTable, purpose: Purpose, *, again: bool) -> tuple[EdgeAck, ...]:
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
                acks = await self._put(ordered, purpose)
                failed = frozenset(ack.edge for ack in acks if not ack.ok)
                if not failed or attempt + 1 == PUT_TRIES or (failed <= self._silent and not again):
                    break
                if self._revision > ordered.revision:
                    ordered = self._order(table)
                await self._ports.clock.sleep(0.5)
            self._silent = failed
            return acks

    def _hear(self, answers: Iterable[EdgeAck | EdgeStatus]) -> None:
        """Remember who each edge is and how far its clock is from ours; what follows from that binds growth only."""
        for answer in answers:
            if answer.ok if isinstance(answer, EdgeAck) else not answer.error:
                self.known[answer.edge] = answer.identity
            self.known.setdefault(answer.edge, None)
            if isinstance(answer, EdgeStatus) and not answer.error:
                self._understood[answer.edge] = answer.tables
            if answer.skew is None:
                continue
            if abs(answer.skew) > MOST_SKEW >= abs(self.skews.get(answer.edge, 0.0)):
                self._recorder.alarm(f"the clock of edge {answer.edge} is {say_skew(answer.skew)} this machine's")
            self.skews[answer.edge] = answer.skew

    def insist(self) -> None:
        """What begins now counts on the canary's term and on edges that know the table."""
        agree_on_time(self.skews)
        agree_on_latency(self._plan.latency, self.known)
        agree_on_tables(asked_of_edges(self._plan), self._understood)

    def _order(self, table: RouteTable) -> RouteTable:
        self._revision += 1
        return replace(table, revision=self._revision).ordered(self._seat.epoch, self._seat.token, self._number())

    async def _put(self, ordered: RouteTable, purpose: Purpose) -> tuple[EdgeAck, ...]:
        """Send an order once, and learn the revisions of those that refuse it."""
        with span("put table", Kind.CLIENT, of_table(ordered)) as told:
            acks = await put_for(self._ports.router, ordered, purpose) if self._ports.router else ()
            if bad := [ack for ack in acks if not ack.ok]:
                told.fail("GP715", "; ".join(f"{ack.edge}: {ack.error}" for ack in bad))
        self._revision = max([self._revision, *(ack.revision for ack in acks)])
        self._hear(acks)
        return acks

    async def renew_term(self) -> None:
        """Prolong the canary's term on the edges, the dead man's switch: once, and never while a table is being put.

        Raises:
            GopubError: GP715 an edge did not take it, which its next try may mend.
        """
        table = self._table
        if table is None or table.canary is None or table.canary_until is None or self._putting.locked():
            return
        renewed = self._order(replace(table, canary_until=self._ports.clock.now() + lease.TERM))
        self._renewing = asyncio.create_task(self._put(renewed, "renew"))
        try:
            done, _ = await asyncio.wait({self._renewing}, timeout=lease.QUICK)
            if not done:
                raise GopubError("GP715", f"the edges did not all answer within {lease.QUICK:g}s", hint="are they up?")
            bad = [] if self._renewing.cancelled() else [ack for ack in self._renewing.result() if not ack.ok]
            if bad:
                raise GopubError("GP715", "; ".join(f"{ack.edge}: {ack.error}" for ack in bad), hint="is it up?")
        finally:
            self._renewing.cancel()
            self._renewing = None
