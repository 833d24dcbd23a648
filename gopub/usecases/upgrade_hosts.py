"""Another host program on enrolled hosts: signed by as many roots as their list asks for, sent to every one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from gopub.errors import PartialError
from gopub.evidence.keys import KeySigner, private_key_in
from gopub.evidence.roles import Role, load_roles
from gopub.evidence.rootword import RootWord, read_word, upgrade_to
from gopub.fleet import program
from gopub.journal.enrolled import TrustChanged
from gopub.usecases.root_lists import PENDING, Signing, at_hand, stranger
from gopub.usecases.root_words import Heard, insist, on_all, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gopub.evidence.roles import Roles
    from gopub.fleet.protocol import HostChannel
    from gopub.usecases.root_ground import Ground

FILE = f"upgrade{PENDING}"
"""The word for a program, beside the list of roles, until enough have signed and every host has it."""


async def upgrade(
    ground: Ground, by: Signing, at: float, without: Sequence[str] = (), *, text: bytes = b""
) -> tuple[Heard, ...]:
    """The program of this gopub, or this one, to every enrolled host that has another; ``at`` are seconds since 1970.

    Raises:
        UsageError: GP457 who is to be left out is nobody.
        PartialError: GP484 a host was not reached or did not take it; GP486 too few roots signed.
        RefusedError: GP311 somebody is to sign who is no root.
    """
    ground.insist_on(without)
    text = text or program.enrolled().encode()
    file, roles = ground.roles.with_name(FILE), load_roles(ground.roles).roles
    word = fresh = upgrade_to(text, at)
    begun = read_word(file.read_bytes()) if file.exists() else word
    if dict(begun.said).get("program") == dict(word.said)["program"]:
        word = begun
    word = signed_word(word, at_hand(ground.roles, by), roles)
    write_word(file, word)
    if missing := lacking(word, roles):
        raise _unsigned(file, missing)
    sent = word.text.encode() + b"\n" + text

    over: list[str] = []

    async def one(channel: HostChannel) -> Heard:
        return await _bring(channel, sent, word, over, begin)

    changed = TrustChanged("upgrade", program=dict(word.said)["program"])
    begin = cache(lambda: ground.record(replace(changed, intended=True)))  # once, before the first host gets it
    with telling(ground, changed) as so_far:
        heard = await on_all(ground, one, so_far)
    if over and _serial(fresh) > _serial(word):  # it waited, and a host had a later one or was enrolled since
        file.unlink()
        return await upgrade(ground, by, at, without, text=text)
    insist(heard, "these hosts have another program", without)
    file.unlink()
    return heard


async def _bring(
    channel: HostChannel, sent: bytes, word: RootWord, over: list[str], begin: Callable[[], None]
) -> Heard:
    """The program to one host; in ``over`` who had this word or a later one before, and has another program."""
    name = channel.host.name
    asked = await channel.root("ask")
    if asked is None or asked.ended:
        return Heard(name, "not enrolled")
    if asked.values.get("program") == dict(word.said)["program"]:
        return Heard(name, "had")
    begin()
    answer = await channel.root("upgrade", sent)
    if answer is None or not answer.ok:
        if answer and asked.upgraded >= _serial(word):
            over.append(name)
        return Heard(name, "refused", f"{answer.code} {answer.message}" if answer else "its program is gone")
    return Heard(name, "taken")


def _serial(word: RootWord) -> int:
    """The moment of which an upgrade's serial is made."""
    return int(dict(word.said)["serial"])


def sign_word(file: Path, roots: Sequence[Path], *, passphrase: str | None = None) -> str:
    """Add signatures to a word that waits; who has yet to sign, in words: empty where enough have.

    The list of roles beside it says whose count; without one whoever is named signs.

    Raises:
        RefusedError: GP311 a key that is no root of the list; GP475 it is no word.
    """
    place = file.with_name("roles")
    roles = load_roles(place).roles if place.exists() else None
    word = read_word(file.read_bytes())
    for folder in roots:
        root = KeySigner.load(private_key_in(folder).private, passphrase=passphrase)
        word = signed_word(word, [root], roles) if roles else word.with_signature(root)
    write_word(file, word)
    return lacking(word, roles) if roles else "what the list of roles says, which does not lie here"


def is_word(file: Path) -> bool:
    """Whether a file is a word of the roots other than a list."""
    try:
        return file.read_bytes()[:200].split(b"\n")[1].startswith((b"program=", b"enrolled="))
    except (OSError, IndexError):
        return False


def lacking(word: RootWord, roles: Roles) -> str:
    """Who has yet to sign, in words; empty where it is whole. Pure."""
    roots = roles.of(Role.ROOT)
    signed = word.signed_by(roots)
    if len(signed) >= roles.threshold:
        return ""
    left = ", ".join(one.fingerprint[:16] for one in roots if one not in signed)
    return f"{roles.threshold - len(signed)} more of the roots ({left})"


def signed_word(word: RootWord, signers: Sequence[KeySigner], roles: Roles) -> RootWord:
    """The word, said by these roots, too.

    Raises:
        RefusedError: GP311 one of them is no root of the list.
    """
    for root in signers:
        if root.public not in roles.of(Role.ROOT):
            raise stranger(root)
        word = word.with_signature(root)
    return word


def _unsigned(file: Path, missing: str) -> PartialError:
    return PartialError("GP486", f"{str(file)!r} needs {missing}",
                        hint="take it to whoever has such a key: gopub keys sign FILE --root FOLDER")  # fmt: skip


def write_word(file: Path, word: RootWord) -> None:
    """Keep a word that waits."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(word.text, "ascii")
    part.replace(file)
