"""What a thief of the controller's key did is over with the key: nothing of it binds whoever comes after."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gopub.fleet.signed import signed_lines
from tests.support.enrolled import SHELLS, EnrolledHost, fresh_signer, order_key


@pytest.mark.parametrize("shell", SHELLS)
def test_an_instance_that_the_thief_bound_is_its_owners_once_the_key_is_gone(tmp_path: Path, shell: str) -> None:
    host = EnrolledHost(tmp_path / "h")
    assert host.obey(host.order(app="evil", env="lab", epoch=999_999_999_999_999), shell=shell).ok
    rightful = host.order(epoch=4)
    assert host.obey(rightful, shell=shell).code == "GP466"
    other = fresh_signer()
    host.believe(other)
    assert host.obey(rightful, shell=shell, key=order_key(other)).code == "GP466", "control: both keys count"
    host.believe(host.signer).unlink()
    assert host.obey(rightful, shell=shell, key=order_key(other)).ok
    assert host.obey(host.order(app="evil", env="lab", epoch=5), shell=shell, key=order_key(other)).code == "GP466"


@contextmanager
def endless(host: EnrolledHost, shell: str) -> Iterator[subprocess.Popen[bytes]]:
    """An order of the thief's that holds the lock of its instance for as long as it likes, in a session of its own."""
    order = host.order("verify", arguments={"within": "999999"})
    sent = signed_lines(order, host.key, host.given(order))
    started = subprocess.Popen(
        (*SHELLS[shell], str(host.program)),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        assert started.stdin
        started.stdin.write(sent)
        started.stdin.close()
        while not (host.folder / "opt/orders/.gopub/holder").exists():
            assert started.poll() is None
            os.sched_yield()
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.mark.parametrize("shell", SHELLS)
def test_an_order_that_never_ends_ends_with_its_key(tmp_path: Path, shell: str) -> None:
    host = EnrolledHost(tmp_path / "h")
    other = fresh_signer()
    host.believe(other)
    rightful = host.order(epoch=4, arguments={"lock_wait": "1"})
    with endless(host, shell) as holding:
        assert host.obey(rightful, shell=shell, key=order_key(other)).code == "GP436", "control: both keys count"
        assert holding.poll() is None
        host.believe(host.signer).unlink()
        waits = host.order(epoch=4, arguments={"lock_wait": "60"})
        assert host.obey(waits, shell=shell, key=order_key(other)).ok
        assert holding.wait() == -signal.SIGKILL
