"""A Prefect project of the tests' own: its flows write down what they were given, and roll nothing out.

``GOPUB_HOME`` names it, as it names a checkout; so the whole command runs, in a process of its own, up to its flow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from gopub.canon import Json
from gopub.process import Result, base_environment, run

ROOT = Path(__file__).parents[2]
FLOWS = ("deploy", "rollout")
FLOW = '''
import asyncio
import json
import sys
import os

from gopub.errors import UsageError

QUICK = asyncio.Event()


async def {name}(**given):
    """The one into `gone` fails at once, the one into `slow` goes on until the one into `quick` has ended."""
    env = given["env"]
    if env == "gone":
        raise UsageError("GP110", "/gone/gopub.yaml: no such file")
    if env == "slow":
        await asyncio.wait_for(QUICK.wait(), 30)
    if env == "quick":
        QUICK.set()
    with open(os.environ["GOPUB_TEST_TOLD"], "a") as file:
        file.write(json.dumps(["{name}", given]) + "\\n")
    outcome = "withdrawn" if env == "slow" else "promoted"
    return {{"app": given["app"], "env": env, "version": "2", "outcome": outcome}}
'''


class EngineHome:
    """The folder of one; the commands keep their state in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "flows").mkdir(parents=True)
        (folder / "prefect.yaml").touch()
        (folder / "flows" / "__init__.py").touch()
        for name in FLOWS:
            (folder / "flows" / f"{name}.py").write_text(FLOW.format(name=name))

    @property
    def told(self) -> list[tuple[str, dict[str, Json]]]:
        """The flows that were run, in the order of their ends, and with what."""
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(name, given) for name, given in map(json.loads, lines)]

    async def gopub(self, *words: str, cwd: Path, env: Mapping[str, str]) -> Result:
        """A command to its end; no Prefect server is started for it, and none is asked."""
        mine = {
            "GOPUB_HOME": str(self.folder),
            "GOPUB_TEST_TOLD": str(self.folder / "told"),
            "HOME": str(self.folder),
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
            "PYTHONPATH": str(ROOT),
        }
        argv = [sys.executable, "-m", "gopub.cli.main", *words]
        return await run(argv, cwd=cwd, env=base_environment(extra=mine | dict(env)), check=False)
