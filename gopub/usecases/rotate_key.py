"""Another controller key without a gap, or one less: whom hosts believe changes before whoever signs, and after.

A rotation is three steps, and each is done only where the one before is done everywhere:

1. the list that names the old key and the new one goes to every host;
2. the new key takes the place of the old one in the file: who signs orders reads it anew when a host refuses the old;
3. the list that names the new one alone goes to every host.

What was begun is known by the files beside the key: ``KEY.rotating`` names the key that goes, the folder ``KEY.next``
has the one that comes. Called again it goes on.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gopub.errors import RefusedError, UsageError
from gopub.evidence.keys import KeySigner, generate, private_key_in
from gopub.evidence.roles import Role, lists_beside, load_roles
from gopub.journal.enrolled import TrustChanged
from gopub.usecases.root_lists import Signing, alone, relist
from gopub.usecases.root_words import Heard, bring_list, in_order, insist, telling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gopub.canon import Json
    from gopub.evidence.keys import PublicKey
    from gopub.evidence.roles import Roles
    from gopub.usecases.root_ground import Ground


_DONE = ("had", "not enrolled")


@dataclass(frozen=True, slots=True)
class Changed:
    """The list that hosts believe now, and what became of it on each; ``keys`` are the controllers in it."""

    serial: int
    keys: tuple[str, ...]
    heard: tuple[Heard, ...]

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {"serial": self.serial, "controllers": list(self.keys), "hosts": [one.to_json() for one in self.heard]}

    def lines(self) -> list[str]:
        """For people."""
        keys = ", ".join(one[:16] for one in self.keys)
        return [*map(str, self.heard), f"list of roles {self.serial}: orders are signed by {keys}"]


async def rotate(ground: Ground, by: Signing, without: Sequence[str] = ()) -> Changed:
    """Another key of orders in the place of the one that signs here; called again it goes on where it stopped.

    Raises:
        PartialError: GP484 a host was not reached, and the next step waits for it; GP486 too few roots signed.
        RefusedError: GP459 it signs route tables, too; GP483 it is no controller in the list; GP311, GP332 the list
            cannot be signed or made.
        LockedError: GP498 somebody else rotates it.
        GopubError: GP300, GP301 a key cannot be used.
    """
    if ground.tables:
        raise RefusedError(
            "GP459",
            f"the key of orders signs route tables of {ground.tables}, too: edges would refuse those of the next",
            hint="change both by hand, tables in between: see the page of this code",
        )
    ground.insist_on(without)
    with alone(ground.private.parent, ground.roles.parent):
        begun, list_before = _marker(ground).exists(), load_roles(ground.roles).roles
        found = await _rotated(ground, by, without)
        if begun and found.serial == list_before.serial and all(one.outcome in _DONE for one in found.heard):
            # that one had come to its end by `roles` or `revoke`: the key that signs now is the one that is to go
            found = await _rotated(ground, by, without)
        return found


def _marker(ground: Ground) -> Path:
    """Names the key that goes while a rotation is under way."""
    return ground.private.with_name(f"{ground.private.name}.rotating")


async def _rotated(ground: Ground, by: Signing, without: Sequence[str]) -> Changed:
    marker = _marker(ground)
    holds = KeySigner.load(ground.private, passphrase=ground.passphrase).public
    if not marker.exists():
        _refuse_none(holds, load_roles(ground.roles).roles)
        _write(marker, holds.fingerprint)
    going = marker.read_text("ascii").strip()
    if holds.fingerprint == going:
        await _bring_next(ground, by, without)
    _tidy(ground.private, ground.passphrase)
    found = await _drop(ground, by, going, "rotate")
    insist(found.heard, "the old key is believed on these hosts until they have the list", without)
    marker.unlink()
    return found


async def revoke(ground: Ground, named: str, by: Signing, without: Sequence[str] = ()) -> Changed:
    """No host believes that key any more, whatever it signed; ``named`` is its fingerprint, or the beginning of it.

    Raises:
        UsageError: GP485 it is none of the list, or the last of its role, or the one that signs here.
        PartialError: GP484 a host was not reached, and believes it until it is; GP486 too few roots signed.
        RefusedError: GP311, GP332 the list cannot be signed or made.
    """
    ground.insist_on(without)
    with alone(ground.private.parent, ground.roles.parent):
        lists = lists_beside(ground.roles)
        gone = taken_out([one.roles for one in lists], named)
        key = gone or meant(lists[-1].roles, named, KeySigner.load(ground.private, passphrase=ground.passphrase).public)
        found = await (_brought(ground, "revoke") if gone else _drop(ground, by, key, "revoke"))
        insist(found.heard, f"key {key[:16]} is believed on these hosts until they have the list", without)
        return found


def taken_out(lists: Sequence[Roles], named: str) -> str:
    """The fingerprint of the key that only lists before the last one name: hosts may be owed that one still. Pure."""
    *before, last = lists
    held = {key.fingerprint for _, key in last.holders}
    if len(named) < 8 or any(one.startswith(named) for one in held):
        return ""
    were = {key.fingerprint for roles in before for _, key in roles.holders if key.fingerprint.startswith(named)}
    return were.pop() if len(were) == 1 else ""


def meant(roles: Roles, named: str, ours: PublicKey) -> str:
    """The fingerprint of the key that is to go. Pure.

    Raises:
        UsageError: GP485.
    """
    found = [(role, key) for role, key in roles.holders if len(named) > 7 and key.fingerprint.startswith(named)]
    if len(found) != 1:
        raise UsageError("GP485", f"{named!r} names no key of the list of roles {roles.serial}",
                         hint="a fingerprint, or eight digits of it at least: gopub keys show FILE")  # fmt: skip
    role, key = found[0]
    if key == ours:
        raise UsageError("GP485", f"key {key.fingerprint[:16]} is the one that signs orders here",
                         hint="rotate it: that puts another one in its place first, and revokes it then")  # fmt: skip
    if len(roles.of(role)) == 1:
        raise UsageError("GP485", f"without key {key.fingerprint[:16]} nobody would hold the role {role}",
                         hint="put another one beside it first: gopub keys make FOLDER --keep ROLE")  # fmt: skip
    return key.fingerprint


async def bring(ground: Ground, without: Sequence[str] = ()) -> Changed:
    """The list of roles that lies here, to every host: after a controller's key was lost, or a host was away.

    Raises:
        PartialError: GP484 a host was not reached.
    """
    found = await _brought(ground, "roles")
    insist(found.heard, "these hosts have another list", without)
    return found


async def _bring_next(ground: Ground, by: Signing, without: Sequence[str]) -> None:
    """Steps 1 and 2: the next key is believed everywhere, and then it signs."""
    coming = ground.private.with_name(f"{ground.private.name}.next")
    pair = generate(coming, ground.passphrase)
    known = load_roles(ground.roles).roles
    holders = list(known.holders)
    if pair.public_key() not in known.of(Role.CONTROLLER):
        at = max(at for at, (role, _) in enumerate(holders) if role is Role.CONTROLLER)
        holders.insert(at + 1, (Role.CONTROLLER, pair.public_key()))
    _relisted(ground, holders, by, "rotate")
    found = await _brought(ground, "rotate")
    insist(found.heard, "the new key is not believed there yet, and the old one signs on", without)
    pair.private.replace(ground.private)
    _sync(ground.private.parent)


def _tidy(private: Path, passphrase: str | None) -> None:
    """The key that signs now has its public half beside it, and nothing is left of where it came from."""
    if private_key_in(private.parent).private == private:
        generate(private.parent, passphrase)
    shutil.rmtree(private.with_name(f"{private.name}.next"), ignore_errors=True)


async def _drop(ground: Ground, by: Signing, key: str, what: str) -> Changed:
    holders = [one for one in load_roles(ground.roles).roles.holders if one[1].fingerprint != key]
    _relisted(ground, holders, by, what)
    return await _brought(ground, what)


async def _brought(ground: Ground, what: str) -> Changed:
    lists = lists_beside(ground.roles)
    roles = lists[-1].roles
    controllers = _controllers(roles)
    with telling(ground, TrustChanged(what, serial=roles.serial, controllers=controllers)) as heard:
        await bring_list(ground, lists, heard)
    return Changed(roles.serial, controllers, in_order(ground, heard))


def _controllers(roles: Roles) -> tuple[str, ...]:
    return tuple(key.fingerprint for key in roles.of(Role.CONTROLLER))


def _relisted(ground: Ground, holders: Sequence[tuple[Role, PublicKey]], by: Signing, what: str) -> None:
    """The next list, whole; the journal says what it names before a host gets it."""
    before = load_roles(ground.roles).roles.serial
    made = relist(ground.roles, holders, by)
    if made.lacks:
        raise made.unsigned
    roles = made.signed.roles
    if roles.serial != before:
        ground.record(TrustChanged(what, intended=True, serial=roles.serial, controllers=_controllers(roles)))


def _refuse_none(key: PublicKey, roles: Roles) -> None:
    if key not in roles.of(Role.CONTROLLER):
        raise RefusedError(
            "GP483",
            f"key {key.fingerprint[:16]} is no controller in the list of roles {roles.serial}",
            hint="a key that is lost or revoked is not rotated: have roots name another one, gopub keys make FOLDER",
        )


def _write(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    with part.open("w", encoding="ascii") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(file)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
