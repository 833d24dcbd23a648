"""A Prefect server and a worker as child processes: for the demo, the tests and a first look.

Both outlive the program that starts them and are ended by their pid. A production server runs under systemd with
PostgreSQL (docs/guides/prefect-server.md); what differs is only the environment.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from gopub.clock import Clock, SystemClock, new_token
from gopub.errors import GopubError, InconclusiveError
from gopub.paths import cache_dir, private_folder, project_root
from gopub.process import base_environment, spawn

POOL = "gopub"
_STEP = 0.2
_BACKLOG = 128  # connections that may wait for a server that is not up yet
_NEWER_DATABASE = "Can't locate revision"
"""What alembic says of a database that a later version has migrated."""

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
}
"""No telemetry, no questions: set for every Prefect process that gopub starts."""

_SERVER: Mapping[str, str] = {
    # The default keeps leases in memory: a holder that dies together with the server would leak its slot for ever.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A program that was started: its pid and the file with its output."""

    what: str
    pid: int
    log: Path


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server on the loopback address; ``home`` holds its database, ``login`` lets in, where it is needed."""

    running: Running
    home: Path
    url: str
    login: str = field(default="", repr=False)

    @property
    def ui(self) -> str:
        """The address for a browser."""
        return self.url.removesuffix("/api")


def free_port() -> int:
    """A port of the loopback address on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client_environment(home: Path, url: str) -> dict[str, str]:
    """The variables that point a Prefect client at a server, away from the user's own profile."""
    return {**QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}


_SMALL: Mapping[str, str] = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",  # a note that it was done would keep another server from it
}
"""For a server without deployments and workers: nothing to schedule, to watch or to look at, and no Blocks."""


async def start_server(
    home: Path, port: int | None = None, *, settings: Mapping[str, str] | None = None, wait: float = 180.0
) -> Server:
    """Start a server on 127.0.0.1 and wait until it answers; SQLite in ``home``, unless ``settings`` of Prefect differ.

    Raises:
        InconclusiveError: GP916 it did not answer within ``wait`` seconds.
        GopubError: GP917 it ended before it answered.
    """
    port = port or free_port()
    ours = {name: value for name, value in os.environ.items() if name.startswith("GOPUB_")}  # people.yaml, its secrets
    server = _launched(home, port, ["--port", str(port)], {**ours, **(settings or {})})
    await answering(server, wait=wait)
    return server


def launch_own(home: Path) -> Server:
    """Start a server for flows of this process, with which it ends; see `answering`. SQLite in ``home``.

    It is given a socket that listens already: its port is its own from the first moment, nobody else's and no guess,
    and whoever asks before it is up is answered as soon as it is. Loopback is everybody's on this machine: it hears
    only who knows its login, as this process does.
    """
    login = f"gopub:{new_token()}"
    settings = {**_SMALL, "PREFECT_SERVER_API_AUTH_STRING": login, "PREFECT_API_AUTH_STRING": login}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(_BACKLOG)
        argv = ["--listening", str(listening.fileno()), "--with-parent", str(os.getpid())]
        made = _launched(home, int(listening.getsockname()[1]), argv, settings, [listening.fileno()])
    return replace(made, login=login)


def _launched(
    home: Path, port: int, options: Sequence[str], settings: Mapping[str, str], files: Sequence[int] = ()
) -> Server:
    private_folder(home)
    url = f"http://127.0.0.1:{port}/api"
    argv = [sys.executable, "-m", "deployments.prefect_server", *options, *_templates()]
    log = home / "server.log"
    extra = {**client_environment(home, url), **_SERVER, **settings, "PYTHONPATH": str(project_root())}
    pid = spawn(argv, log=log, cwd=home, env=base_environment(extra=extra), files=files)
    return Server(Running("Prefect server", pid, log), home, url)


def _templates() -> list[str]:
    """Where migrated databases are kept, unless nobody can write there."""
    folder = cache_dir() / "prefect"
    try:
        return ["--templates", str(private_folder(folder))]
    except OSError:
        return []


async def answering(server: Server, *, wait: float = 180.0) -> None:
    """Wait until a server answers that was started a moment ago.

    Raises:
        InconclusiveError: GP916 it did not within ``wait`` seconds.
        GopubError: GP917 it ended before it did.
    """
    await _until_healthy(server.running, server.url, wait)


async def start_worker(
    server: Server,
    *,
    pool: str = POOL,
    name: str = "gopub-worker",
    root: Path | None = None,
    extra: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Running:
    """Start a process worker that enters ``root`` (default: this project) and polls every 2 seconds.

    ``extra`` goes to the worker and so to its runs: store, keys, lab.
    """
    argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", name]
    log = log or server.home / f"{name}.log"
    environment = worker_environment(server, root or project_root()) | dict(extra or {})
    return Running("Prefect worker", spawn(argv, log=log, cwd=server.home, env=environment), log)


def worker_environment(server: Server, root: Path) -> dict[str, str]:
    """What a worker needs beside the usual: the server, the project, and a short poll (the default is 10 s)."""
    settings = {"GOPUB_HOME": str(root), "PREFECT_WORKER_QUERY_SECONDS": "2"}
    kept = [name for name in os.environ if name.startswith(("GOPUB_", "XDG_", "AWS_", "SSH_AUTH_"))]
    return base_environment(keep=kept, extra=client_environment(server.home, server.url) | settings)


def worker_command(url: str, root: Path, pool: str = POOL) -> str:
    """The command that starts a worker, as a person would type it."""
    settings = f"PREFECT_API_URL={url} PREFECT_WORKER_QUERY_SECONDS=2 GOPUB_HOME={root}"
    return f"{settings} prefect worker start --pool {pool}"


async def stop(running: Running, *, wait: float = 20.0, clock: Clock | None = None) -> None:
    """End the program and all that it started: SIGTERM, then SIGKILL for what is left after ``wait`` seconds.

    A worker's runs are in process groups of their own, so that they survive it; here they end with it.
    """
    clock = clock or SystemClock()
    family = descendants(running.pid)
    _signal(running.pid, signal.SIGTERM)
    until = clock.now() + wait
    while alive(running) and clock.now() < until:
        await clock.sleep(_STEP)
    for pid in (running.pid, *family):
        _signal(pid, signal.SIGKILL)
    while alive(running):
        await clock.sleep(_STEP)


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they started; parents come first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(entry), []).append(int(entry.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _parent(entry: Path) -> int:
    try:
        # The name in parentheses may hold anything; what follows the last one is state and parent.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def alive(running: Running) -> bool:
    """Whether the program still runs; reaps it where it is our child."""
    try:
        if os.waitpid(running.pid, os.WNOHANG)[0] == running.pid:
            return False
    except ChildProcessError:
        pass  # somebody else's child: ask the process table
    try:
        os.kill(running.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal a process, and its group where it leads one."""
    for send in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            send(pid, number)


async def _until_healthy(running: Running, url: str, wait: float) -> None:
    clock = SystemClock()
    until = clock.now() + wait
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
        while not await _answers(http, f"{url}/health"):
            if not alive(running):
                raise _ended_early(running)
            if clock.now() > until:
                await stop(running)
                raise InconclusiveError(
                    "GP916",
                    f"the {running.what} at {url} did not answer within {wait:g}s",
                    hint=f"see {running.log}",
                )
            await clock.sleep(_STEP)


def _ended_early(running: Running) -> GopubError:
    said = _tail(running.log)
    hint = f"its whole output is in {running.log}"
    if _NEWER_DATABASE in said:
        home = running.log.parent
        hint = f"a newer Prefect used the database in {home}: run that version, or set PREFECT_HOME to another folder"
    return GopubError("GP917", f"the {running.what} ended before it answered\n{said}", hint=hint)


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.HTTPError:
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
