"""A server that is killed (SIGKILL) around a start: what was answered is started by the next one, and once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployments.starter import RunOrder, RunView
from gopub.paths import project_root
from gopub.process import base_environment, run
from tests.unit.apikit import make_kit
from tests.unit.test_webhook_routes import headers, payload

PLACES = ("before the row", "after the row", "before the start", "after the start", "never")
_PROGRAM = "import sys; from tests.unit.test_starting_killed import main; main(*sys.argv[1:])"


@dataclass(frozen=True)
class Engine:
    """An engine that is still there after the server is gone: a file of keys, each once; and of every call."""

    folder: Path
    killed: str = ""

    async def start(self, order: RunOrder) -> RunView:
        """Keep the key, as Prefect does."""
        _die(self.killed, "before the start")
        with (self.folder / "calls").open("a") as calls:
            calls.write(order.key + "\n")
        if order.key not in self.runs():
            with (self.folder / "runs").open("a") as runs:
                runs.write(order.key + "\n")
        _die(self.killed, "after the start")
        return RunView(f"run-{self.runs().index(order.key)}", order.key, "Scheduled", order.app, order.env)

    async def run(self, run_id: str) -> RunView | None:
        """Nobody asks."""
        raise NotImplementedError(run_id)

    def runs(self) -> list[str]:
        """The keys of the runs."""
        file = self.folder / "runs"
        return file.read_text().splitlines() if file.exists() else []


def _die(killed: str, here: str) -> None:
    if killed == here:
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, killed: str) -> None:
    """A server that takes one delivery, starts it, and is killed somewhere."""
    asyncio.run(_serve(Path(folder), killed))


async def _serve(folder: Path, killed: str) -> None:
    kit = make_kit(folder)
    kit.parts = replace(kit.parts, starter=Engine(folder, killed))
    _die(killed, "before the row")
    answer = await kit.hook(payload(), **headers())
    (folder / "answered").write_text(str(answer.status_code))
    _die(killed, "after the row")
    await kit.settle()


@pytest.mark.parametrize("killed", PLACES)
async def test_what_was_answered_is_started_once_wherever_the_server_was_killed(tmp_path: Path, killed: str) -> None:
    environment = base_environment(extra={"PYTHONPATH": str(project_root())})
    argv = [sys.executable, "-c", _PROGRAM, str(tmp_path), killed]
    done = await run(argv, cwd=tmp_path, env=environment, timeout=120, check=False)
    assert done.code == (0 if killed == "never" else -signal.SIGKILL), done.complaint
    answered = (tmp_path / "answered").exists()
    assert answered == (killed != "before the row")
    engine = Engine(tmp_path)
    assert len(engine.runs()) == (killed in {"after the start", "never"}), "the control: it was killed where it says"

    kit = make_kit(tmp_path)
    kit.parts = replace(kit.parts, starter=engine)
    assert kit.parts.deliveries.count() == (answered and killed != "never")
    assert await kit.settle() == 0
    assert engine.runs() == (["gitlab:d-1:orders:staging"] if answered else [])
    assert (await kit.hook(payload(), **headers())).status_code == (200 if answered else 202)
