"""The roots' word, brought to hosts: who has it now, who had it, and who was not reached."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from gopub.errors import GopubError, PartialError, UsageError
from gopub.wiring.outside import open_fleet
from gopub.wiring.project import edges_of, fleet_of, hosts_of, open_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from gopub.canon import Json
    from gopub.evidence.roles import SignedRoles
    from gopub.fleet.host import Host
    from gopub.fleet.protocol import Fleet, HostChannel
    from gopub.fleet.rootline import RootAnswer
    from gopub.wiring.naming import Elsewhere

Outcome: TypeAlias = Literal["taken", "had", "not enrolled", "not reached", "refused"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a word on one host; ``why`` where it was not taken."""

    host: str
    outcome: Outcome
    why: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing is owed there."""
        return self.outcome not in {"not reached", "refused"}

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {"host": self.host, "outcome": self.outcome, "why": self.why}

    def __str__(self) -> str:
        """For people."""
        return f"{self.host}: {self.outcome}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Ground:
    """The hosts and edges of an env, the way to them, and where the key of orders and the list of roles lie.

    ``tables`` names the router whose route tables the same key signs, empty where none does.
    """

    fleet: Fleet
    hosts: tuple[Host, ...]
    private: Path
    roles: Path
    passphrase: str | None = None
    tables: str = ""


@asynccontextmanager
async def ground_of(folder: str, env: str, names: Sequence[str], elsewhere: Elsewhere | None) -> AsyncIterator[Ground]:
    """An env's hosts and edges, or those of them that are named.

    Raises:
        UsageError: GP457 a name is no host of the env; GP483 the connection names no key of orders, or no list.
    """
    project = await open_project(folder).naming_store(elsewhere)
    environment = project.environment(env)
    project = await project.naming(environment, elsewhere)
    signing = fleet_of(project).signing()
    if signing is None or signing.roles is None:
        raise UsageError("GP483", "the ssh connection names no key that signs orders, or no list of roles",
                         hint="sign: {key: keys/controller/gopub.key, roles: keys/roles}")  # fmt: skip
    edges = edges_of(project, environment)
    known = {host.name: host for host in (*hosts_of(project, environment), *(edges.hosts if edges else ()))}
    if unknown := [name for name in names if name not in known]:
        raise UsageError("GP457", f"{', '.join(unknown)}: no host of {env}; it has {', '.join(known)}",
                         hint="name hosts as the inventory does, or none for all of them")  # fmt: skip
    hosts = tuple(host for name, host in known.items() if not names or name in names)
    tables = edges.connection.signing() if edges else None
    shared = tables is not None and tables.private.resolve() == signing.private.resolve()
    router = environment.traffic.router if shared and environment.traffic else ""
    opens = signing.passphrase.reveal() if signing.passphrase else None
    fleet = open_fleet(fleet_of(project))
    try:
        yield Ground(fleet, hosts, signing.private, signing.roles, opens, router)
    finally:
        await fleet.close()


async def on_all(ground: Ground, one: Callable[[HostChannel], Awaitable[Heard]]) -> tuple[Heard, ...]:
    """The same on every host, all at once; a host that is not reached keeps nobody else waiting."""

    async def heard(host: Host) -> Heard:
        try:
            return await one(await ground.fleet.channel(host))
        except GopubError as error:
            return Heard(host.name, "not reached", error.problem)

    return tuple(await asyncio.gather(*map(heard, ground.hosts)))


async def bring_list(ground: Ground, lists: Sequence[SignedRoles]) -> tuple[Heard, ...]:
    """The newest of these lists to every host; one that missed some in which roots changed gets those first."""

    async def one(channel: HostChannel) -> Heard:
        return await _bring(channel, lists)

    return await on_all(ground, one)


async def _bring(channel: HostChannel, lists: Sequence[SignedRoles]) -> Heard:
    name, newest = channel.host.name, lists[-1]
    asked = await channel.root("ask")
    if asked is None:
        return Heard(name, "not enrolled")
    if not asked.ok:
        return Heard(name, "refused", f"{asked.code} {asked.message}")
    answer = await _said(channel, newest)
    missed = [one for one in lists[:-1] if asked.serial < one.roles.serial < newest.roles.serial]
    if not answer.ok and missed:
        for between in missed:
            await _said(channel, between)
        answer = await _said(channel, newest)
    if not answer.ok:
        return Heard(name, "refused", f"{answer.code} {answer.message}")
    return Heard(name, "taken" if answer.changed else "had")


async def _said(channel: HostChannel, signed: SignedRoles) -> RootAnswer:
    answer = await channel.root("roles", signed.text.encode())
    if answer is None:
        raise GopubError("GP416", f"{channel.host.name}: its program is gone")
    return answer


def insist(heard: Sequence[Heard], what: str, without: Sequence[str] = ()) -> None:
    """Nobody may be owed anything but those whom a person left out.

    Raises:
        PartialError: GP484.
    """
    owed = [one for one in heard if not one.fine and one.host not in without]
    if owed:
        raise PartialError(
            "GP484",
            f"{what}: {'; '.join(f'{one.host} {one.outcome} ({one.why})' for one in owed)}",
            hint="mend it and call the same again: it goes on where it stopped; --without HOST leaves one out for good",
        )
