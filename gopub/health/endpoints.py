"""Declared endpoints: the same two tests, each on one endpoint's own counts against stable's, as members of the family.

An endpoint with a twentieth of the traffic that fails at 30 % is 1.5 % of the total: lost among what always fails. So
a part of the coin, ``SHARE``, is bet on endpoints, the same on each of them, half on errors and half on slow answers
(all on errors where nothing says what is slow). What is bet on the totals is that much less, whatever the endpoints
show. A weighted mean of e-values is one whatever ties them together, so the family is wrong no more often than α.

Endpoints are held against stable alone, where a window has requests of one on both tracks; the other track's are waited
for a few seconds. Hosts are counted in ``GROUPS`` groups, fixed at their first sight: φ is the same, for variance and
mean of a sum grow alike, and what a look keeps is bounded whatever the size of the fleet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gopub.health.aside import Gained
from gopub.health.eprocess import log_sum
from gopub.health.evidence import EndpointEvidence, Evidence
from gopub.health.samples import EndpointRow, HostCounts, RawSeries, TrackWindow, Window, sum_windows
from gopub.health.sequential import (
    ON_COUNTS,
    RECENT,
    EndpointState,
    EvidenceState,
    MetricState,
    fold_metric,
    metric_evidence,
    shown,
)

SHARE = 0.2
"""Of the coin that is bet on counts, what is bet on endpoints where some are declared."""
GROUPS = 8
_COUNTS: Mapping[str, tuple[int, ...]] = {"ok": (0,), "error": (0, 1), "fine": (2,), "slow": (2, 3)}
"""In which places of a row each thing that an edge counts is counted."""


class Counting:
    """Which endpoints are counted, and which host belongs to which group; one per observer."""

    def __init__(self, names: Sequence[str]) -> None:
        """Know no host yet."""
        self.names = tuple(names)
        self._groups: dict[str, int] = {}

    def counted(self, window: Window, found: Gained) -> Window:
        """The window with what each endpoint gained; the canary's hosts are one group."""
        if not self.names:
            return window
        return replace(
            window,
            canary=self._track(window.canary, found, lambda _host: 0),
            stable=self._track(window.stable, found, self._group),
        )

    def _group(self, host: str) -> int:
        return self._groups.setdefault(host, len(self._groups) % GROUPS)

    def _track(self, track: TrackWindow | None, found: Gained, group: Callable[[str], int]) -> TrackWindow | None:
        if track is None:
            return None
        series = sorted((one for one in found.series if one.release == track.release), key=lambda one: one.host)
        places = [(one, group(one.host)) for one in series]
        return replace(track, endpoints=_rows(self.names, places))


def _rows(names: Sequence[str], places: Sequence[tuple[RawSeries, int]]) -> tuple[tuple[EndpointRow, ...], ...]:
    groups = max((place for _, place in places), default=-1) + 1
    counts = {name: [[0, 0, 0, 0] for _ in range(groups)] for name in names}
    for series, place in places:
        for (name, kind), value in series.endpoints.items():
            if value and name in counts:
                row, count = counts[name][place], round(value)
                for at in _COUNTS.get(kind, ()):
                    row[at] += count
    return tuple(tuple((row[0], row[1], row[2], row[3]) for row in counts[name]) for name in names)


def window_at(window: Window, at: int) -> Window:
    """One endpoint's counts as a window of their own, its groups in the place of hosts."""
    canary, stable = _track_at(window.canary, at, "canary"), _track_at(window.stable, at, "stable")
    return Window(window.start, window.end, canary, stable, window.gathered)


def _track_at(track: TrackWindow | None, at: int, name: str) -> TrackWindow | None:
    if track is None or at >= len(track.endpoints):
        return None
    hosts = (HostCounts(f"{name} {place}", *row) for place, row in enumerate(track.endpoints[at]) if row[0] or row[2])
    return TrackWindow(track.release, tuple(hosts))


def learn_endpoints(state: EvidenceState, history: Sequence[Window], count: int) -> EvidenceState:
    """Learn the spread of each endpoint over stable's hosts from windows before the rollout."""
    if not count:
        return state
    learnt = []
    for at, one in enumerate(_states(state, count)):
        parts = [part for window in history if (part := window_at(window, at)).stable]
        learnt.append(
            EndpointState(_learnt(one.errors, "errors", parts), _learnt(one.slow, "slow", parts), one.waiting)
        )
    return replace(state, endpoints=tuple(learnt))


def _learnt(state: MetricState, name: str, parts: Iterable[Window]) -> MetricState:
    for part in parts:  # without a canary nothing but the spread is learnt from them, and each is a bin of its own
        state = fold_metric(state, window=replace(part, canary=None), name=name, basis="none", allowed=None)
        state = replace(state, spread=state.spread.close())
    # Groups have no past of their own that a canary's host could be held against: none of them is one host.
    return replace(MetricState(), spread=replace(state.spread.settle(), past={}))


def fold_endpoints(
    state: EvidenceState, windows: Iterable[Window], count: int, *, compare: bool, step: int = 0
) -> EvidenceState:
    """Take in new windows; with ``compare`` False, as in a step whose users chose themselves, they are no evidence."""
    if not count:
        return state
    found = list(_states(state, count))
    for window in windows:
        found = [_fold(one, window_at(window, at), compare=compare, step=step) for at, one in enumerate(found)]
    return replace(state, endpoints=tuple(found))


def _states(state: EvidenceState, count: int) -> tuple[EndpointState, ...]:
    return state.endpoints if len(state.endpoints) == count else (EndpointState(),) * count


def _fold(state: EndpointState, part: Window, *, compare: bool, step: int) -> EndpointState:
    part = (sum_windows((state.waiting, part)) or part) if state.waiting else part
    busy = [track is not None and track.attempts > 0 for track in (part.canary, part.stable)]
    if compare and sum(busy) == 1 and abs(part.end - part.start) < RECENT:
        return replace(state, waiting=part)
    basis = "stable" if compare and all(busy) else "none"
    return EndpointState(
        errors=fold_metric(state.errors, window=part, name="errors", basis=basis, allowed=None, step=step),
        slow=fold_metric(state.slow, window=part, name="slow", basis=basis, allowed=None, step=step),
    )


def with_endpoints(found: Evidence, state: EvidenceState, names: Sequence[str], *, slow: bool) -> Evidence:
    """The evidence with endpoints as members of the family; ``slow``: there is a bound above which answers are."""
    if not names:
        return found
    members = tuple(
        EndpointEvidence(
            name,
            metric_evidence("errors", one.errors),
            metric_evidence("slow", one.slow) if slow else None,
        )
        for name, one in zip(names, _states(state, len(names)), strict=True)
    )
    theirs = math.log(SHARE * ON_COUNTS / len(members)) + log_sum([_log_e(one) for one in members])
    log_e = log_sum((math.log(1 - SHARE) + found.log_e, theirs))
    found = replace(found, endpoints=members, log_e=log_e, e_value=shown(log_e))
    if found.late_above is None and not any(one.name == "late" for one in found.metrics):
        return found
    log_e_all = log_sum((math.log(1 - SHARE) + found.log_e_all, theirs))
    return replace(found, log_e_all=log_e_all, e_all=shown(log_e_all))


def _log_e(one: EndpointEvidence) -> float:
    if one.slow is None:
        return one.errors.log_e
    return log_sum((one.errors.log_e, one.slow.log_e)) - math.log(2)


def loudest(found: Evidence) -> EndpointEvidence | None:
    """The endpoint that E rests on more than on the totals, if there is one."""
    one = max(found.endpoints, key=_log_e, default=None)
    totals = max((metric.log_e for metric in found.metrics), default=0.0)
    if one is None or not found.metrics:
        return None
    stake, theirs = SHARE / len(found.endpoints), (1 - SHARE) / len(found.metrics)
    return one if math.log(stake) + _log_e(one) > math.log(theirs) + totals else None


def uncounted(series: Iterable[RawSeries], canary: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """What a reader has to know of edges that count a canary and none of its endpoints."""
    blind = {one.edge for one in series if one.release == canary and not one.endpoints}
    return tuple(
        f"{names.get(edge, edge)} does not count the declared endpoints: its gopub is older, or it has no room for them"
        for edge in sorted(blind)
    )
