"""How long a host gives no answer while it is switched, for each mode, in ratio to a restart of the same service.

    PYTHONPATH=. python tests/bench/bench_switch.py [--switches 8] [--rate 500]

The gap is the longest time between two answers that clients of one host get from before the order until it is
proven. They come directly (no edge takes the host out), by fresh and by kept connections, GET and POST, and never try
again; what they lost is told beside it. The host is one of the lab's, with a systemd of its own, the orders are gopub's
own. The modes take turns, and before each switch the same window is looked at with the same questions to the host and
no switch: what is not longer than that is no gap. Side by side the clients go over to the new port once it is proven,
as an edge does, and ask both for a moment.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.bench.switch_ground import PEER, WAYS, Served, every_way
from tests.support.switched import Programs, asked

NOTHING = "no switch"


@dataclass
class Seen:
    """The gaps in seconds, in the order of the rounds, and what was lost and answered in all of them."""

    gaps: list[float] = field(default_factory=list)
    lost: int = 0
    answered: int = 0

    def took(self, windows: list[dict[str, Any]]) -> None:
        """One window; of two that overlap no gap is longer than that of the worse."""
        self.gaps.append(max(said["gap"] for said in windows))
        self.lost += sum(sum(said["lost"].values()) for said in windows)
        self.answered += sum(said["answered"] for said in windows)


async def one_round(programs: Programs, served: Served, rate: int) -> tuple[list[Any], list[Any]]:
    """A window with a switch, and one without."""
    with asked(programs, served.address, rate=rate) as quiet:
        await served.look()
    with ExitStack() as old, ExitStack() as new:
        windows = [old.enter_context(asked(programs, served.address, rate=rate))]
        before = served.address
        await served.switch()
        if served.address != before:  # who is told where to ask, as an edge is
            windows.append(new.enter_context(asked(programs, served.address, rate=rate)))
            old.close()
        await served.settle()
    return windows, [quiet]


async def bench(switches: int, rate: int) -> dict[str, Seen]:
    """Every way in turn, so many times."""
    found = {name: Seen() for name in (*(way.name for way in WAYS), NOTHING)}
    async with every_way(WAYS) as (programs, all_served):
        for _ in range(switches):
            for served in all_served:
                switched, quiet = await one_round(programs, served, rate)
                found[served.way.name].took(switched)
                found[NOTHING].took(quiet)
    return found


def main() -> None:
    """Print each mode's gap against a restart's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=8)
    parser.add_argument("--rate", type=int, default=500)
    options = parser.parse_args()
    found = asyncio.run(bench(options.switches, options.rate))
    peer = statistics.median(found[PEER.name].gaps)
    print(f"{options.switches} switches of each mode under {options.rate} requests/s; ratios to the median restart")
    print(f"{'mode':12} median (least to worst)     lost of asked")
    for name, seen in found.items():
        low, middle, worst = min(seen.gaps) / peer, statistics.median(seen.gaps) / peer, max(seen.gaps) / peer
        print(f"{name:12} {middle:6.3f} ({low:.3f} to {worst:.3f})   {seen.lost} of {seen.lost + seen.answered}")
    print(f"the median restart was {1000 * peer:.0f} ms without an answer")


if __name__ == "__main__":
    main()
