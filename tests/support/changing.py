"""Changes of a route table, each with the next revision: an edge refuses one that does not grow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gopub.traffic import RouteTable, Track


def changed(table: RouteTable, **fields: Any) -> RouteTable:
    """The next table: other fields."""
    return replace(table, revision=table.revision + 1, **fields)


def without_peer(table: RouteTable, host: str) -> RouteTable:
    """The next table: that host in neither track, so that it gets no new request."""
    return changed(table, stable=_without(table.stable, host), canary=_without(table.canary, host))


def _without(track: Track | None, host: str) -> Track | None:
    return track and replace(track, peers=tuple(peer for peer in track.peers if peer.host != host))
