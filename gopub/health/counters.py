"""From raw counters to windows: what was added between two looks, with counters that restart or vanish in between."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache

from gopub.health.aside import Gained, Warming
from gopub.health.samples import (
    APART_CLASSES,
    ERROR_CLASSES,
    CounterSnapshot,
    Histogram,
    HostCounts,
    RawSeries,
    TrackWindow,
    Window,
)

BEHIND = 120.0
"""Seconds for which lower counters of an edge that says who it is are an older reading; then they begin anew."""
_Key = tuple[str, str, str]
_Bounds = tuple[float | None, float | None]
"""Seconds above which an answer is slow, and late."""


def increments(before: CounterSnapshot, after: CounterSnapshot) -> tuple[RawSeries, ...]:
    """What each series of ``after`` gained since ``before``.

    A series in which any counter fell was restarted: all its counters count from 0 (one fell, so all began anew).
    Not so where the edge says who it is, for a restarted one is another: then an older reading gained nothing, and what
    stays lower for ``BEHIND`` is a starting point only: a server that lags by more would bring all of the past again.
    A series that ``before`` does not know counts from 0 if its edge was there, for edges create a series before the
    first request; from an edge that was not there it is a starting point only, because its age is unknown. So it is
    from an edge that measures latency by other bounds than before: another program counts there.
    """
    known = {_key(series): series for series in before.series}
    return tuple(
        _gain(_began(known.get(_key(series)), series, after), series)
        for series in (_caught_up(known, one, before, after) for one in after.series)
        if (_key(series) in known or _was_there(series.edge, before, after))
        and not _rebuilt(known.get(_key(series)), series)
    )


def _caught_up(
    known: Mapping[_Key, RawSeries], series: RawSeries, before: CounterSnapshot, after: CounterSnapshot
) -> RawSeries:
    """A series, or what was known of it where this is an older reading."""
    earlier = known.get(_key(series))
    behind = earlier is not None and _is_behind(earlier, series, before, after)
    return earlier if behind and earlier else series


def _is_behind(earlier: RawSeries, later: RawSeries, before: CounterSnapshot, after: CounterSnapshot) -> bool:
    if later.edge not in after.identified or not _any_fell(earlier, later):
        return False
    return after.at - before.held.get(_key(later), before.at) <= BEHIND


def _was_there(edge: str, before: CounterSnapshot, after: CounterSnapshot) -> bool:
    """Also an edge that has been restarted since: it is another one, whose counters began at 0."""
    return edge in before.edges or after.follows.get(edge) in before.edges


def _began(earlier: RawSeries | None, later: RawSeries, after: CounterSnapshot) -> RawSeries | None:
    """What a series counts from: where an edge that says who it is has less than before, from now on."""
    fell = earlier is not None and later.edge in after.identified and _any_fell(earlier, later)
    return later if fell else earlier


def merged(before: CounterSnapshot, after: CounterSnapshot) -> CounterSnapshot:
    """``after`` with what only ``before`` has: an edge that comes back goes on from its last known counters.

    So it does from those that were read before where ``after`` is an older reading of them.
    """
    known = {_key(series): series for series in before.series}
    present = {_key(series) for series in after.series}
    series = tuple(_caught_up(known, one, before, after) for one in after.series)
    behind = [_key(new) for new, one in zip(series, after.series, strict=True) if new is not one]
    held = {key: before.held.get(key, before.at) for key in behind}
    kept = tuple(one for one in before.series if _key(one) not in present)
    return replace(after, series=series + kept, edges={**before.edges, **after.edges}, held=held)


def bounds_of(*snapshots: CounterSnapshot) -> frozenset[tuple[float, ...]]:
    """By which bounds latency is measured; two where edges of different versions of gopub answer."""
    found = (_bounds(series.cumulative) for snapshot in snapshots for series in snapshot.series)
    return frozenset(bounds for bounds in found if bounds)


def disagreement(snapshot: CounterSnapshot) -> str | None:
    """Why the counts of the edges cannot be added up; None when they can."""
    edges: dict[tuple[float, ...], set[str]] = {}
    for series in snapshot.series:
        if bounds := _bounds(series.cumulative):
            edges.setdefault(bounds, set()).add(series.edge)
    if len(edges) < 2:
        return None
    said = (
        f"{', '.join(sorted(names))} by {len(bounds)} from {bounds[0]:g}s to {bounds[-1]:g}s"
        for bounds, names in sorted(edges.items(), key=lambda found: sorted(found[1]))
    )
    return f"edges measure latency by different bounds ({'; '.join(said)}): bring them to one version of gopub"


def window(
    before: CounterSnapshot,
    after: CounterSnapshot,
    *,
    canary: str,
    stable: str | None,
    slow_above: float | None,
    late_above: float | None = None,
) -> Window:
    """The counts of both tracks between two looks; without ``slow_above`` nothing is counted as timed or slow.

    ``late_above`` is a second bound, which counts as ``late_timed`` and ``late``.

    The edges of ``after`` must measure latency by the same bounds: see ``disagreement``.
    """
    found = gained(before, after)
    return window_of(found, canary=canary, stable=stable, slow_above=slow_above, late_above=late_above)


def gained(before: CounterSnapshot, after: CounterSnapshot) -> Gained:
    """What every series gained between two looks."""
    releases = frozenset(series.release for series in after.series)
    return Gained(before.at, after.at, increments(before, after), releases, _gathered(before, after))


def _gathered(before: CounterSnapshot, after: CounterSnapshot) -> float | None:
    """Seconds between the scrapes behind two looks, where that is more than lies between these.

    Only where all edges were scraped since: of edges that are scraped by turns each brings what happened in one moment
    in a window of its own, and none of these may count as a minute.
    """
    if not after.interval or not after.edges:
        return None  # edges that were asked themselves: the look is the moment
    earlier = [before.edges.get(edge, before.edges.get(after.follows.get(edge, ""))) for edge in after.edges]
    spans = [new - old if old is not None else 0.0 for new, old in zip(after.edges.values(), earlier, strict=True)]
    return min(spans) if min(spans) > after.at - before.at else None


def warmed(
    found: Gained, until: Mapping[str, float], release: str, slow_above: float | None,
    booted: Collection[str] = (), lag: float = 0.0,
) -> tuple[Gained, Warming]:  # fmt: skip
    """Without the latency of a release's hosts that were still warming up, and what that was.

    An edge that counts such answers apart knows better than a clock which they were. It knows nothing of a host that
    was ``booted`` since, and where it counts none apart in the midst of the warm-up its clock is another one's.
    ``until`` is later than the end of the warm-up by ``lag``, for so old may counts be.
    """
    kept, cold = [], Warming()
    for one in found.series:
        end = until.get(one.host, 0.0)
        by_time = one.release == release and found.start < end
        if by_time and one.warming and one.host not in booted:
            by_time = found.end <= end - lag and not any(one.warming.values())
        if one.release == release:
            cold = cold.plus(_cold(one.warming, slow_above)).plus(_cold(one.cumulative if by_time else {}, slow_above))
        kept.append(replace(one, cumulative={}, endpoints=_untimed(one)) if by_time else one)
    return replace(found, series=tuple(kept)), cold


def _untimed(one: RawSeries) -> Mapping[tuple[str, str], float]:
    return {key: count for key, count in one.endpoints.items() if key[1] not in ("fine", "slow")}


def starts_of(snapshot: CounterSnapshot, release: str | None, slow_above: float | None) -> Warming:
    """What edges that count it apart know of a release's own starts: all that they counted since they were started."""
    cold = Warming()
    for one in snapshot.series:
        cold = cold.plus(_cold(one.warming, slow_above)) if one.release == release else cold
    return cold


def answers(one: RawSeries, slow_above: float | None) -> Warming:
    """All that a host answered, counted apart or not: how many, and how many of them were slow."""
    return _cold(one.cumulative, slow_above).plus(_cold(one.warming, slow_above))


def _cold(cumulative: Mapping[float, float], slow_above: float | None) -> Warming:
    timed = histogram(cumulative)
    return Warming(timed.total, _above(timed, slow_above)[1])


def window_of(
    found: Gained, *, canary: str, stable: str | None, slow_above: float | None, late_above: float | None = None
) -> Window:
    """The same as ``window``, from what the series gained."""
    bounds = slow_above, late_above
    return Window(
        start=found.start,
        end=found.end,
        canary=_track(canary, found, bounds),
        stable=_track(stable, found, bounds) if stable else None,
        gathered=found.gathered,
    )


def _key(series: RawSeries) -> _Key:
    return series.edge, series.release, series.host


def _bounds(cumulative: Mapping[float, float]) -> tuple[float, ...]:
    return _finite(tuple(cumulative))


@lru_cache(64)
def _finite(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Asked for every series of every look, of which one edge's are all alike."""
    return tuple(sorted(le for le in bounds if math.isfinite(le)))


def _rebuilt(before: RawSeries | None, after: RawSeries) -> bool:
    if before is None or not before.cumulative or not after.cumulative:
        return False
    if before.cumulative.keys() == after.cumulative.keys():
        return False
    return _bounds(before.cumulative) != _bounds(after.cumulative)


def _gain(before: RawSeries | None, after: RawSeries) -> RawSeries:
    if before is None:
        return after
    if _any_fell(before, after):
        return after
    return replace(
        after,
        classes={name: value - before.classes.get(name, 0.0) for name, value in after.classes.items()},
        cumulative={le: value - before.cumulative.get(le, 0.0) for le, value in after.cumulative.items()},
        warming={le: value - before.warming.get(le, 0.0) for le, value in after.warming.items()},
        endpoints=_gain_of_endpoints(before, after),
    )


def _gain_of_endpoints(before: RawSeries, after: RawSeries) -> Mapping[tuple[str, str], float]:
    """An endpoint of which a count fell was declared anew: it counts from 0, and nothing else does."""
    earlier = before.endpoints
    gained = {key: value - earlier.get(key, 0.0) for key, value in after.endpoints.items()}
    if not any(value < 0 for value in gained.values()):
        return gained
    anew = {key[0] for key, value in gained.items() if value < 0}
    return {key: after.endpoints[key] if key[0] in anew else value for key, value in gained.items()}


def _any_fell(before: RawSeries, after: RawSeries) -> bool:
    counted = (before.classes, after.classes), (before.cumulative, after.cumulative), (before.warming, after.warming)
    return any(_fell(earlier, later) for earlier, later in counted)


def _fell(
    before: Mapping[str, float] | Mapping[float, float], after: Mapping[str, float] | Mapping[float, float]
) -> bool:
    earlier = dict(before.items())
    return any(value < earlier.get(name, value) for name, value in after.items())


def _track(release: str, found: Gained, bounds: _Bounds) -> TrackWindow | None:
    if release not in found.releases:
        return None
    hosts: dict[str, HostCounts] = {}
    latency = Histogram()
    for series in (series for series in found.series if series.release == release):
        timed = histogram(series.cumulative)
        latency += timed
        hosts[series.host] = _count(hosts.get(series.host), series, timed, bounds)
    return TrackWindow(release, tuple(hosts[name] for name in sorted(hosts)), latency)


def _count(sofar: HostCounts | None, series: RawSeries, timed: Histogram, bounds: _Bounds) -> HostCounts:
    base = sofar or HostCounts(series.host, 0, 0)
    slow, late = (_above(timed, bound) for bound in bounds)
    return HostCounts(
        series.host,
        base.attempts + round(sum(count for name, count in series.classes.items() if name not in APART_CLASSES)),
        base.errors + round(sum(series.classes.get(name, 0.0) for name in ERROR_CLASSES)),
        base.timed + slow[0],
        base.slow + slow[1],
        base.late_timed + late[0],
        base.late + late[1],
        base.left + round(sum(series.classes.get(name, 0.0) for name in APART_CLASSES)),
        {
            name: count
            for name in sorted(ERROR_CLASSES)
            if (count := base.failed.get(name, 0) + round(series.classes.get(name, 0.0)))
        },
    )


def _above(timed: Histogram, value: float | None) -> tuple[int, int]:
    """How many were timed and how many of them lie above the bucket bound at ``value``; none without one."""
    bound = timed.bound_at(value) if value is not None else None
    return (timed.total, timed.above(bound)) if bound is not None else (0, 0)


def histogram(cumulative: Mapping[float, float]) -> Histogram:
    """Cumulative buckets (upper bound → count, ``inf`` for all) as counts per bucket; no bound, no histogram."""
    bounds = _bounds(cumulative)
    if not bounds:
        return Histogram()
    rising = [cumulative[le] for le in bounds]
    rising.append(cumulative.get(math.inf, rising[-1]))
    counts, last = [], 0.0
    for value in rising:
        counts.append(max(0, round(value - last)))
        last = max(last, value)
    return Histogram(bounds, tuple(counts))
