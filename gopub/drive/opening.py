"""From "this version into that env" to a run with its seat, or to what there is to say instead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gopub.canon import Json
from gopub.drive import settings
from gopub.drive.addresses import by_address
from gopub.drive.adopting import adopt
from gopub.drive.entering import Entry, beginning, going_on
from gopub.drive.naming import Elsewhere
from gopub.drive.policy import signed_for
from gopub.drive.ports import Project, no_ports, open_ports, open_project
from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet
from gopub.release.model import Release, SignedRelease
from gopub.rollout.journal import Journal
from gopub.rollout.model import Plan, ReleaseRef
from gopub.rollout.opening import Request, read_env_state, read_state, resume, start, starts_of_stable, whoami
from gopub.rollout.payload import render_all
from gopub.rollout.planning import plan_rollout
from gopub.rollout.run import Ports, Run
from gopub.rollout.stages import take_over
from gopub.spec.models import Environment
from gopub.traffic.protocol import EdgeStatus

PATIENCE = 8.0
"""Seconds that a rollout under way waits for a silent host's facts: a dead host must not keep a canary in traffic."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for; ``rollout_id`` goes on with one that is there already, ``run`` is the engine's run."""

    app: str
    env: str
    version: str
    project: str = "."
    reason: str = ""
    actor: str = ""
    automatic: bool = False
    rollout_id: str = ""
    run: str = ""


@asynccontextmanager
async def open_run(wanted: Wanted, elsewhere: Elsewhere | None = None) -> AsyncIterator[Run]:
    """Read hosts and edges, take the seat, and give the run; names that no file gives are looked for elsewhere.

    A release whose evidence is refused opens nothing: its run only writes that it was.
    """
    project = await open_project(wanted.project).naming_store(elsewhere)
    journal = settings.journal()
    adopt(journal, settings.kits_folder())
    entry = await _entry(project, journal, wanted)
    async with _opened(project, wanted.env, entry, journal, elsewhere) as ports:
        patience = PATIENCE if wanted.rollout_id else None
        facts, silent = await ask_all(ports.fleet, ports.hosts, ports.environment.instance, patience=patience)
        epoch = await edge_epoch(ports, wanted.app, wanted.env, ports.environment)
        if wanted.rollout_id:
            run = resume(ports, wanted.rollout_id, facts, epoch, why="go on", engine_run=wanted.run)
            run.alarms += [f"{name} does not answer: {error.problem}" for name, error in silent.items()]
        else:
            insist(facts, silent)
            run = start(ports, _request(wanted, project, entry.signed), facts, epoch)
        run.release = entry.signed.release if entry.signed else None
        run.facts, run.considered, run.refused = facts, entry.considered, entry.refused
        run.notes = entry.allowed.notes if entry.allowed else ()
        if entry.alarm:
            run.alarm(entry.alarm)
        if run.state.plan:
            await take_over(run)
        yield run


async def _entry(project: Project, journal: Journal, wanted: Wanted) -> Entry:
    if not wanted.rollout_id:
        return await beginning(project, journal, wanted.app, wanted.env, wanted.version)
    state = read_state(journal, wanted.rollout_id)
    if not state.rollout:
        raise GopubError("GP710", f"rollout {wanted.rollout_id} does not exist", hint="see `gopub status`")
    return await going_on(project, state, journal)


@asynccontextmanager
async def _opened(
    project: Project, env: str, entry: Entry, journal: Journal, elsewhere: Elsewhere | None
) -> AsyncIterator[Ports]:
    if entry.allowed is None:
        async with no_ports(project, env, journal) as ports:
            yield ports
        return
    project = await project.naming(entry.allowed.environment, elsewhere)
    async with open_ports(project, entry.allowed, journal=journal) as ports:
        yield ports


async def already_there(wanted: Wanted, elsewhere: Elsewhere | None = None) -> dict[str, Json] | None:
    """The summary of a rollout that would change nothing: the release is stable and proven on every host and edge."""
    if wanted.rollout_id:
        return None
    project = await open_project(wanted.project).naming_store(elsewhere)
    journal = settings.journal()
    entry = await beginning(project, journal, wanted.app, wanted.env, wanted.version)
    env = read_env_state(journal, wanted.app, wanted.env)
    if entry.allowed is None or entry.signed is None or env.active or env.stable != entry.signed.release_id:
        return None
    release = entry.signed.release
    async with _opened(project, wanted.env, entry, journal, elsewhere) as ports:
        facts = await read_facts(ports.fleet, ports.hosts, ports.environment.instance)
        if not all(fact.runs.startswith(release.release_id[:12]) for fact in facts.values()):
            return None
        edges = await edges_of(ports, wanted.app, wanted.env, ports.environment)
        if not all(is_settled(status, release.release_id, facts) for status in edges):
            return None
    return {"rollout": "", "app": wanted.app, "env": wanted.env, "version": wanted.version,
            "release": release.release_id, "outcome": "nothing to do", "rule": None,
            "reason": f"it is stable on all {len(facts)} hosts",
            "owed": [], "owed_edges": [], "alarms": []}  # fmt: skip


def is_settled(status: EdgeStatus, release: str, hosts: Collection[str]) -> bool:
    """Whether an edge answers and has one track, the release's, with all of these hosts."""
    table = status.table
    if status.error or table is None or table.stable is None or table.canary is not None:
        return False
    return table.stable.release == release and {peer.host for peer in table.stable.peers} == set(hosts)


async def make_plan(
    rollout: str,
    release: Release,
    env: str,
    ports: Ports,
    facts: Mapping[str, HostFacts],
    notes: tuple[str, ...] = (),
) -> Plan:
    """Render for each host, ask the edges which hosts serve and under which addresses they shall, and plan."""
    renders = {n: r.render_id for n, r in render_all(release, env, ports.environment, ports.hosts).items()}
    known = read_env_state(ports.journal, release.app, env)
    stable = ReleaseRef(known.stable, known.stable_version) if known.stable else None
    tables = [status.table for status in await edges_of(ports, release.app, env, ports.environment)]
    serving = {host for table in tables if table for host in table.hosts()}
    hosts = await by_address(ports.hosts) if ports.environment.traffic else ports.hosts
    return plan_rollout(
        rollout, release, env, ports.environment, hosts, facts, renders, stable,
        counted=ports.metrics is not None, serving=serving, notes=notes,
        starts=starts_of_stable(ports.journal, release.app, env),
    )  # fmt: skip


async def read_facts(fleet: Fleet, hosts: Sequence[Host], instance: str) -> dict[str, HostFacts]:
    """What is so on every host; all must answer before anything is planned.

    Raises:
        GopubError: GP720 names the hosts that did not, and why.
    """
    facts, silent = await ask_all(fleet, hosts, instance)
    insist(facts, silent)
    return facts


async def ask_all(
    fleet: Fleet, hosts: Sequence[Host], instance: str, *, patience: float | None = None
) -> tuple[dict[str, HostFacts], dict[str, GopubError]]:
    """Facts of the hosts that answer (within ``patience`` seconds, if given), and why the others do not."""
    facts: dict[str, HostFacts] = {}
    silent: dict[str, GopubError] = {}

    async def one(host: Host) -> None:
        try:
            async with asyncio.timeout(patience):
                facts[host.name] = await (await fleet.channel(host)).facts(instance)
        except GopubError as error:
            silent[host.name] = error
        except TimeoutError:
            problem = f"{host.name} ({host.address}) did not answer within {patience:g}s"
            silent[host.name] = GopubError("GP415", problem, hint="ask the host again")

    await asyncio.gather(*(one(host) for host in hosts))
    return {host.name: facts[host.name] for host in hosts if host.name in facts}, silent


def insist(facts: Mapping[str, HostFacts], silent: Mapping[str, GopubError]) -> None:
    """All must have answered before anything is planned.

    Raises:
        GopubError: GP720 names the hosts that did not, and why.
    """
    if silent:
        said = "; ".join(f"{name}: {error.code} {error.problem}" for name, error in silent.items())
        total = len(facts) + len(silent)
        raise GopubError("GP720", f"{len(silent)} of {total} hosts did not answer ({said})",
                         hint="mend them, or leave them out of `hosts:`; nothing was changed")  # fmt: skip


async def edge_epoch(ports: Ports, app: str, env: str, environment: Environment) -> int:
    """The highest epoch that an edge has seen."""
    return max((status.epoch for status in await edges_of(ports, app, env, environment)), default=0)


async def edges_of(ports: Ports, app: str, env: str, environment: Environment) -> tuple[EdgeStatus, ...]:
    """What every edge of the environment holds; none where it has no traffic."""
    if ports.router is None or environment.traffic is None:
        return ()
    return await ports.router.status(app, env, environment.traffic.upstream)


def _request(wanted: Wanted, project: Project, signed: SignedRelease | None) -> Request:
    if signed is None:
        raise GopubError("GP724", f"rollout of {wanted.app} {wanted.version} has no release at hand",
                         hint="is the store reachable?")  # fmt: skip
    return Request(
        app=signed.release.app,
        env=wanted.env,
        release=ReleaseRef(signed.release_id, signed.release.version),
        reason=wanted.reason,
        actor=wanted.actor or whoami(),
        automatic=wanted.automatic,
        project=str(project.folder),
        run=wanted.run,
    )


async def released(folder: str, app: str, env: str, version: str, elsewhere: Elsewhere | None = None) -> str:
    """The release id of a version in a project's store, signed by the key that the environment asks for."""
    project = await open_project(folder).naming_store(elsewhere)
    return (await signed_for(project, app, project.environment(env).admit, version)).release_id
