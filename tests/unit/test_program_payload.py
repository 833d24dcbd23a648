"""A payload that stands still: its order ends, and the instance's lock with it, on enrolled hosts and on others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.fleet.orders import Order, Record
from gopub.fleet.signed import MOST_HEAD, signed_lines
from tests.support.enrolled import SHELLS, EnrolledHost

STILL = "STILL=50 "
SIZE = 3 * (1 << 20)


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(tmp_path: Path) -> EnrolledHost:
    return EnrolledHost(tmp_path / "host")


def stage(host: EnrolledHost) -> Order:
    digests = {"archive": "0" * 64, "binary": "1" * 64, "files": "2" * 64}
    return host.order("stage", release="a" * 64, render="b" * 64, digests=digests, arguments={"files_size": str(SIZE)})


def impatient(text: str, still: str) -> str:
    """The program without admissions, which are another matter, and with so many seconds for a payload."""
    assert text.count(STILL) == 1
    return text.replace(STILL, f"STILL={still} ").replace("    admit_order\n", "")


@contextmanager
def begun(host: EnrolledHost, shell: str, still: str, came: int, *, pinned: bool) -> Iterator[subprocess.Popen[bytes]]:
    """An order to stage of which so many bytes of the payload come, and neither more nor an end."""
    order = stage(host)
    head = signed_lines(order, host.key, host.given(order)) if pinned else order.lines()
    program = host.folder / "hasty"
    program.write_text(impatient(host.text() if pinned else host.plain(), still))
    argv = (*SHELLS[shell], str(program), *(() if pinned else ("stage",)))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin and running.stdout
        try:
            running.stdin.write(head + bytes(came))
            running.stdin.flush()
            yield running
        finally:
            running.stdin.close()


@pytest.mark.parametrize("pinned", [True, False], ids=["enrolled", "any"])
@pytest.mark.parametrize("came", [MOST_HEAD, (1 << 20) + 7])
def test_a_payload_that_stands_still_ends_its_order(host: EnrolledHost, shell: str, came: int, pinned: bool) -> None:
    with begun(host, shell, "0.5", came, pinned=pinned) as running:
        assert running.stdout
        said = Record.parse(running.stdout.read().decode(), host="h1", verb="stage")  # our side stays open
        assert said.code == "GP424"
        assert said.message.startswith(f"the payload stood still: of {SIZE} bytes ")
        assert host.obey(replace(host.order(), n=2), shell=shell).ok, "the lock is free"
    assert not list((host.folder / "opt/orders/releases").glob(".new-*"))
    assert not list((host.folder / "run").iterdir())


def test_control_with_all_the_time_there_is_it_holds_the_lock(host: EnrolledHost, shell: str) -> None:
    with begun(host, shell, "50", MOST_HEAD, pinned=True):
        state = host.folder / "opt/orders/.gopub/state"
        while not state.exists():  # it was let in
            pass
        later = replace(host.order(), n=2, arguments={"lock_wait": "0"})
        assert host.obey(later, shell=shell).code == "GP436"
