"""Journals of rollouts with looks that a reader can picture: a canary that fails more with each look."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from gopub.health.evidence import Evidence, MetricEvidence
from gopub.health.observation import Observation
from gopub.health.samples import Histogram, HostCounts, ProcessHealth, TrackWindow, Window
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.replay import judge
from gopub.plan.model import Outcome
from tests.unit.verdicts import GOOD, HISTORY, NOON, POLICY, event

BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


def track(release: str, of: int, bad: int, slow: int = 0) -> TrackWindow:
    """One host; ``slow`` answers took up to half a second, the others up to 50 ms."""
    return TrackWindow(release, (HostCounts("h", of, bad, of),), Histogram(BOUNDS, (0, of - slow, 0, 0, slow, 0, 0)))


def seen(at: float, e: float, bad: int, hosts: int) -> Observation:
    """A look: 100 answers of the canary, 400 of stable; ``e`` is the decimal logarithm of E."""
    log_e = e * math.log(10)
    metric = MetricEvidence("errors", log_e, bad, 100, 1, 400, 1.5)
    return replace(
        GOOD, at=at, recent=Window(at - 60, at, track("c" * 12, 100, bad, 20), track("5" * 12, 400, 1)),
        hosts=tuple(ProcessHealth(f"web{3 + n}", memory=(30 + 9 * n) * 2**20 + at - NOON) for n in range(hosts)),
        evidence=Evidence(log_e, (metric,), "stable", 1.5, e_value=10 ** min(e, 290)),
    )  # fmt: skip


def journal(
    looks: int, e: Callable[[int], float] = lambda look: look * 0.9 - 1, *, apart: float = 5.0, version: str = "2.0.0",
    hosts: int = 2, bad: Callable[[int], int] = lambda look: look,
) -> list[Entry]:  # fmt: skip
    """The rollout r-1 with so many looks, taken back with the last."""
    told: list[tuple[float, ev.Event]] = [
        (NOON - 3, ev.Opened("r-1", "hello", "prod", "b" * 64, version)), (NOON, ev.StepReached(0, NOON)),
    ]  # fmt: skip
    for look in range(looks):
        at = NOON + apart * (look + 1)
        record = judge(seen(at, e(look), bad(look), hosts), POLICY, replace(HISTORY, now=at, step_started=NOON))
        told.append((at, event(record)))
    if looks:
        told.append((at, ev.GoingBack(Outcome.ROLLED_BACK, 3, "worse", at)))
    return [
        Entry(place, "rollout/r-1", place, one, "ann", "7" * 32, at, "0" * 64) for place, (at, one) in enumerate(told)
    ]
