"""Commands on a lab host over SSH, with the lab's key and the pinned host key; for tests and ``gopub lab exec``."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence

import asyncssh

from gopub.errors import GopubError
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
        GopubError: GP807 the host does not answer, GP808 the command failed (with ``check``).
    """
    try:
        done = await asyncio.wait_for(_once(layout, host, shlex.join(argv), stdin), limit)
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise GopubError(
            "GP807",
            f"host {host.name} ({host.address}) of lab {layout.name!r} does not answer: {str(error) or 'time is up'}",
            hint=f"gopub lab status --name {layout.name}; gopub lab up --name {layout.name} mends it",
        ) from error
    result = Result(tuple(argv), done.returncode or 0, _bytes(done.stdout), _bytes(done.stderr))
    if check and result.code:
        said = f"{shlex.join(argv)} on {host.name} failed with exit code {result.code}\n{result.complaint}"
        raise GopubError("GP808", said, hint=f"gopub lab exec --name {layout.name} {host.name} -- journalctl -n 50")
    return result


async def _once(layout: Layout, host: LabHost, command: str, stdin: bytes) -> asyncssh.SSHCompletedProcess:
    async with asyncssh.connect(
        host.address,
        username="root",
        client_keys=[str(layout.key)],
        known_hosts=str(layout.known_hosts),
        config=None,
        agent_path=None,
        login_timeout=_LOGIN,
    ) as connection:
        if stdin:
            return await connection.run(command, input=stdin, encoding=None)
        return await connection.run(command, stdin=asyncssh.DEVNULL, encoding=None)  # empty input would never end


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
