"""Commands on a lab host over SSH, with the lab's key and the pinned host key; for tests and ``gopub lab exec``."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence

import asyncssh

from gopub.errors import GopubError
from gopub.fleet.backends.stream import talk
from gopub.lab.layout import LabHost, Layout
from gopub.process import Result

_LOGIN = 20.0


async def execute(
    layout: Layout,
    host: LabHost,
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    limit: float = 60.0,
    check: bool = True,
) -> Result:
    """Run one command as root and give what it left.

    Raises:
        GopubError: GP807 the host does not answer, GP808 the command failed (with ``check``), GP416 it prints more
            than 4 MiB.
    """
    try:
        result = await asyncio.wait_for(_once(layout, host, tuple(argv), stdin), limit)
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise GopubError(
            "GP807",
            f"host {host.name} ({host.address}) of lab {layout.name!r} does not answer: {str(error) or 'time is up'}",
            hint=f"gopub lab status --name {layout.name}; gopub lab up --name {layout.name} mends it",
        ) from error
    if check and result.code:
        said = f"{shlex.join(argv)} on {host.name} failed with exit code {result.code}\n{result.complaint}"
        raise GopubError("GP808", said, hint=f"gopub lab exec --name {layout.name} {host.name} -- journalctl -n 50")
    return result


async def _once(layout: Layout, host: LabHost, argv: tuple[str, ...], stdin: bytes) -> Result:
    async with asyncssh.connect(
        host.address,
        username="root",
        client_keys=[str(layout.key)],
        known_hosts=str(layout.known_hosts),
        config=None,
        agent_path=None,
        login_timeout=_LOGIN,
    ) as connection:
        return await talk(connection, shlex.join(argv), [stdin], argv)
