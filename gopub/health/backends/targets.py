"""Which edges are behind the scraped targets: an edge has an identity of its own, whatever it is scraped as.

A target is what Prometheus adds to a sample (job, instance, more): two targets that tell one identity are one edge, and
one target that tells several in turn stands before several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

STALE_INTERVALS = 5
"""A newest sample older than this many scrape intervals is no data."""
STALE_FLOOR = 5.0
_USUAL_INTERVAL = 15.0

_OWN = ("__name__", "app", "env", "release", "host", "class", "le", "edge_id", "exported_edge_id")
"""What an edge says itself; the rest is the target's."""
Row = tuple[Mapping[str, str], Sequence[Sequence[Any]]]
Target = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Targets:
    """What the samples of the table's revision say about who is scraped.

    ``keys``: target → the edge's identity, or the target's name where it tells none. ``names``: edge → what it is
    scraped as. ``times``: edge → its samples. ``follows``: edge → what the target told before its restart.
    """

    keys: Mapping[Target, str] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    times: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    confused: tuple[str, ...] = ()
    """Targets that told several identities in turn."""
    newest: Mapping[Target, float] = field(default_factory=dict)
    """Target → its newest sample."""
    intervals: Mapping[Target, float] = field(default_factory=dict)
    """Target → seconds between two of its scrapes, as seen; without those of which one sample alone is known."""
    identified: frozenset[str] = frozenset()
    """Edges that say who they are: what such a one counts never falls, for a restarted one is another."""

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Whether a sample counts: of an edge that nobody can tell from its former self, only its newest target's."""
        own = target_of(labels)
        key = self.keys.get(own)
        return key is None or key in self.identified or own == self.read_from(key)

    def read_from(self, edge: str) -> Target:
        """Of the targets of an edge the one that was scraped last."""
        return max((one for one in self.keys if self.keys[one] == edge), key=lambda one: (self.newest[one], one))

    def limit(self, target: Target) -> float:
        """Seconds from which on the newest sample of a target is too old."""
        return max(STALE_FLOOR, STALE_INTERVALS * self.intervals.get(target, interval_of(self) or _USUAL_INTERVAL))

    def key(self, labels: Mapping[str, str]) -> str:
        """The edge that a sample is of."""
        return self.keys.get(target_of(labels)) or name_of(labels)

    def say(self, edge: str) -> str:
        """An edge by what it is scraped as."""
        return " and ".join(self.names.get(edge, ())) or edge or "the edge"


def name_of(labels: Mapping[str, str]) -> str:
    """What people call a target."""
    return labels.get("instance") or labels.get("edge") or ""


def target_of(labels: Mapping[str, str]) -> Target:
    """A target, told from every other."""
    return tuple(sorted((name, value) for name, value in labels.items() if name not in _OWN))


def targets(rows: Sequence[Row]) -> Targets:
    """Read the samples of some minutes of the revision."""
    told: dict[Target, dict[str, list[float]]] = {}
    for labels, samples in rows:
        identity = labels.get("exported_edge_id") or labels.get("edge_id") or ""
        times = told.setdefault(target_of(labels), {}).setdefault(identity, [])
        times += [float(sample[0]) for sample in samples]
    found = Targets({}, {}, {}, {})
    return _put_together(told) if told else found


def _put_together(told: Mapping[Target, Mapping[str, Sequence[float]]]) -> Targets:
    keys: dict[Target, str] = {}
    names: dict[str, set[str]] = {}
    times: dict[str, set[float]] = {}
    follows: dict[str, str] = {}
    confused: list[str] = []
    intervals: dict[Target, float] = {}
    newest: dict[Target, float] = {}
    for target, identities in sorted(told.items()):
        name = name_of(dict(target))
        order = sorted((i for i in identities if identities[i]), key=lambda i: max(identities[i]))
        if not order:
            continue
        if any(max(identities[a]) > min(identities[b]) for a, b in pairwise(order)):
            confused.append(name)
        key = keys[target] = order[-1] or name
        names.setdefault(key, set()).add(name)
        times.setdefault(key, set()).update(identities[order[-1]])
        newest[target] = max(identities[order[-1]])
        if len(order) > 1:
            follows[key] = order[-2] or name
        if gaps := _gaps(identities.values()):
            intervals[target] = _usual(gaps)
    return Targets(
        keys,
        {key: tuple(sorted(found)) for key, found in names.items()},
        {key: tuple(sorted(found)) for key, found in times.items()},
        follows,
        tuple(confused),
        newest,
        intervals,
        frozenset(key for target, key in keys.items() if key in told[target]),
    )


def _gaps(series: Any) -> list[float]:
    every = sorted(time for times in series for time in times)
    return [b - a for a, b in pairwise(every) if b > a]


def _usual(gaps: Sequence[float]) -> float:
    """Of the gaps between samples the one that a quarter exceeds: two servers may have written one series by turns.

    Then every second gap is short, and says nothing of how old a sample may be.
    """
    return median(gaps) if len(gaps) < 3 else sorted(gaps)[int(0.75 * (len(gaps) - 1))]


def interval_of(found: Targets) -> float | None:
    """Seconds between two scrapes, as seen: of the edge that is scraped most rarely, by the quickest of its targets."""
    quickest: dict[str, float] = {}
    for target, seconds in found.intervals.items():
        edge = found.keys[target]
        quickest[edge] = min(seconds, quickest.get(edge, seconds))
    return max(quickest.values(), default=None)


def stale(found: Targets, at: float) -> dict[str, str]:
    """Edges of which every target's newest sample is too old for its own interval, and the words for it."""
    fresh = {found.keys[target] for target, newest in found.newest.items() if at - newest <= found.limit(target)}
    words = {}
    for edge in sorted(set(found.times) - fresh, key=found.say):
        target = found.read_from(edge)
        age, limit = at - found.newest[target], found.limit(target)
        words[edge] = f"stale: the newest sample of {found.say(edge)} is {age:.1f}s old, the limit is {limit:g}s"
    return words


def twice(found: Targets) -> tuple[str, ...]:
    """What a reader has to know of edges that are scraped more than once."""
    return tuple(
        f"{' and '.join(sorted(names))} are one edge: it is counted once"
        for names in sorted(found.names.values())
        if len(names) > 1
    )
