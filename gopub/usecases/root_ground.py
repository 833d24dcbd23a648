"""Whom the roots' word goes to: the hosts and edges that obey one key of orders, and where that key lies."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gopub.errors import GopubError, UsageError
from gopub.journal.reading import read_env_state, whoami
from gopub.journal.streams import env_stream
from gopub.telemetry import log
from gopub.wiring import settings
from gopub.wiring.project import edges_of, fleet_of, hosts_of, open_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from gopub.fleet.host import Host
    from gopub.fleet.protocol import Fleet
    from gopub.journal.enrolled import TrustChanged
    from gopub.wiring.naming import Elsewhere
    from gopub.wiring.project import Edges, Project

_log = log("roots")


def _open() -> None:
    """The key has no passphrase."""


def _kept_nowhere(_: TrustChanged) -> None:
    """No journal is told."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The hosts and edges of an env, the way to them, and where the key of orders and the list of roles lie.

    ``tables`` names the router whose route tables the same key signs, empty where none does. ``dark`` are other
    environments of the project whose hosts cannot be told, and why: nobody knows whom they believe.
    """

    fleet: Fleet
    hosts: tuple[Host, ...]
    private: Path
    roles: Path
    opens: Callable[[], str | None] = _open
    """Gives the key's passphrase to whoever opens it: roots' words need no key of orders."""
    tables: str = ""
    dark: tuple[tuple[str, str], ...] = ()
    record: Callable[[TrustChanged], None] = _kept_nowhere
    """Tells the journal."""

    @property
    def passphrase(self) -> str | None:
        """What opens the key of orders, asked for now.

        Raises:
            UsageError: GP142 it is not where it is said to be.
        """
        return self.opens()

    def insist_on(self, without: Sequence[str]) -> None:
        """Whoever is left out must be there: a slip of the keyboard would leave out nobody, without a word.

        Raises:
            UsageError: GP457 it is neither a host nor an env that is not reached.
        """
        known = [*(host.name for host in self.hosts), *(env for env, _ in self.dark)]
        if unknown := [name for name in without if name not in known]:
            raise UsageError("GP457", f"--without {', '.join(unknown)}: no such host; there are {', '.join(known)}",
                             hint="name hosts as they are told here; nothing was done")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Env:
    name: str
    hosts: tuple[Host, ...]
    edges: Edges | None
    router: str

    def signed_by(self, private: Path) -> str:
        """The router whose route tables that key signs; empty where it signs none."""
        signing = self.edges.connection.signing() if self.edges else None
        return self.router if signing and signing.private.resolve() == private.resolve() else ""


@asynccontextmanager
async def ground_of(
    folder: str, env: str, names: Sequence[str], elsewhere: Elsewhere | None, *, every: bool = False
) -> AsyncIterator[Ground]:
    """An env's hosts and edges, or those of them that are named; with ``every`` those of each env of the project.

    One connection says who signs orders for all environments, so whoever changes its key changes it for each.

    Raises:
        UsageError: GP457 a name is no host of the env; GP483 the connection names no key of orders, or no list.
    """
    project = await open_project(folder).naming_store(elsewhere)
    project = await project.naming(project.environment(env), elsewhere)  # the way to hosts may be no file's word
    signing = fleet_of(project).signing()
    if signing is None or signing.roles is None:
        raise UsageError("GP483", "the ssh connection names no key that signs orders, or no list of roles",
                         hint="sign: {key: keys/controller/gopub.key, roles: keys/roles}")  # fmt: skip
    found = [await _env_of(project, env, elsewhere)]
    hosts = _named(found[0], names)
    dark: list[tuple[str, str]] = []
    for other in project.spec.environments if every else ():
        try:
            found += [await _env_of(project, other, elsewhere)] if other != env else []
        except GopubError as error:
            dark.append((other, error.problem))
    router = next(filter(None, (one.signed_by(signing.private) for one in found)), "")
    opens = signing.passphrase.reveal if signing.passphrase else _open
    fleet = fleet_of(project).open()  # roots have signed: no key of orders is asked for
    try:
        whole = hosts if names else tuple(apart(found))
        keeps = partial(_record, project.spec.app, tuple(one.name for one in found))
        yield Ground(fleet, whole, signing.private, signing.roles, opens, router, tuple(dark), keeps)
    finally:
        await fleet.close()


def _record(app: str, envs: Sequence[str], event: TrustChanged) -> None:
    """Into the journal of each env. One that is away keeps nobody from taking a stolen key off: it is told instead."""
    for env in envs:
        try:
            journal = settings.journal()
            version = read_env_state(journal, app, env).version
            journal.append(env_stream(app, env), version, [event], actor=whoami())
        except GopubError as error:
            _log.warning("the journal of %s does not say that trust was changed: %s %s", env, error.code, error.problem)


async def _env_of(project: Project, env: str, elsewhere: Elsewhere | None) -> _Env:
    environment = project.environment(env)
    project = await project.naming(environment, elsewhere)
    edges = edges_of(project, environment)
    router = environment.traffic.router or "" if environment.traffic else ""
    return _Env(env, (*hosts_of(project, environment), *(edges.hosts if edges else ())), edges, router)


def _named(found: _Env, names: Sequence[str]) -> tuple[Host, ...]:
    known = {host.name: host for host in found.hosts}
    if unknown := [name for name in names if name not in known]:
        raise UsageError("GP457", f"{', '.join(unknown)}: no host of {found.name}; it has {', '.join(known)}",
                         hint="name hosts as the inventory does, or none for all of them")  # fmt: skip
    return tuple(known[name] for name in known if name in names)


def apart(found: Iterable[_Env]) -> Iterator[Host]:
    """Each host once; one of a name that another env has for another host is called by its env, too. Pure."""
    known: dict[str, Host] = {}
    for env in found:
        for host in env.hosts:
            name = host.name
            if name in known and known[name] != host:
                name = f"{name} ({env.name})"
            if name not in known:
                known[name] = host
                yield replace(host, name=name)
