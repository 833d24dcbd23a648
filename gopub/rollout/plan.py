"""The box that plans: each host rendered, the edges asked, the kit written, the plan frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gopub.canon import sha256
from gopub.fleet.facts import HostFacts
from gopub.fleet.slots import SIDE
from gopub.fleet.templates import Rendered
from gopub.health.busiest import Busiest, choose, told_of_choice
from gopub.health.config import SloTarget
from gopub.health.samples import CounterSnapshot, NoData
from gopub.health.sources import RouteSource, Unsure
from gopub.health.usual import usual, usual_endpoints
from gopub.journal import events as ev
from gopub.journal.kit import Kit, write_kit
from gopub.journal.reading import read_env_state, starts_of_stable
from gopub.journal.streams import env_stream
from gopub.plan import lines
from gopub.plan.floor import Before, told_unknown
from gopub.plan.model import Plan
from gopub.plan.sight import LOOK, Wanted, growth, told, told_of_endpoints
from gopub.plan.steps import endpoints, plan_rollout
from gopub.plan.trusted import told_left_out
from gopub.plan.ways import restarts_for_files, ways
from gopub.release.model import Release
from gopub.rollout.addresses import by_address, house_by_address
from gopub.rollout.box import box
from gopub.rollout.brake import brake
from gopub.rollout.payload import asks_of, render_all
from gopub.rollout.run import Run
from gopub.rollout.seat import before_of
from gopub.rollout.survey import statuses_of
from gopub.rollout.tables import asked_of_edges
from gopub.spec.endpoints import AUTO
from gopub.spec.texts import INVENTORY
from gopub.traffic.protocol import agree_on_tables
from gopub.wiring.ports import Ports


@box
async def plan(run: Run) -> None:
    """Freeze hosts and steps; the rollback kit is written first, so that every plan has one."""
    if run.state.plan is not None or run.release is None:
        return
    made = await make_plan(run.rollout, run.release, run.state.env, run.ports, run.facts, run.notes,
                           before=run.before)  # fmt: skip
    ports = run.ports
    kit = Kit(run.seat.epoch, made, ports.hosts, ports.environment, ports.edges, ports.edge_connection,
              _known(run, made), fleet=ports.fleet_connection, floor=_before(run).floor)  # fmt: skip
    write_kit(ports.kits, kit)
    run.record(ev.Planned(made))
    await run.edges.claim()


def _before(run: Run) -> Before:
    return run.before or before_of(read_env_state(run.ports.journal, run.state.app, run.state.env))


def _known(run: Run, made: Plan) -> tuple[tuple[str, str], ...]:
    """Every release that was stable here, and the one that comes: what `rollback --to VERSION` can name."""
    entries = run.ports.journal.read(env_stream(run.state.app, run.state.env))
    closed = [entry.event for entry in entries if isinstance(entry.event, ev.EnvClosed)]
    stable = [(event.stable_version, event.stable) for event in closed if event.stable]
    if made.stable:
        stable.append((made.stable.version, made.stable.release))
    return (*dict.fromkeys(stable), (run.state.release_version, run.state.release))


async def make_plan(
    rollout: str,
    release: Release,
    env: str,
    ports: Ports,
    facts: Mapping[str, HostFacts],
    notes: tuple[str, ...] = (),
    *,
    before: Before | None = None,
) -> Plan:
    """Render for each host, ask the edges which hosts serve and under which addresses they shall, and plan.

    ``before`` is what serves now, by default what the journal says; its floor stays where the release names none.
    """
    rendered = render_all(release, env, ports.environment, ports.hosts)
    renders = {name: one.render_id for name, one in rendered.items()}
    before = before or before_of(read_env_state(ports.journal, release.app, env))
    edges = await statuses_of(ports, release.app, env, ports.environment)
    serving = {host for edge in edges if edge.table for host in edge.table.hosts()}
    hosts = await by_address(ports.hosts) if ports.environment.traffic else ports.hosts
    house, left = await _house(ports)
    unable = await _unable(ports.metrics, release.app, env)
    planned = plan_rollout(
        rollout, release, env, ports.environment, hosts, facts, renders, before.release,
        counted=ports.metrics is not None and not unable, serving=serving, house=house,
        notes=(*notes, *unable, *left, *told_unknown(before)),
        starts=starts_of_stable(ports.journal, release.app, env),
        before_port=int(dict(before.asks).get("traffic_port", 0)),
    )  # fmt: skip
    agree_on_tables(asked_of_edges(planned), {edge.edge: edge.tables for edge in edges if not edge.error})
    planned = await _busiest(planned, ports)
    weight = ports.environment.judge.score.memory_growth if planned.mode == "judged" else 0.0
    told_before = (
        *_ways(ports, facts, rendered),
        *_for_files(release, ports, facts, rendered),
        *growth(planned.steps, weight),
        *await _sight(planned, ports),
        *await brake(planned, ports),
    )
    other = before.release and dict(before.asks) != asks_of(ports.environment)
    return replace(
        planned,
        notes=(*planned.notes, *told_before),
        floor=planned.floor or before.floor or "",
        before_asks=before.asks if other else (),
    )


def _ways(ports: Ports, facts: Mapping[str, HostFacts], rendered: Mapping[str, Rendered]) -> tuple[str, ...]:
    if ports.environment.switch == SIDE:
        return ()
    unit = f"{ports.environment.instance}.service"
    return ways(ports.environment.switch, facts, {name: sha256(one.files[unit]) for name, one in rendered.items()})


def _for_files(
    release: Release, ports: Ports, facts: Mapping[str, HostFacts], rendered: Mapping[str, Rendered]
) -> tuple[str, ...]:
    taken_in = {file.to for file in ports.environment.config if file.apply == "reload"}
    files = {
        name: {path: sha256(data) for path, data in one.files.items() if path in taken_in}
        for name, one in rendered.items()
    }
    binaries = {target: of.binary.digest for target, of in release.targets.items()}
    why = restarts_for_files(facts, files, binaries)
    return (why,) if why else ()


async def _house(ports: Ports) -> tuple[Mapping[str, Sequence[str]], tuple[str, ...]]:
    """Who calls through the edges and is believed, and what a person must know of those who are not."""
    traffic = ports.environment.traffic
    if traffic is None or INVENTORY not in traffic.trust:
        return {}, ()
    house = await house_by_address(ports.house)
    return house, told_left_out(house)


async def _unable(metrics: object, app: str, env: str) -> tuple[str, ...]:
    why = await metrics.unable(app, env) if isinstance(metrics, Unsure) else ""
    return (why,) if why else ()


async def _busiest(planned: Plan, ports: Ports) -> Plan:
    """The plan with the endpoints that ``auto`` means, fixed here: what stable serves most before the start."""
    judge = ports.environment.judge
    if AUTO not in judge.endpoints or planned.mode != "judged" or planned.stable is None:
        return planned
    found = await _routes(ports.metrics, planned, ports.clock.now())
    if isinstance(found, NoData):
        return replace(planned, notes=(*planned.notes, f"judge.endpoints: auto chose none: {found.reason}"))
    chosen = choose(found, judge.endpoints)
    more = endpoints(judge, [one.endpoint for one in chosen])
    return replace(planned, endpoints=(*planned.endpoints, *more), notes=(*planned.notes, told_of_choice(chosen)))


async def _routes(metrics: object, planned: Plan, at: float) -> Busiest | NoData:
    if not isinstance(metrics, RouteSource):
        return NoData("nobody who is asked knows the service's routes")
    return await metrics.busiest(planned.app, planned.env, [host.name for host in planned.hosts], at)


async def _sight(planned: Plan, ports: Ports) -> tuple[str, ...]:
    """What the steps can see, where somebody counts what stable's traffic is."""
    if planned.mode != "judged" or ports.metrics is None or planned.stable is None:
        return ()
    now, releases = ports.clock.now(), (planned.stable.short,)
    past = await ports.metrics.history(planned.app, planned.env, releases, now)
    if isinstance(past, NoData):
        return (f"what the steps can see is not known: {past.reason}",)
    if (found := usual(past, planned.stable.short)) is None:
        return ()
    judge, last = ports.environment.judge, await ports.metrics.counters(planned.app, planned.env, releases, now)
    scraped = last.interval if isinstance(last, CounterSnapshot) else None
    slo = SloTarget(judge.slo.latency_p95, judge.slo.error_rate)
    names = [one.match for one in planned.endpoints]
    wanted = Wanted(slo, judge.alpha, max(judge.look or LOOK, scraped or 0.0), len(names))
    by_lines = lines.told(planned.steps, found) if judge.logs_profile == "article" else ()
    by_name = usual_endpoints(past, planned.stable.short, names) if names else {}
    of_endpoints = told_of_endpoints(planned.steps, by_name, names, wanted)
    return (*told(planned.steps, found, wanted), *of_endpoints, *by_lines)
