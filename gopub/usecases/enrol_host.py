"""`gopub host enroll`, `unenroll` and `list`: hosts that carry out what is signed, and nothing else.

It works over the SSH that there is, as root. Each host is told by itself: what stands in the way of one keeps no other
one from it, and a host is enrolled whole or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from gopub import __version__
from gopub.canon import Json
from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError, PartialError, UsageError
from gopub.evidence.frame import moment
from gopub.evidence.roles import Role
from gopub.fleet import program
from gopub.fleet.enrolling import ARGV, USER, Answer, Enrolling, Stands, asking
from gopub.fleet.host import Host
from gopub.fleet.logins import fingerprints, logins_with
from gopub.fleet.protocol import Fleet
from gopub.journal.enrolled import HostsEnrolled
from gopub.journal.reading import read_env_state, whoami
from gopub.journal.streams import env_stream
from gopub.usecases.enrol_keys import Keys, Named, keys_for, keys_where_fit, serial_of
from gopub.wiring import settings
from gopub.wiring.naming import Elsewhere
from gopub.wiring.project import Project, edges_of, fleet_of, hosts_of, open_project

AT_ONCE = 16
"""Hosts that are worked on at a time."""
WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Way:
    """How hosts are reached as root, where that is not how orders reach them."""

    user: str = ""
    key: Path | None = None
    sudo: bool = False

    def of(self, host: Host) -> Host:
        """The host, reached this way; user gopub of an enrolled one can do nothing of it."""
        ordered_by = host.user or host.ssh.user
        user = self.user or (_before(host) if ordered_by == USER else ordered_by)
        key = self.key or (_key_before(host) if ordered_by == USER and user != USER else host.ssh.key)
        return replace(host, user=user, ssh=replace(host.ssh, user=user, key=key, sudo=self.sudo or host.ssh.sudo))


def _before(host: Host) -> str:
    """Who comes in by Ansible; root where the inventory does not say."""
    said = host.variables.get("ansible_user")
    return said if isinstance(said, str) and said else "root"


def _key_before(host: Host) -> Path | None:
    """With which key, where the inventory says so by a whole path; else those of ~/.ssh."""
    said = host.variables.get("ansible_ssh_private_key_file")
    found = Path(said).expanduser() if isinstance(said, str) else None
    return found if found and found.is_absolute() else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: which hosts, how they are reached, with which keys, and whether it is done or only told."""

    env: str
    names: tuple[str, ...] = ()
    edges: bool = False
    way: Way = field(default_factory=Way)
    named: Named = field(default_factory=Named)
    reason: str = ""
    do: bool = False
    only_login: bool = False
    """No other controller's login stays on the hosts."""
    older_program: bool = False
    """This gopub's program may take the place of a newer one."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How each host stood, what was done there, and what was not, and why; ``signs``: orders are signed already.

    ``logins`` are the fingerprints of whom the hosts that are meant let in as user gopub afterwards.
    """

    stood: Mapping[str, Stands]
    meant: tuple[str, ...] = ()
    keys: Keys | None = None
    done: Mapping[str, Answer] = field(default_factory=dict)
    refused: Mapping[str, GopubError] = field(default_factory=dict)
    signs: bool = False
    logins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def failed(self) -> GopubError | None:
        """Why not all of it is so; None where it is.

        All hosts refused alike is that refusal; some are those that are owed (exit code 5).
        """
        if not self.refused:
            return None
        first = next(iter(self.refused.values()))
        if not self.done and not (set(self.stood) - set(self.refused)):
            return first if len(self.refused) == 1 else _all(self.refused)
        said = "; ".join(f"{name}: {error.code}" for name, error in self.refused.items())
        return PartialError("GP481", f"{len(self.refused)} of {len(self.stood) or len(self.refused)} hosts were not"
                            f" done ({said})", hint="the others are; mend these and call it again")  # fmt: skip

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        hosts: dict[str, Json] = {
            name: {**stands.to_json(), "roles": serial_of(stands), "logins": list(fingerprints(stands.login))}
            for name, stands in self.stood.items()
        }
        done: dict[str, Json] = {
            name: {"changed": answer.changed, **(answer.stands.to_json() if answer.stands else {})}
            for name, answer in self.done.items()
        }
        refused: dict[str, Json] = {
            name: {"code": error.code, "problem": error.problem, "hint": error.hint}
            for name, error in self.refused.items()
        }
        return {"hosts": hosts, "meant": list(self.meant), "done": done, "refused": refused,
                "logins": {name: list(found) for name, found in self.logins.items()}}  # fmt: skip


def _all(refused: Mapping[str, GopubError]) -> GopubError:
    said = "; ".join(f"{name}: {error.code} {error.problem}" for name, error in refused.items())
    return GopubError("GP481", f"no host was done: {said}", hint="mend them and call it again")


async def look(folder: str, wish: Wish, elsewhere: Elsewhere | None = None) -> Enrolment:
    """How the hosts stand; nothing is changed.

    Raises:
        UsageError: GP457 a name is no host of the env.
    """
    async with _opened(folder, wish, elsewhere) as (_, fleet, hosts, _):
        stood, refused = await _look(fleet, hosts)
        return Enrolment(stood, refused=refused)


Cut: TypeAlias = Callable[[Sequence[str], Sequence[str]], None]
"""Hears of an interruption: the hosts that are done, and those of which nobody knows."""


def _unheard(_done: Sequence[str], _left: Sequence[str]) -> None:
    """Nobody waits for it."""


async def enrol(
    folder: str, wish: Wish, elsewhere: Elsewhere | None = None, *, clock: Clock | None = None, cut: Cut = _unheard
) -> Enrolment:
    """Enrol the hosts, or finish or heal what is enrolled; without ``wish.do`` it is only looked at.

    Interrupted, the journal has what was done, and ``cut`` is told.

    Raises:
        UsageError: GP457 a name is no host of the env; GP334 as :func:`keys_for`.
        RefusedError: GP311, GP332, GP353 the list of roles cannot be used.
    """
    clock = clock or SystemClock()
    async with _opened(folder, wish, elsewhere) as (project, fleet, hosts, sockets):
        named = _named(wish, project)
        keys_for(named, clock, make=False)  # refuses those that cannot be used before a host is asked
        stood, refused = await _look(fleet, hosts)
        refused |= doubles(stood, hosts)
        fit = {name: stands for name, stands in stood.items() if name not in refused}
        keys, unfit = keys_where_fit(fit, named, clock, only_login=wish.only_login,
                                     older_program=wish.older_program, make=wish.do)  # fmt: skip
        refused |= unfit
        meant = tuple(name for name in fit if name not in unfit)
        logins = {name: fingerprints(logins_with(stood[name], keys.login, alone=wish.only_login)) for name in meant
                  } if keys else {}  # fmt: skip
        if not wish.do or keys is None:
            return Enrolment(stood, meant, keys, refused=refused, logins=logins)

        machines = by_machine(stood, meant)

        async def one(host: Host) -> Answer:
            names = machines[stood[host.name].machine_id]
            socket = next((sockets[name] for name in names if name in sockets), "")
            told = enrolling(stood[host.name], names, wish.env, keys, clock.now(), socket=socket,
                             only_login=wish.only_login)  # fmt: skip
            return await _ask(fleet, host, told.request())

        def keep(done: Mapping[str, Answer]) -> None:
            _record(project, wish, done, keys, undone=False)

        done, failed = await on_each_machine(machines, hosts, one, keep, cut)
        shut = await _shut(fleet, [host for host in hosts if host.name in done], named)
        signs = fleet_of(project).signing() is not None
        return Enrolment(stood, meant, keys, done, refused | failed | shut, signs, logins)


async def unenrol(folder: str, wish: Wish, elsewhere: Elsewhere | None = None, *, cut: Cut = _unheard) -> Enrolment:
    """Take the enrolment away; services run on, and hosts take orders as before. Interrupted as :func:`enrol`.

    Raises:
        UsageError: GP457 a name is no host of the env.
    """
    async with _opened(folder, wish, elsewhere) as (project, fleet, hosts, _):
        stood, refused = await _look(fleet, hosts)
        meant = tuple(name for name, stands in stood.items() if stands.stands != "none")
        if not wish.do:
            return Enrolment(stood, meant, refused=refused)

        async def one(host: Host) -> Answer:
            return await _ask(fleet, host, asking("unenroll", stood[host.name].machine_id))

        def keep(done: Mapping[str, Answer]) -> None:
            _record(project, wish, done, None, undone=True)

        done, failed = await on_each_machine(by_machine(stood, meant), hosts, one, keep, cut)
        return Enrolment(stood, meant, None, done, refused | failed)


async def _shut(fleet: Fleet, hosts: Sequence[Host], named: Named) -> dict[str, GopubError]:
    """Hosts that are enrolled and do not let user gopub in: sshd and PAM have rules that no look at files tells."""
    if named.ca is None and (named.login_file.suffix == ".pub" or not named.login_file.exists()):
        return {}  # that key lies elsewhere

    async def one(host: Host) -> Answer:
        ssh = replace(host.ssh, user=USER, key=named.login_file, sudo=False)
        channel = await fleet.channel(replace(host, user=USER, ssh=ssh))
        if await channel.root("ask") is None:
            raise GopubError("GP496", f"{host.name}: user gopub is let in, and runs no program there",
                             hint="what does `sudo -l -U gopub` say there?")  # fmt: skip
        return Answer(None)

    _, failed = await _each(hosts, one)
    return {
        name: error if error.code == "GP496" else
        GopubError("GP496", f"{name} is enrolled, and does not let user gopub in: {error.code} {error.problem}",
                   hint="the log of its sshd says why (journalctl -u ssh); over root's SSH it takes orders")
        for name, error in failed.items()
    }  # fmt: skip


def _named(wish: Wish, project: Project) -> Named:
    """What is named, and where that is nothing, what the connection of this project's orders says."""
    way, named = fleet_of(project), wish.named
    signing = way.signing()
    ca = None if named.login else named.ca or way.authority()
    return replace(named, roles=named.roles or (signing.roles if signing else None), ca=ca)


def enrolling(
    stands: Stands, names: Sequence[str], env: str, keys: Keys, now: float, *, socket: str = "",
    only_login: bool = False,
) -> Enrolling:  # fmt: skip
    """What a host gets: what it is enrolled as already stays, so that several projects can share it. Pure.

    So do the logins of other controllers under its roots, but for ``only_login``.

    Raises:
        GopubError: GP481 they are too many.
    """
    return Enrolling(
        machine_id=stands.machine_id,
        names=tuple(dict.fromkeys((*stands.names, *names))),
        envs=tuple(dict.fromkeys((*stands.envs, env))),
        gopub=__version__,
        enrolled=stands.enrolled or moment(now),
        now=int(now),
        program=program.enrolled(),
        roles=keys.roles.text.encode(),
        login=logins_with(stands, keys.login, alone=only_login),
        socket=socket or stands.socket,
        seen=stands.seen,
    )


@asynccontextmanager
async def _opened(
    folder: str, wish: Wish, elsewhere: Elsewhere | None
) -> AsyncIterator[tuple[Project, Fleet, tuple[Host, ...], Mapping[str, str]]]:
    project = await open_project(folder).naming_store(elsewhere)
    environment = project.environment(wish.env)
    project = await project.naming(environment, elsewhere)
    edges = edges_of(project, environment) if wish.edges else None
    sockets = {edge.name: edges.connection.control() for edge in edges.hosts} if edges else {}
    every = {host.name: host for host in (*hosts_of(project, environment), *(edges.hosts if edges else ()))}
    if unknown := [name for name in wish.names if name not in every]:
        raise UsageError("GP457", f"{', '.join(unknown)}: no host of {wish.env}; it has {', '.join(every)}",
                         hint="name hosts as the inventory does, or none for all; --edges adds edges")  # fmt: skip
    chosen = tuple(wish.way.of(every[name]) for name in dict.fromkeys(wish.names or every))
    fleet = fleet_of(project).open()  # root's SSH; the key of orders may not be made yet, or be lost
    try:
        yield project, fleet, chosen, sockets
    finally:
        await fleet.close()


async def _look(fleet: Fleet, hosts: Sequence[Host]) -> tuple[dict[str, Stands], dict[str, GopubError]]:
    async def one(host: Host) -> Answer:
        return await _ask(fleet, host, asking("look"))

    answers, refused = await _each(hosts, one)
    return {name: answer.stands for name, answer in answers.items() if answer.stands}, refused


async def _ask(fleet: Fleet, host: Host, request: bytes) -> Answer:
    channel = await fleet.channel(host)
    result = await channel.exec(("sh", "-c", program.enrolment(), ARGV), request, timeout=WITHIN, by_root=True)
    answer = Answer.parse(result.out, host=host.name)
    if answer.stands is None:
        raise answer.error(host.name)
    return answer


async def on_each_machine(
    machines: Mapping[str, Sequence[str]],
    hosts: Sequence[Host],
    work: Callable[[Host], Awaitable[Answer]],
    keep: Callable[[Mapping[str, Answer]], None],
    cut: Cut,
) -> tuple[dict[str, Answer], dict[str, GopubError]]:
    """One machine under several names is worked on once, and that is the answer of each of them; ``keep`` is told."""
    of = {name: names[0] for names in machines.values() for name in names}
    answers: dict[str, Answer] = {}

    async def one(host: Host) -> Answer:
        answers[host.name] = await work(host)
        return answers[host.name]

    failed: dict[str, GopubError] = {}
    try:
        _, failed = await _each([host for host in hosts if host.name in of.values()], one)
    except asyncio.CancelledError:
        cut([name for name in of if of[name] in answers], [name for name in of if of[name] not in answers])
        raise
    finally:
        done = {name: answers[first] for name, first in of.items() if first in answers}
        keep(done)
    return done, {name: failed[first] for name, first in of.items() if first in failed}


async def _each(
    hosts: Sequence[Host], work: Callable[[Host], Awaitable[Answer]]
) -> tuple[dict[str, Answer], dict[str, GopubError]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(host: Host) -> Answer | GopubError:
        async with gate:
            try:
                return await work(host)
            except GopubError as error:
                return error

    ended = dict(zip([host.name for host in hosts], await asyncio.gather(*map(one, hosts)), strict=True))
    done = {name: answer for name, answer in ended.items() if isinstance(answer, Answer)}
    return done, {name: error for name, error in ended.items() if isinstance(error, GopubError)}


def by_machine(stood: Mapping[str, Stands], names: Sequence[str]) -> dict[str, list[str]]:
    """The names of each machine: an inventory may have it twice, as a host and as an edge. Pure."""
    of: dict[str, list[str]] = {}
    for name in names:
        of.setdefault(stood[name].machine_id, []).append(name)
    return of


def doubles(stood: Mapping[str, Stands], hosts: Sequence[Host]) -> dict[str, GopubError]:
    """Two hosts with one machine id: what is ordered to one would be an order to the other. Pure."""
    places = {host.name: (host.address, host.port) for host in hosts}
    return {
        name: GopubError("GP495", f"{' and '.join(names)} have the same machine id, at several addresses",
                         hint="make a new one on all but one of them: rm /etc/machine-id; systemd-machine-id-setup")
        for names in by_machine(stood, tuple(stood)).values() if len({places[name] for name in names}) > 1
        for name in names
    }  # fmt: skip


def _record(project: Project, wish: Wish, done: Mapping[str, Answer], keys: Keys | None, *, undone: bool) -> None:
    changed = tuple(name for name, answer in done.items() if answer.changed)
    if not changed:
        return
    app, journal = project.spec.app, settings.journal()
    roots = [key.fingerprint for key in keys.roles.roles.of(Role.ROOT)] if keys else []
    event = HostsEnrolled(changed, wish.reason, undone=undone, roots=tuple(roots))
    journal.append(env_stream(app, wish.env), read_env_state(journal, app, wish.env).version, [event], actor=whoami())
