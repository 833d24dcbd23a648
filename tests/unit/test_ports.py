"""What the servers of tests listen on: ports that nobody else is given meanwhile."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.support.ports import SLICE, _mine, free_port


def test_each_is_another_that_listens_nowhere_and_that_the_kernel_gives_to_nobody() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)
    assert max(ports) < lowest
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_one_that_is_taken_is_left_out() -> None:
    mine = {free_port() for _ in range(SLICE)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", min(mine)))
        assert min(mine) not in {free_port() for _ in range(SLICE)}
    assert min(mine) in {free_port() for _ in range(SLICE)}, "control: it was left out for that"


def test_who_comes_beside_has_others() -> None:
    """A lock is one open file's, so who asks anew in this process is to the kernel as another process."""
    first, beside = _mine(), _mine.__wrapped__()
    others = {next(beside) for _ in range(SLICE)}
    assert others.isdisjoint(next(first) for _ in range(SLICE))
