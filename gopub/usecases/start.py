"""From "this version into that env" to a run with its seat, or to what there is to say instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal.adopt import adopt
from gopub.journal.reading import read_env_state, read_state, whoami
from gopub.journal.store import Journal
from gopub.plan.model import ReleaseRef
from gopub.release.model import SignedRelease
from gopub.rollout.policy import signed_for
from gopub.rollout.reach import take_over
from gopub.rollout.run import Run
from gopub.rollout.seat import Request, resume, start
from gopub.rollout.survey import PATIENCE, ask_all, edge_epoch, edges_of, insist, is_settled, read_facts
from gopub.usecases.enter import Entry, beginning, going_on
from gopub.wiring import settings
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import no_ports, open_ports
from gopub.wiring.ports import Ports
from gopub.wiring.project import Project, open_project


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
            run.alarms.extend(f"{name} does not answer: {error.problem}" for name, error in silent.items())
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
