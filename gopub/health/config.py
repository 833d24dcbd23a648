"""What the judge is asked to do, as plain values: the effective ``judge`` part of one environment."""

from __future__ import annotations

from dataclasses import dataclass

RULES = 6
"""The way in which records are judged now. 1: a log score alone held nothing, and slow was the SLO's bound alone.
2: answers that clients left were not counted, nor errors by their class. 3: a score alone, error lines beyond α, and
figures without any stable traffic beside them could blame a release, and φ knew the window that it was applied to.
4: late was above the bucket bound over stable's 95th percentile, and two and a half times as many were no more.
5: evidence knew no steps and no host's own past, and hosts that always differed made it weaker; a surge of error lines
held; of stable's growth the middle was taken for sure.
"""
SHARED = 4
"""The first rules by which all that can blame a release is within α together."""
NEARER = 5
"""The first rules by which late is counted near stable's 95th percentile, with the margin that slow has."""
STEPWISE = 6
"""The first rules by which evidence begins anew with each step, and the past of the canary's hosts is known."""
BESIDE = 6
"""The first rules by which stable's growth has an interval, too."""
SURGES = 6
"""The first rules by which a surge of error lines holds."""
LOG_EVERY = 4.0
PROFILES = ("default", "article")
DIMENSIONS = ("latency", "errors", "gc_pause", "memory_growth")


@dataclass(frozen=True, slots=True)
class SloTarget:
    """What the service promises; None is no promise."""

    latency_p95: float | None = None
    """Seconds."""
    error_rate: float | None = None
    """Fraction of requests."""


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """Weights of the four dimensions, the profile, and which dimensions the team wrote down itself.

    A declared dimension that has no data makes the score INCONCLUSIVE; an undeclared one is left out.
    """

    latency: float = 40
    errors: float = 30
    gc_pause: float = 15
    memory_growth: float = 15
    profile: str = "default"
    declared: tuple[str, ...] = ()

    def of(self, dimension: str) -> float:
        """The weight of one of ``DIMENSIONS``."""
        return {
            "latency": self.latency,
            "errors": self.errors,
            "gc_pause": self.gc_pause,
            "memory_growth": self.memory_growth,
        }[dimension]


@dataclass(frozen=True, slots=True)
class BudgetTarget:
    """What of the error budget is looked at: the share below which nothing grows, and by which rule it burns too fast.

    ``window`` is seconds; ``query`` gives the share left in the place of the edges' counters.
    """

    freeze_below: float | None = None
    burn: str = "ignore"
    window: float = 30 * 86400.0
    query: str | None = None


@dataclass(frozen=True, slots=True)
class PromoteTarget:
    """When counts may end a bake before its time.

    ``margin`` is a share of what the SLO allows, ``beta`` how often a canary that is worse by it may go on early in a
    rollout, ``observed`` how many seconds of a bake must be over.
    """

    margin: float = 0.5
    beta: float = 0.05
    observed: float = 60.0


@dataclass(frozen=True, slots=True)
class OwnTarget:
    """A metric of the team's own, as ``spec.own`` has it."""

    name: str
    kind: str
    query: str
    per: str | None = None
    direction: str = "lower"
    margin: float = 0.25
    required: bool = True


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Everything an observer needs to know about one rollout.

    ``stable`` and ``canary`` are the first 12 characters of release ids; ``stable`` is None for a first release.
    """

    app: str
    env: str
    rollout: str
    canary: str
    stable: str | None
    slo: SloTarget = SloTarget()
    score: ScoreWeights = ScoreWeights()
    pass_score: float = 80
    min_requests: int = 50
    alpha: float = 0.01
    log_score: float = 0.85
    watch: float = 120.0
    warmup: float = 0.0
    """Seconds after its start, or after a boot of its host, for which a process may be slow."""
    horizon: float = 60.0
    """Seconds: score and SLO look at the last minute, or further back until ``min_requests`` are together."""
    log_every: float = LOG_EVERY
    """Seconds between two readings of the logs while nothing is suspicious."""
    warmup_seen: bool = False
    """``warmup`` is what stable's own starts took."""
    log_warmup: float = 5.0
    """Seconds after a process' first line that count as start-up and are not judged."""
    budget: BudgetTarget | None = None
    """What of the error budget is looked at; None where nobody asked for it."""
    promote: PromoteTarget | None = None
    """When counts may end a bake before its time; None: never."""
    endpoints: tuple[str, ...] = ()
    """Declared endpoints, in the order in which edges match them; by rules 6 they are members of the family."""
    logs_profile: str = "default"
    """One of ``PROFILES``: which rule holds while error lines rise."""
    own: tuple[OwnTarget, ...] = ()
    """The team's own metrics."""
    rules: int = RULES
    """The way this rollout is judged; a record that does not say was written when there was only the first."""

    @property
    def looks_at_late(self) -> bool:
        """Whether answers are held against stable's own quantile besides the SLO."""
        return self.rules >= 2 and self.slo.latency_p95 is not None

    @property
    def looks_at_left(self) -> bool:
        """Whether answers that clients left are compared."""
        return self.rules >= 3

    @property
    def shares_alpha(self) -> bool:
        """Whether all that can blame a release is within α together."""
        return self.rules >= SHARED
