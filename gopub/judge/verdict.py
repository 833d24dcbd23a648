"""Verdict, and what it is made from besides the observation: policy and history. All of it goes into the journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gopub.health.burn import Spending
from gopub.health.config import JudgeConfig, PromoteTarget
from gopub.health.observation import Observation

SCHEMA = "gopub/verdict/v1"


class Kind(StrEnum):
    """What to do next."""

    PROMOTE = "PROMOTE"
    HOLD = "HOLD"
    WATCH = "WATCH"
    ROLLBACK = "ROLLBACK"
    WITHDRAW = "WITHDRAW"


class Cause(StrEnum):
    """What of its rule a verdict was drawn by: what people are told goes by it. UNSAID is one of before it was kept."""

    UNSAID = ""
    HOSTS = "hosts"
    ELSEWHERE = "elsewhere"
    NO_DATA = "no data"
    FEW = "few"
    HOST_GONE = "host gone"
    DEATHS = "deaths"
    KILLED = "killed"
    FULL = "full"
    QUIET = "quiet"
    SURE = "sure"
    SLO_ALONE = "slo alone"
    SLO_DOUBT = "slo doubt"
    UNSCORED = "unscored"
    WORSE = "worse"
    LOGS = "logs"
    SURGE = "surge"
    SCORE = "score"
    LEAVING = "leaving"
    ALONE = "alone"
    LEAK = "leak"
    COLD = "cold"
    BAKES = "bakes"
    SILENT = "silent"
    GOOD = "good"
    BUDGET = "budget"
    EVIDENCE = "evidence"
    OWN = "own"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Policy:
    """The team's rules for one step.

    ``compare`` False: a step reached by a header rule alone, whose users chose themselves. ``first``: the env has no
    stable release. ``health_only``: no router or no judge, so there are no counts at all.
    """

    alpha: float = 0.01
    min_requests: int = 50
    pass_score: float = 80
    log_score: float = 0.85
    watch: float = 120.0
    max_restarts: int = 0
    quiet: float = 60.0
    """Seconds without a canary request after which old figures no longer promote."""
    compare: bool = True
    first: bool = False
    health_only: bool = False
    freeze_below: float | None = None
    """The share of the error budget below which nothing grows; None where nobody asks, or nothing is left to grow."""
    burn: str = "ignore"
    """By which rule the budget burns too fast to grow: see ``health.burn``."""

    promote: PromoteTarget | None = None
    """When counts may end this step's bake before its time, with this step's share of β; None: never."""

    @classmethod
    def at_step(
        cls, config: JudgeConfig, step: int, steps: int, *, compare: bool = True, follow: bool = False
    ) -> Policy:
        """The policy of one of so many steps: each has its share of β, and after the last one nothing grows.

        Unless hosts ``follow`` that were kept on stable until then.
        """
        known = cls.of(config, compare=compare)
        if known.promote:
            known = replace(known, promote=replace(known.promote, beta=known.promote.beta / max(1, steps)))
        return known.of_the_end if step >= steps - 1 and not follow else known

    @property
    def brakes(self) -> bool:
        """Whether the error budget has a say after this step."""
        return self.freeze_below is not None or self.burn != "ignore"

    @classmethod
    def of(cls, config: JudgeConfig, *, compare: bool = True) -> Policy:
        """The policy that goes with an observer's configuration."""
        return cls(
            alpha=config.alpha,
            min_requests=config.min_requests,
            pass_score=config.pass_score,
            log_score=config.log_score,
            watch=config.watch,
            quiet=config.horizon,
            compare=compare,
            first=config.stable is None,
            freeze_below=config.budget.freeze_below if config.budget else None,
            burn=config.budget.burn if config.budget else "ignore",
            promote=config.promote,
        )

    @property
    def of_the_end(self) -> Policy:
        """The same in the last step: after it nothing grows, so there is nothing for the error budget to stop."""
        return replace(self, freeze_below=None, burn="ignore")


@dataclass(frozen=True, slots=True)
class History:
    """Where the rollout stands in time, and what people said; every time is seconds since the epoch.

    ``gate`` is what the next step still waits for: an approval or a window. ``approved`` names who approved the next
    step, where the plan asks for that: then want of requests no longer holds this one. ``promoted`` names who ended
    this bake by hand, where no approval is asked for. ``held`` says who holds the rollout: it is the gate then, and
    stops every way but back. ``observed`` is how many seconds of the bake were observed, by all drivers, and ``stands``
    why its clock stands (``observed``); records of before 0.2 have the time that passed.
    """

    now: float
    step_started: float
    bake: float
    deadline: float
    watch_since: float | None = None
    approved: str | None = None
    promoted: str | None = None
    gate: str | None = None
    held: str | None = None
    observed: float | None = None
    stands: str = ""

    @property
    def baked(self) -> float:
        """Seconds of the bake that count."""
        return self.now - self.step_started if self.observed is None else self.observed

    @property
    def passed_by(self) -> str:
        """On whose word a PROMOTE with an open gate passes the step."""
        if self.promoted:
            return f"promoted by hand, {self.promoted}"
        return f"verdict, approved by {self.approved}" if self.approved else "verdict"

    def after(self, verdict: Verdict) -> History:
        """The history for the next look: a watch lasts as long as verdicts say WATCH."""
        since = (self.watch_since or verdict.at) if verdict.kind is Kind.WATCH else None
        return replace(self, watch_since=since)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, the number of the rule that fired, and why, with figures; ``alert``: a person should look.

    Where a person ended a HOLD or a WATCH by hand, or where the next step's gate is closed, ``cause`` is still that of
    the rules.
    """

    kind: Kind
    rule: int
    reason: str
    at: float
    alert: bool = False
    cause: Cause = Cause.UNSAID


@dataclass(frozen=True, slots=True)
class Shadow:
    """What another policy says of the same look, and by what; nothing acts on it (``judge.shadow``).

    ``since`` is when its own watch began; ``steps`` is how many the rollout has.
    """

    verdict: Verdict
    config: JudgeConfig
    since: float | None = None
    steps: int = 1
    spending: Spending | None = None
    """What was spent of the error budget, where this policy asks for another one than the acting policy."""


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """A verdict with everything it was made from: replayable (verdict.v1.json)."""

    verdict: Verdict
    observation: Observation
    policy: Policy
    history: History
    schema: str = SCHEMA
    memory: str = ""
    """Digest of what the observer remembered, which the journal keeps beside the record."""
    digest: str = ""
    """Digest of all the rest of this record: a change that no other figure shows."""
    shadow: Shadow | None = None
    """The word of the policy that rides along; None where none does."""
