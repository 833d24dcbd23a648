"""The edge against a plain nginx of its own process: requests, CPU and p99, as ratios of one run.

All of them keep their connections; each request has 12 headers. The plain one has no Lua at all, tells the service the
same X-Forwarded-* and writes as long a line of log. "Lua that decides nothing" is the edge with its phases emptied:
what nginx's Lua module takes before anything of ours runs.

    python tests/bench/bench_router.py [--seconds 1] [--rounds 15] [--phases]

Aims: with 4 rules requests at least 0.85 of plain and CPU of the proxy at most 1.25 times per request; with 20 rules
CPU at most 1.4 times. Short rounds of all take turns, each is compared with plain's of the same turn, and the medians
of these ratios are told, since the machine is shared. Each round loads an arm twice: with all that it takes, and with
some 2000 requests a second. Where the proxy is the narrow place, its neighbours fall asleep between two requests, and
to wake them is the proxy's CPU time: at the same rate both arms pay for that alike. ``--phases`` tells besides what of
the router's own functions takes how long.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gopub.process import run
from tests.bench.edge_arms import HEADERS, Arm, phases, running_arms

CONNECTIONS = 32
AIMS = {"4 rules": (0.85, 1.25), "20 rules": (None, 1.4)}
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
SLOWLY = f"function delay() return {CONNECTIONS // 2} end\n"
"""wrk's: milliseconds that a connection waits before it asks again."""


@dataclass(frozen=True)
class Round:
    """One run of wrk: requests per second, microseconds of the proxy's CPU per request, and p99 in milliseconds."""

    rate: float
    cpu: float
    p99: float


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes so far, from the scheduler."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


async def measure(arm: Arm, seconds: int, *options: str) -> Round:
    """Load one arm, which has one worker."""
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *options]
    for name, value in HEADERS.items():
        argv += ["-H", f"{name}: {value}"]
    before = cpu_seconds(arm.workers())
    done = await run([*argv, f"http://127.0.0.1:{arm.port}/some/path"], timeout=seconds + 60)
    spent = cpu_seconds(arm.workers()) - before
    counted = re.search(r"(\d+) requests in ([0-9.]+)(s|m)", done.text)
    p99 = re.search(r"99%\s+([0-9.]+)(us|ms|s|m)", done.text)
    if counted is None or p99 is None or "Non-2xx" in done.text or "Socket errors" in done.text:
        raise SystemExit(f"{arm.name}: wrk was not answered:\n{done.text}")
    requests, took = int(counted[1]), float(counted[2]) * UNITS[counted[3]]
    return Round(requests / took, spent / requests * 1e6, float(p99[1]) * UNITS[p99[2]] * 1e3)


Found = dict[str, list[Round]]


async def bench(root: Path, seconds: int, rounds: int) -> tuple[Found, Found]:
    """Rounds of all arms in turn: with all that they take, and slowly."""
    script = root / "slowly.lua"
    script.write_text(SLOWLY)
    async with running_arms(root) as arms:
        full: Found = {arm.name: [] for arm in arms}
        slow: Found = {arm.name: [] for arm in arms}
        for arm in arms:  # traces are compiled, connections are there
            await measure(arm, 1)
        for _ in range(rounds):
            for arm in arms:
                full[arm.name].append(await measure(arm, seconds))
                slow[arm.name].append(await measure(arm, seconds, "-s", str(script)))
        return full, slow


def ratio(found: Found, name: str, what: str) -> float:
    """The median of what this arm needs of what plain needed in the same turn."""
    pairs = zip(found[name], found["plain"], strict=True)
    return statistics.median(getattr(one, what) / getattr(other, what) for one, other in pairs)


def line(full: Found, slow: Found, name: str) -> str:
    """One arm's ratios, and what is aimed at."""
    least, most = AIMS.get(name, (None, None))
    aims = [f"requests at least {least}"] if least else []
    aims += [f"CPU at most {most}"] if most else []
    said = f"   (aim: {', '.join(aims)})" if aims else ""
    ratios = [ratio(full, name, what) for what in ("rate", "cpu", "p99")]
    ratios += [ratio(slow, name, what) for what in ("cpu", "p99")]
    return f"{name:26}" + "".join(f"{one:9.2f}" for one in ratios) + said


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--phases", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.phases:
            print(asyncio.run(phases(Path(folder) / "phases", measure)))
        full, slow = asyncio.run(bench(Path(folder), options.seconds, options.rounds))
    rate, cpu = (statistics.median(getattr(one, what) for one in full["plain"]) for what in ("rate", "cpu"))
    print(f"plain: {rate:.0f} requests/s, {cpu:.1f} us CPU of the proxy per request\n")
    print(f"{'of plain':26} requests      CPU      p99  CPU slow p99 slow")
    for name in list(full)[1:]:
        print(line(full, slow, name))


if __name__ == "__main__":
    main()
