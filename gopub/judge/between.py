"""The looks between two verdicts that were written down: kept as bare counts, and made looks again for a backtest.

A driver writes a whole record when its verdict becomes another one, and some between. Of every other look only the
counts are kept, in the next entry: exact, host by host, so that folding them gives the evidence of that record to the
digit. Left out are the classes of errors, and what hosts said; for these the record before stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.health.dispersion import Tally
from gopub.health.observation import Observation, conclude
from gopub.health.own import OwnLook, OwnState, OwnWindow
from gopub.health.recent import Recent
from gopub.health.samples import EndpointRow, Histogram, HostCounts, TrackWindow, Window
from gopub.health.wire import from_json, to_json
from gopub.judge.sound import checked
from gopub.judge.verdict import History, VerdictRecord

MOST = 120
"""Looks that one entry keeps at most, the newest."""
HOSTS = 20
"""Hosts of a track that are kept one by one; the others together, as one."""
OTHERS = "(others)"
_WINDOWS = 10 * MOST
"""A look may give several windows where it waited for hosts, and never so many."""
_CHANGED = "it was changed"
BYTES = 9216
"""What one window takes at most, with names of 63 letters: a look is bounded, however large the fleet; a third of it
are ten endpoints."""


Numbers = tuple[int, int, int, int, int, int, int]
"""Attempts, errors, timed, slow, late_timed, late, left: the fields of ``HostCounts``."""


@dataclass(frozen=True, slots=True)
class Track:
    """A release's counts: those of each host, how many answers lie in each bucket, and those of declared endpoints."""

    release: str
    hosts: tuple[tuple[str, Numbers], ...] = ()
    timed: tuple[int, ...] = ()
    endpoints: tuple[tuple[EndpointRow, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """One window of the look at ``at``."""

    at: float
    start: float
    end: float
    canary: Track | None = None
    stable: Track | None = None
    gathered: float | None = None


@dataclass(frozen=True, slots=True)
class KeptOwn:
    """What a metric of the team's own counted, as the look at ``at`` read it: bad and exposed of each host."""

    at: float
    name: str
    start: float
    end: float
    canary: tuple[tuple[str, int, int], ...] = ()
    stable: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Looks:
    """What lies between two records; ``left_out`` looks were too many."""

    bounds: tuple[float, ...] = ()
    windows: tuple[Kept, ...] = ()
    left_out: int = 0
    own: tuple[KeptOwn, ...] = ()


class Between:
    """Collects looks until the next record is written."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._seen: list[Observation] = []
        self._left_out = 0

    def add(self, seen: Observation) -> None:
        """One look more."""
        self._seen.append(seen)
        self._left_out += max(0, len(self._seen) - MOST - 1)
        del self._seen[: -MOST - 1]

    def taken(self, written: Observation) -> Json:
        """The looks since the last record, without the one that is ``written`` whole; None where there are none."""
        seen, left_out = [one for one in self._seen if one is not written], self._left_out
        self._seen, self._left_out = [], 0
        bounds = next((b for one in seen for w in one.windows if (b := _bounds(w))), ())
        windows = tuple(
            Kept(one.at, w.start, w.end, _track(w.canary), _track(w.stable), w.gathered)
            for one in seen
            for w in one.windows
            if _bounds(w) in ((), bounds)
        )
        own = tuple(_kept_own(one.at, w) for one in seen if one.own for w in one.own.windows)
        return to_json(Looks(bounds, windows, left_out, own)) if windows else None


def _kept_own(at: float, window: OwnWindow) -> KeptOwn:
    return KeptOwn(at, window.name, window.start, window.end, _few(window.canary), _few(window.stable))


def _few(hosts: Mapping[str, Tally]) -> tuple[tuple[str, int, int], ...]:
    """The first ``HOSTS`` one by one, the others together."""
    named = [(host, tally.bad, tally.exposed) for host, tally in sorted(hosts.items())]
    rest = named[HOSTS:]
    others = [(OTHERS, sum(one[1] for one in rest), sum(one[2] for one in rest))] if rest else []
    return (*named[:HOSTS], *others)


def _bounds(window: Window) -> tuple[float, ...]:
    return next((t.latency.bounds for t in (window.canary, window.stable) if t and t.latency.bounds), ())


def _track(track: TrackWindow | None) -> Track | None:
    if track is None:
        return None
    named = [(host.host, _numbers(host)) for host in track.hosts if any(_numbers(host))]
    rest = [numbers for _, numbers in named[HOSTS:]]
    others = [(OTHERS, cast("Numbers", tuple(map(sum, zip(*rest, strict=True)))))] if rest else []
    return Track(track.release, (*named[:HOSTS], *others), track.latency.counts, track.endpoints)


def _numbers(host: HostCounts) -> Numbers:
    return (host.attempts, host.errors, host.timed, host.slow, host.late_timed, host.late, host.left)


def looks_from_json(kept: Json) -> Looks | None:
    """What an entry keeps of the looks before it; None where it keeps none.

    Raises:
        UsageError: GP601, it is none of that, more than a driver keeps, or its counts do not fit together.
    """
    if kept is None:
        return None
    looks = checked(from_json(Looks, kept, "looks"), "looks")
    if max(len(looks.windows), len(looks.own)) > _WINDOWS or len({one.at for one in looks.windows}) > MOST + 1:
        raise UsageError("GP601", f"looks.windows: {len(looks.windows)} are more than an entry has", hint=_CHANGED)
    for index, one in enumerate(looks.windows):
        checked(_window(one, looks.bounds), f"looks.windows[{index}]")
    return looks


def unfolded(records: Sequence[tuple[VerdictRecord, Looks | None]]) -> Iterator[VerdictRecord]:
    """Every look: each record, and before it those that lie between it and the one before."""
    last: VerdictRecord | None = None
    recent: Recent | None = None
    for record, kept in records:
        seen = record.observation
        if recent is None:
            recent = Recent(seen.config.horizon, seen.config.min_requests)
        if last is not None and kept is not None and last.observation.step == seen.step:
            yield from _between(last, record, kept, recent)
        for window in seen.windows:
            recent.add(window)
        yield record
        last = record


def _between(last: VerdictRecord, following: VerdictRecord, looks: Looks, recent: Recent) -> Iterator[VerdictRecord]:
    base = last.observation
    found = conclude(
        base.config, base.recent, base.scored, base.windows, base.before,
        compare=base.compare, step=base.step, own=base.own,
    )  # fmt: skip
    totals, whole = base.step_totals, base.rollout_totals
    at_once: dict[float, list[Kept]] = {}
    for one in looks.windows:
        at_once.setdefault(one.at, []).append(one)
    for at, together in at_once.items():
        windows = tuple(_window(one, looks.bounds) for one in together)
        for window in windows:
            recent.add(window)
            totals, whole = totals.plus(window), whole.plus(window)
        now = recent.total(at)
        busy = any(window.canary and window.canary.attempts for window in windows)
        idle = 0.0 if busy else (base.idle or 0.0) + at - base.at
        canary, stable = (now.canary, now.stable) if now else (None, None)
        scored = replace(base.scored, canary=canary, stable=stable or base.scored.stable)
        own = _own(looks, at, base, found.own)
        seen = replace(
            base, at=at, no_data=None, unseen=None, windows=windows, recent=now, scored=scored, before=found.state,
            idle=idle, own=own, step_totals=totals, rollout_totals=whole, spending=following.observation.spending,
        )  # fmt: skip
        found = conclude(base.config, now, scored, windows, found.state, compare=base.compare, step=base.step, own=own)
        yield replace(last, observation=seen, history=_history(last, following, at), shadow=None)


def _own(looks: Looks, at: float, base: Observation, before: OwnState | None) -> OwnLook | None:
    """The team's own counts of one look; what gauges were, and what was missing, stands as in the record before."""
    if base.own is None or before is None:
        return None
    windows = tuple(
        OwnWindow(one.name, base.step, one.start, one.end, _tallies(one.canary), _tallies(one.stable))
        for one in looks.own
        if one.at == at
    )
    return OwnLook(before, windows, base.own.told)


def _tallies(hosts: Sequence[tuple[str, int, int]]) -> Mapping[str, Tally]:
    return {host: Tally(bad, exposed) for host, bad, exposed in hosts}


def _history(last: VerdictRecord, following: VerdictRecord, at: float) -> History:
    """What was observed of the bake by then lies between what both records say."""
    before, after = last.history, following.history
    if before.observed is None or after.observed is None or after.now <= before.now:
        return replace(before, now=at)
    share = (at - before.now) / (after.now - before.now)
    return replace(before, now=at, observed=before.observed + share * (after.observed - before.observed))


def _window(kept: Kept, bounds: tuple[float, ...]) -> Window:
    def track(found: Track | None) -> TrackWindow | None:
        if found is None:
            return None
        if len(found.timed) not in (0, len(bounds) + 1):
            raise UsageError("GP601", f"looks: {len(found.timed)} counts for {len(bounds)} bounds", hint=_CHANGED)
        hosts = tuple(HostCounts(name, *numbers) for name, numbers in found.hosts)
        latency = Histogram(bounds, found.timed) if found.timed else Histogram()
        return TrackWindow(found.release, hosts, latency, found.endpoints)

    return Window(kept.start, kept.end, track(kept.canary), track(kept.stable), kept.gathered)
