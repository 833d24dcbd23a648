"""The table of `gopub status`, one row for each env, and what is to be said of each below it. Pure."""

from __future__ import annotations

from gopub.plan.model import Outcome
from gopub.telemetry import one_line
from gopub.units import say_about, say_seconds
from gopub.views.amounts import day, names
from gopub.views.env import EnvView
from gopub.views.history import PastView, past_says
from gopub.views.rollout import RolloutView

HEAD = ("app", "env", "stable", "release", "under way", "driver")


def cells(row: EnvView) -> tuple[str, ...]:
    """What stands in the row of an env."""
    return (row.app, row.env, row.stable or "-", row.release or "-", _under_way(row), _driver(row.active))


def notes(row: EnvView) -> list[str]:
    """What a cell is too small for: the last verdict, dead edges, why hosts are owed, how the last rollout ended."""
    owed = [f"{name} is owed: {why}" for name, why in row.owed_hosts.items()]
    loose = [f"unpinned, no key there checks who orders: {names(row.unpinned)}"] if row.unpinned else []
    said = [*_of_active(row.active), *owed, *_of_last(row.last), *loose]
    return [one_line(f"{row.app} in {row.env}: {line}") for line in said]


def _of_active(active: RolloutView | None) -> list[str]:
    if active is None or active.damaged:
        return []
    verdict = active.verdict
    return [
        *([f"last verdict, on step {verdict.step + 1}: {verdict.says}", *verdict.lines[1:]] if verdict else []),
        *(f"noted: {note}" for note in (verdict.figures.notes if verdict and verdict.figures else ())),
        *(f"edge {edge} did not take the last table: {said}" for edge, said in active.dead_edges.items()),
    ]


def _of_last(last: PastView | None) -> list[str]:
    if last is None:
        return []
    why = f": {last.reason}" if last.reason else ""
    broken = f"; damaged: {last.damage.code} {last.damage.problem}" if last.damage else ""
    if last.outcome == Outcome.MENDED:  # not the end of that version's own rollout
        return [f"{past_says(last)} ({last.rollout}){why}{broken}"]
    return [f"last rollout {last.version or '-'} ({last.rollout}): {past_says(last)}{why}{broken}"]


def _under_way(row: EnvView) -> str:
    if row.damage:
        which = f"{row.active.rollout}: " if row.active else ""
        return f"{which}cannot be told: {row.damage.code}"
    if row.active:
        files = f" with other files, revision {row.active.revision}" if row.active.revision else ""
        return f"{row.active.version}{files}: {_doing(row.active)}".removeprefix(": ")
    return _owed(row)


def _owed(row: EnvView) -> str:
    """What is left of the last rollouts where none is under way."""
    edges, hosts = ", ".join(row.owed_edges), ", ".join(row.owed_hosts)
    said = [f"{edges} missed the way back"] if edges else []
    said += [f"{hosts} could not be confirmed"] if hosts else []
    return f"{', '.join(said)}; run `gopub recover` when reachable" if said else "-"


def _doing(active: RolloutView) -> str:
    """What a rollout that is under way does, or what it waits for."""
    held, baked = active.held, active.observed
    if active.back:
        return f"going back: {active.back}"
    if held is None:
        if active.waiting and active.until:
            return f"{active.waiting} (opens {active.until})"
        observed = f" (observed {say_about(baked.seconds)} of {say_seconds(baked.needed)})" if baked else ""
        return f"{active.waiting or active.step or active.next}{observed}"
    why = f" ({held.reason})" if held.reason else ""
    end = f"; goes back at {day(held.until)}" if held.until else ""
    return f"held by {held.by} since {day(held.since)}{why}{end}; `gopub resume` goes on"


def _driver(active: RolloutView | None) -> str:
    if active is None or active.waiting:
        return "-"
    if not active.driver.name:
        return "nobody (run `gopub recover`)"
    return active.driver.name if active.driver.alive else f"{active.driver.name} (gone; run `gopub recover`)"
