"""The table of `gopub status`: one row for each env. Pure."""

from __future__ import annotations

from gopub.views.env import EnvView
from gopub.views.rollout import RolloutView

HEAD = ("app", "env", "stable", "release", "under way", "driver")


def cells(row: EnvView) -> tuple[str, ...]:
    """What stands in the row of an env."""
    return (row.app, row.env, row.stable or "-", row.release or "-", _under_way(row), _driver(row.active))


def _under_way(row: EnvView) -> str:
    if row.damage:
        which = f"{row.active.rollout}: " if row.active else ""
        return f"{which}cannot be told: {row.damage.code}"
    if row.active:
        return f"{row.active.version}: {_doing(row.active)}"
    return _owed(row.owed_edges)


def _owed(edges: tuple[str, ...]) -> str:
    """What is left of the last rollout where none is under way."""
    return f"{', '.join(edges)} missed the way back; run `gopub recover` when reachable" if edges else "-"


def _doing(active: RolloutView) -> str:
    """What a rollout that is under way does, or what it waits for."""
    held, baked = active.held, active.observed
    if held is None:
        if active.waiting and active.until:
            return f"{active.waiting} (opens {active.until})"
        observed = f" (observed {baked.seconds:.0f}s of {baked.needed:g}s)" if baked else ""
        return f"{active.waiting or active.step or active.next}{observed}"
    why = f" ({held.reason})" if held.reason else ""
    end = f"; goes back at {held.until}" if held.until else ""
    return f"held by {held.by} since {held.since}{why}{end}; `gopub resume` goes on"


def _driver(active: RolloutView | None) -> str:
    if active is None or active.waiting:
        return "-"
    alive = "" if active.driver.alive else " (gone; run `gopub recover`)"
    return f"{active.driver.name or None}{alive}"
