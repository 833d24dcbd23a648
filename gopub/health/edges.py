"""The edges that are counted, held against the edges of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gopub.health.samples import CounterSnapshot


def only_ours(snapshot: CounterSnapshot, identities: Mapping[str, str | None]) -> CounterSnapshot | str:
    """The snapshot without edges that are none of ours, or why it must not be judged by: one of ours is missing.

    Args:
        snapshot: what was counted, by edge.
        identities: the inventory's edges by name and who each said it is; "" on one of an older version, None where it
            has not answered yet. Empty where nobody was asked: then there is nothing to compare with.
    """
    newer = {old: new for new, old in snapshot.follows.items() if old not in snapshot.edges}
    told = {newer.get(identity, identity): name for name, identity in identities.items() if identity}
    missing = sorted(name for identity, name in told.items() if identity not in snapshot.edges)
    if missing:
        seen = ", ".join(sorted(_say(edge, snapshot, told) for edge in snapshot.edges))
        return f"no fresh counts of {', '.join(missing)}: is each edge scraped, with its label edge_id? seen: {seen}"
    if not told or len(told) < len(identities):
        return snapshot
    strangers = ({series.edge for series in snapshot.series} | set(snapshot.edges)) - set(told)
    if not strangers:
        return snapshot
    text = ", ".join(sorted(_say(edge, snapshot, told) for edge in strangers))
    return replace(
        snapshot,
        series=tuple(series for series in snapshot.series if series.edge in told),
        edges={edge: newest for edge, newest in snapshot.edges.items() if edge in told},
        notes=(*snapshot.notes, f"{text}: no edge of the inventory, so what it counts is left out"),
    )


def older(snapshot: CounterSnapshot) -> tuple[str, ...]:
    """What a reader has to know of edges whose program does not tell a cut answer from a whole one."""
    blind = {series.edge for series in snapshot.series if series.classes and "cut" not in series.classes}
    return tuple(
        f"{snapshot.names.get(edge, edge)} does not count answers that are cut off: it runs an older gopub"
        for edge in sorted(blind)
    )


def _say(edge: str, snapshot: CounterSnapshot, told: Mapping[str, str]) -> str:
    return told.get(edge) or snapshot.names.get(edge) or edge or "an edge without a name"
