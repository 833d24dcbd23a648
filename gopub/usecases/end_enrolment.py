"""The end of an enrolment by the roots' word, for hosts on which nobody is root by SSH any more.

The word names machine and enrolment, so it ends that one alone. Where too few roots are at hand it waits beside the
list of roles, a file for each host.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gopub.errors import GopubError, PartialError
from gopub.evidence.roles import load_roles
from gopub.evidence.rootword import RootWord, end_of, read_word
from gopub.journal.enrolled import HostsEnrolled
from gopub.journal.reading import read_env_state, whoami
from gopub.journal.streams import env_stream
from gopub.usecases.root_ground import Ground, ground_of
from gopub.usecases.root_lists import PENDING, Signing, at_hand
from gopub.usecases.root_words import Heard, insist, on_all
from gopub.usecases.upgrade_hosts import lacking, signed_word, write_word
from gopub.wiring import settings
from gopub.wiring.project import open_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gopub.fleet.protocol import HostChannel
    from gopub.fleet.rootline import RootAnswer
    from gopub.wiring.naming import Elsewhere


async def end_by_roots(
    folder: str, env: str, names: Sequence[str], by: Signing, *, reason: str = "", elsewhere: Elsewhere | None = None
) -> tuple[Heard, ...]:
    """End the enrolment of these hosts and edges; the journal keeps who did.

    Raises:
        PartialError: GP484 a host was not reached, or refused; GP486 too few roots signed.
        RefusedError: GP311 somebody is to sign who is no root.
    """
    async with ground_of(folder, env, names, elsewhere) as ground:
        heard = await end(ground, by)
    if ended := tuple(one.host for one in heard if one.outcome == "taken"):
        app, journal = open_project(folder).spec.app, settings.journal()
        event = HostsEnrolled(ended, reason, undone=True)
        journal.append(env_stream(app, env), read_env_state(journal, app, env).version, [event], actor=whoami())
    insist(heard, "these hosts are enrolled still")
    return heard


async def end(ground: Ground, by: Signing) -> tuple[Heard, ...]:
    """The word to each host, once all words have been signed by enough.

    Raises:
        PartialError: GP486.
        RefusedError: GP311.
    """
    words: dict[str, RootWord] = {}
    others: dict[str, str] = {}

    async def ask(channel: HostChannel) -> Heard:
        asked = await channel.root("ask")
        if asked is None:
            return Heard(channel.host.name, "not enrolled")
        others[channel.host.name] = say_others(channel.host.name, asked.values.get("names", "").split())
        if not asked.ok:
            return Heard(channel.host.name, "refused", f"{asked.code} {asked.message}")
        if asked.ended:
            _file(ground, channel.host.name).unlink(missing_ok=True)
            return Heard(channel.host.name, "taken", others[channel.host.name])
        words[channel.host.name] = end_of(asked.values.get("machine_id", ""), asked.values.get("enrolled", ""))
        return Heard(channel.host.name, "had")

    heard = {one.host: one for one in await on_all(ground, ask)}
    words = _signed(ground, words, by, others)
    told: dict[
        tuple[tuple[str, str], ...], asyncio.Task[RootAnswer | None]
    ] = {}  # a machine under two names is told once

    async def say(channel: HostChannel) -> Heard:
        name = channel.host.name
        if name not in words:
            return heard[name]
        word = words[name]
        if word.said not in told:
            told[word.said] = asyncio.create_task(_bring(channel, word))
        answer = await told[word.said]
        if answer is None or not answer.ok:
            return Heard(name, "refused", f"{answer.code} {answer.message}" if answer else "its program is gone")
        _file(ground, name).unlink(missing_ok=True)
        return Heard(name, "taken", others[name])

    return await on_all(ground, say)


async def _bring(channel: HostChannel, word: RootWord) -> RootAnswer | None:
    return await channel.root("unenroll", word.text.encode())


def say_others(name: str, names: Sequence[str]) -> str:
    """That the end of this enrolment is the end of it under other names too; empty where it has none. Pure."""
    others = [one for one in names if one != name]
    return f"the same machine is {', '.join(others)}, whose enrolment ends with it" if others else ""


def _signed(ground: Ground, words: dict[str, RootWord], by: Signing, others: Mapping[str, str]) -> dict[str, RootWord]:
    """The words with the signatures that are there and those of the roots at hand, each in its file."""
    roles, signers = load_roles(ground.roles).roles, at_hand(ground.roles, by)
    missing = ""
    for name, word in words.items():
        file = _file(ground, name)
        begun = read_word(file.read_bytes()) if file.exists() else word
        words[name] = signed_word(begun if begun.said == word.said else word, signers, roles)
        write_word(file, words[name])
        missing = lacking(words[name], roles) or missing
    if missing:
        files = ", ".join(f"{_file(ground, name)}{f' ({others[name]})' if others[name] else ''}" for name in words)
        raise PartialError("GP486", f"{files}: each needs {missing}",
                           hint="take them to whoever has such a key: gopub keys sign FILE --root FOLDER")  # fmt: skip
    return words


def _file(ground: Ground, name: str) -> Path:
    if "/" in name:
        raise GopubError("GP334", f"{name!r} is no name for a file")
    return ground.roles.with_name(f"unenroll-{name}{PENDING}")
