"""How often the judge would have blamed an innocent: A/A comparisons on the fleet's own past. Pure.

1.  The past is windows of hosts that ran the same release: nothing that E says of one of them is true.
2.  It is cut into trials of so many observed seconds, none of which shares a window with another. A gap longer than a
    trial ends one, and what is too short for a trial is left out.
3.  In each trial one host plays the canary, in turn, beside all others. What is known before it (φ) comes from the hour
    before, as in a rollout; the SLO and α are the policy's.
4.  E ≥ 1/α at any moment is an alarm (it holds, watches, and can take back at the deadline); E ≥ 100/α takes back at
    once. Of both the share is told with the interval of Clopper and Pearson (95 %), for trials are few.

Answers that are late beside stable's own are counted apart: they hold, and never blame. Error lines of single hosts are
not kept, so of them another share is told: of past rollouts whose release was promoted, and so was innocent as far as
anybody knows, those whose log score reached its mark at any look. A score is no part of it (it blames nobody). A
rollout's canary may differ from a host that runs stable in more than its release: it was just started.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gopub.health.config import SloTarget
from gopub.health.counters import bounds_of, gained, window
from gopub.health.power import ASSUMED_PHI
from gopub.health.samples import CounterSnapshot, Histogram, HostCounts, TrackWindow, Window, sum_windows
from gopub.health.sequential import EvidenceState, evidence, fold, learn
from gopub.health.usual import Usual
from gopub.judge.between import OTHERS

HOUR, MINUTE = 3600.0, 60.0
OVERWHELMING = 100.0
LONGEST = 300.0
"""Seconds between two moments beyond which nobody knows what happened."""
SURE = 0.95
_LEAST_PHI = 1.1


@dataclass(frozen=True, slots=True)
class Trial:
    """One comparison of like with like: who played the canary, from when, for how long, and the largest E that came."""

    host: str
    began: float
    seconds: float
    requests: int
    log_e: float
    log_e_all: float = 0.0
    """The same with answers that are late beside stable's own at their full worth: they hold, and never blame."""


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``of``, and the interval in which the true share lies with 95 %."""

    count: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the past says. ``needed``: so many trials without an alarm would show that at most α of them have one."""

    trials: tuple[Trial, ...]
    alarms: Share
    back: Share
    needed: int
    seconds: float = 0.0
    """How much of the past was there."""
    requests: float = 0.0
    """Per second, on all hosts together."""
    errors: float = 0.0
    """The share of them that failed; as if the next one did where none was seen."""
    phi: float = ASSUMED_PHI
    cluster: float = 1.0
    late: Share = Share(0, 0, 0.0, 1.0)
    """Trials that late answers alone would have held: E with them is 1/α or more, and without them it is not."""
    lines: Share = Share(0, 0, 0.0, 1.0)
    """Of past rollouts whose release was promoted, those whose error lines reached the mark at any look."""

    @property
    def usual(self) -> Usual | None:
        """What a step can be told its sight by; None where nothing was counted."""
        return Usual(self.requests, self.errors, self.phi, self.cluster) if self.requests > 0 else None


def windows_of(past: Sequence[CounterSnapshot], slo: SloTarget) -> tuple[Window, ...]:
    """What lies between the moments of a past: the hosts of the release that had the most requests there."""
    found = []
    for before, after in pairwise(past):
        if after.at <= before.at or after.at - before.at > LONGEST or len(bounds_of(before, after)) > 1:
            continue
        served: dict[str, float] = {}
        for one in gained(before, after).series:
            served[one.release] = served.get(one.release, 0.0) + sum(one.classes.values())
        stable = max(served, key=lambda name: (served[name], name), default="")
        if stable:
            slow = slo.latency_p95
            found.append(window(before, after, canary="", stable=stable, slow_above=slow))
    return tuple(found)


def calibrate(
    past: Sequence[Window], slo: SloTarget, alpha: float, seconds: float, lines: Sequence[bool] = ()
) -> Calibration:
    """Compare like with like over ``past``: windows of one release in ``stable``, in order of time.

    ``lines``: of each past rollout that was promoted and whose logs were read, whether they reached the mark.
    """
    trials = tuple(_trials(past, slo, seconds))
    marks = (math.log(1 / alpha), math.log(OVERWHELMING / alpha))
    alarms, back = (share(sum(one.log_e >= mark for one in trials), len(trials)) for mark in marks)
    late = share(sum(one.log_e < marks[0] <= one.log_e_all for one in trials), len(trials))
    found = Calibration(trials, alarms, back, math.ceil(math.log((1 - SURE) / 2) / math.log1p(-alpha)), late=late,
                        lines=share(sum(lines), len(lines)))  # fmt: skip
    tracks = [(one.end - one.start, one.stable) for one in past if one.stable and one.end > one.start]
    whole, attempts = sum(span for span, _ in tracks), sum(track.attempts for _, track in tracks)
    if not attempts:
        return found
    spread = learn(EvidenceState(), _minutes(past)).errors.spread
    phi, known = max(_LEAST_PHI, spread.phi_since), spread.freedom > 0
    bad = sum(track.errors for _, track in tracks)
    return replace(
        found,
        seconds=whole,
        requests=attempts / whole,
        errors=min(0.5, max(bad, 1) / attempts),
        phi=phi,
        cluster=phi if known else 1.0,
    )


def _trials(past: Sequence[Window], slo: SloTarget, seconds: float) -> Iterator[Trial]:
    for number, (first, last) in enumerate(_cut(past, seconds)):
        before = [one for one in past[:first] if one.end > past[first].start - HOUR]
        if trial := _trial(past[first:last], _minutes(before), slo, number):
            yield trial


def _minutes(past: Sequence[Window]) -> list[Window]:
    """Windows put together to about a minute each: a spread is learnt from bins in which something can happen."""
    found: list[Window] = []
    for one in past:
        last = found[-1] if found else None
        if last and last.end - last.start < MINUTE and one.start - last.end < MINUTE:
            found[-1] = sum_windows((last, one)) or one
        else:
            found.append(one)
    return found


def _cut(past: Sequence[Window], seconds: float) -> Iterator[tuple[int, int]]:
    """Where trials begin and end, as places in ``past``."""
    first, observed = 0, 0.0
    for at, one in enumerate(past):
        if at > first and one.start - past[at - 1].end > seconds:
            first, observed = at, 0.0
        observed += one.end - one.start
        if observed >= seconds:
            yield first, at + 1
            first, observed = at + 1, 0.0


def _trial(windows: Sequence[Window], before: Sequence[Window], slo: SloTarget, number: int) -> Trial | None:
    """None where fewer than two hosts had requests."""
    served = {one.host for window in windows if window.stable for one in window.stable.hosts if one.attempts}
    hosts = sorted(served - {OTHERS})
    if not hosts or len(served) < 2:
        return None
    host, most, most_all, requests = hosts[number % len(hosts)], 0.0, 0.0, 0
    state = learn(EvidenceState(), before)
    for played in (_played(one, host) for one in windows):
        requests += played.canary.attempts if played.canary else 0
        state = fold(state, (played,), slo, compare=True, stable_broken=False)
        found = evidence(state, slo, late=slo.latency_p95 is not None, left=True)
        most, most_all = max(most, found.log_e), max(most_all, found.log_e_all)
    return Trial(host, windows[0].start, sum(one.end - one.start for one in windows), requests, most, most_all)


def _played(window: Window, host: str) -> Window:
    """The window with one of its hosts as the canary."""
    hosts = window.stable.hosts if window.stable else ()
    ours, others = (tuple(one for one in hosts if (one.host == host) is mine) for mine in (True, False))
    return replace(window, canary=_track("canary", ours), stable=_track("stable", others))


def _track(name: str, hosts: tuple[HostCounts, ...]) -> TrackWindow | None:
    return TrackWindow(name, hosts, Histogram()) if hosts else None


def share(count: int, of: int, sure: float = SURE) -> Share:
    """The interval of Clopper and Pearson: what it leaves out would show so much or more in ``1 - sure`` of cases."""
    tail = (1 - sure) / 2
    low = 0.0 if count == 0 else _where(lambda p: 1 - _at_most(count - 1, of, p), tail, rising=True)
    high = 1.0 if count >= of else _where(lambda p: _at_most(count, of, p), tail, rising=False)
    return Share(count, of, low, high)


def _where(chance: Callable[[float], float], tail: float, *, rising: bool) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if (chance(middle) < tail) is rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _at_most(count: int, of: int, p: float) -> float:
    """The chance of ``count`` or fewer of ``of``."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if count >= of else 0.0
    logs = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(count + 1)
    )
    return min(1.0, math.fsum(math.exp(one) for one in logs))
