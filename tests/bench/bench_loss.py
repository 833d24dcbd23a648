"""What clients that never try again lose in many switches of each mode, and the longest time without an answer.

    PYTHONPATH=. python tests/bench/bench_loss.py [--switches 50] [--rate 500] [--each 2] [--modes A,B] [--at-once]

On a lab of two hosts and an edge. Requests of every kind (HTTP/1.1, HTTP/2, gRPC, WebSocket, streams) go to the edge
and, but side by side, to the first host as well; both at that rate, as far as this machine bears it: what was reached
is printed. One mode after the other, or all at once, which takes less time and gives each a lower rate. The longest gap
is given as a ratio to that of a restart in the same run. "plain" is a restart without a drain and without an edge, the
control. What is switched is a service of go/handover and go/drain (tests/support/asker/served).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from gopub.fleet.slots import SIDE
from gopub.lab.lab import Lab, sweep, take_down
from tests.e2e.loss_ground import DRAIN, LossGround, Outcome, Pool

PLAIN = "plain"
MODES = ("restart", "socket", "handover", SIDE, PLAIN)
LIMIT = DRAIN + 0.5
"""Seconds that a drain may last: go/drain lingers, then waits for what is still there."""


async def one(ground: LossGround, mode: str, switches: int, rate: int, each: int, most: float) -> Outcome:
    """All switches of a mode."""
    rude = mode == PLAIN
    async with Pool.opened(ground, "restart" if rude else mode, 1 if rude else 2, rude=rude) as pool:
        return await pool.measure(switches, rate, each, most)


def report(name: str, outcome: Outcome, restart: Outcome | None) -> str:
    """A line for each place that was asked, and one for both."""
    cut = sum(sum(seen["cut"].values()) for seen in (outcome.edge, outcome.direct) if seen)
    lines = [line(name, where, outcome, restart) for where in ("edge", "direct") if getattr(outcome, where)]
    lines.append(
        f"{name}: {outcome.switches} switches by {dict(outcome.ways)}; {cut} that lasted were cut, the service told "
        f"{sum(outcome.told.values())}; NRestarts {outcome.restarts}; "
        f"longest drain {outcome.drained / LIMIT:.2f} of its limit"
    )
    return "\n".join(lines)


def line(name: str, where: str, outcome: Outcome, restart: Outcome | None) -> str:
    """What was seen at one place; "told" were said to be not begun, or going away."""
    seen: dict[str, Any] = getattr(outcome, where)
    told = sum(seen["told"].get(kind, 0) for kind in seen["kinds"])
    gap = f"{seen['gap'] / restart.direct['gap']:.3f}" if restart else "-"
    mains = set(outcome.mains)
    return (
        f"{name}, {where}: {seen['asked'] / seen['seconds']:.0f}/s; "
        f"asked {seen['asked']}, answered {seen['answered']}, "
        f"lost {sum(seen['lost'].values())}, told {told}; what lasts: {seen['streams']} ended by a word, "
        f"{sum(seen['cut'].values())} cut; answers of {len(mains & set(seen['pids']))} of {len(mains)} processes and "
        f"{len(seen['by'])} versions; longest gap {gap} of a restart's; {seen['lost']}"
    )


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--most", type=float, default=3600.0, help="seconds, after which no switch of a mode begins")
    parser.add_argument("--at-once", action="store_true")
    asked = parser.parse_args()
    name = f"loss{os.getpid()}"
    await sweep()
    try:
        lab = await Lab.up(name, hosts=2, edges=1, owned=True)
        with tempfile.TemporaryDirectory(prefix="gopub-loss-") as folder:
            async with LossGround.opened(lab, Path(folder)) as ground:
                modes = asked.modes.split(",")
                work = partial(one, ground, switches=asked.switches, rate=asked.rate, each=asked.each, most=asked.most)
                if asked.at_once:
                    found = dict(zip(modes, await asyncio.gather(*map(work, modes)), strict=True))
                else:
                    found = {mode: await work(mode) for mode in modes}
        for mode, outcome in found.items():
            print(report(mode, outcome, found.get("restart")), flush=True)
    finally:
        await take_down(name)


if __name__ == "__main__":
    asyncio.run(main())
