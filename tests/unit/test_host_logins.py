"""Whose logins stay on a host that is enrolled again, and which program is not laid over."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gopub import __version__
from gopub.clock import SystemClock
from gopub.errors import GopubError, RefusedError
from gopub.fleet import program
from gopub.fleet.enrolling import Answer, Stands, asking, login_line
from gopub.fleet.loginkey import make_login, public_half
from gopub.fleet.logins import MOST, fingerprints, logins_with, own_lines
from gopub.usecases.enrol_host import enrolling
from gopub.usecases.enrol_keys import Keys, refuse_newer_program
from gopub.usecases.make_keys import make_keys

BARE = Stands("app1", "m1", "none")
OLD = Stands("app1", "m1", "enrolled", roles=b"a list of the same roots")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    folder = tmp_path_factory.mktemp("logins")
    first, second, authority = (public_half(make_login(folder / name)) for name in "abc")
    return login_line(first), login_line(second), login_line(authority, certified=True)


def test_the_logins_of_other_controllers_stay(keys: tuple[str, str, str], tmp_path: Path) -> None:
    first, second, authority = keys
    held = replace(OLD, login=first + authority)
    assert logins_with(held, second) == first + authority + second
    assert logins_with(held, first) == first + authority, "the same again changes nothing"
    assert logins_with(held, second, alone=True) == second
    assert logins_with(replace(held, login=first * 3), second) == first + second
    signed = make_keys(tmp_path / "keys", 86400, SystemClock()).signed
    told = enrolling(held, ["app1"], "prod", Keys(signed, second), 0.0)
    assert told.login == first + authority + second
    assert enrolling(held, ["app1"], "prod", Keys(signed, second), 0.0, only_login=True).login == second


def test_where_no_roots_lie_nobody_knows_whose_they_are(keys: tuple[str, str, str]) -> None:
    first, second, _ = keys
    assert logins_with(replace(BARE, stands="half", login=first), second) == second
    assert logins_with(replace(BARE, stands="half", login=first, roots=("a" * 64,)), second) == first + second


def test_a_line_that_gopub_did_not_write_is_never_kept(keys: tuple[str, str, str]) -> None:
    line = keys[0].rstrip("\n")
    kind, key = line.split(" ")[1:3]
    foreign = [
        f"{kind} {key} gopub", line.removeprefix("restrict,"), f"restrict,pty,{line.removeprefix('restrict,')}",
        line.replace("/shell", "/shell2"), line.replace(" ssh", "  ssh"), f" {line}", f"{line} ", f"{line}\r",
        line.replace(" gopub", " me@here"), f"{line} more", line.replace(kind, "ssh-rsa"), line.replace(key, "AAAA"),
        line.replace(key, f"{key}="), line.replace(key, f"{key}\u00a0x"), f"#{line}", "", f"cert-authority,{line}",
        line.replace(kind, "\udcff"), line.replace('"', "'"),
    ]  # fmt: skip
    assert [one for one in foreign if own_lines(one)] == []
    assert own_lines(line) == (line,), "control"
    assert logins_with(replace(OLD, login="\n".join([*foreign, line, *foreign])), keys[1]) == keys[0] + keys[1]


def test_who_may_log_in_is_told_as_ssh_keygen_does(keys: tuple[str, str, str], tmp_path: Path) -> None:
    told = fingerprints("".join(keys))
    for line, found in zip(keys, told, strict=True):
        (tmp_path / "key.pub").write_text(" ".join(line.split(" ")[-3:]))
        said = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True)
        assert found.split(" ")[0] == said.stdout.split()[1]
    assert ["(authority)" in one for one in told] == [False, False, True]


def looked(folder: Path) -> Stands:
    """What this machine would tell, were its files those of the folder."""
    text = program.enrolment()
    text = re.sub(r"\b(at_[a-z]+)=/", rf"\g<1>={folder}/", text)
    assert "=/etc/gopub" not in text
    (folder / "machine-id").write_text("f" * 32 + "\n")
    text = text.replace("/etc/machine-id", f"{folder}/machine-id")
    done = subprocess.run(["sh", "-c", text, "gopub-enrol"], input=asking("look"), capture_output=True, check=False)
    stands = Answer.parse(done.stdout, host="app1").stands
    assert stands, done
    return stands


def test_a_file_that_is_longer_than_what_is_looked_at_is_refused(keys: tuple[str, str, str], tmp_path: Path) -> None:
    first, second, _ = keys
    file = tmp_path / "var/lib/gopub-ssh/.ssh/authorized_keys"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff" * (MOST - len(first) - 1) + b"\n" + first.encode())
    whole = replace(looked(tmp_path), roles=b"list")
    assert logins_with(whole, second) == first + second, "all of it was seen"
    file.write_bytes(b"#" + file.read_bytes())
    long = replace(looked(tmp_path), roles=b"list")
    assert long.seen != whole.seen, "an enrolment that goes by what was there before is refused"
    with pytest.raises(GopubError, match=r"GP481 .* is longer"):
        logins_with(long, second)
    assert logins_with(long, second, alone=True) == second
    many = "".join(f"{login_line(_key(number))}" for number in range(MOST // len(first)))
    assert len(own_lines(many)) == MOST // len(first)
    with pytest.raises(GopubError, match=r"GP481 .* would be longer"):
        logins_with(replace(OLD, login=many), second)


def _key(number: int) -> str:
    return f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:04d}{'A' * 39}"


def test_the_program_says_of_which_gopub_it_is(tmp_path: Path) -> None:
    order = tmp_path / "usr/local/lib/gopub/order"
    order.parent.mkdir(parents=True)
    order.write_text(program.enrolled())
    assert looked(tmp_path).version == __version__
    seen = looked(tmp_path).seen
    order.write_text(program.enrolled().replace(f"\ngopub={__version__}\n", "\ngopub=99.0.0\n", 1))
    assert (looked(tmp_path).version, looked(tmp_path).seen == seen) == ("99.0.0", False)
    order.write_text(program.enrolled().replace(f"\ngopub={__version__}\n", "\ngopub=$(id)\n", 1))
    assert looked(tmp_path).version == "", "what is no version is none"


@pytest.mark.parametrize(("ours", "there", "by_file", "refused"), [
    ("0.1.0", "0.2.0", "", True), ("0.1.0", "", "0.1.1", True), ("0.9.0", "0.10.0", "0.1.0", True),
    ("1.0.0-rc.1", "1.0.0", "", True), ("0.1.0", "0.1.0", "9.9.9", False), ("0.2.0", "0.1.0", "", False),
    ("0.1.0", "", "", False), ("0.1.0", "another", "", False),
])  # fmt: skip
def test_a_newer_program_is_not_laid_over(ours: str, there: str, by_file: str, refused: bool) -> None:
    stands = replace(OLD, program_gopub=there, gopub=by_file)
    if not refused:
        refuse_newer_program(stands, ours)
        return
    with pytest.raises(RefusedError, match=r"(?s)GP452 .*--older-program"):
        refuse_newer_program(stands, ours)
