"""`gopub diff`: what a rollout would change on which host. Hosts, edges and the store are read, nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gopub.canon import sha256
from gopub.errors import GopubError, UsageError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet
from gopub.fleet.slots import SIDE, SLOTS
from gopub.fleet.unit import unit_name
from gopub.journal.reading import read_env_state
from gopub.plan.again import revision_of
from gopub.plan.model import ReleaseRef
from gopub.plan.ways import restarts_for_files
from gopub.release.model import Release
from gopub.rollout.payload import render_for, variables_of
from gopub.rollout.policy import considered_by, signed_for
from gopub.rollout.survey import ask_all, is_settled, statuses_of
from gopub.spec.models import Environment
from gopub.telemetry import Redactor
from gopub.traffic.protocol import EdgeStatus
from gopub.traffic.table import RouteTable
from gopub.views.amounts import names
from gopub.views.diffs import Differences, FileDiff, HostDiff, TableDiff
from gopub.views.masking import difference, secrets_of
from gopub.wiring import settings
from gopub.wiring.allowed import as_it_was, let_in
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_ports
from gopub.wiring.ports import Ports
from gopub.wiring.project import Project, open_project

LARGEST_SHOWN = 1 << 20
"""Bytes of a file that is read from a host; a larger one is told by its digest alone."""


async def differ(app: str, env: str, version: str, folder: str, elsewhere: Elsewhere | None = None) -> Differences:
    """What would change on each host if that version were rolled out now; none: the one that is stable.

    Raises:
        UsageError: GP555 no version is named, and none is stable.
        GopubError: as :func:`gopub.rollout.policy.considered_by`; GP315 the release may not enter.
    """
    project = await open_project(folder).naming_store(elsewhere)
    known = read_env_state(settings.journal(), app, env)
    if not (version or known.stable):
        raise UsageError("GP555", f"no release of {app} is stable in {env}, and no version is named",
                         hint=f"name the version that would come: `gopub diff {env} VERSION`")  # fmt: skip
    admitted = let_in(await considered_by(project, app, env, version or known.stable), project)
    project = await project.naming(admitted.environment, elsewhere)
    stable = ReleaseRef(known.stable, known.stable_version) if known.stable else None
    comes = ReleaseRef(admitted.release.release_id, admitted.release.version)
    async with open_ports(project, admitted) as ports:
        facts, silent = await ask_all(ports.fleet, ports.hosts, ports.environment.instance)
        past = await _past(project, app, env, admitted.release, facts)
        comparing = _Comparing(env, admitted.release, ports.environment, ports.fleet, past)
        seen = [host for host in ports.hosts if host.name in facts]
        hosts = await asyncio.gather(*(comparing.host(host, facts[host.name]) for host in seen))
        tables, unseen = await _tables(admitted.release, env, ports)
        named = revision(env, admitted.release, ports) if stable and stable.release == comes.release else ""
    files = {one.host: _taken_in(one, ports.environment) for one in hosts}
    restarts = restarts_for_files(facts, files, _binaries(admitted.release))
    notes = (*admitted.notes, *((restarts,) if restarts else ()), *unseen)
    return Differences(
        app, env, comes, stable, tuple(hosts), tables,
        tuple((name, f"{error.code} {error.problem}") for name, error in silent.items()), notes,
        revision=named if any(one.changes for one in hosts) else "",
    )  # fmt: skip


def revision(env: str, release: Release, ports: Ports) -> str:
    """As the plan would name the stable release with these files; empty where nobody counts requests."""
    if ports.environment.traffic is None or ports.metrics is None:
        return ""
    renders = {host.name: render_for(release, env, ports.environment, host).render_id for host in ports.hosts}
    return revision_of(release.release_id, renders)[:12]


def _taken_in(host: HostDiff, environment: Environment) -> dict[str, str]:
    """The digests that files would have which are taken in without a restart."""
    paths = {file.to for file in environment.config if file.apply == "reload"}
    return {file.path: file.after for file in host.files if file.path in paths}


def _binaries(release: Release) -> dict[str, str]:
    return {target: files.binary.digest for target, files in release.targets.items()}


@dataclass(frozen=True, slots=True)
class _Past:
    """A release that a host runs, and the environment as it is with it."""

    release: Release
    environment: Environment


async def _past(
    project: Project, app: str, env: str, comes: Release, facts: Mapping[str, HostFacts]
) -> dict[str, _Past]:
    """What the hosts run, as far as the store still has it; by the ids that hosts say."""
    found: dict[str, _Past] = {}
    own = project.environment(env)
    for release_id in sorted({fact.current.release for fact in facts.values() if fact.current}):
        try:
            if comes.release_id.startswith(release_id):
                release = comes
            else:
                release = (await signed_for(project, app, own.admit, release_id)).release
            found[release_id] = _Past(release, as_it_was(release, env, own))
        except (GopubError, KeyError):
            continue  # its files are then read from the hosts, or told by their digests
    return found


@dataclass
class _Comparing:
    """What comes, against what is on one host after another."""

    env: str
    release: Release
    environment: Environment
    fleet: Fleet
    past: Mapping[str, _Past]
    known: Redactor = field(default_factory=Redactor)

    async def host(self, host: Host, facts: HostFacts) -> HostDiff:
        """All that would change there."""
        for secret in secrets_of(variables_of(self.release, self.env, self.environment, host)):
            self.known.learn(secret)
        rendered = render_for(self.release, self.env, self.environment, host)
        target, now = self.release.targets.get(f"linux/{facts.arch}"), facts.current
        files = await self._files(host, facts, rendered.files) if not now or facts.files else ()
        slot = facts.slots.slot or SLOTS[0] if self.environment.switch == SIDE else ""
        unit = unit_name(self.environment.instance, slot)
        there = now is not None and now.name == f"{self.release.release_id[:12]}-{rendered.render_id[:12]}"
        return HostDiff(
            host.name,
            self._ref(now.release) if now else None,
            now.binary if now else "",
            target.binary.digest if target else "",
            next((one for one in files if one.path == unit), None),
            tuple(one for one in files if one.path != unit),
            self._way(
                facts, files, unit, same=bool(now and target and now.binary == target.binary.digest), there=there
            ),
            tuple(self._notes(facts, built=target is not None)),
        )

    def _way(self, facts: HostFacts, files: Sequence[FileDiff], unit: str, *, same: bool, there: bool) -> str:
        """How the host would get there; empty where it is there."""
        now = facts.current
        if now and there and facts.runs == now.name:
            return ""
        taken_in = {file.to for file in self.environment.config if file.apply == "reload"}
        changing = {one.path for one in files if one.changes}
        if same and now and facts.runs == now.name and changing and changing <= taken_in and unit not in changing:
            return "config"
        return self.environment.switch

    @staticmethod
    def _notes(facts: HostFacts, *, built: bool) -> Iterator[str]:
        if not built:
            yield f"the release has no build for linux/{facts.arch}: a rollout would be refused"
        if facts.current and facts.runs != facts.current.name:
            yield "its process is not the one of the release that `current` names"
        if facts.current and not facts.files:
            yield "its program is an older one, which tells no digests of files: `gopub host upgrade`"

    async def _files(self, host: Host, facts: HostFacts, comes: Mapping[str, bytes]) -> tuple[FileDiff, ...]:
        """Each file that is there or comes, by its path."""
        before, again = dict(facts.files), self._again(host, facts)
        made: list[FileDiff] = []
        for path in sorted({*before, *comes}):
            data = comes.get(path, b"")
            digests = before.get(path, ""), sha256(data) if path in comes else ""
            old, unread = again.get(path, b""), ""
            if digests[0] != digests[1] and path in before and sha256(old) != before[path]:
                old, unread = await self._read(host, facts, path)
            made.append(
                self._compared(path, digests, old, data) if not unread else FileDiff(path, *digests, (), unread)
            )
        return tuple(made)

    def _compared(self, path: str, digests: tuple[str, str], old: bytes, new: bytes) -> FileDiff:
        if digests[0] == digests[1]:
            return FileDiff(path, *digests)
        try:
            return FileDiff(path, *digests, difference(old.decode(), new.decode(), self.known))
        except UnicodeDecodeError:
            return FileDiff(path, *digests, (), "it is no text")

    def _again(self, host: Host, facts: HostFacts) -> Mapping[str, bytes]:
        """The files of the release that runs there, made with the inventory of today; none where that does not go."""
        past = self.past.get(facts.current.release) if facts.current else None
        if past is None:
            return {}
        try:
            return render_for(past.release, self.env, past.environment, host).files
        except GopubError:
            return {}

    async def _read(self, host: Host, facts: HostFacts, path: str) -> tuple[bytes, str]:
        """The file as it lies there, or why it is not shown."""
        if facts.enrolled:
            return b"", "not shown: an enrolled host gives no files away, and what it was before cannot be made again"
        folder = facts.current.name if facts.current else ""
        place = f"/opt/{self.environment.instance}/releases/{folder}/{path}"
        channel = await self.fleet.channel(host)
        read = await channel.exec(("head", "-c", str(LARGEST_SHOWN), "--", place))
        if read.code != 0 or sha256(read.out) != dict(facts.files)[path]:
            return b"", "not shown: what it was before could not be read whole from the host"
        return read.out, ""

    def _ref(self, release_id: str) -> ReleaseRef:
        past = self.past.get(release_id)
        return ReleaseRef(release_id, past.release.version if past else release_id[:12])


async def _tables(release: Release, env: str, ports: Ports) -> tuple[tuple[TableDiff, ...], tuple[str, ...]]:
    """What each edge holds and would hold; and the edges that did not answer."""
    statuses = await statuses_of(ports, release.app, env, ports.environment)
    hosts = [host.name for host in ports.hosts]
    after = f"{release.release_id[:12]} on {names(hosts)}"
    said = tuple(
        TableDiff(one.edge, after if is_settled(one, release.release_id, hosts) else _held(one), after)
        for one in statuses
        if not one.error
    )
    return said, tuple(f"edge {one.edge} was not seen: {one.error}" for one in statuses if one.error)


def _held(status: EdgeStatus) -> str:
    table = status.table
    if table is None:
        return "none"
    return _tracks(table)


def _tracks(table: RouteTable) -> str:
    tracks = [(name, track) for name, track in (("stable", table.stable), ("canary", table.canary)) if track]
    return ", ".join(
        f"{f'{name} ' if len(tracks) > 1 else ''}{track.release[:12]} on {names([peer.host for peer in track.peers])}"
        for name, track in tracks
    ) or "no host"  # fmt: skip
