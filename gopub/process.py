"""The only module that starts other programs: argv lists, a chosen environment, a time limit.

It never uses a shell, never inherits an environment by accident, and never puts a secret on a command line.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import shutil
import signal
import subprocess
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import RawIOBase
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from gopub.clock import SystemClock
from gopub.errors import GopubError

_PASSED_THROUGH = (
    "HOME",
    "LANG",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
)
_NO_PROXY = ("NO_PROXY", "no_proxy")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", *_NO_PROXY)
_SET_ASIDE: dict[str, str] = {}
"""SOCKS proxies that were taken out of this process, for the programs that it starts."""
NEVER_BY_PROXY = ("localhost", "127.0.0.1", "::1", "198.18.0.0/15")
"""This machine, and the addresses of the lab, which no real network has."""

_LAST_WORDS = 1.0
"""Seconds in which output still comes after a program that is not trusted has ended: what it left may hold the pipe."""
_LOOKED = 0.02
"""Seconds between two looks whether such a program has ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished program left: its exit code (negative: killed by that signal) and what it printed."""

    argv: tuple[str, ...]
    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without the last line end."""
        return self.out.decode(errors="replace").rstrip("\n")

    @property
    def complaint(self) -> str:
        """The last lines of standard error, else of standard output, for an error message."""
        said = (self.err.strip() or self.out.strip()).decode(errors="replace")
        return "\n".join(said.splitlines()[-12:])


class Executor(Protocol):
    """Where a program can be run, such as a host or an edge: what ``gopub.fleet`` gives."""

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        """Run it there to its end; a place that cannot be reached is a ``GopubError`` or an ``OSError``."""


@dataclass(frozen=True, slots=True)
class Call:
    """One of the fixed things that a place is asked: the program for it, and the verb where no program may be run.

    ``app``, ``env``, ``epoch`` and ``token`` say for whom and by whose order, where the place does not know that.
    """

    verb: str
    arguments: Mapping[str, str]
    argv: tuple[str, ...]
    app: str = ""
    env: str = ""
    epoch: int = 0
    token: str = ""


@runtime_checkable
class ByVerb(Protocol):
    """An ``Executor`` that knows verbs besides programs, and takes whichever the place wants."""

    async def by_verb(self, call: Call, stdin: bytes = b"") -> Result:
        """What its program would leave; a place that refuses is a ``GopubError``."""


async def call_on(place: Executor, call: Call, stdin: bytes = b"") -> Result:
    """Ask a place that knows verbs by the call's verb, any other by its program."""
    if isinstance(place, ByVerb):
        return await place.by_verb(call, stdin)
    return await place.exec(call.argv, stdin)


def base_environment(*, extra: Mapping[str, str] | None = None, keep: Sequence[str] = ()) -> dict[str, str]:
    """A small environment: what programs need to run at all, proxies, ``keep`` by name, then ``extra``."""
    names = (*_PASSED_THROUGH, *_PROXIES, *keep)
    around = _SET_ASIDE | os.environ
    environment = {name: around[name] for name in names if name in around} | dict(extra or {})
    bypass_proxies(environment)
    return environment


def proxies() -> dict[str, str]:
    """Of that environment what says which proxy leads out, and where none does."""
    return {name: value for name, value in base_environment().items() if name in _PROXIES}


def bypass_proxies(environment: MutableMapping[str, str], *hosts: str) -> None:
    """Let programs with this environment reach this machine, the lab and ``hosts`` directly, whatever proxy is set.

    A proxy leads out of this machine; what listens on loopback (an engine's own server, a store, a service's health)
    is only to be had here. What ``NO_PROXY`` named before stays.
    """
    for name, other in zip(_NO_PROXY, reversed(_NO_PROXY), strict=True):
        said = environment.get(name) or environment.get(other) or ""
        known = [part for part in (part.strip() for part in said.split(",")) if part]
        if known != ["*"]:
            environment[name] = ",".join(dict.fromkeys((*known, *NEVER_BY_PROXY, *hosts)))


def set_socks_aside(environment: MutableMapping[str, str]) -> None:
    """Keep SOCKS proxies for the programs that we start (git, Go), which know them, and out of this process.

    Our HTTP clients refuse to be made at all where such a proxy is set and its package is missing, even for a server
    on loopback that is never asked through it. Where the package is there, nothing changes.
    """
    if find_spec("socksio") is None:
        for name in _PROXIES:
            if environment.get(name, "").lower().startswith("socks"):
                _SET_ASIDE[name] = environment.pop(name)


def which(program: str) -> Path | None:
    """Where a program lies on PATH."""
    found = shutil.which(program)
    return Path(found) if found else None


async def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 600.0,  # noqa: ASYNC109 - the limit must end the whole process group
    check: bool = True,
    most: int | None = None,
    files: Sequence[int] = (),
) -> Result:
    """Run a program to its end; ``env`` is its whole environment (default: ``base_environment()``).

    ``most`` is for a program that is not trusted: only the last so many bytes of each stream are kept, it is over when
    its own process is, and what it leaves running in its group is ended. It inherits the open ``files``, and no others.

    Raises:
        GopubError: GP901 not found, GP902 exit code other than 0 (with ``check``), GP903 over the time limit.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=dict(env) if env is not None else base_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=files,
        )
    except FileNotFoundError as error:
        raise GopubError("GP901", f"cannot start {argv[0]!r}: {error}", hint="is it installed and on PATH?") from error
    except OSError as error:  # no right to run it, no format that the kernel knows, words too long
        said = f"cannot start {argv[0]!r}: {error}"
        raise GopubError("GP901", said, hint="has it chmod +x, and a first line such as #!/bin/sh?") from error
    try:
        out, err = await asyncio.wait_for(_talk(child, stdin, most), timeout)
    except (TimeoutError, asyncio.CancelledError) as error:
        _end_group(child.pid)
        _let_go(child)
        await child.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
        raise GopubError("GP903", f"{argv[0]} did not end within {timeout:g}s", hint="see what it waits for") from error
    result = Result(tuple(argv), child.returncode or 0, out, err)
    if check and result.code:
        raise GopubError("GP902", f"{' '.join(argv[:3])} … failed with exit code {result.code}\n{result.complaint}")
    return result


async def _talk(child: asyncio.subprocess.Process, stdin: bytes, most: int | None) -> tuple[bytes, bytes]:
    if most is None or child.stdin is None or child.stdout is None or child.stderr is None:
        return await child.communicate(stdin)
    child.stdin.close()
    out, err = bytearray(), bytearray()
    kept = ((child.stdout, out), (child.stderr, err))
    reading = [asyncio.create_task(_keep_end(stream, into, most)) for stream, into in kept]
    try:
        # Its wait() would wait for whoever holds the pipes, too.
        while child.returncode is None:
            await SystemClock().sleep(_LOOKED)
        left = not await _within(reading, _LAST_WORDS)
        # What it left running has nobody who watches it, whether or not it holds the output.
        _end_group(child.pid)
        if left and not await _within(reading, _LAST_WORDS):
            err += (
                b"\n(a process that it left running still holds its output, and could not be ended: it left the group)"
            )
    finally:
        for task in reading:
            task.cancel()
        _let_go(child)
    return bytes(out), bytes(err)


def _let_go(child: asyncio.subprocess.Process) -> None:
    """Close its pipes, for one that others hold has no end, and ``wait()`` waits for the end of all of them."""
    child._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - asyncio has no other way


async def _within(reading: Sequence[asyncio.Task[None]], seconds: float) -> bool:
    """Whether all was read by then."""
    return not (await asyncio.wait(reading, timeout=seconds))[1]


async def _keep_end(stream: asyncio.StreamReader, kept: bytearray, most: int) -> None:
    while chunk := await stream.read(65536):
        kept += chunk
        del kept[:-most]


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left in it
        return


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    files: Sequence[int] = (),
) -> int:
    """Start a program that outlives us, in a session of its own, its output appended to ``log``; gives its pid.

    It inherits the open ``files``, and no others.

    Raises:
        GopubError: GP901 not found.
    """
    with log.open("ab") as sink:
        try:
            child = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env=dict(env) if env is not None else base_environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                pass_fds=files,
            )
        except FileNotFoundError as error:
            raise GopubError("GP901", f"cannot start {argv[0]!r}: {error}", hint="is it installed?") from error
    # The program is meant to outlive this object: whoever started it waits for it, or ends it, by pid.
    child.returncode = 0
    return child.pid


class Companion:
    """A program that answers on its standard streams as long as we live; it has exactly the environment it is given."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], files: Sequence[int] = ()) -> None:
        """Start it, in a session of its own: a Ctrl-C is ours to handle. It inherits the open ``files``, and no others.

        Raises:
            GopubError: GP901 not found.
        """
        try:
            self._child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
                pass_fds=files,
            )
        except FileNotFoundError as error:
            raise GopubError("GP901", f"cannot start {argv[0]!r}: {error}", hint="is it installed?") from error
        atexit.register(self.end)

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._child.pid

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._child.poll() is not None

    def send(self, data: bytes) -> None:
        """Give it all of these bytes.

        Raises:
            BrokenPipeError: it has ended.
        """
        stream, rest = self._stream("stdin"), memoryview(data)
        while rest:
            rest = rest[stream.write(rest) :]

    def receive(self, size: int, within: float) -> bytes:
        """Exactly ``size`` bytes of what it says.

        Raises:
            EOFError: it has ended.
            TimeoutError: nothing came for ``within`` seconds.
        """
        stream, parts = self._stream("stdout"), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while len(parts) < size:
                if not selector.select(within):
                    raise TimeoutError
                part = stream.read(size - len(parts))
                if not part:
                    raise EOFError
                parts += part
        return bytes(parts)

    def end(self, most: int = 64 * 1024) -> tuple[int, str]:
        """End it; its exit code (negative: killed by that signal) and the end of what it said on standard error."""
        atexit.unregister(self.end)
        child = self._child
        if child.returncode is None and not self._ended_by_itself():
            child.kill()
        said = b"" if child.stderr is None or child.stderr.closed else child.stderr.read(most) or b""
        code = child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()
        return code, said.decode(errors="replace")

    def _ended_by_itself(self) -> bool:
        """Whether it is over, or about to be: its output is closed a moment before its end can be seen."""
        stream = self._stream("stdout")
        if stream.closed:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            return bool(selector.select(0)) and not stream.read(1)

    def _stream(self, name: str) -> RawIOBase:
        return cast("RawIOBase", getattr(self._child, name))
