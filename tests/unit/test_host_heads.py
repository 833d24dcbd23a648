"""What an enrolled host remembers of the journal: the shell part itself, under the shells that hosts have."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from gopub.fleet import program
from gopub.fleet.orders import Order
from gopub.fleet.signed import signed_lines
from gopub.journal.remembered import Remembered, read_remembered
from tests.support.enrolled import EnrolledHost, fresh_signer, order_key

SHELLS = {"dash": ("dash",), "busybox": ("busybox", "sh")}
HASH = "0123456789abcdef" * 4
Host = Callable[..., dict[str, str]]


def part(name: str) -> str:
    return (files(program.__name__) / f"{name}.sh").read_text("utf-8")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """Orders that are believed already, one after another: each is a process of its own."""
    text = part("base") + part("heads")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/lock").touch()
    words = f"KEPT={tmp_path} state={tmp_path}/state o_host=app1 o_token=1 o_n=1 o_instance=hello"

    def told(
        *journals: str, verb: str = "switch", epoch: int = 3, key: str = "f" * 64, then: str = ""
    ) -> dict[str, str]:
        orders = "".join(f"o_journal={one!r}\nremember_head\n" for one in journals)
        script = f"{text}\n{words} o_verb={verb} o_epoch={epoch} signer_key={key}\n{orders}{then}\ndo_heads\n"
        done = subprocess.run([*SHELLS[request.param]], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done
        return dict(line.removeprefix("value.").split("=", 1) for line in done.stdout.splitlines())

    return told


def known(said: dict[str, str]) -> tuple[Remembered, ...]:
    return read_remembered(said)


def test_what_came_with_an_order_is_remembered_with_its_time_order_and_key(host: Host) -> None:
    host(f"7:{HASH}:hello-prod-1.2.0+b-0a1b2c", verb="stage")
    first, second = known(host(f"9:{HASH}"))
    assert (first.seq, first.hash, first.epoch, first.verb) == (7, HASH, 3, "stage")
    assert (first.key, first.rollout) == ("f" * 12, "hello-prod-1.2.0+b-0a1b2c")
    assert (second.seq, second.rollout) == (9, "")
    assert first.at.endswith("Z") and first.at <= second.at


def test_nothing_is_remembered_of_what_is_no_head_and_the_same_one_once(host: Host) -> None:
    for broken in ("", "7", f"x:{HASH}", f"7:{HASH[1:]}", f"7:{HASH[1:]}G", f":{HASH}", f"{'9' * 16}:{HASH}"):
        assert known(host(broken)) == (), broken
    assert len(known(host(f"7:{HASH}", f"7:{HASH}:r1"))) == 1
    assert [line.rollout for line in known(host(f"8:{HASH}:a b"))] == ["", ""], (
        "what is no name of a rollout is left out"
    )


def test_a_kept_order_for_status_adds_nothing_old(host: Host) -> None:
    """Such an order needs no nonce: who has the SSH key could send yesterday's for ever, and push out what is newer."""
    host(f"7:{HASH}", f"9:{HASH}")
    assert [line.seq for line in known(host(f"7:{HASH}", f"8:{HASH}", f"12:{HASH}", f"7:{HASH}", verb="status"))] == [
        7,
        9,
        12,
    ]
    assert known(host(f"8:{HASH}"))[-1].seq == 8, "control: an order with a nonce does, the journal may be an older one"


def test_status_leaves_its_head_to_the_order_that_is_under_way(host: Host, tmp_path: Path) -> None:
    with (tmp_path / "state/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert known(host(f"7:{HASH}", verb="status")) == ()
    assert len(known(host(f"7:{HASH}", verb="status"))) == 1, "control"


def test_a_line_that_a_power_cut_left_half_is_nobodys(host: Host, tmp_path: Path) -> None:
    host(f"7:{HASH}")
    file = tmp_path / "heads" / "hello"
    file.write_text(file.read_text() + "\n2026-11-30T21:40:00Z 8 0123")
    assert [line.seq for line in known(host(f"9:{HASH}"))] == [7, 9]
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "heads").stat().st_mode & 0o777 == 0o700


def test_memory_is_bounded_and_reaches_back_to_the_first_order(host: Host, tmp_path: Path) -> None:
    host(f"1:{HASH}")
    file = tmp_path / "heads" / "hello"
    line = file.read_text().strip()
    for _ in range(6):
        last = int(file.read_text().splitlines()[-1].split()[1])
        more = [line.replace(" 1 ", f" {seq} ") for seq in range(last + 1, 1000 + last)]
        file.write_text("\n".join([file.read_text(), *more]))
        seqs = [one.seq for one in known(host(f"{last + 1000}:{HASH}"))]
        assert len(seqs) < 2000
        assert seqs[0] == 1
        assert seqs[-500:] == list(range(last + 501, last + 1001)), "of the newest none is missing"
        assert seqs == sorted(seqs)


def test_other_instances_have_a_memory_of_their_own(host: Host) -> None:
    assert len(known(host(f"7:{HASH}"))) == 1
    other = host(f"8:{HASH}", then="o_instance=other o_journal=9:" + HASH + "; remember_head")
    assert [line.seq for line in known(other)] == [9]


def test_a_host_that_cannot_write_goes_on_and_says_so(host: Host, tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("no folder")
    said = host(f"7:{HASH}")
    assert (said["ok"], said["head"]) == ("true", "unwritten")
    (tmp_path / "heads").unlink()
    assert "head" not in host(f"7:{HASH}"), "control"


def remembered(host: EnrolledHost, shell: str, order: Order) -> list[int]:
    told = host.ask(signed_lines(replace(order, verb="heads"), host.key), shell=shell, verb="heads")
    assert told.ok, told
    return [line.seq for line in read_remembered(told.values)]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_whole_program_remembers_what_came_with_orders_that_it_let_in_alone(tmp_path: Path, shell: str) -> None:
    host = EnrolledHost(tmp_path / "host")
    first = host.order(journal=f"7:{HASH}:r1")
    nonce = host.nonce(first, shell=shell)
    assert host.ask(signed_lines(first, host.key, nonce), shell=shell).ok
    assert remembered(host, shell, first) == [7]

    later = replace(first, n=2, journal=f"9:{HASH}:r1")
    thief = order_key(fresh_signer())
    assert host.ask(signed_lines(later, thief, nonce), shell=shell).code == "GP461"
    assert host.ask(signed_lines(later, host.key, "0" * 32), shell=shell).code == "GP463"
    assert host.ask(signed_lines(replace(later, host="other"), host.key, nonce), shell=shell).code == "GP465"
    again = host.ask(signed_lines(replace(first, journal=f"9:{HASH}"), host.key, nonce), shell=shell)
    assert again.values["repeated"] == "true"
    assert remembered(host, shell, first) == [7], "what was refused is not remembered"
    assert host.ask(signed_lines(later, host.key, nonce), shell=shell).ok
    assert remembered(host, shell, first) == [7, 9], "control: the same, by whom and when it may be"

    asked = replace(first, verb="status", n=0, journal=f"12:{HASH}:r1")
    host.ask(signed_lines(asked, host.key), shell=shell, verb="status")
    assert remembered(host, shell, first) == [7, 9, 12]
    assert host.ask(signed_lines(replace(asked, verb="heads"), thief), shell=shell, verb="heads").code == "GP461"
