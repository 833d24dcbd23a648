"""How much memory a service takes at most while it is switched, for each mode, in ratio to a restart of the same.

    PYTHONPATH=. python tests/bench/bench_memory.py [--switches 8] [--rate 200]

What counts is the proportional set size (Pss) of every process in the control group of the service, old and new, and
of what systemd has forked there and not executed yet: looked at every few milliseconds from before the order until the
new process is proven and the old one is gone, under requests all the while. (The groups' own ``memory.peak`` is not
there on machines whose memory controller is that of version 1.) What the same service takes at most when it is not
switched is told beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from gopub.lab import cgroup
from tests.bench.switch_ground import PEER, WAYS, Served, every_way
from tests.support.switched import Programs, asked

NOTHING = "no switch"
LOOK = 0.003


class Peak:
    """The most that the processes of a service had at once, as long as the block lasts."""

    def __init__(self, group: Path) -> None:
        """Of a control group and all below it."""
        self._group, self._over = group, threading.Event()
        self._looking = threading.Thread(target=self._look)
        self.bytes = self.processes = 0

    def __enter__(self) -> Self:
        """From here on."""
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Until here."""
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            each = [found for pid in inside(self._group) if (found := proportional(pid))]
            self.bytes, self.processes = max(self.bytes, sum(each)), max(self.processes, len(each))


def inside(group: Path) -> list[str]:
    """The processes of a group that may go at any time."""
    found = []
    for file in group.glob("**/cgroup.procs"):
        with suppress(OSError):
            found += file.read_text().split()
    return found


def proportional(pid: str) -> int:
    """Bytes of a process, shared ones in parts; 0 where it has gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def group_of(served: Served) -> Path:
    """Where this machine sees the group of the service."""
    layout = served.site.lab.layout
    host = f"gopub-{layout.ident}-{served.site.name}"
    trees = cgroup.trees(Path("/proc/self/mountinfo").read_text())
    found = [group for tree in trees for group in tree.glob(f"{host}/**/{served.slice}")]
    if not found:
        raise SystemExit(f"no control group {served.slice} of {host} in {', '.join(map(str, trees))}")
    return found[0]


async def one_round(programs: Programs, served: Served, rate: int) -> tuple[Peak, Peak]:
    """At most during a switch, and without one."""
    group = group_of(served)
    with asked(programs, served.address, rate=rate), Peak(group) as still:
        await served.look()
    with ExitStack() as old, ExitStack() as new, Peak(group) as most:
        old.enter_context(asked(programs, served.address, rate=rate))
        before = served.address
        await served.switch()
        if served.address != before:
            new.enter_context(asked(programs, served.address, rate=rate))
            old.close()
        await served.settle()
    return most, still


async def bench(switches: int, rate: int) -> dict[str, list[int]]:
    """Every way in turn, so many times."""
    found: dict[str, list[Peak]] = {name: [] for name in (*(way.name for way in WAYS), NOTHING)}
    async with every_way(WAYS) as (programs, all_served):
        for _ in range(switches):
            for served in all_served:
                switched, still = await one_round(programs, served, rate)
                found[served.way.name].append(switched)
                found[NOTHING].append(still)
    return found


def main() -> None:
    """Print each mode's peak against a restart's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=8)
    parser.add_argument("--rate", type=int, default=200)
    options = parser.parse_args()
    found = asyncio.run(bench(options.switches, options.rate))
    peer = statistics.median(one.bytes for one in found[PEER.name])
    print(f"{options.switches} switches of each mode under {options.rate} requests/s; ratios to the median restart")
    print(f"{'mode':12} median (least to worst)   processes at once")
    for name, seen in found.items():
        ratios = [one.bytes / peer for one in seen]
        said = f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:12} {said:26} {max(one.processes for one in seen)}")
    print(f"the median restart took {peer / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
