"""How often the article's rule on error lines is wrong of a good release: told before a team relies on it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gopub.health.config import LOG_EVERY
from gopub.health.logarticle import TIMES, WITHIN, wrong
from gopub.health.usual import Usual
from gopub.plan.model import FULL, PlannedStep
from gopub.units import say_about

ROUND = (0.1, 1.0, 10.0)
"""Error events per second of one class that are told of where nobody knows them."""
_DAY = 86400.0
_NEVER = 3650 * _DAY
_RULE = f"the article's rule on error lines (judge.logs_profile: article, {TIMES:g} times as many in {WITHIN:g}s)"


def told(steps: Sequence[PlannedStep], usual: Usual) -> tuple[str, ...]:
    """For each step how often the rule holds a good release, if each request that fails writes one error line."""
    events = usual.requests * usual.errors
    shown = [step for step in steps if _is_compared(step)]
    if not events or not shown:
        return ()
    each = ", ".join(f"in step {step.index + 1} once in {_often(step, events)}" for step in shown)
    lines = f"where each failed request writes one error line, {events:.2g} a second"
    return (f"{_RULE} is wrong of a good release at this traffic {each} ({lines}); it only holds",)


def table(steps: Sequence[PlannedStep]) -> tuple[str, ...]:
    """The same for round numbers of error events."""
    shown = [step for step in steps if _is_compared(step)]
    if not shown:
        return ()
    head = f"{_RULE} holds a good release about once in, where so many errors of a class are usual,"
    names = {step: f"step {step.index + 1}: {step.weight / 100:g}%" for step in shown}
    width = max(len(name) for name in names.values())
    lines = [head, _row("", [f"{rate:g}/s" for rate in ROUND], width)]
    return (*lines, *(_row(name, [_often(step, rate) for rate in ROUND], width) for step, name in names.items()))


def wrong_every(share: float, events: float) -> float:
    """Seconds between two wrong holds, for a canary with this share of the traffic and of the error events."""
    ours, theirs = events * WITHIN * share, events * WITHIN * (1 - share)
    chance = wrong(ours, theirs, share / (1 - share))
    return LOG_EVERY / chance if chance > LOG_EVERY / _NEVER else _NEVER


def _is_compared(step: PlannedStep) -> bool:
    return not step.chosen and 0 < step.weight < FULL


def _often(step: PlannedStep, events: float) -> str:
    seconds = wrong_every(step.weight / FULL, events)
    if seconds >= _NEVER:
        return "ten years or more"
    return say_about(seconds) if seconds < _DAY else f"{seconds / _DAY:.3g} days"


def _row(name: str, cells: Sequence[str], width: int) -> str:
    return f"  {name:{width}}  {' '.join(f'{one:>12}' for one in cells)}"
