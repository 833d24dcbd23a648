"""The judge against a common threshold rule on the same simulated rollouts: false rollbacks and detection delay.

    python tests/bench/bench_judge.py [--traces 150] [--seed N]

The peer rolls back after five bad looks, a look being bad when the canary's errors over the last minute exceed 1 %
or more than 5 % of its answers were slow: absolute bounds on averaged ratios with a failure limit, as usual tools
have it. Ours is E at least 100/alpha (roll back), E at least 1/alpha (watch where the SLO is broken), and the same with
answers later than stable's own (hold; a rollback at the deadline). Aims: at most 1 % false in
every innocent row; 20 % failing at 20 rps within 8 s. A rule that blames the innocent is quick, too: read both tables.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from gopub.health.config import SloTarget
from gopub.health.recent import Recent
from gopub.health.samples import Window
from gopub.health.sequential import EvidenceState, evidence, fold, learn
from tests.bench.judge_simulator import Fault, Fleet, World

SLO = SloTarget(0.2, 0.01)
BASE = World(slow=0.02, looks=60, history=30)
INNOCENT = {
    "quiet, 20 rps a host": BASE,
    "quiet, 2 rps a host": replace(BASE, rps=2.0),
    "errors 2 % on all": replace(BASE, errors=0.02),
    "rates swing together": replace(BASE, errors=0.005, swing=0.5),
    "shared incident +5 %": replace(BASE, incident=0.05),
    "errors in clusters of 5": replace(BASE, errors=0.005, cluster=5),
    "hosts differ by 10 %": replace(BASE, errors=0.005, spread=0.1),
    "latency swings together": replace(BASE, late=0.05, swing=0.5),
    "hosts differ by 30 %": replace(BASE, errors=0.005, spread=0.3),
    "no history": replace(BASE, history=0),
}
GUILTY = {
    "20 % fail": (BASE, Fault(extra_errors=0.2)),
    "20 % fail, 5 rps": (replace(BASE, rps=5.0), Fault(extra_errors=0.2)),
    "5 % fail": (BASE, Fault(extra_errors=0.05)),
    "1 % fail, base 0.1 %": (BASE, Fault(errors=10.0)),
    "slow answers x8": (BASE, Fault(slow=8.0)),
    "late answers x5, SLO kept": (BASE, Fault(late=5.0)),
    "20 % fail after a minute": (BASE, Fault(extra_errors=0.2, begins=30)),
}


@dataclass(frozen=True)
class Found:
    """The look (from 1) at which each rule fired, None if never."""

    rollback: int | None
    watch: int | None
    hold: int | None
    peer: int | None


def one(world: World, fault: Fault | None, seed: int) -> Found:
    """One rollout, seen by both."""
    fleet = Fleet(world, fault, seed)
    state = learn(EvidenceState(slow_above=0.2), fleet.past())
    log_es, doubts, bad = [], [], []
    recent = Recent(60.0, 0)
    for window in fleet.windows():
        state = fold(state, (window,), SLO, compare=True, stable_broken=False)
        found = evidence(state, SLO, late=True)
        log_es.append(found.log_e)
        doubts.append(found.log_e_all)
        recent.add(window)
        bad.append(_bad(recent.total(window.end)))
    failed = [sum(bad[: i + 1]) >= 5 for i in range(len(bad))]
    return Found(
        _first(log_e >= math.log(10_000) for log_e in log_es),
        _first(log_e >= math.log(100) for log_e in log_es),
        _first(log_e >= math.log(100) for log_e in doubts),
        _first(failed),
    )


def _bad(minute: Window | None) -> bool:
    canary = minute.canary if minute else None
    return bool(canary and canary.attempts) and (
        canary.errors > 0.01 * canary.attempts or canary.slow > 0.05 * canary.timed
    )


def _first(fired: Iterator[bool] | list[bool]) -> int | None:
    return next((index for index, hit in enumerate(fired, start=1) if hit), None)


def _share(hits: list[int | None]) -> str:
    return f"{sum(hit is not None for hit in hits) / len(hits):7.1%}"


def _median(hits: list[int | None]) -> float | None:
    found = [hit for hit in hits if hit is not None]
    return statistics.median(found) if found else None


def _innocent(name: str, world: World, seed: int, traces: int) -> None:
    found = [one(world, None, seed + index) for index in range(traces)]
    columns = ([getattr(f, key) for f in found] for key in ("rollback", "watch", "hold", "peer"))
    print(f"{name:28} {' '.join(_share(column) for column in columns)}")


def _guilty(name: str, world: World, fault: Fault, seed: int, traces: int) -> None:
    found = [one(world, fault, seed + index) for index in range(traces)]
    ours, peer = [f.rollback or (f.hold if fault.late > 1 else None) for f in found], [f.peer for f in found]
    a, b = _median(ours), _median(peer)
    late = [x - fault.begins if x else None for x in (a, b)]
    ratio = f"{late[0] / late[1]:.2f}" if late[0] and late[1] else "-"
    shown = " ".join(f"{x * world.look:6.0f}s" if x else "      -" for x in late)
    print(f"{name:28} {_share(ours)} {_share(peer)} {shown}  {ratio}")


def _cost(seed: int) -> None:
    fleet, state = Fleet(replace(BASE, hosts=50, canaries=5), None, seed), EvidenceState(slow_above=0.2)
    windows = list(fleet.windows())
    began = time.process_time()
    for window in windows:
        state = fold(state, (window,), SLO, compare=True, stable_broken=False)
        evidence(state, SLO)
    print(f"\none look over 50 hosts: {(time.process_time() - began) / len(windows) * 1000:.2f} ms of CPU")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=150)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, {chosen.traces} rollouts a row, looks every 2 s for two minutes\n")
    print(f"{'innocent canary':28} {'rollback':>7} {'watch':>7} {'hold':>7} {'peer':>7}")
    for name, world in INNOCENT.items():
        _innocent(name, world, chosen.seed, chosen.traces)
    print(f"\n{'guilty canary':28} {'found':>7} {'peer':>7} {'delay':>7} {'peer':>7}  ratio")
    for name, (world, fault) in GUILTY.items():
        _guilty(name, world, fault, chosen.seed + 10**6, max(20, chosen.traces // 5))
    _cost(chosen.seed)


if __name__ == "__main__":
    main()
