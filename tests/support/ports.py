"""Ports for servers of a test: nobody else takes one between the moment it is chosen and the moment it is listened on.

A port that the kernel chose (``bind`` to 0) is the kernel's again as soon as it is closed: the next connection of
anybody may leave from it, and a server that was to start there, or to start there again, finds it taken. These lie
below what the kernel gives away, and each process of tests has a slice of its own for as long as it lives.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

FIRST, LAST = 10_000, 20_000  # above lie those of a private Sigstore
SLICE = 400
"""Far more than one process has open at once: a port comes again only after so many others."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port of this process on which nobody listens, and nobody will."""
    for _ in range(SLICE):
        port = next(_mine())
        with suppress(OSError), socket.socket() as probe:
            probe.bind((host, port))
            return port
    raise AssertionError(f"{SLICE} ports are taken, the last is {port}")


@cache
def _mine() -> Iterator[int]:
    folder = Path(tempfile.gettempdir(), f"gopub-ports-{os.geteuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for first in _begins():
        held = os.open(folder / str(first), os.O_RDWR | os.O_CREAT, 0o600)  # until this process ends, however it does
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
        else:
            return itertools.cycle(range(first, first + SLICE))
    raise AssertionError("as many processes of tests as there are slices")


def _begins() -> list[int]:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    begins = list(range(FIRST, min(LAST, lowest) - SLICE, SLICE))
    random.shuffle(begins)  # what an ended process leaves behind for a minute is in the way of nobody
    assert begins, f"the kernel gives away all from {lowest}"
    return begins
