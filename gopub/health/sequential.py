"""Evidence E that the canary is worse: e-processes on errors and slow answers, folded over the windows of a rollout.

E may be looked at after every window, and the rollout stopped whenever one likes: with an innocent canary it ever
reaches 1/α with a probability of at most α (``eprocess``), provided that stable hosts show how events cluster
(``dispersion``). The metrics are combined as a weighted mean of their e-values, valid whatever ties them together.

With a latency SLO, slow is the SLO, and a third metric is held against stable alone: late is above the bucket bound
near stable's own 95th percentile (``quantile.near``). To be late is no broken promise, so it can raise doubt
(``log_e_all``) and never blame (``log_e``): blame takes it for worth its stake at most. So both together are wrong no
more often than α.

Answers that clients left are a test of their own, against stable alone (``leaving``): no part of E, for nobody knows
whose doing it is.

A window with traffic on both tracks is held against stable. A window of a step that only a header rule feeds is held
against the SLO, if there is one, and only while stable has traffic and keeps the SLO itself: a shared incident must not
count. A window without any stable traffic (a first release, the last step) is no evidence at all: what fails there may
fail everywhere. Nine tenths of the coin are bet on counts; the last one is what error lines may be wrong
(``logscore``). What the canary's hosts were before the rollout moves the null (``dispersion``).

A step that only a header rule feeds and one that is held against stable are bets of the same coin, one after the other.
(By rules before 6 each had a coin of its own, and a share of it was lost wherever there is an SLO.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from gopub.health.config import NEARER, RULES, SHARED, STEPWISE, SloTarget
from gopub.health.dispersion import Dispersion, Tally
from gopub.health.eprocess import Process, against_rate, against_stable, log_sum
from gopub.health.evidence import Evidence, MetricEvidence
from gopub.health.logscore import LOG_SHARE
from gopub.health.samples import Histogram, HostCounts, TrackWindow, Window, sum_windows
from gopub.health.slo import P95_SHARE

MARGIN = {"errors": 0.25, "slow": 0.5, "late": 0.5, "left": 0.5}
"""δ per metric: a canary whose rate is up to 1 + δ times the stable one is not "worse"."""
WIDE = 1.5
"""The margin of late by the rules before 5."""
STAKES = {"errors": 0.4, "slow": 0.3, "late": 0.3}
"""How the coin is split where late is looked at; else in halves."""
STAKES_5 = {"errors": 0.4, "slow": 0.4, "late": 0.2}
"""The same by the rules before 6."""
WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "errors": (0.35, 0.7, 1.05, 1.4, 1.4, 1.4, 0.7),
    "slow": (1.05, 1.4, 1.4, 1.4, 0.7, 0.7, 0.35),
    "late": (1.4, 1.75, 1.75, 1.05, 0.35, 0.35, 0.35),
    "left": (0.35, 0.7, 1.05, 1.4, 1.4, 1.4, 0.7),
}
"""How much of the coin each alternative of ``eprocess.GRID`` has, by their mean: what fails, fails many times as often;
an answer that takes a third longer makes twice as many late."""
RECENT = 10.0
"""Seconds for which counts of one track wait for the other one's."""
ON_COUNTS = 1 - LOG_SHARE
"""The share of the coin that is bet on counts."""
AGAINST_STABLE = 0.8
"""The share of a metric's coin that is bet against stable, where a metric can also be held against the SLO."""


Reader = Callable[[HostCounts], Tally]


def _errors(host: HostCounts) -> Tally:
    return Tally(host.errors, host.attempts)


def _slow(host: HostCounts) -> Tally:
    return Tally(host.slow, host.timed)


def _late(host: HostCounts) -> Tally:
    return Tally(host.late, host.late_timed)


def _left(host: HostCounts) -> Tally:
    return Tally(host.left, host.attempts + host.left)


_READERS: Mapping[str, Reader] = {"errors": _errors, "slow": _slow, "late": _late, "left": _left}


@dataclass(frozen=True, slots=True)
class MetricState:
    """One metric: its two e-processes, its counts so far and the spread of the stable hosts."""

    versus_stable: Process = field(default_factory=Process)
    versus_slo: Process = field(default_factory=Process)
    canary: Tally = field(default_factory=Tally)
    stable: Tally = field(default_factory=Tally)
    spread: Dispersion = field(default_factory=Dispersion)


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One declared endpoint; see ``endpoints``."""

    errors: MetricState = field(default_factory=MetricState)
    slow: MetricState = field(default_factory=MetricState)
    waiting: Window | None = None
    """Its counts that wait for the other track's, a few seconds at most."""


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """What the fold carries from look to look; survives the driver through JSON and is never reset in a rollout."""

    errors: MetricState = field(default_factory=MetricState)
    slow: MetricState = field(default_factory=MetricState)
    basis: str = "none"
    slow_above: float | None = None
    waiting: Window | None = None
    """Counts that wait for the other track's, a few seconds at most."""
    stable_seen: float = 0.0
    """When stable last had requests."""
    late: MetricState = field(default_factory=MetricState)
    late_above: float | None = None
    """Seconds: near stable's own 95th percentile, where slow is an SLO."""
    left: MetricState = field(default_factory=MetricState)
    endpoints: tuple[EndpointState, ...] = ()
    """Of the declared ones, in their order."""


def learn(state: EvidenceState, history: Iterable[Window]) -> EvidenceState:
    """Learn the spread of the stable hosts from windows before the rollout; each is a bin of its own."""
    errors, slow, late, left = state.errors.spread, state.slow.spread, state.late.spread, state.left.spread
    for window in (window for window in history if window.stable):
        errors = errors.add(_by_host(window.stable, _errors), window.end).close()
        slow = slow.add(_by_host(window.stable, _slow), window.end).close()
        late = late.add(_by_host(window.stable, _late), window.end).close()
        left = left.add(_by_host(window.stable, _left), window.end).close()
    return replace(
        state,
        errors=replace(state.errors, spread=errors.settle()),
        slow=replace(state.slow, spread=slow.settle()),
        late=replace(state.late, spread=late.settle()),
        left=replace(state.left, spread=left.settle()),
    )


def fold(
    state: EvidenceState,
    windows: Iterable[Window],
    slo: SloTarget,
    *,
    compare: bool,
    stable_broken: bool,
    rules: int = RULES,
    step: int = 0,
) -> EvidenceState:
    """Take in new windows.

    Args:
        state: what all windows before gave.
        windows: in order of time.
        slo: what to hold the canary against where stable is not comparable.
        compare: False for a step whose canary users chose themselves.
        stable_broken: stable itself breaks the SLO at the moment, or is not known to keep it.
        rules: those before 4 hold windows without any stable traffic against the SLO, too, and take φ from the window
            that it is applied to as well; those before 5 take up to 2.5 times as many late answers for no more; those
            before 6 know no steps and no host's own past.
        step: the one that the rollout is in; a new one has a share of the coin.
    """
    allowed_slow = None if slo.latency_p95 is None else P95_SHARE
    for new in windows:
        window = _joined(state.waiting, new) if state.waiting else new
        if window.stable and window.stable.attempts:
            state = replace(state, stable_seen=window.end)
        if compare and _waits(window, state.stable_seen):
            state = replace(state, waiting=window)
            continue
        basis = _basis(window, slo, compare=compare, stable_broken=stable_broken, alone=rules < SHARED)
        fold_one = partial(fold_metric, window=window, rules=rules, step=step)
        state = replace(
            state,
            errors=fold_one(state.errors, name="errors", basis=basis, allowed=slo.error_rate),
            slow=fold_one(state.slow, name="slow", basis=basis, allowed=allowed_slow),
            late=fold_one(state.late, name="late", basis=basis, allowed=None),
            # Where everybody leaves there is no attempt, hence no basis, but all the more to compare.
            left=fold_one(state.left, name="left", basis="stable" if compare else "none", allowed=None),
            basis=basis or state.basis,
            waiting=None,
        )
    return state


def _joined(waiting: Window, new: Window) -> Window:
    """Both together; where an edge began to count by other latency bounds meanwhile, with the new window's latency."""
    tracks = (waiting.canary, waiting.stable, new.canary, new.stable)
    if len({track.latency.bounds for track in tracks if track and track.latency.counts}) > 1:
        waiting = replace(waiting, canary=_untimed(waiting.canary), stable=_untimed(waiting.stable))
    return sum_windows((waiting, new)) or new


def _untimed(track: TrackWindow | None) -> TrackWindow | None:
    return replace(track, latency=Histogram()) if track else None


def _waits(window: Window, stable_seen: float) -> bool:
    """Whether only one track had requests, and the other one's may come soon: with little traffic they do."""
    busy = [track is not None and track.attempts > 0 for track in (window.canary, window.stable)]
    recent = abs(window.end - stable_seen) < RECENT and abs(window.end - window.start) < RECENT
    return recent and sum(busy) == 1


def evidence(
    state: EvidenceState,
    slo: SloTarget,
    *,
    late: bool = False,
    left: bool = False,
    whole: bool = False,
    rules: int = RULES,
) -> Evidence:
    """What the windows so far say.

    ``late``: how stable's own quantile is kept counts, too; ``left``: who left; ``whole``: with all of the coin.
    """
    found = _evidence(state, slo, late=late, coin=1.0 if whole else ON_COUNTS, rules=rules)
    if not left or not (state.left.canary.bad or state.left.stable.bad):
        return found
    return replace(found, left=metric_evidence("left", state.left, rules))


def _evidence(state: EvidenceState, slo: SloTarget, *, late: bool, coin: float, rules: int) -> Evidence:
    metrics = (
        metric_evidence("errors", state.errors, rules, can_slo=slo.error_rate is not None),
        metric_evidence("slow", state.slow, rules, can_slo=slo.latency_p95 is not None),
    )
    if late:
        return _with_late(state, (*metrics, metric_evidence("late", state.late, rules)), coin, rules)
    log_e = log_sum([metric.log_e for metric in metrics]) - math.log(len(metrics)) + math.log(coin)
    return Evidence(
        log_e=log_e,
        metrics=metrics,
        basis=state.basis,
        phi=max(metric.phi for metric in metrics),
        slow_above=state.slow_above,
        e_value=shown(log_e),
    )


def _with_late(state: EvidenceState, metrics: tuple[MetricEvidence, ...], coin: float, rules: int) -> Evidence:
    shares = STAKES if rules >= STEPWISE else STAKES_5
    stakes = [math.log(shares[metric.name]) + metric.log_e for metric in metrics]
    blame = [*stakes[:-1], math.log(shares["late"]) + min(0.0, metrics[-1].log_e)]
    log_e, log_e_all = log_sum(blame) + math.log(coin), log_sum(stakes) + math.log(coin)
    return Evidence(
        log_e=log_e,
        metrics=metrics,
        basis=state.basis,
        phi=max(metric.phi for metric in metrics),
        slow_above=state.slow_above,
        e_value=shown(log_e),
        log_e_all=log_e_all,
        e_all=shown(log_e_all),
        late_above=state.late_above,
    )


def shown(log_e: float) -> float:
    """E for readers, capped at about 1e299."""
    return math.exp(min(log_e, 690.0))


def _basis(window: Window, slo: SloTarget, *, compare: bool, stable_broken: bool, alone: bool) -> str:
    """``stable``, ``slo``, ``none``, or an empty text for a window without canary requests."""
    canary, stable = window.canary, window.stable
    if canary is None or not canary.attempts:
        return ""
    beside = stable is not None and stable.attempts > 0
    if compare and beside:
        return "stable"
    if not beside and not alone:
        return "none"
    has_slo = slo.error_rate is not None or slo.latency_p95 is not None
    return "slo" if has_slo and not stable_broken else "none"


def fold_metric(
    state: MetricState,
    *,
    window: Window,
    name: str,
    basis: str,
    allowed: float | None,
    rules: int = RULES,
    step: int = 0,
) -> MetricState:
    """One metric with one more window.

    By rules before 4, φ knows the window that it is applied to; no theorem holds of that.
    """
    of, delta = _READERS[name], WIDE if name == "late" and rules < NEARER else MARGIN[name]
    spread = _seen(state, window, of)
    known = spread if rules < SHARED else state.spread
    canary, stable = _total(window.canary, of), _total(window.stable, of)
    bet = partial(_bet, name=name, phi=_phi(known, rules), window=window, rules=rules, step=step)
    state = replace(state, spread=spread, canary=state.canary + canary, stable=state.stable + stable)
    if basis == "stable" and canary.exposed and stable.exposed:
        if rules >= STEPWISE and window.canary:
            delta = known.allowed([host.host for host in window.canary.hosts if of(host).exposed], delta) - 1
        ratios = against_stable(canary.bad, canary.exposed, stable.bad, stable.exposed, delta)
        return replace(state, versus_stable=bet(state.versus_stable, ratios))
    if basis == "slo" and allowed is not None and canary.exposed:
        ratios = against_rate(canary.bad, canary.exposed, allowed, delta)
        if rules >= STEPWISE:
            return replace(state, versus_stable=bet(state.versus_stable, ratios))
        return replace(state, versus_slo=bet(state.versus_slo, ratios))
    return state


def _bet(
    process: Process, ratios: tuple[float, ...], *, name: str, phi: float, window: Window, rules: int, step: int
) -> Process:
    if rules < STEPWISE:
        return process.step(ratios, phi, window.start)
    end = window.end if window.gathered is None else window.start + window.gathered
    return process.step_on(ratios, phi, (window.start, end), step, WEIGHTS[name])


def _phi(spread: Dispersion, rules: int) -> float:
    return spread.phi if rules < STEPWISE else spread.phi_since


def _seen(state: MetricState, window: Window, of: Reader) -> Dispersion:
    return state.spread.add(_by_host(window.stable, of), window.end) if window.stable else state.spread


def _by_host(track: TrackWindow | None, of: Reader) -> Mapping[str, Tally]:
    return {host.host: of(host) for host in track.hosts} if track else {}


def _total(track: TrackWindow | None, of: Reader) -> Tally:
    return sum((of(host) for host in track.hosts), Tally()) if track else Tally()


def metric_evidence(name: str, state: MetricState, rules: int = RULES, *, can_slo: bool = False) -> MetricEvidence:
    """What one metric says; ``can_slo``: by rules before 6 a part of its coin is bet against the SLO."""
    log_e = state.versus_stable.log_e
    if can_slo and rules < STEPWISE:
        log_e = log_sum(
            (
                math.log(AGAINST_STABLE) + log_e,
                math.log(1 - AGAINST_STABLE) + state.versus_slo.log_e,
            )
        )
    return MetricEvidence(
        name,
        log_e,
        state.canary.bad,
        state.canary.exposed,
        state.stable.bad,
        state.stable.exposed,
        _phi(state.spread, rules),
    )
