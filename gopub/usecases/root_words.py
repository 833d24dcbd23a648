"""The roots' word, brought to hosts: who has it now, who had it, and who was not reached."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from gopub.errors import GopubError, PartialError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from gopub.canon import Json
    from gopub.evidence.roles import SignedRoles
    from gopub.fleet.host import Host
    from gopub.fleet.protocol import HostChannel
    from gopub.fleet.rootline import RootAnswer
    from gopub.journal.enrolled import TrustChanged
    from gopub.usecases.root_ground import Ground

Outcome: TypeAlias = Literal["taken", "had", "not enrolled", "not reached", "refused"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a word on one host; ``why`` where it was not taken, or what else it did where it was."""

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


async def on_all(
    ground: Ground, one: Callable[[HostChannel], Awaitable[Heard]], so_far: dict[str, Heard] | None = None
) -> tuple[Heard, ...]:
    """The same on every host, all at once; a host that is not reached keeps nobody else waiting.

    ``so_far`` is filled as hosts answer, for whoever is interrupted.
    """
    answers = {} if so_far is None else so_far
    answers |= {env: Heard(env, "not reached", why) for env, why in ground.dark}

    async def heard(host: Host) -> None:
        try:
            answers[host.name] = await one(await ground.fleet.channel(host))
        except GopubError as error:
            answers[host.name] = Heard(host.name, "not reached", error.problem)

    await asyncio.gather(*map(heard, ground.hosts))
    return in_order(ground, answers)


def in_order(ground: Ground, answers: Mapping[str, Heard]) -> tuple[Heard, ...]:
    """The answers as the hosts stand in the inventory, and then who is in the dark."""
    return tuple(answers[name] for name in (*(host.name for host in ground.hosts), *(env for env, _ in ground.dark)))


@contextmanager
def telling(ground: Ground, word: TrustChanged) -> Iterator[dict[str, Heard]]:
    """Tell the journal which hosts took a word, and which are owed it, where any did; one that is interrupted, too."""
    heard: dict[str, Heard] = {}
    try:
        yield heard
    finally:
        taken = tuple(one.name for one in ground.hosts if one.name in heard and heard[one.name].outcome == "taken")
        if taken:
            owed = tuple(host.name for host in ground.hosts if host.name not in heard or not heard[host.name].fine)
            ground.record(replace(word, hosts=taken, owed=owed))


async def bring_list(
    ground: Ground, lists: Sequence[SignedRoles], so_far: dict[str, Heard] | None = None
) -> tuple[Heard, ...]:
    """The newest of these lists to every host; one that missed some in which roots changed gets those first."""

    async def one(channel: HostChannel) -> Heard:
        return await _bring(channel, lists)

    return await on_all(ground, one, so_far)


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
