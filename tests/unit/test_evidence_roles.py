"""Which key holds which role: signed by the root, never two roles for one key, never an old list for a new one."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gopub.errors import RefusedError
from gopub.evidence.keys import KeySigner, PublicKey
from gopub.evidence.roles import Role, Roles, SignedRoles, read_roles, sign_roles

KEYS = {role: KeySigner(ec.generate_private_key(ec.SECP256R1())) for role in Role}
ROOT = KEYS[Role.ROOT]
STRANGER = KeySigner(ec.generate_private_key(ec.SECP256R1()))
GOOD = Roles(3, "2027-11-30T12:00:00Z", tuple((role, KEYS[role].public) for role in Role))
SIGNED = sign_roles(GOOD, ROOT)


SECOND, THIRD = (KeySigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
TWO = replace(
    GOOD,
    serial=4,
    threshold=2,
    holders=(*GOOD.holders, (Role.ROOT, SECOND.public), (Role.ROOT, THIRD.public)),
)


def held(**more: KeySigner) -> Roles:
    """The good list with another key for a role."""
    holders = tuple((role, more[role].public if role in more else key) for role, key in GOOD.holders)
    return replace(GOOD, holders=holders)


def test_a_list_comes_back_as_it_was_signed() -> None:
    read = read_roles(SIGNED.text.encode())
    assert read == SIGNED
    assert read.by(ROOT.public) == GOOD
    assert read.by(STRANGER.public, ROOT.public) == GOOD
    assert GOOD.of(Role.ADMISSION) == (KEYS[Role.ADMISSION].public,)


@pytest.mark.parametrize("role", Role)
def test_no_other_key_can_be_put_in_for_a_role(role: Role) -> None:
    changed = SignedRoles(held(**{role: STRANGER}), SIGNED.signatures)
    with pytest.raises(RefusedError, match="GP311"):
        read_roles(changed.text.encode()).by(ROOT.public)


@pytest.mark.parametrize("changed", [replace(GOOD, serial=4), replace(GOOD, expires="2037-11-30T12:00:00Z")])
def test_neither_serial_nor_expiry_can_be_changed(changed: Roles) -> None:
    with pytest.raises(RefusedError, match="GP311"):
        SignedRoles(changed, SIGNED.signatures).by(ROOT.public)


@pytest.mark.parametrize("role", [Role.RELEASE, Role.ADMISSION, Role.CONTROLLER])
def test_no_other_role_signs_the_list(role: Role) -> None:
    with pytest.raises(RefusedError, match="GP311"):
        sign_roles(GOOD, KEYS[role]).by(ROOT.public)
    with pytest.raises(RefusedError, match="GP311"):
        SIGNED.by()


@pytest.mark.parametrize("first", Role)
@pytest.mark.parametrize("second", Role)
def test_no_key_holds_two_roles(first: Role, second: Role) -> None:
    at = list(Role).index(second) + (first is second)
    holders = [*GOOD.holders[:at], (second, KEYS[first].public), *GOOD.holders[at + (first is not second) :]]
    with pytest.raises(RefusedError, match=r"GP332 .*stands twice"):
        replace(GOOD, holders=tuple(holders))


def test_while_keys_change_the_old_one_stands_beside_the_new_one() -> None:
    both = (*GOOD.holders[:1], (Role.RELEASE, STRANGER.public), *GOOD.holders[1:])
    changed = replace(GOOD, serial=4, holders=both)
    assert sign_roles(changed, ROOT).after(GOOD).of(Role.RELEASE) == (KEYS[Role.RELEASE].public, STRANGER.public)


def test_a_root_names_the_next_one_and_is_believed_no_longer() -> None:
    later = replace(held(root=STRANGER), serial=4)
    assert sign_roles(later, ROOT, STRANGER).after(GOOD) == later
    with pytest.raises(RefusedError, match=r"GP311 .*by 0 of the 1 roots that list 4 asks for"):
        sign_roles(later, ROOT).after(GOOD)
    latest = replace(later, serial=5)
    assert sign_roles(latest, STRANGER).after(later) == latest
    with pytest.raises(RefusedError, match="GP311"):
        sign_roles(latest, ROOT).after(later)
    with pytest.raises(RefusedError, match="GP311"):
        sign_roles(later, STRANGER).after(GOOD)


def test_an_old_list_takes_no_new_ones_place() -> None:
    assert SIGNED.after(GOOD) == GOOD, "the same again is no harm"
    for other in (replace(GOOD, serial=2), held(release=STRANGER)):
        with pytest.raises(RefusedError, match="GP333"):
            sign_roles(other, ROOT).after(GOOD)


def test_it_expires_at_its_moment() -> None:
    assert not GOOD.expired(1827576000.0 - 1)
    assert GOOD.expired(1827576000.0)


def of_curve(curve: ec.EllipticCurve) -> str:
    """A public key of another curve, as the list would write it."""
    made = ec.generate_private_key(curve).public_key()
    der = made.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


RELEASE = f"release={base64.b64encode(KEYS[Role.RELEASE].public.spki).decode()}"
BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "it has not a serial"),
    "cut": (lambda text: text[:-10], "it has not a serial"),
    "no empty line": (lambda text: text.replace("\n\n", "\n"), "it has not a serial"),
    "line ends of Windows": (lambda text: text.replace("\n", "\r\n"), "lines of plain text"),
    "a letter that is not ASCII": (lambda text: text.replace("serial=3", "serial=٣"), "lines of plain text"),
    "too large": (lambda text: text + "x" * 9000, "larger than 8192"),
    "a serial of nothing": (lambda text: text.replace("serial=3", "serial="), "no number"),
    "a serial with a sign": (lambda text: text.replace("serial=3", "serial=+3"), "no number"),
    "a serial with noughts": (lambda text: text.replace("serial=3", "serial=03"), "no number"),
    "a serial without end": (lambda text: text.replace("serial=3", "serial=3000000000"), "no number"),
    "another first line": (lambda text: text.replace("serial=3", "version=3"), "where serial is due"),
    "a day that there is not": (lambda text: text.replace("2027-11-30", "2027-02-30"), "expires is no moment"),
    "a role that there is not": (lambda text: text.replace("release=", "deputy="), "a role that there is not"),
    "a role that is missing": (lambda text: text.replace(f"{RELEASE}\n", ""), "it has not a serial|one to 8 keys"),
    "roles out of order": (
        lambda text: text.replace(f"{RELEASE}\n", "").replace("\n\n", f"\n{RELEASE}\n\n"),
        "not in their order",
    ),
    "a key that is not Base64": (lambda text: text.replace(RELEASE, "release=*"), "is not Base64"),
    "a key of nothing": (lambda text: text.replace(RELEASE, "release="), "is not a PEM public key"),
    "a key of another curve": (
        lambda text: text.replace(RELEASE, f"release={of_curve(ec.SECP384R1())}"),
        "is not an ECDSA key on P-256",
    ),
    "a key with more behind it": (
        lambda text: text.replace(
            RELEASE, f"release={base64.b64encode(KEYS[Role.RELEASE].public.spki + b'x').decode()}"
        ),
        "not written as it is written|is not a PEM public key",
    ),
    "a threshold of one, which is not written": (
        lambda text: text.replace("\nrelease=", "\nthreshold=1\nrelease="),
        "its threshold is no number",
    ),
    "a threshold with noughts": (
        lambda text: text.replace("\nrelease=", "\nthreshold=02\nrelease="),
        "its threshold is no number",
    ),
    "a threshold that its roots cannot meet": (
        lambda text: text.replace("\nrelease=", "\nthreshold=2\nrelease="),
        "2 of its 1 roots would have to sign",
    ),
    "a threshold elsewhere": (
        lambda text: text.replace("\n\n", "\nthreshold=2\n\n"),
        "a role that there is not",
    ),
    "a signature twice": (lambda text: text + text.split("\n")[-2] + "\n", "a signature stands twice"),
    "an empty line after the signature": (lambda text: text + "\n", "it has not a serial"),
    "seventeen signatures": (lambda text: text + "".join(f"AAA{one}\n" for one in "ABCDEFGHIJKLMNOPQ"), "1 to 16"),
    "a signature that is not Base64": (lambda text: text.replace(text.split("\n")[-2], "*"), "its signature is not"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_exactly_a_list_is_refused(name: str) -> None:
    change, why = BROKEN[name]
    text = change(SIGNED.text)
    assert text != SIGNED.text
    with pytest.raises(RefusedError, match=f"GP332 .*({why})"):
        read_roles(text.encode())


def test_a_role_has_eight_keys_at_most() -> None:
    many = [KeySigner(ec.generate_private_key(ec.SECP256R1())).public for _ in range(8)]
    fits: list[tuple[Role, PublicKey]] = [*((Role.RELEASE, key) for key in many), *GOOD.holders[1:]]
    assert len(replace(GOOD, holders=tuple(fits)).of(Role.RELEASE)) == 8
    with pytest.raises(RefusedError, match=r"GP332 .*one to 8 keys of the role release"):
        replace(GOOD, holders=(GOOD.holders[0], *fits))


def test_as_many_roots_sign_as_the_list_asks_for() -> None:
    read = read_roles(sign_roles(TWO, SECOND, THIRD).text.encode())
    assert (read.roles, read.by(THIRD.public)) == (TWO, TWO)
    assert read.signed_by([THIRD.public, SECOND.public, ROOT.public]) == (THIRD.public, SECOND.public)
    one = sign_roles(TWO, SECOND)
    assert one.missing(TWO) == 1
    with pytest.raises(RefusedError, match=r"GP311 .*1 of the 2 signatures"):
        one.by(SECOND.public)


def test_a_key_that_signs_twice_counts_once() -> None:
    twice = SignedRoles(TWO, (SECOND.sign(TWO.signed), SECOND.sign(TWO.signed)))
    assert twice.signatures[0] != twice.signatures[1], "ECDSA draws a number for each"
    for refused in (lambda: twice.by(SECOND.public), lambda: twice.refuse_unsigned(TWO)):
        with pytest.raises(RefusedError, match=r"GP311 .*1 of the 2"):
            refused()
    assert twice.with_signature(SECOND) == twice, "nor does it sign once more"
    assert twice.with_signature(THIRD).by(SECOND.public) == TWO


def test_a_strangers_signature_counts_for_nobody() -> None:
    with pytest.raises(RefusedError, match=r"GP311 .*1 of the 2"):
        sign_roles(TWO, SECOND, STRANGER, KEYS[Role.RELEASE]).by(SECOND.public)


@pytest.mark.parametrize(
    ("signers", "counts"),
    [((ROOT, SECOND), True), ((ROOT,), False), ((SECOND, THIRD), False), ((ROOT, STRANGER), False)],
    ids=["both lists", "too few of the new", "none of the old", "a stranger for the second"],
)
def test_the_roots_of_the_old_list_and_those_of_the_new_one_sign(signers: tuple[KeySigner, ...], counts: bool) -> None:
    signed = sign_roles(TWO, *signers)
    if counts:
        assert signed.after(GOOD) == TWO
    else:
        with pytest.raises(RefusedError, match="GP311"):
            signed.after(GOOD)


def test_a_threshold_is_not_lowered_by_fewer_than_it_asks_for() -> None:
    lower = replace(TWO, serial=5, threshold=1)
    with pytest.raises(RefusedError, match=r"GP311 .*by 1 of the 2 roots that list 4 asks for"):
        sign_roles(lower, SECOND).after(TWO)
    assert sign_roles(lower, SECOND, THIRD).after(TWO) == lower


def test_who_has_not_signed_yet_may_be_nobody_only_where_it_is_pending() -> None:
    unsigned = SignedRoles(TWO, ()).text.encode()
    assert read_roles(unsigned, pending=True).missing(TWO) == 2
    with pytest.raises(RefusedError, match=r"GP332 .*1 to 16 signatures"):
        read_roles(unsigned)


def test_a_list_without_a_threshold_is_what_it_was_before_there_were_any() -> None:
    assert "threshold" not in SIGNED.text
    assert TWO.lines.splitlines()[:3] == ["serial=4", "expires=2027-11-30T12:00:00Z", "threshold=2"]
