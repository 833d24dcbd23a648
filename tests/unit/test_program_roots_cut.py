"""The power fails between any two steps of a list or a program that changes: the host has the old or the new one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gopub.evidence.roles import Role, sign_roles
from gopub.evidence.rootword import end_of, upgrade_to
from tests.support.rooted import (
    ALICE,
    BOB,
    CAROL,
    ENROLLED,
    FIRST,
    MACHINE,
    NEW,
    OLD,
    SHELLS,
    RootedHost,
    named,
    roles,
)  # fmt: skip

AFTER = 1796083201.0
STEPS = ("mv", "cp", "rm", "rmdir", "sync", "chmod", "mkdir")
SECOND = sign_roles(roles(4, (NEW,), roots=(ALICE, BOB)), ALICE, BOB)


def shims(folder: Path) -> Path:
    """Programs that count their calls in a file, and end who called them instead of the one that is due."""
    folder.mkdir()
    for name in STEPS:
        file = folder / name
        file.write_text(
            f"#!/bin/sh\nread -r left <{folder}/left\nleft=$((left - 1))\necho $left >{folder}/left\n"
            f'[ "$left" -ne 0 ] || {{ kill -9 $PPID; exit 1; }}\nexec /usr/bin/{name} "$@"\n'
        )
        file.chmod(0o755)
    return folder


def cuts(tmp_path: Path, verb: str, said: Callable[[RootedHost], bytes]) -> Iterator[tuple[RootedHost, bytes, bool]]:
    """A host after each step at which its power failed, and at last one at which it did not."""
    cut = shims(tmp_path / "shims")
    for step in range(1, 200):
        host = RootedHost.enrolled(tmp_path / f"host{step}")
        sent = said(host)
        (cut / "left").write_text(f"{step}\n")
        died = not host.with_shims(cut).word(verb, sent)
        yield host, sent, died
        if not died:
            assert int((cut / "left").read_text()) > 0
            return
    pytest.fail("it never ended by itself")


def test_a_list_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    seen = []
    for host, sent, died in cuts(tmp_path, "roles", lambda _: SECOND.text.encode()):
        lying = host.believes()
        for role, both in named(FIRST).items():
            assert lying[role] >= both & named(SECOND)[role], "a key of both lists is believed at any moment"
        answer = host.ask(b"gopub-root=1 ask 0\n")  # the next start
        assert answer["ok"] == "true", answer
        serial = int(answer["value.roles"])
        assert host.believes() == named(SECOND if serial == 4 else FIRST), "whole: what went is believed no longer"
        assert (host.etc / "roles").read_text() == (SECOND if serial == 4 else FIRST).text
        assert not (host.etc / "roles.next").exists()
        if not died or len(seen) % 5 == 0:
            again = host.word("roles", sent)
            assert (again["ok"], host.believes()) == ("true", named(SECOND)), again
        seen.append(serial)
        assert died or serial == 4
    assert seen == sorted(seen), "there is one moment from which on the new one counts"
    assert seen.count(3) > 1 < seen.count(4)


def another(host: RootedHost) -> bytes:
    """An upgrade of that host to a program of its paths."""
    new = host.text("another").encode()
    return upgrade_to(new, AFTER).with_signature(ALICE).with_signature(CAROL).text.encode() + b"\n" + new


def test_a_program_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    seen = []
    for host, sent, _ in cuts(tmp_path, "upgrade", another):
        new = host.text("another").encode()
        stands = host.program.read_bytes()
        assert stands in {host.text().encode(), new}
        assert stands != new or os.access(host.program, os.X_OK)
        assert host.word("upgrade", sent)["ok"] == "true", "said again it is carried out"
        assert host.program.read_bytes() == new
        seen.append(stands == new)
    assert seen == sorted(seen)
    assert seen.count(False) > 1 < seen.count(True)


def test_an_end_that_was_cut_is_gone_through_with(tmp_path: Path) -> None:
    """Where nobody is root by SSH any more, a host without its host file could not be reached again."""
    word = end_of(MACHINE, ENROLLED).with_signature(ALICE).with_signature(CAROL).text.encode()
    whole, half, gone = 0, 0, 0
    for host, sent, died in cuts(tmp_path, "unenroll", lambda _: word):
        if not host.program.exists():
            gone += 1  # nobody obeys there
            continue
        assert died
        if host.etc.joinpath("host").exists() and not host.etc.joinpath("ending").exists():
            whole += 1
            assert host.ask(b"gopub-root=1 ask 0\n")["value.roles"] == "3", "as before"
            assert host.word("unenroll", sent)["value.ended"] == "1"
        elif (half := half + 1) % 2:
            assert host.ask(b"gopub-sig=1 x x\n")["code"] == "GP477", "nobody is obeyed meanwhile"
        else:
            assert host.ask(b"gopub-root=1 ask 0\n")["value.ended"] == "1"
        assert not host.program.exists()
        assert host.stands() == {}
    assert whole and half > 2 < gone


@pytest.mark.parametrize("shell", SHELLS)
def test_a_lock_that_cannot_be_made_is_said_and_nobody_else_opens_it(tmp_path: Path, shell: tuple[str, ...]) -> None:
    """Whoever can open it can hold it, and keep roots from taking a stolen key off."""
    host = RootedHost.enrolled(tmp_path, shell)
    host.program.with_name("order.part").mkdir()
    assert host.word("upgrade", another(host))["code"] in {"GP448", "GP421"}
    lock = host.place / "var" / "root.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()  # as on a disk that cannot be written: opening it fails
    assert host.word("roles", SECOND.text.encode())["code"] in {"GP448", "GP421"}
    lock.rmdir()
    assert host.word("roles", SECOND.text.encode())["ok"] == "true"
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_list_that_cannot_be_finished_serves_nobody(tmp_path: Path) -> None:
    host = RootedHost.enrolled(tmp_path)
    (host.etc / "roles.next").write_text(SECOND.text[:300])
    assert host.ask(b"gopub-root=1 ask 0\n")["code"] == "GP477"
    (host.etc / "roles.next").write_text(SECOND.text)
    assert host.ask(b"gopub-root=1 ask 0\n")["value.roles"] == "4"
    assert host.believes()[Role.CONTROLLER] == {NEW.public.fingerprint} != {OLD.public.fingerprint}


def test_a_half_list_takes_no_later_ones_place(tmp_path: Path) -> None:
    """Whoever enrols a host anew lays the newest list; one that was half laid before is over then."""
    host = RootedHost.enrolled(tmp_path, signed=sign_roles(roles(5), ALICE, BOB))
    before = host.believes()
    (host.etc / "roles.next").write_text(SECOND.text)
    assert host.ask(b"gopub-root=1 ask 0\n")["value.roles"] == "5"
    assert host.believes() == before
    assert not (host.etc / "roles.next").exists()
