"""What a switch of 50 hosts costs in batches of 1, 5, 10 and half of them, beside a plain loop of ssh on them.

    PYTHONPATH=. python tests/bench/bench_fleet.py [--hosts 50] [--batches 1 5 10 50%]

The hosts are booted ones of a lab, each with a systemd and an sshd of its own; the rollout is the driver's own, from a
published release on, with its journal in SQLite. No edge is before them, so what is measured is orders and proofs. A
host's time is that from the intent of the first batch until the last host is proven, shared among all hosts; bringing
the release there goes before. CPU is the driver's own, of the whole rollout; memory is the most that it had resident.

The peer is what people write first: as many `ssh HOST systemctl restart` at a time as the batch has hosts, each
waiting until the health check answers. It stages nothing, proves nothing and writes nothing down.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gopub.journal import events as ev
from gopub.units import Amount
from tests.bench.lab_ground import own_ground
from tests.e2e.story import Story, a_fleet
from tests.e2e.story_ground import Env, Ground

PORT = 18130
TICKS = os.sysconf("SC_CLK_TCK")
LOOK = 0.05
RESET_PEAK = "5"  # proc(5), clear_refs


@dataclass(frozen=True)
class Took:
    """One rollout, or one loop: seconds until all hosts are switched, and of CPU; the rest is the driver's alone."""

    whole: float
    cpu: float
    batches: tuple[float, ...] = ()
    """Seconds of each."""
    resident: int = 0
    files: int = 0
    largest: int = 0
    """Bytes of the largest entry of the journal."""


def env_of(batch: str) -> Env:
    """All hosts in one step, so many at a time, judged by their processes alone."""
    more = {"traffic": "", "judge": "", "max_unavailable": batch, "max_load": "4", "keep_releases": "9",
            "rollout": "{steps: [{hosts: 100%, bake: 0s}], deadline: 30m}"}  # fmt: skip
    return Env("fleet", PORT, more=more)


# --- the driver


class Watched:
    """A driver's process from the outside, as long as the block lasts."""

    def __init__(self, pid: int) -> None:
        """Nothing is looked at yet."""
        self._place = Path(f"/proc/{pid}")
        self.files = self.resident = 0
        self.cpu = 0.0

    async def __aenter__(self) -> Self:
        """From here on."""
        (self._place / "clear_refs").write_text(RESET_PEAK)
        self._before = self._cpu()
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Until here."""
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        self.cpu = self._cpu() - self._before
        status = dict(line.split(":", 1) for line in (self._place / "status").read_text().splitlines())
        self.resident = int(status["VmHWM"].split()[0]) * 1024

    def _cpu(self) -> float:
        fields = (self._place / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS  # its own and that of children it waited for

    async def _look(self) -> None:
        while True:
            self.files = max(self.files, len(os.listdir(self._place / "fd")))  # noqa: PTH208 - names alone
            await asyncio.sleep(LOOK)


async def rolled_out(story: Story, version: str) -> Took:
    """A rollout to all hosts, which has to be promoted."""
    await story.ground.release(story.env.app, version)
    async with Watched(story.ground.engine.pid) as driver:
        await story.release(version, rate=0)
    if story.result.get("outcome") != "promoted":
        raise SystemExit(f"{version}: {story.result} {story.error}\n{story.ground.engine.log()}")
    entries = story.entries()
    intents = [entry.at for entry in entries if isinstance(entry.event, ev.SwitchIntended)]
    proven = [entry.at for entry in entries if isinstance(entry.event, ev.HostSwitched)]
    ends = [
        max(at for at in proven if begin <= at < until)
        for begin, until in zip(intents, [*intents[1:], float("inf")], strict=True)
    ]
    batches = tuple(end - begin for begin, end in zip(intents, ends, strict=True))
    largest = max(len(repr(entry.event)) for entry in entries)
    return Took(proven[-1] - intents[0], driver.cpu, batches, driver.resident, driver.files, largest)


# --- the peer

RESTART = "systemctl restart {unit} && until curl -s -o /dev/null -m 2 {health}; do sleep 0.1; done"


async def looped(ground: Ground, unit: str, at_a_time: int) -> Took:
    """Restart it on all hosts by ssh."""
    layout, places = ground.lab.layout, asyncio.Semaphore(at_a_time)
    argv = ("ssh", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={layout.known_hosts}", "-i", str(layout.key))

    async def one(address: str) -> None:
        async with places:
            words = (*argv, f"root@{address}", RESTART.format(unit=unit, health=f"http://127.0.0.1:{PORT}/healthz"))
            client = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL)
            if code := await client.wait():
                raise SystemExit(f"ssh to {address}: exit code {code}")

    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    await asyncio.gather(*(one(host.address) for host in ground.lab.hosts))
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


# --- both


async def bench(hosts: int, batches: list[str]) -> dict[str, tuple[int, Took, Took]]:
    """The release is brought to all hosts once, and then another one for each size of batches."""
    found = {}
    async with own_ground(env_of(batches[0]), hosts=hosts, edges=0) as ground:
        await ground.lab.stop_prometheus()  # nobody reads it
        story = a_fleet(ground, "fleet")
        first = await rolled_out(story, "1.0.0")
        tell(f"first release, all at once: {len(first.batches)} batches, {first.files} files open in the driver")
        for n, batch in enumerate(batches, 1):
            ground.envs["fleet"] = env_of(batch)
            size = max(1, Amount.parse(batch).down(hosts))
            driver = await rolled_out(story, f"1.{n}.0")
            await story.whole({f"1.{n}.0"})
            peer = await looped(ground, f"{story.env.upstream}.service", size)
            found[batch] = (size, driver, peer)
            tell(f"{batch}: {len(driver.batches)} batches of {size}")
    return found


def tell(line: str) -> None:
    """A line as soon as it is true."""
    print(line, flush=True)


def spread(values: tuple[float, ...], unit: float) -> str:
    """Median, least and most, in units."""
    return f"{statistics.median(values) / unit:.2f} ({min(values) / unit:.2f} to {max(values) / unit:.2f})"


def main() -> None:
    """Print each size against batches of one, and against the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--batches", nargs="+", default=["1", "5", "10", "50%"])
    options = parser.parse_args()
    found: dict[str, Any] = asyncio.run(bench(options.hosts, options.batches))
    _, ones, loop = next(iter(found.values()))
    one = statistics.median(ones.batches)
    print(f"{options.hosts} hosts; `time` is that of all hosts, in ratio to batches of {options.batches[0]}")
    print("batch  time   a batch / one of the first      time/loop  loop   CPU    CPU/loop  memory  files  entry")
    for name, (_, took, peer) in found.items():
        print(
            f"{name:5} {took.whole / ones.whole:6.3f}  {spread(took.batches, one):28} {took.whole / peer.whole:9.1f} "
            f"{peer.whole / loop.whole:7.3f} {took.cpu / ones.cpu:6.2f} {took.cpu / peer.cpu:8.1f} "
            f"{took.resident / ones.resident:8.2f} {took.files:6} {took.largest:6}"
        )


if __name__ == "__main__":
    main()
