"""A watcher of a source beside a real edge, a real etcd, and a client that never retries."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gopub.process import base_environment
from gopub.traffic import RouteTable, encode
from tests.contracts.edge_nginx import Backend, LocalEdge
from tests.support.ports import free_port

TOOLS = (
    "base64", "cat", "cut", "date", "dirname", "grep", "head", "mkdir", "mkfifo", "od", "rm", "sed", "sha256sum",
    "sleep", "tail", "tr", "wc",
)  # fmt: skip
"""What the watcher calls, besides curl."""


def envelope(table: RouteTable, *, name: str = "", signature: str = "-", body: bytes = b"") -> bytes:
    """A table as a source holds it."""
    return f"gopub-table/v1 {name or table.upstream}\n{signature}\n".encode() + (body or encode(table))


async def eventually(what: Callable[[], Awaitable[object]], within: float = 120.0) -> None:
    """Wait for a condition of another process."""
    async with asyncio.timeout(within):
        while not await what():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


@dataclass
class Watcher:
    """A watcher that runs beside an edge, as its unit starts it."""

    edge: LocalEdge
    process: subprocess.Popen[bytes]
    log: Path

    async def source(self) -> dict[str, Any]:
        """What the edge says of the source."""
        _, body = await self.edge.control("GET", "/v1/status")
        told: dict[str, Any] | None = json.loads(body)["source"]
        return told or {}

    async def revision(self, upstream: str = "hello") -> int:
        """Of the table that the edge obeys."""
        _, body = await self.edge.control("GET", f"/v1/tables/{upstream}")
        return int(json.loads(body).get("revision") or 0)

    async def reaches(self, revision: int) -> None:
        async def there() -> bool:
            return await self.revision() == revision

        await eventually(there)

    async def is_up(self, *, up: bool) -> dict[str, Any]:
        """Wait until the edge says so; what it says."""

        async def there() -> bool:
            return (await self.source()).get("up") is up

        await eventually(there)
        return await self.source()

    async def has_refused(self, more_than: int = 0) -> dict[str, Any]:
        async def there() -> bool:
            return int((await self.source()).get("refused", 0)) > more_than

        await eventually(there)
        return await self.source()


def busybox_path(folder: Path) -> str:
    """A PATH on which everything but curl is busybox."""
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to("/bin/busybox")
    (folder / "curl").symlink_to("/usr/bin/curl")
    return str(folder)


@contextmanager
def running_watcher(edge: LocalEdge, *lines: str, shell: str = "dash") -> Iterator[Watcher]:
    """Started with these settings and short times, in a session of its own, which is ended."""
    root = edge.root / "watcher"
    root.mkdir(exist_ok=True, parents=True)
    settings, log = root / "settings", root / "log"
    short = (f"socket {edge.socket}", f"run {root}/work", f"access {root}/access", "wait 2", "limit 1", "again 4")
    settings.write_text("\n".join((*short, *lines, "")))
    script = str(edge.root / "gopub" / "source" / "watch.sh")
    environment = base_environment()
    argv = ["/bin/dash", script, str(settings)]
    if shell == "busybox":
        environment = {**environment, "PATH": busybox_path(root / "bin")}
        argv = ["/bin/busybox", "sh", script, str(settings)]
    with log.open("ab") as said:
        process = subprocess.Popen(argv, stderr=said, stdout=said, env=environment, start_new_session=True)
    try:
        yield Watcher(edge, process, log)
    finally:
        end_session(process)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Whatever that process started, ended with it; nobody else is in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Etcd:
    """A real etcd of our own."""

    root: Path
    port: int = field(default_factory=free_port)
    peer: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, folder: str = "data") -> None:
        """``folder`` another one: it has forgotten everything."""
        own = f"http://127.0.0.1:{self.peer}"
        with (self.root / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "etcd", "--data-dir", str(self.root / folder), "--listen-client-urls", self.url,
                    "--advertise-client-urls", self.url, "--listen-peer-urls", own, "--logger", "zap",
                    "--initial-advertise-peer-urls", own, "--initial-cluster", f"default={own}",
                    "--heartbeat-interval", "50", "--election-timeout", "500",
                ],
                stdout=log, stderr=log, env=base_environment(), start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        if self.process:
            end_session(self.process)
        self.process = None

    def freeze(self, *, frozen: bool = True) -> None:
        assert self.process
        os.killpg(self.process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    async def answers(self) -> None:
        async def there() -> bool:
            try:
                await self.ask("/v3/kv/range", {"key": "AA=="})
            except OSError:
                return False
            return True

        await eventually(there)

    async def ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        """One question of the gateway."""

        def asked() -> bytes:
            with urllib.request.urlopen(self.url + path, json.dumps(question).encode(), timeout=10) as answer:  # noqa: S310 - http
                return bytes(answer.read())

        try:
            found: dict[str, Any] = json.loads(await asyncio.to_thread(asked))
        except urllib.error.HTTPError as error:
            raise ConnectionError(error.read()) from error
        return found

    async def put(self, key: str, value: bytes) -> int:
        """Gives the revision that it made."""
        done = await self.ask("/v3/kv/put", {"key": coded(key.encode()), "value": coded(value)})
        return int(done["header"]["revision"])


def coded(text: bytes) -> str:
    return base64.b64encode(text).decode()


@contextmanager
def running_etcd(root: Path) -> Iterator[Etcd]:
    """Started, and ended at the end."""
    etcd = Etcd(root)
    etcd.start()
    try:
        yield etcd
    finally:
        etcd.stop()


@dataclass
class Asking:
    """What a client that never retries got while it asked on and on."""

    asked: int = 0
    failed: list[str] = field(default_factory=list)

    def is_whole(self, backends: list[Backend]) -> bool:
        """All answers came, and the upstreams saw as many requests as were sent."""
        return self.asked > 0 and not self.failed and sum(len(one.seen) for one in backends) == self.asked


@asynccontextmanager
async def steadily(edge: LocalEdge, backends: list[Backend]) -> AsyncIterator[Asking]:
    """Ask the edge one request after another meanwhile."""
    for one in backends:
        one.seen.clear()
    found, over, client = Asking(), asyncio.Event(), edge.client()

    async def ask() -> None:
        while not over.is_set():
            answer = await client.ask()
            found.asked += 1
            if answer.status != 200:
                found.failed.append(f"{answer.status} {answer.problem}")
            await asyncio.sleep(0.005)

    task = asyncio.create_task(ask())
    try:
        yield found
    finally:
        over.set()
        await task
