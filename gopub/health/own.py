"""The team's own metrics as evidence: events that its queries count, and values of gauges. Pure.

Counters and ratios are counts: each is an e-process against stable (``eprocess``), with the metric's own margin. They
share ``OWN_SHARE`` of the coin, in equal parts; the other tests keep the rest of it. A mean of e-values is one,
whatever ties them together, so all of them stay within α. A gauge is no count: it is compared and never blames.

What is better when it is higher is the same test with the tracks changed: of the good events, stable has more than
its share.

Edges and a service are scraped at other times than each other. So where events are of the edges' requests a window is
at least ``EDGES_SPAN`` long, and none spans a change of step; where ``per`` counts them, both come out of one scrape.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.health.config import OwnTarget
from gopub.health.dispersion import Dispersion, Tally
from gopub.health.eprocess import against_stable, log_sum
from gopub.health.evidence import Evidence, MetricEvidence
from gopub.health.sequential import ON_COUNTS, MetricState, shown

OWN_SHARE = 0.2
"""The share of the coin on counts that is bet on the team's own metrics, where there are any."""
EDGES_SPAN = 30.0
"""Seconds of a window at the least, where events and requests come from two scrapes."""
SLOTS = 4
"""Windows that are held against each other where stable is one series: it has no spread between hosts."""
TAUGHT = 8
"""Windows of one series that only teach how its events cluster, before the first one is evidence."""
LONGEST = 60.0
"""Seconds after which a window without an event begins anew: shares of traffic change."""


@dataclass(frozen=True, slots=True)
class OwnWindow:
    """What one metric counted between two readings, host by host; a name of no letters is all of a track."""

    name: str
    step: int
    start: float
    end: float
    canary: Mapping[str, Tally] = field(default_factory=dict)
    stable: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnState:
    """What the fold carries from look to look, by metric."""

    metrics: Mapping[str, MetricState] = field(default_factory=dict)
    waiting: Mapping[str, OwnWindow] = field(default_factory=dict)
    taught: Mapping[str, int] = field(default_factory=dict)
    """How many windows in which stable was one series were taken in."""


@dataclass(frozen=True, slots=True)
class OwnTold:
    """What is known of one metric: why it has no figures, if it has none; of a gauge the values host by host.

    ``settles``: the figures are not due yet, which is no fault.
    """

    name: str
    unread: str = ""
    settles: bool = False
    canary: Mapping[str, float] = field(default_factory=dict)
    stable: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class OwnLook:
    """The team's own metrics at one look: ``windows`` are folded onto ``before``."""

    before: OwnState = field(default_factory=OwnState)
    windows: tuple[OwnWindow, ...] = ()
    told: tuple[OwnTold, ...] = ()


def tests(targets: Sequence[OwnTarget]) -> tuple[OwnTarget, ...]:
    """Those that count events."""
    return tuple(target for target in targets if target.kind != "gauge")


def fold_own(state: OwnState, windows: Iterable[OwnWindow], targets: Sequence[OwnTarget], *, compare: bool) -> OwnState:
    """Take in new windows; where users chose their track themselves (not ``compare``) they are only summed."""
    known = {target.name: target for target in tests(targets)}
    for window in windows:
        if window.name in known:
            state = _folded(state, window, known[window.name], compare=compare)
    return state


def _folded(state: OwnState, new: OwnWindow, target: OwnTarget, *, compare: bool) -> OwnState:
    metric = state.metrics.get(new.name, MetricState())
    metric = replace(metric, canary=metric.canary + _all(new.canary), stable=metric.stable + _all(new.stable))
    before, waiting = state.waiting.get(new.name), {k: v for k, v in state.waiting.items() if k != new.name}
    whole = _joined(before, new) if before is not None and before.step == new.step and compare else new
    taught = state.taught.get(new.name, 0)
    if not compare or _ends(whole, target):
        metric = _stepped(metric, whole, target) if compare and _is_known(whole, taught) else metric
        metric = replace(metric, spread=_seen(metric.spread, whole))
        taught += len(whole.stable) == 1
    else:
        waiting[new.name] = whole
    known = {**state.metrics, new.name: metric}
    return OwnState(known, waiting, {**state.taught, new.name: taught})


def _is_known(window: OwnWindow, taught: int) -> bool:
    """Whether φ may be applied: beside one series it is only assumed at first, and events may come by the dozen."""
    return len(window.stable) != 1 or taught >= TAUGHT


def _seen(spread: Dispersion, window: OwnWindow) -> Dispersion:
    """Learn from the spread of stable's hosts or, of one series, from how its windows differ from each other."""
    if len(window.stable) != 1:
        return spread.add(window.stable, window.end) if window.stable else spread
    known = spread.close() if len(spread.bin) >= SLOTS else spread
    slot = {f"window {len(known.bin)}": _all(window.stable)}
    return known.add(slot, known.bin_started if known.bin else 0.0)


def _ends(window: OwnWindow, target: OwnTarget) -> bool:
    """Whether a window says something, or can say nothing any more."""
    canary, stable, long = _all(window.canary), _all(window.stable), abs(window.end - window.start)
    if not canary.bad and not stable.bad:
        return long > LONGEST
    if not canary.exposed or not stable.exposed:
        return long > LONGEST
    return target.per is not None or long >= EDGES_SPAN


def _stepped(metric: MetricState, window: OwnWindow, target: OwnTarget) -> MetricState:
    """φ is what was learnt before this window."""
    canary, stable = _all(window.canary), _all(window.stable)
    if not canary.exposed or not stable.exposed or not canary.bad + stable.bad:
        return metric
    worse, other = (canary, stable) if target.direction == "lower" else (stable, canary)
    ratios = against_stable(worse.bad, worse.exposed, other.bad, other.exposed, _delta(target))
    return replace(metric, versus_stable=metric.versus_stable.step(ratios, metric.spread.phi, window.start))


def _delta(target: OwnTarget) -> float:
    """The margin as what the worse track may have more of: 20 % fewer good events is 25 % more on stable."""
    return target.margin if target.direction == "lower" else target.margin / (1 - target.margin)


def _joined(a: OwnWindow, b: OwnWindow) -> OwnWindow:
    return replace(b, start=a.start, canary=_sum(a.canary, b.canary), stable=_sum(a.stable, b.stable))


def _sum(a: Mapping[str, Tally], b: Mapping[str, Tally]) -> dict[str, Tally]:
    return {host: a.get(host, Tally()) + b.get(host, Tally()) for host in sorted({*a, *b})}


def _all(hosts: Mapping[str, Tally]) -> Tally:
    return sum(hosts.values(), Tally())


def with_own(found: Evidence, state: OwnState, targets: Sequence[OwnTarget], *, late: bool, whole: bool) -> Evidence:
    """The evidence with the team's own tests in it; as it is where there are none.

    ``late``: ``log_e_all`` is looked at, too. ``whole``: of all of the coin, not of what is bet on counts.
    """
    metrics = tuple(_evidence(target.name, state) for target in tests(targets))
    if not metrics:
        return found
    mean = log_sum([metric.log_e for metric in metrics]) - math.log(len(metrics))
    ours = math.log(OWN_SHARE) + mean + math.log(1.0 if whole else ON_COUNTS)
    theirs = math.log(1 - OWN_SHARE)
    log_e = log_sum((theirs + found.log_e, ours))
    log_e_all = log_sum((theirs + found.log_e_all, ours)) if late else found.log_e_all
    return replace(
        found,
        log_e=log_e,
        e_value=shown(log_e),
        log_e_all=log_e_all,
        e_all=shown(log_e_all) if late else found.e_all,
        metrics=(*found.metrics, *metrics),
        phi=max(found.phi, *(metric.phi for metric in metrics)),
    )


def _evidence(name: str, state: OwnState) -> MetricEvidence:
    metric = state.metrics.get(name, MetricState())
    canary, stable = metric.canary, metric.stable
    log_e, phi = metric.versus_stable.log_e, metric.spread.phi
    return MetricEvidence(name, log_e, canary.bad, canary.exposed, stable.bad, stable.exposed, phi)
