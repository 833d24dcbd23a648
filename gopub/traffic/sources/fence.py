"""Whether a table may take another's place in a source: as an edge decides, and no word of a stranger's. Pure."""

from __future__ import annotations

from gopub.traffic.table import RouteTable

FAR = 1_000_000
"""So far ahead no table of gopub's gets: whoever wrote such numbers wants that no other is taken any more."""


def far_off(new: RouteTable, held: RouteTable) -> bool:
    """Whether the numbers of what is held cannot be gopub's, seen from the newest that we know."""
    return held.revision > new.revision + FAR or held.epoch > new.epoch + FAR or held.n > new.n + FAR


def refusal(new: RouteTable, held: RouteTable) -> str:
    """Why ``new`` must not take the place of ``held``; empty where it may."""
    if (new.app, new.env) != (held.app, held.env):
        return f"the upstream belongs to {held.app}/{held.env}"
    if new.epoch < held.epoch:
        return "the epoch is over"
    if new.epoch == held.epoch:
        if new.token != held.token:
            return "another seat has this epoch"
        if new.n <= held.n:
            return "the order is not newer"
    return "" if new.revision > held.revision else "the revision does not grow"
