"""A service in two versions below a folder like /opt, and a client that never tries again.

The service is examples/hello, or one that also speaks HTTP/2, WebSockets and gRPC.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gopub.process import base_environment
from tests.support.go import go

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("a", "b")
ASKER = ROOT / "tests/support/asker"
EVERY = (
    "fresh GET", "fresh POST", "kept GET", "kept POST", "slow POST", "h2 GET", "h2 POST", "gRPC", "WebSocket",
    "stream", "endless stream", "gRPC stream", "deaf WebSocket",
)  # fmt: skip
"""The kinds of requests that the client knows, of which the last four last; "endless" and "deaf" ones are cut."""


@dataclass(frozen=True)
class Programs:
    """Where both versions and the client lie."""

    folder: Path

    async def build(self) -> Programs:
        """Build what is there in this checkout."""
        for version in VERSIONS:
            words = ("-ldflags", f"-X main.version={version}", "-o", str(self.folder / version), ".")
            await go("build", *words, at=ROOT / "examples/hello", CGO_ENABLED="0")
        await build_asker(self.folder)
        for version in VERSIONS:
            await build_served(self.folder / f"served-{version}", version)
        return self


async def build_asker(folder: Path) -> Path:
    """The client."""
    await go("build", "-o", str(folder / "asker"), ".", at=ASKER, CGO_ENABLED="0")
    return folder / "asker"


async def build_served(into: Path, version: str) -> Path:
    """The service that speaks all that the client asks."""
    await go(
        "build", "-ldflags", f"-s -w -X main.version={version}", "-o", str(into), "./served", at=ASKER, CGO_ENABLED="0"
    )
    return into


def until(what: str, holds: Callable[[], bool], said: Callable[[], str]) -> None:
    """Wait for a condition; the failure says what was seen instead."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, f"not before the end: {what}\n{said()}"
        time.sleep(0.02)


@dataclass
class Home:
    """/opt/hello, and the service that runs there."""

    folder: Path
    programs: Programs
    listen: str = "127.0.0.1:0"
    house: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    app: ClassVar[str] = "hello"
    prefix: ClassVar[str] = ""
    told: ClassVar[str] = r'"listen":"(.*?)","metrics":"(.*?)"'

    def __post_init__(self) -> None:
        """Both releases lie there, and the first one is current."""
        for version in VERSIONS:
            (self.folder / "releases" / version / "bin").mkdir(parents=True)
            os.link(
                self.programs.folder / (self.prefix + version), self.folder / "releases" / version / "bin" / self.app
            )
        self.turn(VERSIONS[0])

    def turn(self, version: str) -> None:
        """Let current name a release, whose configuration listens where the service does."""
        text = f"listen: {self.listen}\nmetrics: {self.house or 'localhost:0'}\n"
        (self.folder / "releases" / version / "config.yaml").write_text(text)
        (self.folder / "next").symlink_to(f"releases/{version}")
        (self.folder / "next").rename(self.folder / "current")

    def start(self, listeners: Sequence[socket.socket] = ()) -> None:
        """Start what current names; the listeners are its files from 3 on, as systemd gives them."""
        files = [one.fileno() for one in listeners]
        moved = "".join(f" {at}<&{fd}" for at, fd in enumerate(files, start=3) if at != fd)
        moved += "".join(f" {fd}<&-" for fd in files if fd >= 3 + len(files))
        argv = ["bash", "-c", f'LISTEN_PID=$$ exec "$0" "$@"{moved}', str(self.folder / "current/bin" / self.app)]
        argv += self.words()
        env = base_environment(extra={"LISTEN_FDS": str(len(files))} if files else {})
        with (self.folder / "log").open("ab") as log:
            self.started.append(
                subprocess.Popen(argv, env=env, cwd=self.folder / "current", pass_fds=files, stdout=log, stderr=log)
            )

    def words(self) -> list[str]:
        """How the program is called."""
        return ["--config", str(self.folder / "current/config.yaml")]

    def said(self) -> str:
        """What all processes wrote."""
        return (self.folder / "log").read_text()

    def found(self) -> Home:
        """Wait until the first one listens, and read where: the kernel chose the ports."""
        pattern = re.compile(self.told)
        until("it listens", lambda: bool(pattern.search(self.said())), self.said)
        if found := pattern.search(self.said()):
            self.listen, self.house = found.groups()
        return self

    def status(self) -> Mapping[str, Any]:
        """How the process that answers stands; nothing where none does."""
        with suppress(OSError), urllib.request.urlopen(f"http://{self.house}/-/handover", timeout=60) as answer:
            return json.load(answer)  # type: ignore[no-any-return]
        return {}

    def serves(self, *, but: int) -> int:
        """Wait for another process than that one, alone; gives its number."""
        seen: list[Mapping[str, Any]] = [{}]

        def is_alone() -> bool:
            seen.append(self.status())
            now = seen[-1]
            return bool(now) and now["pid"] != but and now["state"] == "serving" and not now["predecessor"]

        until(f"another process than {but} is alone", is_alone, lambda: f"{seen[-1]} {self.said()}")
        return int(seen[-1]["pid"])

    def close(self) -> None:
        """End whatever still runs from here."""
        for link in Path("/proc").glob("[0-9]*/exe"):
            with suppress(OSError):
                if link.readlink().is_relative_to(self.folder / "releases"):
                    os.kill(int(link.parent.name), signal.SIGKILL)
        for one in self.started:
            one.wait()


@dataclass
class Served(Home):
    """The same with the service that speaks everything, on one port that is known beforehand."""

    timeout: str = "1s"
    app: ClassVar[str] = "served"
    prefix: ClassVar[str] = "served-"
    told: ClassVar[str] = r'{"listens":"((.*?))"'

    def words(self) -> list[str]:
        """Where it listens, and how long it drains."""
        return ["-listen", self.listen, "-timeout", self.timeout]

    def cut(self) -> Counter[str]:
        """What the processes that ended say that they cut."""
        return cut_of(self.said())


def cut_of(log: str) -> Counter[str]:
    """What a service's log says that its drains cut: requests, connections that were taken over."""
    total: Counter[str] = Counter()
    for line in log.splitlines():
        if line.startswith('{"drained"'):
            told = json.loads(line)
            total.update({kind: told[kind] for kind in ("requests", "taken")})
    return total


class Client:
    """A client that asks all the time, once each kind of request was answered."""

    def __init__(self, program: Path, address: str, *words: str, rate: int = 500) -> None:
        """Start it, and wait until it was answered."""
        argv = [str(program), "-address", address, "-rate", str(rate), *words]
        self.process = subprocess.Popen(argv, env=base_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout
        begun = self.process.stdout.readline()
        assert begun == b"begun\n", begun

    def now(self) -> dict[str, Any]:
        """What it saw up to now."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def end(self) -> dict[str, Any]:
        """All that it saw."""
        out, _ = self.process.communicate(timeout=120)
        found: dict[str, Any] = json.loads(out)
        return found

    def close(self) -> None:
        """End it, however it stands."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def asked(programs: Programs, address: str, *words: str, rate: int = 500) -> Iterator[dict[str, Any]]:
    """Ask there all the time; at the end the counts are in what this gives."""
    seen: dict[str, Any] = {}
    client = Client(programs.folder / "asker", address, *words, rate=rate)
    try:
        yield seen
        seen.update(client.end())
    finally:
        client.close()
