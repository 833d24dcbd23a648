"""A past time that is judged again from counters that somebody else kept: what is asked, and what comes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.judge.backtest import CENSORED, Decided
from gopub.judge.decision import decide
from gopub.judge.observed import BakeClock
from gopub.judge.verdict import History, Kind, Policy, Verdict

MOST_LOOKS = 2000
"""A long time is looked at less often."""
_BACK = (Kind.ROLLBACK, Kind.WITHDRAW)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One step as it was: from when to when, how long it was to bake, and on which hosts."""

    index: int
    begin: float
    end: float
    bake: float
    hosts: tuple[str, ...] = ()
    compare: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is judged again; ``learn`` is when the judge learns what is usual, before the canary has traffic.

    ``since``: when each canary host began, where that is known. ``ended``: how it ended, for people.
    """

    config: JudgeConfig
    steps: tuple[Stretch, ...]
    deadline: float
    learn: float
    every: float
    total: int = 1
    """How many steps the plan has; fewer may have been reached."""
    since: Mapping[str, float] = field(default_factory=dict)
    ended: str = ""

    @property
    def pace(self) -> float:
        """Seconds between two looks."""
        return max(self.every, (self.steps[-1].end - self.steps[0].begin) / MOST_LOOKS)

    def moments(self) -> Sequence[tuple[Stretch, float]]:
        """When it is looked, and in which step: as soon as one is reached, and then at its pace."""
        return [
            (step, step.begin + self.pace * number)
            for step in self.steps
            for number in range(int((step.end - step.begin) / self.pace) + 1)
            if not number or step is self.steps[-1] or step.begin + self.pace * number < step.end
        ]


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict that was another one than at the look before; ``after`` is seconds since the first step began."""

    after: float
    step: int
    kind: str
    rule: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rerun:
    """What would have been decided, what was said on the way, and at how many looks there was nothing to see."""

    app: str
    env: str
    rollout: str
    begin: float
    every: float
    looks: int
    silent: int
    silent_why: str
    ended: str
    decided: Decided
    said: tuple[Said, ...] = ()
    missing: tuple[str, ...] = ()
    """What nobody can know of the past, and what was taken in its place."""
    schema_version: int = 1


class Walk:
    """Decides at each look of the past as a driver would have, until a verdict ends it."""

    def __init__(self, wanted: Wanted) -> None:
        """Begin before the first look."""
        self._wanted, self._begin = wanted, wanted.steps[0].begin
        self._clock: BakeClock | None = None
        self._history: History | None = None
        self._step, self._passed, self._last_at = -1, -1, self._begin
        self._last: Verdict | None = None
        self.looks, self.silent, self.silent_why = 0, 0, ""
        self.said: list[Said] = []
        self.decided: Decided | None = None

    def took(self, step: Stretch, seen: Observation) -> bool:
        """Take in one look; whether that ended it."""
        self.looks += 1
        if seen.no_data is not None:
            self.silent, self.silent_why = self.silent + 1, seen.no_data
        if step.index > max(self._step, 0) and self._passed < step.index - 1:
            self.decided = self._censored("the rollout went on")
            return True
        if step.index <= self._passed:
            return False
        verdict = self._decide(step, seen)
        if verdict.kind in _BACK or (verdict.kind is Kind.PROMOTE and step.index == self._wanted.total - 1):
            self.decided = self._told(verdict, step.index, seen.at)
            return True
        if verdict.kind is Kind.PROMOTE:
            self._passed = step.index
        return False

    def end(self) -> Decided:
        """What it comes to."""
        ended = f"the rollout ended ({self._wanted.ended})" if self._wanted.ended else "the time was over"
        return self.decided or self._censored(ended)

    def _decide(self, step: Stretch, seen: Observation) -> Verdict:
        if step.index != self._step or self._history is None or self._clock is None:
            self._history = History(seen.at, step.begin, step.bake, self._wanted.deadline)
            self._clock = BakeClock(step.bake, self._wanted.pace)
            self._step = step.index
        policy = Policy.at_step(self._wanted.config, step.index, self._wanted.total, compare=step.compare)
        self._clock = self._clock.looked(seen, policy)
        history = replace(self._history, now=seen.at, observed=self._clock.seconds, stands=self._clock.stands)
        verdict = decide(seen, policy, history)
        if self._last is None or (verdict.kind, verdict.rule, verdict.cause) != (
            self._last.kind, self._last.rule, self._last.cause
        ):  # fmt: skip
            said = Said(seen.at - self._begin, step.index, verdict.kind.value, verdict.rule, verdict.reason)
            self.said.append(said)
        self._last, self._last_at, self._history = verdict, seen.at, history.after(verdict)
        return verdict

    def _told(self, verdict: Verdict, step: int, at: float) -> Decided:
        return Decided(verdict.kind.value, step, at - self._begin, verdict.rule, verdict.reason, self.looks)

    def _censored(self, why: str) -> Decided:
        if self._last is None:
            return Decided(CENSORED, reason="there was no look")
        says = f"{self._last.kind} by rule {self._last.rule}: {self._last.reason}"
        found = self._told(self._last, self._step, self._last_at)
        return replace(found, what=CENSORED, reason=f"{why} while it said {says}")
