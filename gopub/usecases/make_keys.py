"""A key pair for each role, and the list of who holds which, signed by as many roots as it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gopub.errors import UsageError
from gopub.evidence.frame import moment
from gopub.evidence.keys import KeySigner, PublicKey, generate, private_key_in
from gopub.evidence.roles import MOST, Role, Roles, load_roles, sign_roles
from gopub.paths import private_folder
from gopub.usecases.root_lists import Made, alone, laid, next_serial

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gopub.clock import Clock

LONGEST = 3650 * 86400.0
"""Seconds for which a list may hold: one that nobody has to sign anew is looked after by nobody."""
FILE = "roles"
"""The list's name, in the folder of the keys."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to change in the list beside the pairs of the folder.

    ``keep`` are roles whose keys of the known list stay beside the new ones, ``also`` further keys of others,
    ``drop`` fingerprints that go; ``threshold`` is how many roots must sign, None as many as until now.
    """

    threshold: int | None = None
    keep: Collection[Role] = ()
    also: Mapping[Role, Sequence[PublicKey]] = field(default_factory=dict)
    drop: Collection[str] = ()


def make_keys(
    folder: Path,
    lasting: float,
    clock: Clock,
    *,
    passphrase: str | None = None,
    before: Path | None = None,
    roots: Sequence[Path] = (),
    wanted: Wanted | None = None,
) -> Made:
    """Make the pairs that are missing, and the list anew with the next serial; ``lasting`` are seconds.

    It is signed by the roots whose pairs lie in the folder and in ``roots``. Where a root's pair is a new one, the root
    that signed until now is named by its folder, ``before``: it signs the list that names the next one, for whoever
    knows the old list. Where too few roots are at hand, the list lies beside as one that is pending.

    Raises:
        UsageError: GP334 it would hold for no time or too long, the root of the list that is there is missing, or the
            threshold is none.
        RefusedError: GP332 the list that is there is malformed, or the new one would be.
        GopubError: GP300, GP301 a key cannot be used.
        LockedError: GP498 somebody else changes them.
    """
    wanted = wanted or Wanted()
    if not 0 < lasting <= LONGEST:
        problem = "a list of roles holds for some time, and for ten years at the most"
        raise UsageError("GP334", problem, hint="such as --for 365d")
    if wanted.threshold is not None and not 1 <= wanted.threshold <= MOST:
        problem = f"{wanted.threshold} roots cannot be asked for"
        raise UsageError("GP334", problem, hint=f"--threshold is a number from 1 to {MOST}")
    private_folder(folder)
    with alone(folder):
        return _made(folder, clock.now() + lasting, passphrase, before, roots, wanted)


def _made(
    folder: Path, until: float, passphrase: str | None, before: Path | None, roots: Sequence[Path], wanted: Wanted
) -> Made:
    known = load_roles(folder / FILE).roles if (folder / FILE).exists() else None
    wanted = replace(wanted, drop=_dropped(folder, known, wanted))
    threshold = (known.threshold if known else 1) if wanted.threshold is None else wanted.threshold
    others = _signers(roots, passphrase)
    old = private_key_in(before).signer(passphrase) if before else None
    named = _roots_named(folder, threshold, known, wanted, old)
    if known:
        _refuse_rootless(folder, known, [*_signers(map(folder.joinpath, named), passphrase), *others], old)
    places = [*(role.value for role in Role if role is not Role.ROOT), *named]
    fresh = tuple(name for name in places if not private_key_in(folder / name).private.exists())
    pairs = {name: generate(folder / name, passphrase).signer(passphrase) for name in places}
    holders = _holders({name: one.public for name, one in pairs.items()}, named, known, wanted, old)
    roles = Roles(next_serial(folder / FILE, known), moment(until), holders, threshold)
    may = {*roles.of(Role.ROOT), *(known.of(Role.ROOT) if known else ())}
    signers = [*([old] if old else []), *(pairs[name] for name in named), *others]
    signed = sign_roles(roles, *(one for one in signers if one.public in may))
    return laid(folder / FILE, signed, known, fresh)


def _dropped(folder: Path, known: Roles | None, wanted: Wanted) -> tuple[str, ...]:
    """The whole fingerprints of the keys that go: one that was mistyped must not stay without a word."""
    there = {key.fingerprint for _, key in known.holders} if known else set()
    there |= {key.fingerprint for keys in wanted.also.values() for key in keys}
    found = [[key for key in there if len(named) > 7 and key.startswith(named)] for named in wanted.drop]
    if wrong := [named for named, keys in zip(wanted.drop, found, strict=True) if len(keys) != 1]:
        raise UsageError("GP334", f"{', '.join(wrong)}: no key of the list of roles in {str(folder)!r}, or several",
                         hint="a fingerprint, or eight digits of it at least: gopub keys show FILE")  # fmt: skip
    return tuple(key for keys in found for key in keys)


def _roots_named(
    folder: Path, threshold: int, known: Roles | None, wanted: Wanted, old: KeySigner | None
) -> tuple[str, ...]:
    """The folders of the roots' pairs here; for a first list as many as must sign and nobody else holds."""
    there = [name for name in _ROOTS if private_key_in(folder / name).private.exists()]
    if known is None:
        others = len(wanted.also.get(Role.ROOT, ()))
        return tuple(dict.fromkeys([*there, *_ROOTS[: max(threshold - others, 1)]]))
    if old is not None or (wanted.threshold and wanted.threshold > len(known.of(Role.ROOT))):
        staying = [key for key in known.of(Role.ROOT) if old is None or key != old.public or Role.ROOT in wanted.keep]
        ours = {private_key_in(folder / name).public_key() for name in there}
        count = len({*staying, *ours, *wanted.also.get(Role.ROOT, ())})
        free = [name for name in _ROOTS if name not in there]
        short = max(threshold - count, 1 if old is not None and not there else 0)
        return tuple(sorted([*there, *free[:short]]))
    return tuple(there)


def _signers(folders: Iterable[Path], passphrase: str | None) -> list[KeySigner]:
    """Whoever's pair lies there already."""
    pairs = [private_key_in(folder) for folder in folders]
    return [pair.signer(passphrase) for pair in pairs if pair.private.exists()]


def _refuse_rootless(folder: Path, known: Roles, at_hand: Sequence[KeySigner], old: KeySigner | None) -> None:
    """Nothing is made where no root of the list that is there would sign."""
    found = [old] if old else at_hand
    if not {one.public for one in found} & set(known.of(Role.ROOT)):
        raise _rootless(folder, known)


def _holders(
    pairs: Mapping[str, PublicKey], named: Sequence[str], known: Roles | None, wanted: Wanted, old: KeySigner | None
) -> tuple[tuple[Role, PublicKey], ...]:
    holders: list[tuple[Role, PublicKey]] = []
    for role in Role:
        ours = [pairs[name] for name in named] if role is Role.ROOT else [pairs[role.value]]
        before = known.of(role) if known else ()
        if role is Role.ROOT:  # roots stay whose keys lie elsewhere: only the one that is named goes
            before = tuple(key for key in before if role in wanted.keep or old is None or key != old.public)
        elif role not in wanted.keep:
            before = ()
        keys = dict.fromkeys([*before, *ours, *wanted.also.get(role, ())])
        holders += [(role, key) for key in keys if key.fingerprint not in wanted.drop]
    return tuple(holders)


def _rootless(folder: Path, known: Roles) -> UsageError:
    return UsageError(
        "GP334",
        f"the list of roles in {str(folder)!r} names another root than the one that is to sign",
        hint=f"name the folder of key {known.of(Role.ROOT)[0].fingerprint[:16]}: --root FOLDER, or, where another is to"
        " take its place, --root-before FOLDER",
    )


_ROOTS = ("root", *(f"root-{number}" for number in range(2, MOST + 1)))
