"""A real PostgreSQL for tests: on a socket of its own and no port, thrown away with its folder, however they end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.process import base_environment

OWNER = "postgres"
"""Debian's user for it: PostgreSQL refuses to run as root."""
WITHIN = 300.0
ENDS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
"""How PostgreSQL understands signals: once clients have left, without waiting for them, and as after a crash."""


@dataclass
class Postgres:
    """A running server; who may enter ``folder`` is its superuser."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def url(self, driver: str, database: str) -> str:
        """The address of a database for SQLAlchemy, such as ``postgresql+asyncpg``."""
        return f"postgresql+{driver}://{_owner()}@/{database}?host={self.folder}"

    def create(self, database: str) -> None:
        """Make an empty database."""
        self.run("createdb", database)

    def run(self, program: str, *words: str) -> str:
        """Run one of PostgreSQL's programs against it; gives what it printed."""
        address = ["--host", str(self.folder), "--username", _owner()]
        return _run([str(_programs() / program), *address, *words])

    def restart(self, how: str = "fast") -> None:
        """Stop it as an operator (``fast``) or a crash (``immediate``) would, and start it again."""
        self.stop(how)
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers; it ends with this process, however that ends."""
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        room = ["-c", "max_connections=200", "-c", "shared_buffers=32MB"]
        argv = [*_dropped("--pdeathsig=QUIT"), str(_programs() / "postgres"), "-D", str(self.data), *options, *room]
        with (self.folder / "server.log").open("ab") as log:
            nothing, env = subprocess.DEVNULL, base_environment()
            self.process = subprocess.Popen(argv, cwd="/", env=env, stdin=nothing, stdout=log, stderr=log)
        end = time.monotonic() + WITHIN
        while not self._ready():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "server.log").read_text()
            time.sleep(0.1)

    def stop(self, how: str = "fast") -> None:
        """End it."""
        assert self.process
        self.process.send_signal(ENDS[how])
        assert self.process.wait(WITHIN) is not None

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    def _ready(self) -> bool:
        argv = [str(_programs() / "pg_isready"), "--quiet", "--host", str(self.folder)]
        return subprocess.run(argv, check=False, env=base_environment()).returncode == 0


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start one in a folder of its own, which only its owner (and root) may enter."""
    with tempfile.TemporaryDirectory(prefix="gopub-pg-") as name:  # pytest's folders are closed to other users
        server = Postgres(Path(name))
        if os.geteuid() == 0:
            shutil.chown(server.folder, OWNER)
        initdb = ["initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "-D", str(server.data)]
        _run([*_dropped(), str(_programs() / initdb[0]), *initdb[1:], "--username", _owner()])
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def _owner() -> str:
    return OWNER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _dropped(*options: str) -> list[str]:
    """What runs a program as PostgreSQL's owner."""
    user = [f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *user, *options] if user or options else []


def _programs() -> Path:
    """Debian keeps them off PATH, a folder for each version; their absence is a failure, not a reason to skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "no PostgreSQL in /usr/lib/postgresql: run make tools as root"
    return found[-1]


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, cwd="/", env=base_environment(), timeout=WITHIN
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout
