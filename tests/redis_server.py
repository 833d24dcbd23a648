"""A real Redis for tests: on a socket of its own and no port, in a folder that is thrown away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.process import base_environment, which

WITHIN = 300.0


@dataclass
class Redis:
    """A running server; what is in it lies in ``folder`` where it is told to keep it."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: int) -> str:
        """The address of one of its databases."""
        return f"unix://{self.folder}/redis.sock?db={database}"

    def start(self) -> None:
        """Start it, empty but for what it kept, and wait until it answers."""
        program = which("redis-server")
        assert program, "no redis-server on PATH: run make tools as root"
        self.socket.unlink(missing_ok=True)
        argv = [str(program), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        with (self.folder / "redis.log").open("ab") as log:
            nothing, env = subprocess.DEVNULL, base_environment()
            self.process = subprocess.Popen(argv, env=env, stdin=nothing, stdout=log, stderr=log)
        end = time.monotonic() + WITHIN
        while not self.socket.exists():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "redis.log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a machine's loss does: nothing is written any more."""
        assert self.process
        self.process.kill()
        self.process.wait(WITHIN)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "redis.sock"


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """Start one that keeps nothing on disk."""
    server = Redis(folder)
    folder.mkdir(parents=True, exist_ok=True)
    server.start()
    try:
        yield server
    finally:
        server.kill()
