"""What the sandbox costs: a release's compile and tests in it, against the same without, as ratios of one run.

    PYTHONPATH=. python tests/bench/bench_sandbox.py [--rounds 5]

The peer is what a release did before there was a sandbox: `go vet`, `go test` and `go build` as the user, in a clone
whose folder has a new name each time. Both sides have caches of their own, which a first round that does not count has
filled, as on a machine that releases every day; rounds take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.build.sandbox import NONE
from gopub.process import run
from gopub.release import ReleasePlan, check_modules, checkout, compile_target, plan, unit_tests
from gopub.source.golang import run_go
from gopub.source.modules import ModuleReport
from tests.e2e.release_kit import EXAMPLES, a_repository, config


@dataclass(frozen=True)
class Side:
    """One way to build and test; ``work`` does both, and gives nothing."""

    name: str
    work: Callable[[ReleasePlan, ModuleReport], Awaitable[None]]


async def ours(made: ReleasePlan, modules: ModuleReport) -> None:
    """As a release does it; with or without a sandbox, as the plan says."""
    for target in made.targets:
        await compile_target(made, modules, target)
    await unit_tests(made, modules)


async def before(made: ReleasePlan, modules: ModuleReport) -> None:
    """As the user, tests first, in a copy of the clone."""
    copy = made.config.work / "copy"
    shutil.copytree(made.tree.path, copy, symlinks=True)
    mode = f"-mod={modules.mode}"
    for words in (("vet", mode, "./..."), ("test", mode, "-count=1", "./...")):
        assert (await run_go(made.toolchain, copy, *words)).code == 0
    for target in made.targets:
        flags = ("-trimpath", "-buildvcs=true", mode, "-ldflags", made.ldflags, "-o", str(made.config.work / "x"))
        told = {"GOOS": target.os, "GOARCH": target.arch}
        assert (await run_go(made.toolchain, made.tree.path, "build", *flags, ".", extra=told)).code == 0


async def unsandboxed(made: ReleasePlan, modules: ModuleReport) -> None:
    """As ours, without the sandbox."""
    await ours(replace(made, sandbox=NONE), modules)


SIDES = (Side("sandboxed", ours), Side("unsandboxed", unsandboxed), Side("as before", before))


async def one(side: Side, folder: Path, repository: Path) -> float:
    """Seconds of one round; checkout and modules, which are the same for all, are not counted."""
    work = Path(tempfile.mkdtemp(dir=folder))
    order = replace(config(repository, work, "v1.0.0"), cache=folder / side.name.replace(" ", "-"))
    made = await plan(order, await checkout(order), started=0.0)
    modules = await check_modules(made)
    begun = time.perf_counter()
    await side.work(made, modules)
    took = time.perf_counter() - begun
    shutil.rmtree(work, ignore_errors=True)
    return took


async def main(rounds: int) -> None:
    """Print the medians and their ratios."""
    folder = Path(tempfile.mkdtemp(prefix="gopub-bench-"))
    try:
        shutil.copytree(EXAMPLES / "hello", folder / "repository")
        await a_repository(folder / "repository", {})
        first = {side.name: await one(side, folder, folder / "repository") for side in SIDES}
        took: dict[str, list[float]] = {side.name: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                took[side.name].append(await one(side, folder, folder / "repository"))
        middle = {name: statistics.median(seconds) for name, seconds in took.items()}
        for name, seconds in middle.items():
            print(f"{name:12} {seconds:6.2f} s, first time {first[name]:6.2f} s")
        print(f"sandboxed : unsandboxed = {middle['sandboxed'] / middle['unsandboxed']:.2f}")
        print(f"sandboxed : as before   = {middle['sandboxed'] / middle['as before']:.2f}")
    finally:
        await run(["chmod", "-R", "u+w", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(parser.parse_args().rounds))
