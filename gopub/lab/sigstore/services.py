"""The services of a stack as processes: started, asked whether they are ready, found by looking, ended."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import h11

import gopub
from gopub.errors import GopubError
from gopub.lab import kernel
from gopub.lab.http1 import Connection, LostError
from gopub.lab.sigstore import ground, serving
from gopub.lab.sigstore.layout import ADDRESS, SERVICES, Stack
from gopub.lab.sigstore.trust import ORIGIN
from gopub.paths import cache_dir
from gopub.process import base_environment, spawn, which

_PROGRAMS = {"fulcio": "fulcio", "rekor": "rekor-posix", "timestamp": "timestamp-server"}
_READY = {
    "oidc": serving.READY,
    "ctlog": serving.READY,
    "fulcio": "/healthz",
    "rekor": "/healthz",
    "timestamp": "/ping",
}
_MARK, _OWNER = "GOPUB_SIGSTORE", "GOPUB_SIGSTORE_OWNER"
_WITHIN, _ONCE, _POLL = 90.0, 5.0, 0.05
_LINGERS, _LAST_LINES = 10.0, 6


def require() -> None:
    """Go on only where the programs are that the set-up builds.

    Raises:
        GopubError: GP813 with the names of those that are missing.
    """
    missing = [program for program in _PROGRAMS.values() if _program(program) is None]
    if missing:
        raise GopubError(
            "GP813",
            f"the Sigstore stack cannot run here: {', '.join(missing)} not found on PATH or in {cache_dir() / 'bin'}",
            hint="make tools builds them (scripts/setup.sh tools)",
        )


def _program(name: str) -> Path | None:
    built = cache_dir() / "bin" / name
    return which(name) or (built if built.exists() else None)


def running(folder: Path, service: str) -> kernel.Process | None:
    """The process of a service of the stack in this folder, if it runs."""
    found = kernel.find_marked(f"{_MARK}={folder}/{service}")
    return found[0] if found else None


def all_running(folder: Path) -> tuple[kernel.Process, ...]:
    """Every process of the stack in this folder, whatever is left of the folder itself."""
    return kernel.find_marked(f"{_MARK}={folder}/", prefix=True)


def _marks(folder: Path, service: str, owner: kernel.Process | None) -> dict[str, str]:
    """The environment by which a service is found again, and finds the package that has ours."""
    marks = {_MARK: f"{folder}/{service}", "PYTHONPATH": str(Path(gopub.__file__).parent.parent)}
    return marks | ({_OWNER: f"{owner.pid}.{owner.started}"} if owner else {})


async def start(stack: Stack, service: str, owner: kernel.Process | None = None) -> None:
    """Start a service that does not run, and wait until it answers; ``sweep`` ends it once its owner is dead.

    Raises:
        GopubError: GP812 it ends at once, or does not answer in time; the text ends with what it said.
    """
    process = running(stack.folder, service)
    if process is None:
        environment = base_environment(extra=_marks(stack.folder, service, owner))
        process = kernel.look(spawn(argv(stack, service), log=stack.log(service), cwd=stack.folder, env=environment))
    until = time.monotonic() + _WITHIN
    while process and process.alive() and time.monotonic() < until:
        if await ready(stack, service):
            return
        await asyncio.sleep(_POLL)
    raise _failed(
        stack, service, f"it gave no answer in {_WITHIN:g}s" if process and process.alive() else "it ended at once"
    )


async def stolen(stack: Stack) -> bool:
    """Whether a port of a service that does not run is another's by now."""
    for service in SERVICES:
        if running(stack.folder, service) is None and await _taken(stack, service):
            return True
    return False


async def _taken(stack: Stack, service: str) -> bool:
    """Whether somebody keeps a port of a service; one that was killed keeps its own until its last thread is gone."""
    until = time.monotonic() + _LINGERS
    while taken := any(map(ground.listens, stack.ports(service))):
        if time.monotonic() > until:
            break
        await asyncio.sleep(_POLL)
    return taken


def _failed(stack: Stack, service: str, how: str) -> GopubError:
    log = stack.log(service)
    said = log.read_text(errors="replace").splitlines()[-_LAST_LINES:] if log.exists() else []
    what = f"{service} of the Sigstore stack, port {stack.port(service)}: {how}"
    return GopubError("GP812", "\n".join([what, *said]), hint=f"see {log}")


async def ready(stack: Stack, service: str) -> bool:
    """Whether a service answers now that all is well."""
    request = h11.Request(method="GET", target=_READY[service], headers=[("Host", ADDRESS), ("Connection", "close")])
    try:
        async with asyncio.timeout(_ONCE):
            connection = await Connection.open(ADDRESS, stack.port(service))
            try:
                return (await connection.exchange(request)).status == 200
            finally:
                connection.close()
    except (LostError, TimeoutError):
        return False


async def kill(folder: Path, service: str) -> None:
    """End a service as a crash does, if it runs."""
    process = running(folder, service)
    if process:
        await _end(process, signal.SIGKILL)


async def end_all(folder: Path) -> None:
    """End every service of the stack in this folder, whatever is left of the folder itself."""
    await asyncio.gather(*map(_end, all_running(folder)))


async def sweep() -> None:
    """End every service whose owner is dead (a test run that was killed)."""
    owned = {process: tuple(map(int, value.split("."))) for process, value in kernel.marks(_OWNER).items()}
    left = [process for process, (pid, started) in owned.items() if not kernel.Process(pid, started).alive()]
    await asyncio.gather(*map(_end, left))


async def _end(process: kernel.Process, ask: signal.Signals = signal.SIGTERM) -> None:
    """End a process, and wait for its last thread as well: only then are its ports free."""
    await kernel.end(process, ask=ask, within=5.0)
    until = time.monotonic() + _LINGERS
    while _threads(process.pid) > 1 and time.monotonic() < until:  # noqa: ASYNC110 - another process tells no event
        await asyncio.sleep(_POLL)


def _threads(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return 0


def argv(stack: Stack, service: str) -> list[str]:
    """How a service is started. Every socket is of loopback or has a name of the stack's own."""
    if service not in _PROGRAMS:
        return [sys.executable, "-s", "-P", "-m", serving.__name__, service, str(stack.folder)]
    name = _PROGRAMS[service]
    return [str(_program(name) or name), "serve", *_options(stack, service)]


def _options(stack: Stack, service: str) -> list[str]:
    port, grpc = str(stack.port(service)), f"{service}-grpc"
    if service == "fulcio":
        return [
            "--host", ADDRESS, "--port", port, "--grpc-host", ADDRESS, "--grpc-port", str(stack.port(grpc)),
            "--metrics-port", "0", "--legacy-unix-domain-socket", f"@gopub-fulcio-{port}",
            "--config-path", str(stack.folder / "fulcio.yaml"), "--ct-log-url", stack.url("ctlog"),
            "--ct-log-public-key-path", str(stack.folder / "ctlog.pub"),
            "--ca", "fileca", "--fileca-cert", str(stack.chain(service)), "--fileca-key", str(stack.key(service)),
            "--fileca-key-passwd", "", "--fileca-watch=false",
        ]  # fmt: skip
    if service == "rekor":
        return [
            "--http-address", ADDRESS, "--http-port", port, "--grpc-address", ADDRESS,
            "--grpc-port", str(stack.port(grpc)), "--http-metrics-port", "0", "--hostname", ORIGIN,
            "--storage-dir", str(stack.folder / "rekor"), "--signer-filepath", str(stack.key(service)),
            "--checkpoint-interval", "100ms", "--batch-max-age", "10ms",
        ]  # fmt: skip
    return [
        "--host", ADDRESS, "--port", port, "--timestamp-signer", "file", "--file-signer-key-path",
        str(stack.key(service)), "--certificate-chain-path", str(stack.chain(service)), "--disable-ntp-monitoring",
    ]  # fmt: skip
