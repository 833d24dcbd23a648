"""From a release, an environment and the facts of its hosts to a frozen plan. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from gopub.errors import RefusedError, UsageError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.fleet.slots import SIDE
from gopub.health.starts import Starts, say_seen, warmup_of
from gopub.plan import again, keeping
from gopub.plan.capacity import WantedStep, steps
from gopub.plan.model import FULL, Mode, Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.plan.preflight import adopted_notes
from gopub.plan.trusted import networks
from gopub.release.model import Release
from gopub.spec.endpoints import AUTO
from gopub.spec.models import Environment, Judge, Step, Traffic
from gopub.spec.route import only_header, text_of
from gopub.traffic.table import Endpoint


def plan_rollout(
    rollout: str,
    release: Release,
    env: str,
    environment: Environment,
    hosts: Sequence[Host],
    facts: Mapping[str, HostFacts],
    renders: Mapping[str, str],
    stable: ReleaseRef | None,
    *,
    counted: bool,
    serving: Collection[str] = (),
    notes: tuple[str, ...] = (),
    starts: Starts | None = None,
    house: Mapping[str, Sequence[str]] | None = None,
    before_port: int = 0,
) -> Plan:
    """Everything that the rollout will do.

    ``counted`` tells whether anything counts the requests; ``serving`` are the hosts that an edge sends traffic to,
    ``notes`` what a person must know besides, ``starts`` how the hosts of the stable release were when it was promoted,
    ``house`` the addresses of all hosts of the inventory, ``before_port`` where stable listens for traffic (0: where
    the release does).

    Raises:
        UsageError: GP71x what ``steps`` refuses, RefusedError: GP718 no build for a host's kind of machine.
    """
    known = stable
    stable = stands(stable, facts)
    traffic = environment.traffic
    mode: Mode = "judged" if traffic and counted else "health-only"
    repeats = stable is not None and stable.release == release.release_id
    same = again.unchanged(release.release_id, facts, renders) if repeats else frozenset()
    revision = again.revision_of(release.release_id, renders) if repeats and mode == "judged" else ""
    on_stable = [host.name for host in hosts if stable and _is_on(stable, facts[host.name])]
    keep = min(environment.rollout.keep_stable, len(on_stable)) if stable and mode == "judged" else 0
    planned = _in_order(
        (
            _host(
                host,
                environment,
                facts[host.name],
                renders[host.name],
                stable,
                serves=host.name in serving,
                before_port=before_port,
            )
            for host in hosts
        ),
        on_stable,
        keep,
        same,
    )
    _check_targets(release, planned)
    seen = warmup_of(starts) if traffic and "warmup" not in traffic.model_fields_set and stable == known else None
    told = (
        *(again.notes(revision, sorted(same), len(hosts), environment) if repeats else ()),
        *notes,
        *((say_seen(seen),) if seen is not None else ()),
        *_notes(mode, stable, planned, facts),
    )
    plan = _keeping(_frozen(rollout, release, env, environment, stable, planned, mode, told, keep), environment)
    plan = replace(plan, revision=revision)
    return _at_the_edge(plan, traffic, environment.judge, seen, house or {}) if traffic else plan


def _keeping(plan: Plan, environment: Environment) -> Plan:
    """With what it means that hosts stay on stable, or why none does although the spec asks for it."""
    if not environment.rollout.keep_stable:
        return plan
    told = keeping.FIRST if plan.stable is None else keeping.UNCOUNTED
    if plan.keep_stable:
        told = keeping.cost(plan.steps, len(plan.hosts), plan.keep_stable, plan.deadline, plan.kept)
        told += keeping.fewer(plan.keep_stable, environment.rollout.keep_stable)
    return replace(plan, notes=(*plan.notes, told))


def _frozen(
    rollout: str,
    release: Release,
    env: str,
    environment: Environment,
    stable: ReleaseRef | None,
    hosts: tuple[PlannedHost, ...],
    mode: Mode,
    notes: tuple[str, ...],
    keep: int,
) -> Plan:
    """The plan of these hosts, with no edge before them."""
    return Plan(
        rollout=rollout,
        app=release.app,
        env=env,
        instance=environment.instance,
        release=ReleaseRef(release.release_id, release.version),
        stable=stable,
        hosts=hosts,
        steps=_steps(environment, hosts, keep, first=stable is None),
        max_unavailable=environment.max_unavailable.down(len(hosts)),
        max_load=environment.max_load,
        deadline=environment.rollout.ends_within,
        drain=0.0,
        mode=mode,
        windows=environment.rollout.window,
        notes=notes,
        keep_releases=environment.keep_releases,
        floor=environment.compat.floor or "",
        binaries=tuple((target, of.binary.digest) for target, of in release.targets.items()),
        archives=tuple(
            (target, of.archive.digest, of.archive.size, of.binary.size) for target, of in release.targets.items()
        ),
        keep_stable=keep,
    )


def _at_the_edge(
    plan: Plan, traffic: Traffic, judge: Judge, warmup_seen: float | None, house: Mapping[str, Sequence[str]]
) -> Plan:
    """The plan with how its edges give requests to these hosts."""
    return replace(
        plan,
        drain=traffic.drain,
        upstream=traffic.upstream,
        sticky=traffic.sticky,
        trust=networks(traffic.trust, house),
        latency=traffic.latency,
        tag=traffic.tag,
        warmup=warmup_seen or traffic.warmup,
        warmup_seen=warmup_seen is not None,
        endpoints=endpoints(judge, [text for text in judge.endpoints if text != AUTO]),
    )


def endpoints(judge: Judge, names: Sequence[str]) -> tuple[Endpoint, ...]:
    """What edges count by itself, and above which seconds an answer is slow."""
    return tuple(Endpoint(text, _slow(judge.slo.latency_p95)) for text in names)


def _slow(bound: float | None) -> float | None:
    """What an edge can count by: a bound out of its reach is none."""
    return bound if bound is not None and 0.001 <= bound <= 600 else None


def stands(stable: ReleaseRef | None, facts: Mapping[str, HostFacts]) -> ReleaseRef | None:
    """What a rollout takes for stable: the release that the journal names where any host runs it, else what most do."""
    return stable if stable and _is_there(stable, facts) else _most_run(facts)


def _is_there(stable: ReleaseRef, facts: Mapping[str, HostFacts]) -> bool:
    return any(_is_on(stable, fact) for fact in facts.values())


def _most_run(facts: Mapping[str, HostFacts]) -> ReleaseRef | None:
    """What most hosts run, where the journal does not know it: a journal may be lost, the hosts are not."""
    running = Counter(fact.current.release for fact in facts.values() if fact.current)
    for release, count in running.most_common(1):
        if 2 * count > len(facts):
            return ReleaseRef(release, release[:12])
    return None


def _in_order(
    hosts: Iterable[PlannedHost], on_stable: Sequence[str], keep: int, same: Collection[str]
) -> tuple[PlannedHost, ...]:
    """Hosts without traffic become the canary first: whatever happens to them, stable keeps all of its own.

    Those that stay as they are (``same``) show nothing, and come last but for those that are kept on stable to the end.
    """
    idle_first = {host.name: host for host in sorted(hosts, key=lambda host: (not host.idle, host.name in same))}
    return tuple(idle_first[name] for name in keeping.kept_last([*idle_first], on_stable, keep))


def _host(
    host: Host, environment: Environment, facts: HostFacts, render: str, stable: ReleaseRef | None, *, serves: bool,
    before_port: int,
) -> PlannedHost:  # fmt: skip
    port = environment.traffic.port if environment.traffic else environment.health.port
    before, digest = _before(facts, stable)
    if environment.traffic and stable and _is_on(stable, facts):
        port = before_port or port
    if facts.slots.port and environment.traffic:
        port = facts.slots.port
    return PlannedHost(
        name=host.name,
        peer=f"[{host.address}]:{port}" if ":" in host.address else f"{host.address}:{port}",
        machine_id=facts.machine_id,
        target=f"linux/{facts.arch}",
        render=render,
        before=before,
        before_digest=digest,
        idle=bool(environment.traffic and stable and not serves and not _is_on(stable, facts)),
        pinned=facts.enrolled is not None,
        beside=environment.switch == SIDE and bool(before),
        slot=facts.slots.slot,
    )


def _is_on(stable: ReleaseRef, facts: HostFacts) -> bool:
    return facts.current is not None and facts.current.release[:12] == stable.short


def _before(facts: HostFacts, stable: ReleaseRef | None) -> tuple[str, str]:
    """The folder to go back to and the digest of its binary, where it is known.

    A host may be elsewhere: it was down while a rollout was taken back, or came late. It goes back to stable if it
    holds that; else to what it had, if anything.
    """
    if stable and not _is_on(stable, facts):
        held = [name for name in facts.releases if name.startswith(stable.short)]
        if held:
            return (facts.previous if facts.previous in held else held[0]), ""
    return (facts.current.name, facts.current.binary) if facts.current else ("", "")


def _check_targets(release: Release, hosts: Sequence[PlannedHost]) -> None:
    for host in hosts:
        if host.target not in release.targets:
            built = ", ".join(release.targets)
            problem = f"{host.name} is {host.target}, and {release.app} {release.version} was built for {built}"
            raise RefusedError("GP718", problem, hint="add it to build.targets")


def _steps(
    environment: Environment, hosts: Sequence[PlannedHost], keep: int, *, first: bool
) -> tuple[PlannedStep, ...]:
    names = [host.name for host in hosts]
    if first:
        # Nothing serves yet: nobody to compare with, nothing to protect by going in steps. Health must hold for as
        # long as a host may take to become healthy, and no longer than the spec's own bakes.
        longest = max((step.bake for step in environment.rollout.steps), default=0.0)
        bake = min(longest, environment.health.within)
        # What the first step waits for, this one waits for.
        gates = environment.rollout.steps[:1]
        approve, between = (gates[0].approve or "", gates[0].between or "") if gates else ("", "")
        return (PlannedStep(0, tuple(names), FULL, bake, between=between, approve=approve),)
    return spec_steps(environment, names, keep)


def spec_steps(environment: Environment, names: Sequence[str], keep: int) -> tuple[PlannedStep, ...]:
    """The steps of gopub.yaml over these hosts, of which the last ``keep`` stay on the stable release that runs.

    Raises:
        UsageError: GP711, GP712, GP713, GP734 as ``capacity.steps``, GP719 a step needs an edge and there is none.
    """
    wanted = [_wanted(step) for step in environment.rollout.steps]
    if environment.traffic is None and any(step.weight is not None or step.chosen for step in wanted):
        raise UsageError("GP719", "a step has a weight or a route, and the environment has no traffic",
                         hint="add `traffic: {router: NAME}`")  # fmt: skip
    return steps(wanted, names, environment.max_load, keep=keep)


def _wanted(step: Step) -> WantedStep:
    header = only_header(step.route) if step.route else None
    route = text_of(step.route) if step.route and not header else ""
    return WantedStep(step.hosts, step.weight, header, step.bake, step.between or "", step.approve or "", route)


def _notes(
    mode: str, stable: ReleaseRef | None, hosts: Sequence[PlannedHost], facts: Mapping[str, HostFacts]
) -> tuple[str, ...]:
    notes = [*unpinned_note(hosts)]
    if mode == "health-only":
        notes.append("health-only: no router or no metrics, so promotion rests on the health checks alone")
    if stable is None:
        notes.append("first release: judged by health and absolute SLO; going back stops the unit")
        notes.extend(adopted_notes(facts))
    else:
        idle = [host.name for host in hosts if host.idle]
        other = sorted(name for name, fact in facts.items() if not _is_on(stable, fact) and name not in idle)
        if idle:
            notes.append(f"not on stable and without traffic, so they go first: {', '.join(idle)}")
        if other:
            notes.append(f"not on stable before the rollout, and serving: {', '.join(other)}")
    return tuple(notes)


def unpinned_note(hosts: Sequence[PlannedHost]) -> tuple[str, ...]:
    """What a person must know of hosts that do not check who orders; nothing where all are enrolled."""
    if not (unpinned := [host.name for host in hosts if not host.pinned]):
        return ()
    who = "hosts are unpinned" if len(unpinned) == len(hosts) else f"unpinned: {', '.join(unpinned)}"
    return (f"{who}: the program comes over SSH, and no key on the host checks orders",)
