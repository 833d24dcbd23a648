"""What the team's own metrics say of a canary besides E: gauges, and figures that are missing. Pure.

A gauge is no test: how often it differs by chance nobody can say. So it holds, and withdraws at the deadline, and never
blames. It is held against all that stable's hosts show, not against their middle alone: hosts differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from gopub.health.config import OwnTarget
from gopub.health.observation import Observation
from gopub.health.own import OwnTold


def doubts(observation: Observation) -> str:
    """Which gauges are worse on the canary than on stable, with the values; empty where none is."""
    if not observation.compare:
        return ""
    return "; ".join(
        f"{_values(target, told)}, worse than each of stable's hosts and by more than {100 * target.margin:.4g} %"
        for target, told in _told(observation)
        if target.kind == "gauge" and is_worse(target, told.canary, told.stable)
    )


def is_worse(target: OwnTarget, canary: Mapping[str, float], stable: Mapping[str, float]) -> bool:
    """Whether the canary's middle is beyond every stable host's value, and beyond their middle by the margin."""
    if not canary or not stable:
        return False
    sign = 1.0 if target.direction == "lower" else -1.0
    ours = sign * median(canary.values())
    theirs = [sign * value for value in stable.values()]
    middle = median(theirs)
    return ours > max(*theirs, middle + target.margin * abs(middle), middle)


def unread(observation: Observation) -> str:
    """Which required metrics have no figures, and why; empty where all have."""
    why = [f"{target.name}: {told.unread}" for target, told in _told(observation) if target.required and told.unread]
    return f"no figures of the team's own metrics: {'; '.join(why)}" if why else ""


def settles(observation: Observation) -> bool:
    """Whether all that is missing is only not due yet."""
    missing = [told for target, told in _told(observation) if target.required and told.unread]
    return all(told.settles for told in missing)


def say_own(observation: Observation) -> str:
    """Values of gauges, and what is not known, as a part of a sentence; counts stand beside E."""
    return "".join(f"; {text}" for text in _said(observation))


def _said(observation: Observation) -> Iterator[str]:
    for target, told in _told(observation):
        if told.unread:
            yield f"{target.name} has no figures ({told.unread})"
        elif target.kind == "gauge":
            yield _values(target, told)
        if told.note:
            yield f"{target.name}: {told.note}"


def _values(target: OwnTarget, told: OwnTold) -> str:
    ours = f"{target.name} is {median(told.canary.values()):.4g} on the canary" if told.canary else target.name
    return f"{ours}, {median(told.stable.values()):.4g} on stable" if told.stable else ours


def _told(observation: Observation) -> Iterator[tuple[OwnTarget, OwnTold]]:
    """What was asked for, where this look (or a policy that looks at it later) knows of it."""
    known = {told.name: told for told in observation.own.told} if observation.own else {}
    return ((target, known[target.name]) for target in observation.config.own if target.name in known)
