"""Whether a verdict is worth a line to people who watch: only what changed, and what ends the step. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gopub.journal import events as ev
from gopub.judge.verdict import Kind
from gopub.views.verdict import verdict_view

Matter = tuple[str, ...]
AGAIN = 300.0
"""Seconds after which what was told is told again, for whoever came since."""
SETTLED = 30.0
"""Seconds for which what came back has to stay until it is told that it did."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a step: when, by what mattered in it; what was told last; what stands now, and since when."""

    at: Mapping[Matter, float] = field(default_factory=dict)
    last: Matter = ()
    now: Matter = ()
    since: float = 0.0


def worth(told: Told, judged: ev.Judged, at: float, again: float = AGAIN) -> tuple[bool, Told]:
    """Whether this verdict is told, and what was told after it.

    Two reasons that take turns are told once each: one that comes back is told only when it stays. A count that moves
    is no change. What was told and stands is told again after ``again`` seconds.
    """
    view = verdict_view(judged)
    matter = (str(judged.step), *view.matter)
    if matter != told.now:
        told = replace(told, now=matter, since=at)
    known = told.at.get(matter)
    stays = matter != told.last and at - told.since >= SETTLED
    if known is not None and at - known < again and not stays and not _ends(judged):
        return False, told
    return True, replace(told, at={**told.at, matter: at}, last=matter)


def _ends(judged: ev.Judged) -> bool:
    return judged.kind in (Kind.ROLLBACK, Kind.WITHDRAW)
