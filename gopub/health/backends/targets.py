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
    gaps: tuple[float, ...] = ()
    """Seconds between the samples of one target."""

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
    gaps: list[float] = []
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
        if len(order) > 1:
            follows[key] = order[-2] or name
        gaps += _gaps(identities.values())
    return Targets(
        keys,
        {key: tuple(sorted(found)) for key, found in names.items()},
        {key: tuple(sorted(found)) for key, found in times.items()},
        follows,
        tuple(confused),
        tuple(gaps),
    )


def _gaps(series: Any) -> list[float]:
    every = sorted(time for times in series for time in times)
    return [b - a for a, b in pairwise(every) if b > a]


def interval_of(found: Targets) -> float | None:
    """Seconds between two scrapes of one target, as seen."""
    return median(found.gaps) if found.gaps else None


def stale(found: Targets, at: float) -> dict[str, str]:
    """Edges whose newest sample is too old, and the words for it."""
    limit = max(STALE_FLOOR, STALE_INTERVALS * (interval_of(found) or _USUAL_INTERVAL))
    ages = {edge: at - max(times) for edge, times in found.times.items()}
    return {
        edge: f"stale: the newest sample of {found.say(edge)} is {age:.1f}s old, the limit is {limit:g}s"
        for edge, age in sorted(ages.items(), key=lambda item: found.say(item[0]))
        if age > limit
    }


def twice(found: Targets) -> tuple[str, ...]:
    """What a reader has to know of edges that are scraped more than once."""
    return tuple(
        f"{' and '.join(sorted(names))} are one edge: it is counted once"
        for names in sorted(found.names.values())
        if len(names) > 1
    )
