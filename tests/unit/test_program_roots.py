"""What the roots' word alone does on an enrolled host: hostile words are refused, and nothing is done."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.evidence.bundle import pre_authentication
from gopub.evidence.frame import framed
from gopub.evidence.keys import KeySigner
from gopub.evidence.roles import Role, Roles, SignedRoles, sign_roles
from gopub.evidence.rootword import RootWord, end_of, upgrade_to
from gopub.fleet.orders import Order
from gopub.fleet.signed import OrderKey, signed_lines
from tests.support.rooted import (
    ADMISSION,
    ALICE,
    BOB,
    CAROL,
    ENROLLED,
    FIRST,
    MACHINE,
    NEW,
    OLD,
    RELEASE,
    SHELLS,
    STRANGER,
    RootedHost,
    named,
    roles,
)

AFTER = 1796083201.0  # a second after 2026-11-30T12:00:00Z and a day
SECOND = sign_roles(roles(4, (OLD, NEW)), ALICE, CAROL)
GOOD = SECOND.text
Change = Callable[[], bytes]


@pytest.fixture(scope="module", params=SHELLS, ids=" ".join)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RootedHost:
    """One for all refusals: none may change anything."""
    return RootedHost.enrolled(tmp_path_factory.mktemp("host"), request.param)


@pytest.fixture(params=SHELLS, ids=" ".join)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> RootedHost:
    return RootedHost.enrolled(tmp_path, request.param)


def text(signed: Roles, *signers: KeySigner) -> Change:
    return sign_roles(signed, *signers).text.encode


def lines(said: str, *signers: KeySigner, kind: str = "application/vnd.gopub.roles") -> bytes:
    """Lines that no list of ours would have, signed all the same."""
    over = pre_authentication(kind, said.encode())
    return framed(said, *(one.sign(over) for one in signers)).encode()


def spki(one: KeySigner) -> str:
    return base64.b64encode(one.public.spki).decode()


def changed(old: str, new: str, count: int = -1) -> Change:
    """The next list with other words in it, signed as it then is."""

    def made() -> bytes:
        said = SECOND.roles.lines.replace(old, new, count)
        assert said != SECOND.roles.lines
        return lines(said, ALICE, CAROL)

    return made


def twice() -> bytes:
    """Two signatures of one key: ECDSA draws a number for each, so that they differ."""
    return SignedRoles(SECOND.roles, (ALICE.sign(SECOND.roles.signed), ALICE.sign(SECOND.roles.signed))).text.encode()


LAST = f"root={spki(CAROL)}\n"
LISTS: dict[str, tuple[Change, str]] = {
    "signed by one of two": (text(SECOND.roles, ALICE), "1 of the 2 roots"),
    "signed by nobody": (SignedRoles(SECOND.roles, ()).text.encode, "nobody signed it"),
    "one key signs twice": (twice, "1 of the 2 roots"),
    "one signature twice": ((GOOD + GOOD.split("\n")[-2] + "\n").encode, "stands twice"),
    "a stranger beside one root": (text(SECOND.roles, ALICE, STRANGER), "1 of the 2 roots"),
    "the controller and the release key sign": (text(SECOND.roles, OLD, RELEASE, ADMISSION), "0 of the 2 roots"),
    "its own new roots alone": (text(roles(4, roots=(STRANGER, NEW), threshold=1), STRANGER, NEW), "0 of the 2 roots"),
    "the old roots alone": (text(roles(4, roots=(STRANGER, NEW)), ALICE, BOB), "0 of the 2 roots that it asks"),
    "a lower threshold by one root": (text(roles(4, threshold=1), ALICE), "1 of the 2 roots"),
    "an old list": (text(roles(2), ALICE, BOB), "2 cannot take the place of 3"),
    "another list of this serial": (text(roles(3, (NEW,)), ALICE, BOB), "3 cannot take the place of 3"),
    "signed as something else": (
        lambda: lines(SECOND.roles.lines, ALICE, BOB, kind="application/vnd.gopub.upgrade"),
        "0 of the 2 roots",
    ),
    "signed without a type": (
        lambda: framed(SECOND.roles.lines, *(one.sign(SECOND.roles.lines.encode()) for one in (ALICE, BOB))).encode(),
        "0 of the 2 roots",
    ),
    "another controller put in": (lambda: GOOD.replace(spki(NEW), spki(STRANGER)).encode(), "0 of the 2 roots"),
    "cut in the signature": (lambda: GOOD.encode()[:-20], "its last line has no end"),
    "cut before the signatures": (lambda: GOOD.split("\n\n")[0].encode() + b"\n", "ends before its empty line"),
    "empty": (lambda: b"", "ends before its empty line"),
    "huge": (lambda: GOOD.encode() + b"A" * 9000, "may have 8192"),
    "line ends of Windows": (lambda: GOOD.replace("\n", "\r\n").encode(), "something else than lines"),
    "a NUL in a line": (lambda: GOOD.replace("serial=4", "serial=\x004").encode(), "something else than lines"),
    "a NUL in a signature": (
        lambda: GOOD.encode()[:-5] + b"\x00" + GOOD.encode()[-5:],
        "something else than lines|Base64",
    ),
    "a letter that is not ASCII": (lambda: GOOD.replace("serial=4", "serial=٤").encode(), "something else than lines"),
    "more behind it": ((GOOD + "\nmore\n").encode, "something follows"),
    "seventeen signatures": (
        lambda: framed(SECOND.roles.lines, *(ALICE.sign(b"%d" % one) for one in range(17))).encode(),
        "more signatures than 16",
    ),
    "a signature that is no Base64": ((GOOD + "$(id)\n").encode, "not Base64"),
    "a role missing": (changed(f"admission={spki(ADMISSION)}\n", ""), "keys of the role admission"),
    "no root in it": (changed("root=", "controller="), "keys of the role root"),
    "a key in two roles": (changed(spki(ADMISSION), spki(RELEASE)), "stands twice"),
    "a key twice in a role": (changed(LAST, LAST + LAST), "stands twice"),
    "a key twice, written otherwise": (changed(LAST, LAST + LAST[:-4] + "R" + "==\n"), "stands twice|P-256"),
    "roles out of order": (changed(f"release={spki(RELEASE)}\n", LAST, 1), "not in their order"),
    "nine keys of a role": (
        changed(
            LAST, LAST + "".join(f"root={spki(KeySigner(NEW.private))[:-12]}{n}AAAAAAAAA==\n" for n in "AQgwBCDEF")
        ),
        "P-256|one to 8 keys",
    ),
    "a role that leaves its folder": (changed(LAST, f"{LAST}../../root={spki(STRANGER)}\n"), "no list has there"),
    "a role with a dot before a good one": (changed(LAST, f"{LAST}x.root={spki(STRANGER)}\n"), "no list has there"),
    "a key that is a command": (changed(spki(NEW), "$(reboot)"), "not Base64"),
    "a point that is on no curve": (changed(spki(NEW), spki(NEW)[:40] + "AAAA" + spki(NEW)[44:]), "not one on P-256"),
    "a key that is cut": (changed(spki(NEW), spki(NEW)[:-8] + "A=="), "not one on P-256"),
    "a threshold of nine": (changed("threshold=2", "threshold=9"), "no list has there"),
    "more roots than it has would have to sign": (changed("threshold=2", "threshold=4"), "4 of its 3 roots"),
    "a serial with a sign": (changed("serial=4", "serial=+4"), "no serial|no number"),
    "a serial of the next age": (changed("serial=4", "serial=4000000000"), "no number"),
    "a moment that is none": (changed("2027-11-30", "tomorrow"), "no moment"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_the_roots_did_not_sign_is_refused_and_nothing_changes(host: RootedHost, name: str) -> None:
    make, why = LISTS[name]
    before = host.stands()
    answer = host.word("roles", make())
    assert (answer["ok"], answer["code"]) == ("false", "GP474"), answer
    assert any(one in answer["message"] for one in why.split("|")), answer["message"]
    assert host.stands() == before
    assert not list((host.place / "run").glob("order.*")), "nothing is left lying"


def upgrade(host: RootedHost, program: bytes | None = None, at: float = AFTER) -> tuple[bytes, RootWord]:
    program = program if program is not None else host.text("another").encode()
    return program, upgrade_to(program, at)


def by(word: RootWord, *roots: KeySigner) -> bytes:
    for root in roots:
        word = word.with_signature(root)
    return word.text.encode()


def whole(host: RootedHost, *roots: KeySigner, program: bytes | None = None, at: float = AFTER) -> bytes:
    sent, word = upgrade(host, program, at)
    return by(word, *(roots or (ALICE, BOB))) + b"\n" + sent


def of_lines(host: RootedHost, change: Callable[[str], str]) -> bytes:
    program, word = upgrade(host)
    return lines(change(word.lines), ALICE, BOB, kind="application/vnd.gopub.upgrade") + b"\n" + program


UPGRADES: dict[str, tuple[Callable[[RootedHost], bytes], str]] = {
    "signed by one of two": (lambda host: whole(host, ALICE), "1 of the 2 roots"),
    "signed by the controller": (lambda host: whole(host, OLD, NEW), "0 of the 2 roots"),
    "of before the enrolment": (lambda host: whole(host, at=AFTER - 7 * 86400), "is over"),
    "of the moment of the enrolment": (
        lambda host: of_lines(host, lambda said: said.replace(said.split("\n")[0], "serial=20261130120000")),
        "is over",
    ),
    "another program than was signed": (lambda host: whole(host) + b"\n: more", "another one than"),
    "a program that is cut": (lambda host: whole(host)[:-9], "another one than"),
    "no program": (lambda host: by(upgrade(host)[1], ALICE, BOB), "no program follows"),
    "a program that does not parse": (lambda host: whole(host, program=b"#!/bin/sh\nif\n"), "does not parse"),
    "a program that answers nothing": (lambda host: whole(host, program=b"#!/bin/sh\nexit 0\n"), "does not answer"),
    "a program that says no": (
        lambda host: whole(
            host, program=host.text().replace("tell_roles() {", "tell_roles() { fail GP477 no").encode()
        ),
        "does not answer",
    ),
    "a NUL between the lines": (lambda host: whole(host).replace(b"\nsize=", b"\n\x00size="), "0 of the 2|another one"),
    "a list of roles": (lambda _: GOOD.encode(), "0 of the 2 roots"),
    "the end of an enrolment": (lambda _: by(end_of(MACHINE, ENROLLED), ALICE, BOB), "0 of the 2 roots"),
    "four lines": (lambda host: of_lines(host, lambda said: said + "more=1\n"), "three lines"),
    "a digest that is a path": (
        lambda host: of_lines(host, lambda said: said.replace(said.split("\n")[1], "program=../../etc/passwd")),
        "three lines",
    ),
    "a size that is none": (
        lambda host: of_lines(host, lambda said: said.replace(said.split("\n")[2], "size=-1")),
        "three lines",
    ),
}


@pytest.mark.parametrize("name", UPGRADES)
def test_an_upgrade_that_the_roots_did_not_sign_or_that_does_not_work_is_refused(host: RootedHost, name: str) -> None:
    make, why = UPGRADES[name]
    before = host.stands()
    answer = host.word("upgrade", make(host))
    assert (answer["ok"], answer["code"]) == ("false", "GP475"), answer
    assert any(one in answer["message"] for one in why.split("|")), answer["message"]
    assert host.stands() == before


ENDS: dict[str, Change] = {
    "of another machine": lambda: by(end_of("6" * 32, ENROLLED), ALICE, BOB),
    "of an earlier enrolment": lambda: by(end_of(MACHINE, "2026-11-29T12:00:00Z"), ALICE, BOB),
    "signed by one of two": lambda: by(end_of(MACHINE, ENROLLED), ALICE),
    "signed by one, twice": lambda: framed(
        end_of(MACHINE, ENROLLED).lines, *(ALICE.sign(end_of(MACHINE, ENROLLED).signed) for _ in range(2))
    ).encode(),
    "signed by the controller": lambda: by(end_of(MACHINE, ENROLLED), OLD, RELEASE),
    "signed as an upgrade": lambda: lines(
        end_of(MACHINE, ENROLLED).lines, ALICE, BOB, kind="application/vnd.gopub.upgrade"
    ),
    "more behind it": lambda: by(end_of(MACHINE, ENROLLED), ALICE, BOB) + b"\nmore\n",
    "a list of roles": GOOD.encode,
}


@pytest.mark.parametrize("name", ENDS)
def test_nobody_else_ends_an_enrolment(host: RootedHost, name: str) -> None:
    before = host.stands()
    answer = host.word("unenroll", ENDS[name]())
    assert (answer["ok"], answer["code"]) == ("false", "GP476"), answer
    assert host.stands() == before


FIRST_LINES: dict[str, bytes] = {
    "a verb that there is not": b"gopub-root=1 stop 0\n",
    "a verb of an order": b"gopub-root=1 switch 3\nabc",
    "a verb that is a command": b"gopub-root=1 $(id) 0\n",
    "no verb": b"gopub-root=1 \n",
    "no size": b"gopub-root=1 roles\n",
    "a size that is none": b"gopub-root=1 roles -1\n",
    "a size in other digits": b"gopub-root=1 roles 0x10\n",
    "a size that no number holds": b"gopub-root=1 roles 99999999999999999999\n",
    "more words": b"gopub-root=1 roles 3 4\nabc",
    "two spaces": b"gopub-root=1  ask 0\n",
    "a line end of Windows": b"gopub-root=1 ask 0\r\n",
    "another format": b"gopub-root=2 ask 0\n",
}


@pytest.mark.parametrize("name", FIRST_LINES)
def test_a_first_line_that_is_none_does_nothing(host: RootedHost, name: str) -> None:
    before = host.stands()
    answer = host.ask(FIRST_LINES[name])
    assert answer["ok"] == "false", answer
    assert answer["code"] in {"GP473", "GP474", "GP460", "GP462"}, answer
    assert host.stands() == before


def test_what_never_ends_is_read_as_far_as_it_may_be(host: RootedHost) -> None:
    before = host.stands()
    assert host.ask(b"gopub-root=1 roles 8192\n" + b"serial=4\n" * 200_000)["code"] == "GP474"
    assert host.ask(b"gopub-root=1 roles 999999999\n" + b"A" * 2_000_000)["code"] == "GP474"
    assert host.ask(b"gopub-root=1 " + b"r" * 2_000_000)["ok"] == "false"
    short = host.word("roles", GOOD.encode(), size=len(GOOD) + 1)
    assert (short["code"], "it was cut" in short["message"]) == ("GP474", True)
    assert host.stands() == before


def test_a_list_that_enough_roots_signed_takes_its_place(fresh: RootedHost) -> None:
    answer = fresh.word("roles", SECOND.text.encode())
    assert (answer["ok"], answer["changed"], answer["value.roles"]) == ("true", "true", "4"), answer
    assert fresh.believes() == named(SECOND)
    assert (fresh.etc / "roles").read_text() == SECOND.text
    for role, held in SECOND.roles.holders:
        assert (fresh.etc / "keys" / role / f"{held.fingerprint}.pem").read_bytes() == held.pem
    stands = fresh.stands()
    again = fresh.word("roles", sign_roles(SECOND.roles, BOB, CAROL).text.encode())
    assert (again["ok"], again["changed"]) == ("true", "false"), "the same again, by others"
    assert fresh.word("roles", FIRST.text.encode())["code"] == "GP474", "an old one that is brought back"
    assert fresh.stands() == stands


def test_roots_change_by_the_word_of_both(fresh: RootedHost) -> None:
    later = roles(9, (NEW,), roots=(STRANGER,), threshold=1)
    answer = fresh.word("roles", sign_roles(later, ALICE, BOB, STRANGER).text.encode())
    assert answer["ok"] == "true", answer
    assert fresh.believes() == {role: {one.fingerprint for one in later.of(role)} for role in Role}
    by_old = sign_roles(replace(later, serial=10), ALICE, BOB)
    assert fresh.word("roles", by_old.text.encode())["code"] == "GP474", "who went has no word any more"
    assert fresh.word("roles", sign_roles(replace(later, serial=10), STRANGER).text.encode())["ok"] == "true"


def test_a_program_that_the_roots_signed_takes_its_place_once(fresh: RootedHost) -> None:
    old = fresh.program.read_bytes()
    sent = whole(fresh)
    answer = fresh.word("upgrade", sent)
    assert (answer["ok"], answer["changed"]) == ("true", "true"), answer
    assert fresh.program.read_bytes() == fresh.text("another").encode()
    assert fresh.program.stat().st_mode & 0o777 == 0o755
    assert (fresh.place / "lib" / "order.before").read_bytes() == old
    assert fresh.word("upgrade", sent)["changed"] == "false", "the same again"
    newest = whole(fresh, program=fresh.text("third").encode(), at=AFTER + 60)
    assert fresh.word("upgrade", newest)["ok"] == "true"
    stands = fresh.stands()
    assert fresh.word("upgrade", sent)["code"] == "GP475", "the one before, brought back"
    fresh.program.write_bytes(old)  # somebody enrolled the host anew, with another program
    assert fresh.word("upgrade", newest)["code"] == "GP475", "the last one, brought back"
    fresh.program.write_bytes(fresh.text("third").encode())
    assert fresh.stands() == stands


def test_the_roots_end_an_enrolment(fresh: RootedHost) -> None:
    (fresh.etc / "connections.yaml").write_text("ours")
    answer = fresh.word("unenroll", by(end_of(MACHINE, ENROLLED), ALICE, BOB))
    assert (answer["ok"], answer["changed"]) == ("true", "true"), answer
    assert not fresh.program.exists()
    assert [one.name for one in fresh.etc.iterdir()] == ["connections.yaml"], "what is not enrolment's stays"


@pytest.mark.parametrize("lost", ["host", "roles", "keys/controller"])
def test_a_host_that_is_half_enrolled_serves_nobody(fresh: RootedHost, lost: str) -> None:
    assert fresh.word("ask", b"")["ok"] == "true"
    (fresh.etc / lost).rename(fresh.place / "lost")
    for verb, said in (("ask", b""), ("roles", SECOND.text.encode())):
        assert fresh.word(verb, said)["code"] == "GP477"


def test_an_order_whose_key_goes_while_it_is_looked_at_is_one_of_a_revoked_key(fresh: RootedHost) -> None:
    """Its driver reads its key anew then; a signature that does not fit would end the rollout."""
    (shims := fresh.place / "shims").mkdir()
    key = fresh.etc / "keys/controller" / f"{OLD.public.fingerprint}.pem"
    (shims / "openssl").write_text(f'#!/bin/sh\nrm -f {key}\nexec /usr/bin/openssl "$@"\n')
    (shims / "openssl").chmod(0o755)
    order = Order("prune", "app1", MACHINE, "orders", "orders", "prod", epoch=1, token="ab", n=1)
    sent = signed_lines(order, OrderKey(OLD.public.fingerprint, OLD.sign))
    assert fresh.ask(sent)["code"] != "GP461", "control"
    assert fresh.with_shims(shims).ask(sent)["code"] == "GP461"


def test_control_without_the_count_one_root_would_do(fresh: RootedHost) -> None:
    text = fresh.program.read_text()
    count = '    [ "$count" -ge "$2" ] || refuse'
    assert count in text
    fresh.program.write_text(text.replace(count, '    [ "$count" -ge 1 ] || refuse'))
    assert fresh.word("roles", sign_roles(SECOND.roles, ALICE).text.encode())["ok"] == "true"


def test_control_without_the_serial_an_old_list_would_come_back(fresh: RootedHost) -> None:
    text = fresh.program.read_text()
    serial = '    [ "$l_serial" -gt "$k_serial" ] ||'
    assert serial in text
    fresh.program.write_text(text.replace(serial, "    :"))
    old = sign_roles(roles(2, (STRANGER,)), ALICE, BOB)
    assert fresh.word("roles", old.text.encode())["ok"] == "true"
    assert fresh.believes()[Role.CONTROLLER] == {STRANGER.public.fingerprint}
