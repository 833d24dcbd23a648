"""Ours: the product's own observer, evidence and decision, fed with the counters that its edges would export."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gopub.health.config import JudgeConfig, PromoteTarget, SloTarget
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, NoData, ProcessHealth, RawSeries, RuntimeSnapshot
from gopub.judge.decision import decide
from gopub.judge.verdict import Cause, History, Kind, Policy
from tests.bench.gate.traffic import BOUNDS, Cell, Tick, World

CANARY, STABLE = "c" * 12, "5" * 12
T0 = 1_700_000_000.0
ALPHA = 0.01
MIB = 1024 * 1024
EARLY = "early"
"""The mark of a first step that ``promote: evidence`` would leave before its bake is over."""
_EVIDENCE = PromoteTarget()


class Edge:
    """A metric source: one edge whose counters are the sums of the ticks."""

    def __init__(self, cell: Cell, past: Sequence[Tick]) -> None:
        self.cell, self.now, self.read_at = cell, T0, T0
        self.classes: dict[tuple[str, str], list[int]] = {}
        self.buckets: dict[tuple[str, str], list[int]] = {}
        self.endpoints: dict[tuple[str, str], list[list[int]]] = {}
        self.kept = [self._add(tick) for tick in past]
        self.newest = self.kept[-1] if self.kept else self._snapshot(T0)

    def _snapshot(self, at: float) -> CounterSnapshot:
        rows = tuple(
            RawSeries(
                "e1", release, host,
                dict(zip(("2xx", "5xx", "cut"), map(float, self.classes[release, host]), strict=True)),
                dict(zip((*BOUNDS, math.inf), map(float, itertools.accumulate(buckets)), strict=True)),
                endpoints=_endpoints(self.endpoints.get((release, host), ())),
            )
            for (release, host), buckets in self.buckets.items()
        )  # fmt: skip
        return CounterSnapshot(at, rows, {"e1": at}, self.cell.scrape)

    def _add(self, tick: Tick) -> CounterSnapshot:
        if tick.reset:
            self.classes.clear()
            self.buckets.clear()
            self.endpoints.clear()
        for one in tick.hosts:
            key = (CANARY if one.canary else STABLE, one.host)
            counts = self.classes.setdefault(key, [0, 0, 0])
            new = (one.attempts - one.errors - one.cut, one.errors, one.cut)
            self.classes[key] = [a + b for a, b in zip(counts, new, strict=True)]
            known = self.buckets.setdefault(key, [0] * len(one.buckets))
            self.buckets[key] = [a + b for a, b in zip(known, one.buckets, strict=True)]
            if one.endpoints:
                before = self.endpoints.setdefault(key, [[0, 0, 0] for _ in one.endpoints])
                self.endpoints[key] = [
                    [a + b for a, b in zip(row, more, strict=True)]
                    for row, more in zip(before, one.endpoints, strict=True)
                ]
        return self._snapshot(T0 + tick.at)

    def take(self, tick: Tick) -> None:
        """The next tick; without a scrape the newest answer stays what it was."""
        found = self._add(tick)
        self.now = T0 + tick.at
        if tick.scraped:
            self.newest = found

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """As of the newest scrape."""
        return self.newest

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        return tuple(self.kept) if self.kept else NoData("nothing was kept")

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        return RuntimeSnapshot(at)


def _endpoints(rows: Sequence[Sequence[int]]) -> dict[tuple[str, str], float]:
    """As an edge counts them: every answer is timed here."""
    found: dict[tuple[str, str], float] = {}
    for at, (attempts, errors, slow) in enumerate(rows):
        counts = {"ok": attempts - errors, "error": errors, "fine": attempts - slow, "slow": slow}
        found |= {(f"/{at}", kind): float(count) for kind, count in counts.items()}
    return found


@dataclass
class Found:
    """How one rollout went: seconds and canary requests at each mark, None where it was not reached."""

    kind: str = "HOLD"
    rule: int = 0
    at: float | None = None
    requests: int = 0
    marks: dict[str, tuple[float, int]] = field(default_factory=dict)
    phi: float = 1.0

    @property
    def stopped(self) -> bool:
        """Whether the release was taken from its users."""
        return self.kind in ("ROLLBACK", "WITHDRAW")


def config_of(cell: Cell) -> JudgeConfig:
    """The product's defaults, with what the cell's team declared."""
    slo = SloTarget(*cell.slo)
    endpoints = tuple(f"/{at}" for at in range(len(cell.endpoints)))
    return JudgeConfig("app", "prod", "r", CANARY, STABLE, slo, warmup=cell.warmup, alpha=ALPHA, endpoints=endpoints)


def run(cell: Cell, past: Sequence[Tick], ticks: Sequence[Tick], *, early: bool = False) -> Found:
    """One rollout; the deadline is its end. ``early``: when ``promote: evidence`` would go on is marked as well."""
    return asyncio.run(_run(cell, past, ticks, early=early))


async def _run(cell: Cell, past: Sequence[Tick], ticks: Sequence[Tick], *, early: bool) -> Found:
    config = config_of(cell)
    edge = Edge(cell, past)
    observer, policy, found = Observer(edge, None, config), Policy.of(config), Found()
    await observer.start(T0)
    history = History(T0, T0, cell.step - cell.scrape, T0 + cell.length)
    for tick in ticks:
        edge.take(tick)
        begun = T0 + tick.step * cell.step
        history = History(T0 + tick.at, begun, history.bake, history.deadline, watch_since=history.watch_since)
        hosts = [_health(cell, one.host, tick.at) for one in tick.hosts if one.canary]
        others = [ProcessHealth(host) for host in observer.suspects()]
        since = {one.host: T0 for one in hosts}
        seen = await observer.look(history.now, hosts, tick.step, others=others, since=since)
        found.requests += sum(one.attempts for one in tick.of(canary=True))
        _mark(found, seen, tick.at)
        verdict = decide(seen, policy, history)
        if early and verdict.kind is Kind.HOLD and verdict.cause is Cause.BAKES and EARLY not in found.marks:
            sooner = decide(seen, replace(policy, promote=_EVIDENCE), history)
            if sooner.kind is Kind.PROMOTE and tick.step == 0:
                found.marks[EARLY] = (tick.at, found.requests)
        history = history.after(verdict)
        final = verdict.kind in (Kind.ROLLBACK, Kind.WITHDRAW) or tick is ticks[-1]
        if final and found.at is None:
            found.kind, found.rule, found.at = str(verdict.kind), verdict.rule, tick.at
        if found.at is not None and ("back" in found.marks or cell.innocent):
            break
    return found


def _health(cell: Cell, host: str, at: float) -> ProcessHealth:
    leak = cell.fault.leak if cell.fault else 0.0
    return ProcessHealth(host, memory=(200 + leak * at / 60) * MIB)


def _mark(found: Found, seen: Observation, at: float) -> None:
    """``watch`` and ``back`` are what is acted on; ``errors*`` the errors' own test, before the family is paid."""
    evidence = seen.evidence
    errors = next((metric.log_e for metric in evidence.metrics if metric.name == "errors"), 0.0)
    found.phi = max(found.phi, evidence.phi)
    reached = {
        "watch": (max(evidence.log_e, evidence.log_e_all), 1.0),
        "back": (evidence.log_e, 100.0),
        "errors watch": (errors, 1.0),
        "errors back": (errors, 100.0),
    }
    for name, (log_e, times) in reached.items():
        if name not in found.marks and log_e >= math.log(times / ALPHA):
            found.marks[name] = (at, found.requests)


def one(cell: Cell, seed: int, *, early: bool = False) -> tuple[list[Tick], Found]:
    """Draw a rollout and let ours see it; the ticks are for the rivals."""
    world = World(cell, seed)
    past = list(world.past())
    ticks = list(world.ticks())
    return ticks, run(cell, past, ticks, early=early)
