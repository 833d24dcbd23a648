"""How long a command is silent, and how long it takes to the engine's first word, against a named peer of the same run.

    PYTHONPATH=. python tests/bench/bench_start.py [--rounds 5]

The peer is `python -c "import prefect"`: what any program pays that runs a flow. Commands and peer take turns and
medians are compared, so that a busy machine slows both. `rollout` is of a published release onto a host whose key
nobody pinned: it starts an engine, and its last line is what the engine's first box says. Aims: the first line of
`rollout` within 2 peers, the engine's word within 5; a look (`status`) within 1. CPU is of all that was started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.flows.serverkit import ROOT, go_repository

SPEC = "app: small\nenvironments:\n  lab: {inventory: hosts.ini, hosts: all, health: http://127.0.0.1:8080/healthz}\n"
GOPUB = [sys.executable, "-m", "gopub.cli.main"]
PEER = "import prefect"
WAYS: dict[str, list[str]] = {
    PEER: [sys.executable, "-c", PEER],
    "help": [*GOPUB, "--help"],
    "status": [*GOPUB, "status"],
    "history": [*GOPUB, "history"],
    "check": [*GOPUB, "check"],
    "recover": [*GOPUB, "recover"],
    "rollback": [*GOPUB, "rollback"],
    "refused": [*GOPUB, "rollout", "9.9.9"],
    "rollout": [*GOPUB, "rollout", "1.4.0"],
    "release": [*GOPUB, "release", "v1.4.0"],
}
AIMS = {"status": ("first", 1.0), "refused": ("last", 2.0), "rollout": ("first", 2.0)}
WORD = 5.0
"""Peers until the engine's own word."""


@dataclass(frozen=True)
class Took:
    """Seconds to the first and to the last line, and of CPU; a peer that prints nothing has its end as both."""

    first: float
    last: float
    cpu: float


def timed(argv: list[str], folder: Path, environment: dict[str, str]) -> Took:
    """Run it once."""
    begun, lines = time.perf_counter(), list[float]()
    before = os.times()
    with subprocess.Popen(
        argv, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as child:
        assert child.stdout is not None
        while child.stdout.read(65536):
            lines.append(time.perf_counter() - begun)
    ended, after = time.perf_counter() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(lines[0] if lines else ended, lines[-1] if lines else ended, cpu)


def bench(rounds: int, folder: Path) -> dict[str, list[Took]]:
    """Rounds of every way in turn, in a project with 1.4.0 published and no host that can be reached."""
    asyncio.run(go_repository(folder / "small", SPEC))
    (folder / "small/hosts.ini").write_text("h1 ansible_host=192.0.2.1\n")
    own = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("STATE", "CONFIG")}
    environment = os.environ | own | {"PYTHONPATH": str(ROOT)}
    environment.pop("PREFECT_API_URL", None)
    subprocess.run(WAYS["release"], cwd=folder / "small", env=environment, check=True, capture_output=True)
    found: dict[str, list[Took]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, argv in WAYS.items():
            found[name].append(timed(argv, folder / "small", environment))
    return found


def main() -> None:
    """Print medians, ratios to the peer, and what is left of the aims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = bench(options.rounds, Path(folder))
    middle = {
        name: {part: statistics.median(getattr(one, part) for one in took) for part in ("first", "last", "cpu")}
        for name, took in found.items()
    }
    peer = middle[PEER]
    print(f"{'':16} first line      last line       CPU        ({options.rounds} rounds; x: of `{PEER}`)")
    for name, took in middle.items():
        print(f"{name:16}" + "".join(f" {took[part]:6.2f} s {took[part] / peer[part]:4.1f}x" for part in took))
    for name, (part, aim) in {**AIMS, "rollout, engine": ("last", WORD)}.items():
        ratio = middle[name.partition(",")[0]][part] / peer[part]
        print(f"{name}: {part} line / peer {ratio:.2f} (aim: at most {aim:g})")


if __name__ == "__main__":
    main()
