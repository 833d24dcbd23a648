"""A real systemd-journald with a machine of its own around it, as far as mounts go; ended by its pid."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gopub.errors import GopubError
from gopub.process import Result, base_environment, run

_ALONE = """
set -e
mount -t tmpfs tmpfs /run
[ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal
mkdir -p /run/systemd/journald.conf.d /run/log/journal
cat >/run/systemd/journald.conf.d/a.conf <<END
[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
RateLimitBurst=0
END
exec /lib/systemd/systemd-journald
"""
_WITHIN = 300.0


class Machine:
    """What runs on it sees this journal; services write to it as any service does."""

    def __init__(self, name: str, server: subprocess.Popen[bytes]) -> None:
        self.name, self.down = name, False
        self._server, self.pid = server, server.pid

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        """Run a program there, unless the machine is away."""
        if self.down:
            raise GopubError("GP413", f"{self.name} cannot be reached: no route to host")
        return await run([*self.inside, *argv], stdin=stdin, check=False)

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a program there."""
        return ("nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--")

    async def say(self, unit: str, text: bytes) -> None:
        """A line of that unit, which is in the journal when this returns."""
        fields = [b"MESSAGE=" + text, b"PRIORITY=6", b"OBJECT_SYSTEMD_UNIT=" + unit.encode()]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.connect(str(self._door))
            door.send(b"".join(field + b"\n" for field in fields))
        await run(["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--", "journalctl", "--sync"])

    @property
    def _door(self) -> Path:
        return Path(f"/proc/{self.pid}/root/run/systemd/journal/socket")

    def wait(self) -> None:
        """Until it takes lines."""
        for _ in range(int(_WITHIN / 0.05)):
            assert self._server.poll() is None, f"the journal of {self.name} ended: is this root?"
            if self._door.is_socket():
                return
            time.sleep(0.05)
        raise AssertionError(f"the journal of {self.name} did not come within {_WITHIN:g}s")


@contextmanager
def journal(name: str, folder: Path) -> Iterator[Machine]:
    """A machine with an empty journal."""
    with (folder / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ALONE],
            env=base_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        machine = Machine(name, server)
        machine.wait()
        yield machine
    finally:
        server.terminate()
        server.wait(30)
