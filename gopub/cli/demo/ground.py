"""What the demo stands on: the lab, a folder for its state, a git repository for each service, traffic."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gopub import process
from gopub.canon import Json
from gopub.cli.demo.talk import Talk
from gopub.cli.engine import load, run_flow
from gopub.errors import GopubError
from gopub.lab.lab import Lab

NAME = "demo"
Beside = Callable[[], Coroutine[None, None, None]]
_AUTHOR = {
    "GIT_AUTHOR_NAME": "demo", "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "demo", "GIT_COMMITTER_EMAIL": "demo@localhost",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """What the traffic generator counted, read from its log; gopub's judge never sees it."""

    log: Path

    def now(self) -> Mapping[str, Json]:
        """The newest counts; empty before the first second."""
        with suppress(FileNotFoundError):
            for line in reversed(self.log.read_text().splitlines()):
                with suppress(ValueError):
                    return cast("Mapping[str, Json]", json.loads(line))
        return {}

    def release(self, short: str) -> Mapping[str, Json]:
        """The counts of one release."""
        releases = cast("Mapping[str, Mapping[str, Json]]", self.now().get("releases") or {})
        return releases.get(short, {})


class Ground:
    """The lab and everything beside it; ``close`` leaves nothing behind."""

    def __init__(self, lab: Lab, folder: Path, examples: Path, talk: Talk, outside: Mapping[str, str]) -> None:
        """Take over a lab that is up; ``outside`` is the environment in which the lab's own commands find it."""
        self.lab, self.folder, self.talk = lab, folder, talk
        self._examples = examples
        self._outside = outside

    def repository(self, service: str) -> Path:
        """A git repository with the example service in it; made once."""
        path = self.folder / "repositories" / service
        if not path.exists():
            shutil.copytree(self._examples / service, path)
            spec = path / "gopub.yaml"
            spec.write_text(self.spec_of(service, spec.read_text()))
            self.git(path, "init", "--quiet", "--initial-branch", "main")
        return path

    def spec_of(self, service: str, text: str) -> str:
        """The example's gopub.yaml as the demo uses it: as it is."""
        del service
        return text

    def commit(self, service: str, version: str, files: Mapping[str, str]) -> Path:
        """Write files, commit them and tag the commit; gives the repository."""
        path = self.repository(service)
        for name, text in files.items():
            (path / name).write_text(text)
        self.git(path, "add", "--all")
        self.git(path, "commit", "--quiet", "--allow-empty", "--message", f"{service} {version}")
        self.git(path, "tag", f"v{version}")
        return path

    def git(self, path: Path, *arguments: str) -> str:
        """Run git there; gives what it says."""
        env = process.base_environment(extra=_AUTHOR)
        return asyncio.run(process.run(["git", "-C", str(path), *arguments], env=env)).text

    @contextmanager
    def traffic(self, host: str, rate: float, mix: Sequence[str] = ()) -> Iterator[Seen]:
        """Send traffic while this holds."""
        pid, log = self._send(host, rate, mix)
        try:
            yield Seen(log)
        finally:
            _end(pid)

    def _send(self, host: str, rate: float, mix: Sequence[str] = ()) -> tuple[int, Path]:
        """Send traffic from a process of its own, so that the driver's work does not slow it down; its pid and log."""
        log = self.folder / f"traffic-{host}.jsonl"
        log.unlink(missing_ok=True)
        words = [word for entry in mix for word in ("--mix", entry)]
        argv = [sys.executable, "-m", "gopub.cli.main", "lab", "traffic", "--name", NAME, "--host-header", host,
                "--rate", str(rate), "--log", str(log), *words]  # fmt: skip
        return process.spawn(argv, log=self.folder / "traffic.log", env=self._outside), log

    def deploy(self, parameters: Mapping[str, Json], beside: Beside) -> Json:
        """Run the flow `deploy` in this process; ``beside`` tells what happens."""
        return run_flow("deploy", parameters, beside)

    def keep(self, rate: float) -> None:
        """For `--keep`: traffic and Prefect's pages go on; says where to look and how to end it."""
        home = self.folder
        pids = [self._send("hello.lab", rate)[0], *self.keep_parts()]
        self.talk.line(f"left running: the lab {NAME!r} (gopub lab status --name {NAME}), {rate:g} requests/s to hello")
        self.talk.line(f"edge http://{self.lab.edge_address}/ (Host: hello.lab), Prometheus {self.lab.prometheus_url}")
        self.talk.line(f"journal: export GOPUB_JOURNAL={home}/journal.db, then `gopub status`, `gopub explain last`")
        self.talk.line(f"to end it: kill {' '.join(map(str, pids))}; gopub lab down --name {NAME}")

    def keep_parts(self) -> list[int]:
        """Leave Prefect's pages up: a server on what the flows have told theirs; gives what was started."""
        server = asyncio.run(load("deployments.server:start_server")(self.folder / "prefect"))
        self.talk.line(f"Prefect UI {server.ui}")
        return [server.running.pid]

    def close(self) -> None:
        """Take the lab down and remove the demo's state."""
        self.talk.line("cleaning up")
        os.environ.clear()
        os.environ.update(self._outside)  # the lab is found by the settings under which it was made
        asyncio.run(self.lab.down())
        shutil.rmtree(self.folder, ignore_errors=True)


def settings_of(lab: Lab, folder: Path) -> dict[str, str]:
    """The environment in which everything of the demo happens; the lab itself lies elsewhere."""
    return {
        "GOPUB_JOURNAL": str(folder / "journal.db"),
        "GOPUB_CONNECTIONS": str(lab.connections),
        "XDG_STATE_HOME": str(folder / "state"),
        "PREFECT_HOME": str(folder / "prefect"),
    }


def _end(pid: int) -> None:
    """Ask the generator to finish what is under way, and wait until it has."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        for _ in range(300):
            if _gone(pid):
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        _gone(pid)


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError as error:
        raise GopubError("GP946", f"process {pid} is not ours", hint="report this") from error
