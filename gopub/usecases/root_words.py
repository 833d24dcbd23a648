"""The roots' word, brought to hosts: who has it now, who had it, and who was not reached."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from gopub.errors import GopubError, PartialError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gopub.canon import Json
    from gopub.evidence.roles import SignedRoles
    from gopub.fleet.host import Host
    from gopub.fleet.protocol import HostChannel
    from gopub.fleet.rootline import RootAnswer
    from gopub.usecases.root_ground import Ground

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


async def on_all(ground: Ground, one: Callable[[HostChannel], Awaitable[Heard]]) -> tuple[Heard, ...]:
    """The same on every host, all at once; a host that is not reached keeps nobody else waiting."""

    async def heard(host: Host) -> Heard:
        try:
            return await one(await ground.fleet.channel(host))
        except GopubError as error:
            return Heard(host.name, "not reached", error.problem)

    dark = (Heard(env, "not reached", why) for env, why in ground.dark)
    return (*await asyncio.gather(*map(heard, ground.hosts)), *dark)


async def bring_list(ground: Ground, lists: Sequence[SignedRoles]) -> tuple[Heard, ...]:
    """The newest of these lists to every host; one that missed some in which roots changed gets those first."""

    async def one(channel: HostChannel) -> Heard:
        return await _bring(channel, lists)

    return await on_all(ground, one)


async def _bring(channel: HostChannel, lists: Sequence[SignedRoles]) -> Heard:
    name, newest = channel.host.name, lists[-1]
    asked = await channel.root("ask")
    if asked is None or asked.ended:
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
