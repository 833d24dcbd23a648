"""What a step can see: the least error rate that the test on errors finds, before a request was sent.

The test is the judge's own (``eprocess``, ``sequential``): the bets of ``against_stable`` from their first start on,
combined as ``evidence`` does while nothing else is wrong. Without stable traffic nothing is evidence, so nothing is
seen. Only what will be counted is not known, and is drawn by chance:

1.  Of n bad events each lies on the canary with probability ρ. What the bets are worth follows from n and the x of
    them on the canary alone, so after each n there is a least x at which E has its mark.
2.  The chance to have been there by n is that of a walk which is taken away where it crosses: the judge looks all the
    time. It is computed over ``SLICES`` parts of n, exactly for few x, and as a walk of three ways for many.
3.  How many bad events come is Poisson's, too.

Left out, each of little weight: new starts after the first minute (they find a little more), the other bets' losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.health.config import SloTarget
from gopub.health.endpoints import with_endpoints
from gopub.health.eprocess import FIRST, GRID, Process, against_stable, log_sum, most
from gopub.health.sequential import MARGIN, WEIGHTS, EndpointState, EvidenceState, MetricState, evidence

SHARE = 0.8
"""How often what is told to be seen is found."""
ASSUMED_PHI = 1.5
"""φ where no history shows it; see ``dispersion``."""
SLICES = 40
_MANY = 100.0
"""Bad events on the canary from which on a walk of three ways is near enough."""
_NOTHING = 1e-12
_NEVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Sight:
    """One step: requests per second on both tracks, for how long, and what fails of them usually.

    ``stable`` 0 is a step beside which stable has no traffic. Evidence is divided by ``phi``; ``cluster`` bad events
    come at once, on one track. ``every``: seconds between two windows, each multiplies a bet by
    ``eprocess.most`` of it at most. ``family``: so many endpoints are declared, and ``of_endpoint``: this is what is
    seen of one of them.
    """

    canary: float
    stable: float
    seconds: float
    base: float
    slo: SloTarget
    alpha: float = 0.01
    phi: float = ASSUMED_PHI
    cluster: float = 1.0
    every: float = 2.0
    family: int = 0
    of_endpoint: bool = False


@dataclass(frozen=True, slots=True)
class _Bets:
    """What one unit adds to the logarithm of each bet: a bad event of the canary, and any other."""

    bad: tuple[float, ...]
    other: tuple[float, ...]
    needed: float
    """Log E of this test at which the combined one has its mark."""

    def won(self, x: float, n: float) -> bool:
        """Whether ``x`` of ``n`` units are enough."""
        pairs = zip(WEIGHTS["errors"], self.bad, self.other, strict=True)
        started = [math.log(FIRST * share) + x * a + (n - x) * b for share, a, b in pairs]
        return Process(tuple(started)).log_e >= self.needed


def least(sight: Sight, times: float = 1.0) -> float | None:
    """The least error rate of the canary that is found with ``SHARE``: E reaches ``times``/α within the step.

    None where none is: too few requests, too few windows, or no stable traffic to hold the canary against.
    """
    if chance(sight, 1.0, times) < SHARE:
        return None
    low, high = math.log(sight.base), 0.0
    while high - low > 0.02:
        middle = (low + high) / 2
        low, high = (low, middle) if chance(sight, math.exp(middle), times) >= SHARE else (middle, high)
    return math.exp(high)


def chance(sight: Sight, rate: float, times: float = 1.0) -> float:
    """How likely E reaches ``times``/α within the step, if so many of the canary's requests fail."""
    needed = _needed(sight, math.log(times / sight.alpha))
    ours, others = sight.canary * rate, sight.stable * sight.base
    if ours <= 0 or others <= 0 or not _windows_allow(sight, needed):
        return 0.0
    scale = sight.cluster / max(1.0, sight.phi)
    # Exposures count as a ratio alone: millionths are fine enough.
    n = min(999_999, max(1, round(1e6 * sight.canary / (sight.canary + sight.stable))))
    pairs = (against_stable(x, n, 1 - x, 1_000_000 - n, MARGIN["errors"]) for x in (1, 0))
    bad, other = (tuple(scale * gain for gain in gains) for gains in pairs)
    return _crossed(_Bets(bad, other, needed), (ours + others) * sight.seconds / sight.cluster, ours / (ours + others))


def _needed(sight: Sight, mark: float) -> float:
    """Log E of the one test at which the judge's whole E has its mark, all others at 1."""

    def whole(log_e: float) -> float:
        process = Process((log_e - math.log(FIRST),) * len(GRID), blocks=_NEVER)
        late = sight.slo.latency_p95 is not None
        metric = MetricState(versus_stable=process)
        state = EvidenceState() if sight.of_endpoint else EvidenceState(errors=metric)
        if sight.of_endpoint:
            others = (EndpointState(),) * (sight.family - 1)
            state = replace(state, endpoints=(EndpointState(errors=metric), *others))
        return with_endpoints(evidence(state, sight.slo, late=late), state, ("",) * sight.family, slow=late).log_e

    low, high = 0.0, mark + 10
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if whole(middle) >= mark else (middle, high)
    return high


def _windows_allow(sight: Sight, needed: float) -> bool:
    windows = int(sight.seconds / max(sight.every, 1e-3))
    return (
        windows > 0
        and log_sum((math.log(FIRST) + windows * math.log(most(sight.every)), math.log(1 - FIRST))) >= needed
    )


def _crossed(bets: _Bets, units: float, share: float) -> float:
    """The chance that a walk of so many units, of which ``share`` are bad, is ever far enough."""
    if units * share > _MANY:
        return _three_ways(bets, units, min(share, 1 - 1e-9))
    most = units + 6 * math.sqrt(units) + 6
    size = max(1, math.ceil(units / SLICES))
    ends = [size * k for k in range(1, math.ceil(most / size) + 1)]
    bounds, x = [], 0
    for n in ends:
        while x <= n and not bets.won(x, n):
            x += 1
        bounds.append(x)
    return _over_poisson(_absorbed(_binomial(size, share), bounds, 0), size, units)


def _over_poisson(gone: Sequence[float], size: int, mean: float) -> float:
    """The mean of ``gone``, known at every ``size``, where the number of units is Poisson's."""
    total, log_p = 0.0, -mean
    for n in range(size * len(gone)):
        if n:
            log_p += math.log(mean / n)
        at, rest = divmod(n, size)
        before = gone[at - 1] if at else 0.0
        total += math.exp(log_p) * (before + (gone[at] - before) * rest / size)
    return total


def _three_ways(bets: _Bets, units: float, share: float) -> float:
    """Many: the walk goes one up, one down or nowhere, with the variance of a slice."""
    step = math.sqrt(3 * units / SLICES * share * (1 - share))
    bounds, x = [], 0.0
    for k in range(1, SLICES + 1):
        n = units * k / SLICES
        if not bets.won(n, n):
            bounds.append(_NEVER)
            continue
        x = _least_x(bets, n, x)
        bounds.append(math.ceil((x - n * share) / step))
    return _absorbed((1 / 6, 2 / 3, 1 / 6), bounds, -1)[-1]


def _least_x(bets: _Bets, n: float, low: float) -> float:
    """The least x of n that is enough, which is more than ``low``."""
    high = n
    while high - low > max(math.sqrt(n) / 100, n * 1e-12):  # numbers of an absurd n lie further apart than its root
        middle = (low + high) / 2
        low, high = (low, middle) if bets.won(middle, n) else (middle, high)
    return high


def _absorbed(ways: Sequence[float], bounds: Sequence[int], first: int) -> list[float]:
    """After each step the chance to have been at its bound or above; ``ways[i]`` is that of a step of ``first + i``."""
    alive, low, gone, out = [1.0], 0, 0.0, []
    for bound in bounds:
        new = [0.0] * (len(alive) + len(ways) - 1)
        for i, there in enumerate(alive):
            if there > _NOTHING:
                for j, way in enumerate(ways):
                    new[i + j] += there * way
        low += first
        kept = max(0, min(len(new), bound - low))
        gone += sum(new[kept:])
        start = next((i for i, there in enumerate(new[:kept]) if there > _NOTHING), kept)
        alive, low = new[start:kept], low + start
        out.append(gone)
        alive = alive or [0.0]
    return out


def _binomial(n: int, p: float) -> list[float]:
    """The chances of 0, 1, 2, … of ``n``, as far as they count."""
    if p >= 1:
        return [0.0] * n + [1.0]
    out, now = [], n * math.log1p(-p)
    for x in range(n + 1):
        out.append(math.exp(now))
        if x > n * p and out[-1] < _NOTHING:
            break
        now += math.log(max(n - x, 1) / (x + 1)) + math.log(p) - math.log1p(-p)
    return out
