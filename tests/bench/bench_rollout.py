"""Seconds until a bad release is off the traffic, and until a lab is rolled back, each divided by its aim.

    PYTHONPATH=. python tests/bench/bench_rollout.py [--rounds 3] [--hosts 4] [--rate 80] [--seed N]

Off the traffic: from the first bad answer that a client got to the last answer of the canary that it got; aim 15 s.
The judge has its default looks and evidence, and reads Prometheus and journald, never this client. The sizes of the
faults are drawn from the seed, which is printed.

Rolled back: `take_back` on a lab where the release is stable on every host, until the release before runs and is
proven on all of them and the edges send there; aim 10 s. Traffic goes on meanwhile, and what it lost is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import statistics
import time
from dataclasses import dataclass
from typing import Any

from gopub.journal import events as ev
from gopub.lab.counts import Counts
from gopub.lab.traffic import Load, Traffic
from gopub.usecases.rollback import take_back
from tests.bench.lab_ground import own_ground
from tests.e2e.story import HELLO, Story, a_fleet
from tests.e2e.story_ground import Env

OFF_AIM, BACK_AIM = 15.0, 10.0
SLOW = 0.1  # what the environment's SLO calls slow
ENV = Env(
    "bench",
    18120,
    more={
        "rollout": "{steps: [{weight: 25%, bake: 60s}, {hosts: 50%, bake: 10s}], deadline: 10m}",
        "judge": "{slo: {latency_p95: 100ms, error_rate: 1%}, min_requests: 30}",
    },
)


@dataclass(frozen=True)
class Off:
    """A bad release: seconds from its first bad answer to its last answer, and what became of it."""

    fault: str
    seconds: float
    answers: int
    bad: int
    outcome: str
    rule: int
    whole: float
    lost: int


@dataclass(frozen=True)
class Back:
    """A rollback of the whole lab."""

    seconds: float
    sent: int
    lost: int


def faults(rounds: int, chance: random.Random) -> list[dict[str, Any]]:
    """Errors and slow answers in turn, beginning only under traffic."""
    errors = ({"error_rate": round(chance.uniform(0.1, 0.5), 2), "log_errors": True} for _ in range(rounds))
    slow = ({"extra_latency_ms": chance.randrange(200, 500)} for _ in range(rounds))
    drawn = [fault for pair in zip(errors, slow, strict=True) for fault in pair][:rounds]
    return [{**fault, "after_requests": chance.randrange(10, 60)} for fault in drawn]


def traffic_to(story: Story, rate: float) -> Traffic:
    """Users of the lab; slow answers are bad answers to them."""
    host = f"{story.env.upstream}.lab"
    return Traffic(Load(story.ground.lab.edge_address, host, rate=rate, mix=HELLO, slow_after=SLOW))


async def bad_release(story: Story, version: str, fault: dict[str, Any], rate: float) -> Off:
    """Roll a bad release out until it is taken back."""
    await story.ground.release(story.env.app, version, fault)
    async with traffic_to(story, rate) as traffic:
        await story.release(version, rate=0)
    ended = story.events(ev.Closed)
    counts, mine = traffic.counts, canary_of(traffic.counts, story.release_id(version))
    if mine.first_bad is None or mine.last_answer is None or not ended:
        raise SystemExit(f"{version} with {fault} gave no bad answer: {story.result} {story.error} {counts.to_json()}")
    closed = story.entries()[-1].at
    return Off(
        fault=" ".join(f"{name}={value}" for name, value in fault.items()),
        seconds=max(0.0, mine.last_answer - mine.first_bad),
        answers=mine.answered,
        bad=mine.bad,
        outcome=str(story.result.get("outcome")),
        rule=int(story.result.get("rule") or 0),
        whole=closed - mine.first_bad,
        lost=counts.lost,
    )


def canary_of(counts: Counts, release: str) -> Any:
    """What that release answered; edges name it by the beginning of its id."""
    names = [name for name in counts.releases if len(name) >= 8 and release.startswith(name)]
    return counts.release(names[0] if names else release)


async def back_once(story: Story, to: str, rate: float) -> Back:
    """Take the stable release back to ``to`` on every host."""
    os.environ.update(story.settings())
    async with traffic_to(story, rate) as traffic:
        await asyncio.sleep(1)
        began = time.perf_counter()
        told = await take_back(story.env.app, story.env.name, to=to, reason="a benchmark")
        took = time.perf_counter() - began
        await asyncio.sleep(0.5)
    if told["outcome"] != "rolled back" or told["owed"]:
        raise SystemExit(f"the rollback did not end well: {told}")
    await story.whole({to})
    return Back(took, traffic.counts.sent, traffic.counts.lost)


async def bench(rounds: int, hosts: int, rate: float, seed: int) -> tuple[list[Off], list[Back]]:
    """Bad releases, then rollbacks to and fro, on a lab of their own."""
    chance = random.Random(seed)
    async with own_ground(ENV, hosts=hosts) as ground:
        story = a_fleet(ground, "bench")
        await story.given_stable("1.0.0")
        drawn = faults(rounds, chance)
        off = [await bad_release(story, f"2.0.{n}", fault, rate) for n, fault in enumerate(drawn)]
        await story.given_stable("1.1.0")
        back = [await back_once(story, ("1.0.0", "1.1.0")[n % 2], rate) for n in range(rounds)]
        return off, back


def main() -> None:
    """Print each figure, and the medians against their aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--rate", type=float, default=80.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    off, back = asyncio.run(bench(options.rounds, options.hosts, options.rate, options.seed))
    print(f"{options.hosts} hosts, {options.rate:g} requests/s, seed {options.seed}")
    for one in off:
        print(
            f"off the traffic {one.seconds:5.1f} s, all hosts back {one.whole:5.1f} s after the first bad answer; "
            f"{one.bad} bad of {one.answers} answers, {one.lost} lost; {one.outcome} by rule {one.rule}; {one.fault}"
        )
    for turn in back:
        print(f"lab rolled back {turn.seconds:5.1f} s; {turn.lost} of {turn.sent} requests lost")
    seconds = [one.seconds for one in off], [one.seconds for one in back]
    for name, aim, found in zip(("off the traffic", "rollback of the lab"), (OFF_AIM, BACK_AIM), seconds, strict=True):
        middle, worst = statistics.median(found), max(found)
        print(f"{name:20} median/aim {middle / aim:.2f}   worst/aim {worst / aim:.2f}   (aim {aim:g} s: at most 1.00)")


if __name__ == "__main__":
    main()
