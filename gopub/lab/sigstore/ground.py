"""Where a stack lies and where its services listen: one folder, seven ports of loopback. Pure but for the probing.

Ports lie below those that the kernel gives to whoever asks for any, so that a service that died finds its own again.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from pathlib import Path

from gopub.errors import GopubError
from gopub.lab.sigstore.layout import ADDRESS, PORTS, Stack
from gopub.lab.state import write
from gopub.paths import private_folder

_FIRST, _BLOCKS = 20000, 1500
_FILE = "stack.json"


def load(folder: Path) -> Stack | None:
    """The stack whose folder this is; None where there is none, or none of this version."""
    try:
        return Stack(folder, int(json.loads((folder / _FILE).read_text())["first_port"]))
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def save(stack: Stack) -> None:
    """Remember where it listens, in one step."""
    private_folder(stack.folder)
    write(stack.folder / _FILE, json.dumps({"schema_version": 1, "first_port": stack.first}) + "\n", 0o600)


def place(folder: Path, *, after: Stack | None = None, taken: Callable[[int], bool] | None = None) -> Stack:
    """A stack with ports that are free, the same for the same folder while they are.

    Args:
        folder: where it lies.
        after: a stack of that folder whose ports turned out to be another's: begin behind them.
        taken: whether somebody listens on a port.

    Raises:
        GopubError: GP812 no block of ports is free.
    """
    taken = taken or listens
    digest = int.from_bytes(hashlib.sha256(str(folder).encode()).digest()[:4])
    begin = digest if after is None else (after.first - _FIRST) // len(PORTS) + 1
    for step in range(_BLOCKS):
        stack = Stack(folder, _FIRST + len(PORTS) * ((begin + step) % _BLOCKS))
        if not any(taken(stack.port(name)) for name in PORTS):
            return stack
    last = _FIRST + len(PORTS) * _BLOCKS - 1
    raise GopubError(
        "GP812", f"no {len(PORTS)} ports in a row are free from {_FIRST} to {last}", hint="end what listens there"
    )


def listens(port: int) -> bool:
    """Whether a port of loopback cannot be had."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the ends of old connections do not count
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return True
    return False
