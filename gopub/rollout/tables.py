"""Which hosts serve which track, as a route table. Pure.

Weights while hosts are on their way into a step:

1. never below what the last step had, never above what this step asks for: a canary only grows;
2. in between, traffic follows the peers that are in a pool, so that nobody carries the share of one who is away;
3. a track without peers carries nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gopub.rollout.machine import State
from gopub.rollout.model import FULL, Plan, PlannedStep
from gopub.rollout.plan import load, share_while_going_back
from gopub.traffic.table import Peer, RouteTable, Rule, Track

Place = Literal["stable", "canary", "out"]


@dataclass(frozen=True, slots=True)
class Pools:
    """Where each host of the plan stands; ``out`` gets no new request."""

    places: Mapping[str, Place]

    def moved(self, names: tuple[str, ...], place: Place) -> Pools:
        """The same with these hosts elsewhere."""
        return Pools({**self.places, **dict.fromkeys(names, place)})

    def at(self, place: Place) -> tuple[str, ...]:
        """The hosts that stand there."""
        return tuple(name for name, where in self.places.items() if where == place)


def pools_of(state: State) -> Pools:
    """Where the journal leaves each host; one with an unknown outcome, owed, or idle and not on stable is out."""
    stable = state.plan.stable if state.plan else None
    idle = {host.name for host in state.plan.hosts if host.idle} if state.plan else set()

    def place(name: str) -> Place:
        host = state.hosts[name]
        if host.intends is not None or host.owed:
            return "out"
        if host.track == "canary":
            return "canary"
        if stable is None or not host.runs or (name in idle and not host.runs.startswith(stable.short)):
            return "out"
        return "stable"

    return Pools({name: place(name) for name in state.hosts})


def weight_on_the_way(pools: Pools, before: int, step: PlannedStep) -> int:
    """The canary's weight while a step's hosts come in (rules 1 to 3)."""
    canary, stable = len(pools.at("canary")), len(pools.at("stable"))
    if not canary:
        return 0
    if not stable:
        return FULL
    if step.header:
        return before
    return min(max(before, round(FULL * canary / (canary + stable))), max(before, step.weight))


def weight_going_back(plan: Plan, pools: Pools) -> int:
    """What the canary keeps while going back: what stable cannot carry, mostly nothing."""
    canary = len(pools.at("canary"))
    if not canary or not pools.at("stable"):
        return FULL if canary else 0
    return share_while_going_back(len(pools.at("stable")) + canary, canary, plan.max_load)


def table_of(plan: Plan, pools: Pools, weight: int, *, step: PlannedStep | None, until: float) -> RouteTable:
    """The table for these pools; revision and order are put on by whoever sends it."""
    canary = _peers(plan, pools.at("canary"))
    stable = _peers(plan, pools.at("stable"))
    total = len(canary) + len(stable)
    carries = bool(stable) and load(total, len(canary), 0.0).stable <= plan.max_load + 1e-9
    rules = (Rule(f"step-{step.index + 1}", *step.header),) if step and step.header and canary else ()
    return RouteTable(
        app=plan.app,
        env=plan.env,
        upstream=plan.upstream,
        rollout=plan.rollout,
        salt=plan.rollout,
        sticky=plan.sticky,
        trust=plan.trust,
        weight=weight if canary else 0,
        stable=Track(plan.stable.release, stable) if plan.stable and stable else None,
        canary=Track(plan.release.release, canary) if canary else None,
        canary_until=until if canary else None,
        lapse="stable" if carries else "keep",
        rules=rules,
    )


def settled_table(plan: Plan, hosts: tuple[str, ...], release: str) -> RouteTable:
    """One track, the stable one: the state between rollouts."""
    return RouteTable(
        app=plan.app,
        env=plan.env,
        upstream=plan.upstream,
        rollout=plan.rollout,
        salt=plan.rollout,
        sticky=plan.sticky,
        trust=plan.trust,
        stable=Track(release, _peers(plan, hosts)) if hosts else None,
    )


def _peers(plan: Plan, names: tuple[str, ...]) -> tuple[Peer, ...]:
    return tuple(Peer(name, plan.host(name).peer) for name in names)
