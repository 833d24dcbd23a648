"""What whoever has the SSH key alone can do to the roots' word: nothing of theirs stays, and nobody waits for them."""

from __future__ import annotations

import fcntl
import subprocess
import time
from pathlib import Path

import pytest

from gopub.evidence.frame import framed
from gopub.evidence.roles import sign_roles
from tests.support.rooted import ALICE, BOB, CAROL, NEW, OLD, SHELLS, STRANGER, RootedHost, named, roles

SECOND = sign_roles(roles(4, (OLD, NEW)), ALICE, CAROL)
THIRD = sign_roles(roles(5, (NEW,)), ALICE, BOB)


@pytest.fixture(params=SHELLS, ids=" ".join)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> RootedHost:
    return RootedHost.enrolled(tmp_path, request.param)


@pytest.mark.parametrize("line", ["serial==", "expires=", "half", "+++="])
def test_what_a_stranger_adds_to_a_rightful_list_does_not_stay(fresh: RootedHost, line: str) -> None:
    """A list is no secret: who has the SSH key may bring it before the roots do, with a line more behind it."""
    answer = fresh.word("roles", (SECOND.text + line + "\n").encode())
    assert answer["code"] in {"", "GP474"}, answer
    assert fresh.word("ask", b"")["value.roles"] == {"true": "4", "false": "3"}[answer["ok"]]
    assert line not in (fresh.etc / "roles").read_text().splitlines()
    answer = fresh.word("roles", THIRD.text.encode())
    assert answer["ok"] == "true", answer
    assert fresh.believes() == named(THIRD)


def test_who_signed_nothing_keeps_no_root_waiting(fresh: RootedHost, tmp_path: Path) -> None:
    """Sixteen signatures of a stranger are looked at before the lock is taken: it is held, and they are told no."""
    said = SECOND.roles.lines
    junk = framed(said, *(STRANGER.sign(b"%d" % one) for one in range(16))).encode()
    lock = fresh.place / "var" / "root.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = time.monotonic()
        assert fresh.word("roles", junk)["code"] == "GP474"
        assert time.monotonic() - before < 50, "it waited for the lock, for which a host gives 60 seconds"


def test_a_word_that_does_not_come_is_not_waited_for(fresh: RootedHost) -> None:
    """Who has the SSH key says that there will be a program, sends what fits into a head, and holds the line open."""
    text = fresh.program.read_text()
    assert "PATIENCE=120 " in text
    fresh.program.write_text(text.replace("PATIENCE=120 ", "PATIENCE=1 "))
    sent = b"gopub-root=1 upgrade 400000\n" + b"A" * 70_000
    with subprocess.Popen([*fresh.shell, str(fresh.program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asked:
        assert asked.stdin and asked.stdout
        try:
            asked.stdin.write(sent)
            asked.stdin.flush()
            asked.wait(timeout=50)
        finally:
            asked.kill()
        said = asked.stdout.read()
    assert b"code=GP475" in said and b"it was cut" in said
