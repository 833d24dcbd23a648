"""Whether two ways to the same counters agree: the edges themselves, and what scrapes them. Pure.

Counters only grow while an edge bears one identity. So of an edge a scraper that works shows no more than the edge
says afterwards, and no less than it said longer ago than a scraper may be late. What lies outside of that, or is not
there at all, is a fault of the monitoring, never of the release: it is told, and changes no verdict. A difference that
passes (an edge that was just started, a scrape that was missed) is not told: it must be there ``LASTING`` times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from gopub.health.samples import APART_CLASSES, ERROR_CLASSES, CounterSnapshot, NoData

LASTING = 3
"""Comparisons in a row,"""
EVERY = 10.0
"""seconds apart, until a difference is told."""
SCRAPES = 5.0
"""Scrape intervals that a sample may be late, or"""
LATE = 15.0
"""so many seconds where that is more."""
_Key = TypeVar("_Key", str, float, tuple[str, str])
_TOLD = 4
"""Differences that are told in words; of more only their number is."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What one edge counted in all."""

    attempts: float = 0.0
    errors: float = 0.0

    def __str__(self) -> str:
        """In words."""
        return f"{self.attempts:.0f} requests and {self.errors:.0f} errors"


@dataclass(frozen=True, slots=True)
class Said:
    """The sums of all edges at one moment, as one way told them; ``names`` are the edges' own."""

    at: float
    edges: Mapping[str, Sum]
    names: Mapping[str, str] = field(default_factory=dict)
    interval: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """What is wrong with one edge, and in which words; two with the same ``edge`` and ``how`` are one that lasts."""

    edge: str
    how: str
    text: str = field(default="", compare=False)


def said(snapshot: CounterSnapshot) -> Said:
    """The sums of a snapshot, by edge: of all releases and hosts that were asked for."""
    sums = dict.fromkeys(snapshot.edges, Sum())
    for series in snapshot.series:
        if series.edge in sums:
            sums[series.edge] = _plus(sums[series.edge], series.classes)
    return Said(snapshot.at, sums, dict(snapshot.names), snapshot.interval or 0.0)


def _plus(sofar: Sum, classes: Mapping[str, float]) -> Sum:
    attempts = sum(value for name, value in classes.items() if name not in APART_CLASSES)
    return Sum(sofar.attempts + attempts, sofar.errors + sum(classes.get(name, 0.0) for name in ERROR_CLASSES))


def differences(before: Said, scraped: Said, after: Said) -> tuple[Difference, ...]:
    """What a scraper shows of the edges against what these said longer ago than it may be late, and what afterwards.

    An edge that is not in both of its own sayings was started in between: nobody can say what is right of it.
    """
    found = []
    for edge, most in sorted(after.edges.items(), key=lambda one: after.names.get(one[0], one[0])):
        if edge not in before.edges:
            continue
        name, least = after.names.get(edge, edge), before.edges[edge]
        seen = scraped.edges.get(edge)
        if seen is None:
            found.append(Difference(edge, "missing", f"of {name}, which counted {most}, it shows nothing"))
        elif seen.attempts < least.attempts or seen.errors < least.errors:
            ago = f"{scraped.at - before.at:.0f}s before"
            found.append(Difference(edge, "less", f"of {name} it shows {seen}, where the edge had {least} {ago}"))
        elif seen.attempts > most.attempts or seen.errors > most.errors:
            found.append(Difference(edge, "more", f"of {name} it shows {seen}, where the edge has {most}"))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Comparing:
    """What was compared so far; ``lasted`` says how many comparisons in a row each difference was there."""

    lasted: Mapping[Difference, int] = field(default_factory=dict)

    def found(self, now: Sequence[Difference]) -> Comparing:
        """After one more comparison."""
        return Comparing({one: self.lasted.get(one, 0) + 1 for one in now})

    @property
    def notes(self) -> tuple[str, ...]:
        """What lasts, in words."""
        told = [one.text for one, times in self.lasted.items() if times >= LASTING]
        if not told:
            return ()
        more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        words = "; ".join(told[:_TOLD])
        return (f"the monitoring does not show what the edges count, and no verdict rests on that: {words}{more}",)


class Sayings:
    """What the edges said over the last minutes."""

    def __init__(self, longest: float = 600.0) -> None:
        """Seconds that are kept."""
        self._kept: deque[Said] = deque()
        self._longest = longest

    def add(self, one: Said) -> None:
        """Keep the newest; a clock that was set back begins anew."""
        if self._kept and self._kept[-1].at > one.at:
            self._kept.clear()
        self._kept.append(one)
        while self._kept[0].at < one.at - self._longest:
            self._kept.popleft()

    def before(self, at: float) -> Said | None:
        """The newest of those from ``at`` or earlier."""
        return next((one for one in reversed(self._kept) if one.at <= at), None)


def compared(
    sayings: Sayings, scraped: CounterSnapshot | NoData, after: Said, late: float = LATE
) -> tuple[Difference, ...] | None:
    """The differences at this moment; None where nobody can say yet."""
    if isinstance(scraped, NoData):
        return (Difference("", "silent", scraped.reason),)
    before = sayings.before(scraped.at - max(late, SCRAPES * (scraped.interval or 0.0)))
    return None if before is None else differences(before, said(scraped), after)


def grown(known: CounterSnapshot, older: CounterSnapshot) -> CounterSnapshot:
    """``older`` with no counter below what ``known`` has of the same edge.

    It is the same set of counters, so a smaller value is one from before, and no restart.
    """
    highest = {(one.edge, one.release, one.host): one for one in known.series}
    series = []
    for one in older.series:
        seen = highest.get((one.edge, one.release, one.host))
        if seen is not None:
            one = replace(  # noqa: PLW2901 - the same series, as it is known
                one,
                classes=_most(seen.classes, one.classes),
                cumulative=_most(seen.cumulative, one.cumulative),
                warming=_most(seen.warming, one.warming),
                endpoints=_most(seen.endpoints, one.endpoints),
            )
        series.append(one)
    return replace(older, series=tuple(series))


def _most(known: Mapping[_Key, float], older: Mapping[_Key, float]) -> dict[_Key, float]:
    return {name: max(value, known.get(name, 0.0)) for name, value in older.items()}
