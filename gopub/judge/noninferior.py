"""Whether a canary is good enough to go on before its bake is over, by counts (``promote: evidence``). Pure.

Good enough: its error rate is above stable's by less than a margin, and with a latency SLO the share of its slow
answers as well. The margin is absolute, a share of what the SLO allows, for a ratio says nothing where almost nothing
fails.

1.  Of each track a bound on its rate in this step, valid at every look (a confidence sequence): a mixture, over the
    fixed ``GRID`` of g, of ``exp(λ·bad - n·log(1 + rate·(e^λ - 1)))`` with λ = ±log g is at most 1 in expectation, so
    rates at which it exceeds 2/β are excluded, those of the canary from above and those of stable from below.
2.  It is the mean rate of the step that is bounded, so rates may change meanwhile (log is concave: Jensen).
3.  Good enough is: the canary's upper bound is at most stable's lower bound and the margin. A canary that is worse by
    the margin or more goes on early with a probability of β at most, in the whole rollout: each step has its share.
4.  Both metrics must be good enough, each at β: who is bad in one is let through by that one's test alone.
5.  Logarithms are divided by φ, as evidence is; under clusters that is as right as φ is.
6.  Where stable has no traffic, or the canary's users chose themselves, its lower bound is 0: then the margin alone is
    what may fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gopub.health.config import PromoteTarget
from gopub.health.eprocess import log_sum
from gopub.health.observation import Observation
from gopub.health.slo import P95_SHARE
from gopub.judge.verdict import History, Policy
from gopub.units import say_about, say_seconds

GRID = (1.1, 1.25, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0)
_STEPS = 30
"""Halvings of an interval within 0 and 1: to a billionth."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """One metric in this step: at most so much of the canary, at least so much of stable; how far apart they may be."""

    name: str
    most: float
    least: float
    margin: float

    @property
    def good(self) -> bool:
        """Whether the canary is worse by less than the margin."""
        return self.most <= self.least + self.margin


def sooner(observation: Observation, policy: Policy, history: History) -> tuple[Bounds, ...]:
    """The bounds by which the step may be left before its bake is over; empty where it may not.

    Never before ``observed`` seconds of the bake and the warm-up, with fewer than ``min_requests`` requests, while the
    bake's clock stands, or without an SLO to take a margin from.
    """
    wanted = policy.promote
    if wanted is None or history.stands or observation.step_totals.canary_requests < policy.min_requests:
        return ()
    if history.baked < max(wanted.observed, observation.config.warmup):
        return ()
    found = bounds(observation, wanted)
    return found if found and all(one.good for one in found) else ()


def bounds(observation: Observation, wanted: PromoteTarget) -> tuple[Bounds, ...]:
    """What the counts of this step say of each metric that the SLO has."""
    totals, slo = observation.step_totals, observation.config.slo
    phis = {one.name: max(1.0, one.phi) for one in observation.evidence.metrics}
    metrics = (
        ("errors", slo.error_rate, (totals.canary_errors, totals.canary_requests),
         (totals.stable_errors, totals.stable_requests)),
        ("slow", P95_SHARE if slo.latency_p95 is not None else None, (totals.canary_slow, totals.canary_timed),
         (totals.stable_slow, totals.stable_timed)),
    )  # fmt: skip
    return tuple(
        Bounds(
            name,
            at_most(*ours, phis.get(name, observation.evidence.phi), wanted.beta / 2),
            at_least(*theirs, phis.get(name, observation.evidence.phi), wanted.beta / 2)
            if observation.compare
            else 0.0,
            wanted.margin * allowed,
        )
        for name, allowed, ours, theirs in metrics
        if allowed is not None
    )


def at_most(bad: int, of: int, phi: float, beta: float) -> float:
    """The least rate that ``bad`` of ``of`` exclude, with every larger one, at level ``beta`` and at every look."""
    return _edge(bad, of, phi, beta, upper=True)


def at_least(bad: int, of: int, phi: float, beta: float) -> float:
    """The largest rate that they exclude, with every smaller one."""
    return _edge(bad, of, phi, beta, upper=False)


def _edge(bad: int, of: int, phi: float, beta: float, *, upper: bool) -> float:
    limit = 1.0 if upper else 0.0
    if of <= 0:
        return limit
    inside, outside, mark = min(1.0, bad / of), limit, math.log(1 / beta)
    if _log_e(bad, of, outside, phi, upper=upper) < mark:
        return limit
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if _log_e(bad, of, middle, phi, upper=upper) < mark:
            inside = middle
        else:
            outside = middle
    return outside


def _log_e(bad: int, of: int, rate: float, phi: float, *, upper: bool) -> float:
    powers = [-math.log(g) if upper else math.log(g) for g in GRID]
    worth = [(power * bad - of * math.log1p(rate * math.expm1(power))) / max(1.0, phi) for power in powers]
    return log_sum(worth) - math.log(len(worth))


def say_sooner(found: tuple[Bounds, ...], wanted: PromoteTarget, history: History) -> str:
    """By which counts a step is left early."""
    what = {"errors": "fail", "slow": "are slow"}
    said = [
        f"at most {100 * one.most:.3g} % of the canary's answers {what[one.name]}, less than stable's (at least "
        f"{100 * one.least:.3g} %) and {100 * one.margin:.3g} %"
        for one in found
    ]
    early = f"goes on by evidence after {say_about(history.baked)} of a bake of {say_seconds(history.bake)}"
    return f"{early}: {'; '.join(said)} (β = {100 * wanted.beta:.3g} % in this step)"
