"""Print what each cell shows."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from gopub.health.observe import Observer
from gopub.health.samples import ProcessHealth
from tests.bench.gate import ours
from tests.bench.gate.cells import CELLS
from tests.bench.gate.report import beside_rivals, guilty_lines, innocent_lines
from tests.bench.gate.runs import RIVALS, Kept, Trace, batches
from tests.bench.gate.traffic import World

SEED = 20_261_130
ARMS = (*RIVALS, "evidence")


def look_cost(hosts: int = 50) -> float:
    """CPU milliseconds of one look, the counters' making left out."""
    cell = replace(CELLS[0], hosts=hosts, canaries=5, rps=20.0 * hosts, history=5, step=200.0)
    world = World(cell, SEED)
    edge = ours.Edge(cell, list(world.past()))

    async def run() -> float:
        observer, spent, looks = Observer(edge, None, ours.config_of(cell)), 0.0, 0
        await observer.start(ours.T0)
        for tick in world.ticks():
            edge.take(tick)
            health = [ProcessHealth(one.host) for one in tick.of(canary=True)]
            began = time.process_time()
            await observer.look(ours.T0 + tick.at, health, 0, since={one.host: ours.T0 for one in health})
            spent, looks = spent + time.process_time() - began, looks + 1
        return 1000 * spent / looks

    return asyncio.run(run())


def main() -> None:
    """Run the cells that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate", description=__doc__)
    parser.add_argument("--traces", type=int, default=300)
    parser.add_argument("--cells", default="", help="parts of the names of those to run, with | between them")
    parser.add_argument("--arms", default="all", help="whom to ask beside ours: all, ours, or names with commas")
    parser.add_argument("--resume", type=Path, help="a file of JSON lines that keeps what was run, and is gone on with")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, choices=(1, 2), default=2)
    chosen = parser.parse_args()
    arms = ARMS if chosen.arms == "all" else tuple(name for name in ARMS if name in chosen.arms.split(","))
    cells = [cell for cell in CELLS if any(part in cell.name for part in chosen.cells.split("|"))]
    print(f"seed {chosen.seed}, {chosen.traces} rollouts a cell; alpha {ours.ALPHA:g}; intervals are 95 %")
    kept, seen = Kept(chosen.resume), dict[str, list[Trace]]()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(chosen.processes)) if chosen.processes > 1 else None
        for cell in cells:
            traces, cpu = kept.run(batches(cell, chosen.seed, chosen.traces, arms), pool)
            seen[cell.name] = traces
            lines = innocent_lines(cell, traces) if cell.innocent else guilty_lines(cell, traces)
            about = f" ({cell.note})" if cell.note else ""
            print(f"\n{'innocent' if cell.innocent else 'guilty'}: {cell.name}{about}: {cell.says()}")
            print("\n".join(lines))
            print(f"  {cpu:.0f} s of CPU, so 2000 rollouts take {2000 * cpu / len(traces):.0f} s", flush=True)
    print("\n".join(["", *beside_rivals(cells, seen)]))
    print(f"one look at 50 hosts: {look_cost():.1f} ms of CPU")


if __name__ == "__main__":
    main()
