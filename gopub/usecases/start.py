"""From "this version into that env" to a run with its seat, or to what there is to say instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from gopub.canon import Json
from gopub.errors import GopubError, UsageError
from gopub.journal.adopt import adopt
from gopub.journal.kit import read_kit, write_kit
from gopub.journal.reading import read_env_state, read_state, whoami
from gopub.journal.store import Journal
from gopub.plan.preflight import refuse_trouble
from gopub.release.model import Release, SignedRelease
from gopub.rollout.payload import render_all
from gopub.rollout.policy import signed_for
from gopub.rollout.reach import take_over
from gopub.rollout.run import Run
from gopub.rollout.seat import resume, start
from gopub.rollout.survey import (
    HOSTS_ANSWER_WITHIN,
    ask_all,
    edge_epoch,
    insist,
    is_settled,
    loose_edges,
    read_facts,
    statuses_of,
)
from gopub.rollout.wish import Wish
from gopub.usecases.before import serves_before
from gopub.usecases.enter import Entry, beginning, going_on
from gopub.usecases.give_way import give_way, watched
from gopub.usecases.refuse_table_key import refuse_table_key
from gopub.wiring import settings
from gopub.wiring.backends import BACKENDS
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import no_ports, open_ports
from gopub.wiring.ports import Ports
from gopub.wiring.project import Project, open_project


@asynccontextmanager
async def open_run(wish: Wish, elsewhere: Elsewhere | None = None) -> AsyncIterator[Run]:
    """Read hosts and edges, take the seat, and give the run; names that no file gives are looked for elsewhere.

    A release whose evidence is refused opens nothing: its run only writes that it was.
    """
    project = await open_project(wish.project).naming_store(elsewhere)
    journal = settings.journal()
    adopt(journal, settings.kits_folder())
    entry = await _entry(project, journal, wish)
    async with _opened(project, wish.env, entry, journal, elsewhere, begins=not wish.rollout) as ports:
        patience = HOSTS_ANSWER_WITHIN if wish.rollout else None
        facts, silent = await ask_all(ports.fleet, ports.hosts, ports.environment.instance, patience=patience)
        epoch = await edge_epoch(ports, wish.app, wish.env, ports.environment)
        if wish.rollout:
            run = resume(ports, wish.rollout, facts, epoch, why="go on", engine_run=wish.run)
            run.alarms.extend(f"{name} does not answer: {error.problem}" for name, error in silent.items())
        else:
            insist(facts, silent)
            refuse_trouble(wish.env, ports.environment, facts, await loose_edges(ports))
            await give_way(ports, wish, facts, epoch)
            before = await serves_before(project, wish.env, read_env_state(journal, wish.app, wish.env), facts)
            run = start(ports, _of(wish, project, entry.signed), facts, epoch, before)
        if run.before is None and run.state.plan is None and entry.allowed is not None:  # its driver died so early
            run.before = await serves_before(project, wish.env, read_env_state(journal, wish.app, wish.env), facts)
        run.release = entry.signed.release if entry.signed else None
        run.facts, run.considered, run.refused = facts, entry.considered, entry.refused
        run.notes = entry.allowed.notes if entry.allowed else ()
        if entry.alarm:
            run.alarm(entry.alarm)
        if run.state.plan:
            await take_over(run)
        yield run


async def _entry(project: Project, journal: Journal, wish: Wish) -> Entry:
    if not wish.rollout:
        return await beginning(project, journal, wish.app, wish.env, wish.version)
    state = read_state(journal, wish.rollout)
    if not state.rollout:
        raise GopubError("GP710", f"rollout {wish.rollout} does not exist", hint="see `gopub status`")
    return await going_on(project, state, journal)


@asynccontextmanager
async def _opened(
    project: Project, env: str, entry: Entry, journal: Journal, elsewhere: Elsewhere | None, *, begins: bool = False
) -> AsyncIterator[Ports]:
    if entry.allowed is None:
        async with no_ports(project, env, journal) as ports:
            yield ports
        return
    project = await project.naming(entry.allowed.environment, elsewhere)
    if begins:
        refuse_table_key(project, entry.allowed.environment)
    async with open_ports(project, entry.allowed, journal=journal) as ports:
        yield ports


async def already_there(wish: Wish, elsewhere: Elsewhere | None = None) -> dict[str, Json] | None:
    """The summary of a rollout that would change nothing: the release is stable and proven on every host and edge."""
    if wish.rollout:
        return None
    project = await open_project(wish.project).naming_store(elsewhere)
    journal = settings.journal()
    entry = await beginning(project, journal, wish.app, wish.env, wish.version)
    env = read_env_state(journal, wish.app, wish.env)
    under = watched(journal, wish.app, wish.env)
    if under is not None and entry.signed is not None and under.release == entry.signed.release_id:
        return _nothing(wish, entry.signed.release, "it is promoted on all hosts, and watched")
    if entry.allowed is None or entry.signed is None or env.active or env.stable != entry.signed.release_id:
        return None
    release = entry.signed.release
    async with _opened(project, wish.env, entry, journal, elsewhere) as ports:
        facts = await read_facts(ports.fleet, ports.hosts, ports.environment.instance)
        rendered = render_all(release, wish.env, ports.environment, ports.hosts)
        wanted = {name: f"{release.release_id[:12]}-{one.render_id[:12]}" for name, one in rendered.items()}
        if not all(fact.runs == wanted[name] for name, fact in facts.items()):
            return None
        edges = await statuses_of(ports, wish.app, wish.env, ports.environment)
        if not all(is_settled(status, release.release_id, facts) for status in edges):
            return None
        _keep_way(wish, ports)
    return _nothing(wish, release, f"it is stable on all {len(facts)} hosts")


def _nothing(wish: Wish, release: Release, why: str) -> dict[str, Json]:
    return {"rollout": "", "app": wish.app, "env": wish.env, "version": release.version,
            "release": release.release_id, "outcome": "nothing to do", "rule": None, "reason": why,
            "owed": [], "owed_edges": [], "alarms": []}  # fmt: skip


def _keep_way(wish: Wish, ports: Ports) -> None:
    """Let the rollback kit here reach hosts and edges as they were reached just now: the way may be another by now.

    Hosts that were enrolled since let nobody in but user gopub, who orders nothing without a key.
    """
    try:
        kit = read_kit(ports.kits, wish.app, wish.env, BACKENDS)
    except GopubError:
        return  # none lies here, or none that a rollback could use
    now = {host.name: host for host in ports.hosts}
    kit = replace(kit, hosts=tuple(now.get(host.name, host) for host in kit.hosts), fleet=ports.fleet_connection)
    if {edge.name for edge in ports.edges} == {edge.name for edge in kit.edges}:
        kit = replace(kit, edges=ports.edges, router=ports.edge_connection)
    write_kit(ports.kits, kit)


def _of(wish: Wish, project: Project, signed: SignedRelease | None) -> Wish:
    """The wish with what its release says of itself."""
    if signed is None:
        raise GopubError("GP724", f"rollout of {wish.app} {wish.version} has no release at hand",
                         hint="is the store reachable?")  # fmt: skip
    release = signed.release
    return replace(wish, app=release.app, release=signed.release_id, version=release.version, commit=release.commit,
                   actor=wish.actor or whoami(), project=str(project.folder))  # fmt: skip


async def released(folder: str, app: str, env: str, version: str, elsewhere: Elsewhere | None = None) -> str:
    """The release id of a version in a project's store, signed by the key that the environment asks for."""
    project = await open_project(folder).naming_store(elsewhere)
    return (await signed_for(project, app, project.environment(env).admit, version)).release_id


def stable_there(app: str, env: str) -> str:
    """The id of the release that is stable in an environment.

    Raises:
        UsageError: GP555 none is.
    """
    if stable := read_env_state(settings.journal(), app, env).stable:
        return stable
    raise UsageError("GP555", f"no release of {app} is stable in {env}", hint="roll one out first")
