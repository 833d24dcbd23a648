"""Which hosts serve which track, as a route table. Pure.

Weights while hosts are on their way into a step:

1. never below what the last step had, never above what this step asks for: a canary only grows;
2. in between, traffic follows the peers that are in a pool, so that nobody carries the share of one who is away;
3. a track without peers carries nothing.

Hosts that could not be confirmed on the way back (owed) leave the pool, but never more than the others can carry:

4. where those are too few, owed hosts that said that they run stable's folder stay, as stable;
5. where these are still too few, all others that are owed stay, as the canary: they may run the new release, get no
   more than stable cannot carry, and are counted as what they may be.

A host on which the new release runs beside what serves (``switch: side-by-side``) stays where it is until it is proven:
what served goes on there, forward and back.

Those of one kind stay together, since nobody knows which of them answers. A first release has no stable: what goes back
then is the service, and nobody stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gopub.journal.state import HostState, State
from gopub.plan.capacity import carried, load, share_while_going_back
from gopub.plan.model import FULL, Plan, PlannedHost, PlannedStep
from gopub.plan.routes import condition_of
from gopub.traffic.conditions import Header
from gopub.traffic.shapes import version_of
from gopub.traffic.table import Peer, RouteTable, Rule, Track, to_json

Place = Literal["stable", "canary", "out"]
_KINDS: tuple[Place, ...] = ("stable", "canary")


@dataclass(frozen=True, slots=True)
class Pools:
    """Where each host of the plan stands; ``out`` gets no new request."""

    places: Mapping[str, Place]
    since: Mapping[str, float] = field(default_factory=dict)
    """When hosts that this rollout switched were proven, where it matters: seconds since the epoch."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """On which port a host serves, where that is another than the plan found."""

    def moved(self, names: tuple[str, ...], place: Place) -> Pools:
        """The same with these hosts elsewhere."""
        return replace(self, places={**self.places, **dict.fromkeys(names, place)})

    def at(self, place: Place) -> tuple[str, ...]:
        """The hosts that stand there."""
        return tuple(name for name, where in self.places.items() if where == place)


def pools_of(state: State) -> Pools:
    """Where the journal leaves each host; one with an unknown outcome, owed, or idle and not on stable is out.

    Owed hosts that the others cannot do without stay (rules 4 and 5).
    """
    stable = state.plan.stable if state.plan else None
    known = state.plan.hosts if state.plan else ()
    idle, beside = {host.name for host in known if host.idle}, {host.name for host in known if host.beside}

    def place(name: str) -> Place:
        host = state.hosts[name]
        if host.owed or (host.intends is not None and name not in beside):
            return "out"
        if host.track == "canary":
            return "canary"
        if stable is None or not host.runs or (name in idle and not host.runs.startswith(stable.short)):
            return "out"
        return "stable"

    places = {name: place(name) for name in state.hosts}
    since = {name: host.since for name, host in state.hosts.items() if host.since}
    kept = _kept(state, sum(where != "out" for where in places.values()))
    # an owed host that names stable's folder serves where the plan found it
    ports = {name: host.port for name, host in state.hosts.items() if host.port and kept.get(name) != "stable"}
    return Pools({**places, **kept}, since, ports)


def _kept(state: State, sure: int) -> dict[str, Place]:
    """Owed hosts that stay although they could not be confirmed, ``sure`` being how many serve without them."""
    plan = state.plan
    if plan is None or plan.stable is None:
        return {}
    needed = sum(not host.idle for host in plan.hosts)
    kept: dict[str, Place] = {}
    for kind in _KINDS:
        if carried(needed, sure + len(kept), plan.max_load):
            break
        kept |= {host.name: kind for host in plan.hosts if _owed_kind(state.hosts[host.name], host) == kind}
    return kept


def _owed_kind(host: HostState, planned: PlannedHost) -> Place:
    """The track of an owed host, were it to stay; one that never served has none."""
    if not host.owed or (planned.idle and host.track != "canary"):
        return "out"
    return "stable" if host.found and host.found == planned.before else "canary"


def kept_in(pools: Pools, state: State) -> tuple[str, ...]:
    """Hosts that are in a pool although they are owed."""
    return tuple(name for name in state.owed if pools.places[name] != "out")


def weight_on_the_way(pools: Pools, before: int, step: PlannedStep) -> int:
    """The canary's weight while a step's hosts come in (rules 1 to 3)."""
    canary, stable = len(pools.at("canary")), len(pools.at("stable"))
    if not canary:
        return 0
    if not stable:
        return FULL
    if step.chosen:
        return before
    return min(max(before, round(FULL * canary / (canary + stable))), max(before, step.weight))


def weight_going_back(plan: Plan, pools: Pools) -> int:
    """What the canary keeps while going back: what stable cannot carry, mostly nothing."""
    canary = len(pools.at("canary"))
    if not canary or not pools.at("stable"):
        return FULL if canary else 0
    return share_while_going_back(len(pools.at("stable")) + canary, canary, plan.max_load)


def table_of(
    plan: Plan, pools: Pools, weight: int, *, step: PlannedStep | None, until: float | None, warm: bool = False,
    weight_from: int = 0, now: float = 0.0,
) -> RouteTable:  # fmt: skip
    """The table for these pools; revision and order are put on by whoever sends it.

    With ``warm`` new peers come in slowly, from the weight that the edges gave the canary until now (``weight_from``);
    edges of older versions do not know it.
    """
    canary = _peers(plan, pools, "canary", warm=warm)
    stable = _peers(plan, pools, "stable")
    total = len(canary) + len(stable)
    carries = bool(stable) and load(total, len(canary), 0.0).stable <= plan.max_load + 1e-9
    rules = (_rule(step, now),) if step and step.chosen and canary else ()
    return replace(
        _bare(plan),
        weight=weight if canary else 0,
        stable=Track(plan.stable.release, stable) if plan.stable and stable else None,
        canary=Track(plan.counted, canary, plan.tag) if canary else None,
        canary_until=until if canary else None,
        lapse="stable" if carries else "keep",
        rules=rules,
        warmup=plan.warmup if any(peer.since for peer in canary) else 0.0,
        weight_from=weight_from if any(peer.since for peer in canary) else 0,
    )


def asked_of_edges(plan: Plan) -> int:
    """The version of route tables that the edges must understand for every table of a plan."""
    one = Pools({host.name: "canary" for host in plan.hosts[:1]})
    tables = (table_of(plan, one, FULL, step=step, until=None) for step in plan.steps)
    return max((version_of(to_json(table)) for table in tables), default=1)


def _rule(step: PlannedStep, now: float) -> Rule:
    """What chooses the canary's users in this step; windows are told from ``now`` on."""
    when = Header(*step.header) if step.header else condition_of(step.route, now)
    return Rule(f"step-{step.index + 1}", when)


def last_table(plan: Plan, pools: Pools) -> RouteTable:
    """The table at the end of the way back: stable alone, but for owed hosts that nobody can replace (rule 5).

    Nobody drives from here on, so what stays has no term.
    """
    if pools.at("canary"):
        return table_of(plan, pools, weight_going_back(plan, pools), step=None, until=None)
    release = plan.stable.release if plan.stable else plan.release.release
    return settled_table(plan, pools, "stable", release)


def settled_table(plan: Plan, pools: Pools, place: Place, release: str) -> RouteTable:
    """One track, the stable one, of the hosts that stand there: the state between rollouts."""
    peers = _peers(plan, pools, place)
    return replace(_bare(plan), stable=Track(release, peers) if peers else None)


def warming(state: State, now: float) -> dict[str, float]:
    """Canary hosts that have not warmed up yet, and when they will have."""
    warmup = state.plan.warmup if state.plan else 0.0
    ends = {name: host.since + warmup for name, host in state.hosts.items() if host.track == "canary"}
    return {name: end for name, end in ends.items() if now < end}


def may_leave(state: State, batch: tuple[str, ...], now: float) -> bool:
    """Whether the others carry the load without these hosts, one that warms up carrying nothing yet."""
    plan, places = state.plan, pools_of(state).places
    if plan is None:
        return True
    serving = {name for name, place in places.items() if place != "out"}
    sure = len(serving - set(batch) - set(warming(state, now)))
    return carried(len(serving), sure, plan.max_load)


def left_addresses(plan: Plan, pools: Pools, names: Sequence[str], slots: Sequence[int]) -> tuple[str, ...]:
    """Where the other process of hosts on which two run side by side listens; ``slots`` are the ports of the spec."""
    found: dict[str, None] = {}
    for host in (plan.host(name) for name in names):
        serves = host.peer_at(pools.ports.get(host.name, 0))
        if host.beside:
            found |= dict.fromkeys(one for one in (host.peer, *map(host.peer_at, slots)) if one != serves)
    return tuple(found)


def _bare(plan: Plan) -> RouteTable:
    """What every table of a rollout says, whoever serves."""
    return RouteTable(
        app=plan.app,
        env=plan.env,
        upstream=plan.upstream,
        rollout=plan.rollout,
        salt=plan.rollout,
        sticky=plan.sticky,
        trust=plan.trust,
        latency=plan.latency,
        endpoints=plan.endpoints,
    )


def _peers(plan: Plan, pools: Pools, place: Place, *, warm: bool = False) -> tuple[Peer, ...]:
    since = pools.since if warm and plan.warmup else {}
    at = {name: plan.host(name).peer_at(pools.ports.get(name, 0)) for name in pools.at(place)}
    return tuple(Peer(name, peer, since.get(name)) for name, peer in at.items())
