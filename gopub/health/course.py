"""What one release answered since it serves everywhere, in slices of time, by host and by edge. Pure.

Counts are kept for hosts and for edges, not for each pair: a fleet of a thousand hosts behind ten edges would be ten
thousand counts a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gopub.health.aside import Gained
from gopub.health.counters import answers
from gopub.health.samples import APART_CLASSES, ERROR_CLASSES, RawSeries

SLICE = 15.0
"""Seconds of a slice at the least: looks may be nearer together, and an hour must not be thousands of them."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests and how many failed, and of those with a time how many were slower than the SLO says."""

    attempts: int = 0
    errors: int = 0
    timed: int = 0
    slow: int = 0

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(self.attempts + other.attempts, self.errors + other.errors,
                       self.timed + other.timed, self.slow + other.slow)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slice:
    """What was counted from ``start`` to ``end``, seconds since the epoch."""

    start: float
    end: float
    hosts: Mapping[str, Counted] = field(default_factory=dict)
    edges: Mapping[str, Counted] = field(default_factory=dict)

    def plus(self, later: Slice) -> Slice:
        """This and the next one as one."""
        return Slice(self.start, later.end, _sum(self.hosts, later.hosts), _sum(self.edges, later.edges))

    @property
    def all(self) -> Counted:
        """Of all hosts together."""
        return total(self.hosts.values())


@dataclass(frozen=True, slots=True)
class Course:
    """The slices, oldest first."""

    slices: tuple[Slice, ...] = ()

    def plus(self, new: Slice) -> Course:
        """With what one more look brought; a slice that is still short takes it in."""
        last = self.slices[-1] if self.slices else None
        if last is not None and last.end - last.start < SLICE:
            return Course((*self.slices[:-1], last.plus(new)))
        return Course((*self.slices, new))

    def since(self, at: float) -> Slice:
        """All that ended after ``at`` as one slice."""
        return _whole([one for one in self.slices if one.end > at], at)

    def last(self, at: float, least: int, farthest: float) -> Slice:
        """As ``since``, and as far back beyond ``at`` as it takes for so many requests, but not beyond ``farthest``."""
        first, there = len(self.slices), 0
        for place in reversed(range(len(self.slices))):
            one = self.slices[place]
            if one.end <= at and (there >= least or one.end <= farthest):
                break
            first, there = place, there + one.all.attempts
        return _whole(self.slices[first:], at)


def slice_of(found: Gained, release: str, slow_above: float | None) -> Slice:
    """What the hosts of one release gained between two looks; clients that left are no attempts."""
    hosts: dict[str, Counted] = {}
    edges: dict[str, Counted] = {}
    for one in (series for series in found.series if series.release == release):
        counted = _counted(one, slow_above)
        hosts[one.host] = hosts.get(one.host, Counted()).plus(counted)
        edges[one.edge] = edges.get(one.edge, Counted()).plus(counted)
    return Slice(found.start, found.end, hosts, edges)


def total(counts: Iterable[Counted]) -> Counted:
    """All of them together."""
    attempts = errors = timed = slow = 0
    for one in counts:
        attempts, errors, timed, slow = (
            attempts + one.attempts, errors + one.errors, timed + one.timed, slow + one.slow
        )  # fmt: skip
    return Counted(attempts, errors, timed, slow)


def _counted(series: RawSeries, slow_above: float | None) -> Counted:
    attempts = sum(round(count) for name, count in series.classes.items() if name not in APART_CLASSES)
    errors = sum(round(series.classes.get(name, 0)) for name in ERROR_CLASSES)
    timed = answers(series, slow_above) if slow_above is not None else None
    return Counted(attempts, errors, timed.timed if timed else 0, timed.slow if timed else 0)


def _whole(slices: Sequence[Slice], at: float) -> Slice:
    """In one pass: a day is thousands of slices, of a thousand hosts each."""
    if not slices:
        return Slice(at, at)
    hosts, edges = ({name: total(counts) for name, counts in _by_name(parts).items()} for parts in
                    ([one.hosts for one in slices], [one.edges for one in slices]))  # fmt: skip
    return Slice(slices[0].start, slices[-1].end, hosts, edges)


def _by_name(parts: Iterable[Mapping[str, Counted]]) -> dict[str, list[Counted]]:
    found: dict[str, list[Counted]] = {}
    for part in parts:
        for name, counted in part.items():
            found.setdefault(name, []).append(counted)
    return found


def _sum(one: Mapping[str, Counted], other: Mapping[str, Counted]) -> dict[str, Counted]:
    return {name: one.get(name, Counted()).plus(other.get(name, Counted())) for name in {**one, **other}}
