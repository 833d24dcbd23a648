"""An observation: everything one look saw, with its inputs, so that the verdict can be explained and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field

from gopub.health.aside import Aside, Warming
from gopub.health.burn import Spending
from gopub.health.config import JudgeConfig
from gopub.health.endpoints import fold_endpoints, with_endpoints
from gopub.health.evidence import Evidence
from gopub.health.logscore import LogScore
from gopub.health.own import OwnLook, OwnState, fold_own, with_own
from gopub.health.samples import ProcessHealth, ResolvedQuery, Window
from gopub.health.score import Score, ScoreInput, score
from gopub.health.sequential import EvidenceState, evidence, fold
from gopub.health.slo import SloCheck, check_slo


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests and errors on both tracks."""

    canary_requests: int = 0
    canary_errors: int = 0
    stable_requests: int = 0
    stable_errors: int = 0
    canary_timed: int = 0
    """Of the canary's requests, those with a latency that counts."""
    canary_slow: int = 0
    stable_timed: int = 0
    stable_slow: int = 0
    """Slow: as ``HostCounts`` counts it; all three are 0 in records of before they were summed."""

    def plus(self, window: Window) -> Totals:
        """With one more window."""
        canary, stable = window.canary, window.stable
        return Totals(
            self.canary_requests + (canary.attempts if canary else 0),
            self.canary_errors + (canary.errors if canary else 0),
            self.stable_requests + (stable.attempts if stable else 0),
            self.stable_errors + (stable.errors if stable else 0),
            self.canary_timed + (canary.latency.total if canary else 0),
            self.canary_slow + (canary.slow if canary else 0),
            self.stable_timed + (stable.latency.total if stable else 0),
            self.stable_slow + (stable.slow if stable else 0),
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What was measured at one look.

    ``windows`` are the new counts since the look before, ``before`` is the evidence state that they were folded onto;
    ``recent`` is what the SLO was held against. ``scored`` is what the score was taken from: its stable side is older
    where stable has too little traffic of late. ``no_data`` says why there is nothing to judge by; None is data.
    """

    config: JudgeConfig
    step: int
    at: float
    compare: bool = True
    hosts: tuple[ProcessHealth, ...] = ()
    no_data: str | None = None
    unseen: float | None = None
    """Seconds between two scrapes, where sources answer and no edge has counted anything for the canary yet."""
    windows: tuple[Window, ...] = ()
    recent: Window | None = None
    idle: float | None = None
    """Seconds since the canary's last request that this driver counted; None when there was none."""
    step_totals: Totals = field(default_factory=Totals)
    rollout_totals: Totals = field(default_factory=Totals)
    slo_canary: SloCheck = field(default_factory=SloCheck)
    slo_stable: SloCheck | None = None
    score: Score = field(default_factory=Score)
    scored: ScoreInput = field(default_factory=ScoreInput)
    evidence: Evidence = field(default_factory=Evidence)
    aside: tuple[Aside, ...] = ()
    """Hosts that died or are silent, and what was set aside of them: it is in none of the figures."""
    warming: Warming = field(default_factory=Warming)
    """What was left out of the canary's latency in this step."""
    before: EvidenceState = field(default_factory=EvidenceState)
    log_score: LogScore | None = None
    log_note: str = ""
    """Why there is no log score, or what was left out of it."""
    queries: tuple[ResolvedQuery, ...] = ()
    notes: tuple[str, ...] = ()
    watched: float = 0.0
    """Seconds for which the growth of this rollout's canaries was watched, by all drivers."""
    spending: Spending | None = None
    """What was spent of the error budget, as last read; None where nobody asked for it."""
    beside: tuple[ProcessHealth, ...] = ()
    """Some stable hosts, as they were when they were last asked: what the canary's are held against."""
    own: OwnLook | None = None
    """The team's own metrics; None where it has none."""


@dataclass(frozen=True, slots=True)
class Conclusions:
    """What follows from the counts alone."""

    slo_canary: SloCheck
    slo_stable: SloCheck | None
    score: Score
    evidence: Evidence
    state: EvidenceState
    own: OwnState | None = None
    """What the team's own metrics counted, for the next look; None where it has none."""


def conclude(
    config: JudgeConfig,
    recent: Window | None,
    scored: ScoreInput,
    windows: tuple[Window, ...],
    before: EvidenceState,
    *,
    compare: bool,
    step: int = 0,
    own: OwnLook | None = None,
) -> Conclusions:
    """The pure half of a look; ``replay`` calls it again with what the record kept."""
    canary = recent.canary if recent else None
    stable = recent.stable if recent else None
    slo_stable = check_slo(stable, config.slo, config.min_requests) if stable else None
    broken = bool(slo_stable and slo_stable.broken)
    if config.shares_alpha:  # few requests of stable are too few to call it broken, and to say that it is well
        broken = broken or not (slo_stable and slo_stable.enough)
    state = fold(before, windows, config.slo, compare=compare, stable_broken=broken, rules=config.rules, step=step)
    state = fold_endpoints(state, windows, len(config.endpoints), compare=compare, step=step)
    late, whole = config.looks_at_late, not config.shares_alpha
    found = evidence(state, config.slo, late=late, left=config.looks_at_left, whole=whole, rules=config.rules)
    found = with_endpoints(found, state, config.endpoints, slow=config.slo.latency_p95 is not None)
    counted = fold_own(own.before, own.windows, config.own, compare=compare) if own else None
    return Conclusions(
        slo_canary=check_slo(canary, config.slo, config.min_requests) if canary else SloCheck(),
        slo_stable=slo_stable,
        score=score(scored, config.slo, config.score, config.rules),
        evidence=with_own(found, counted, config.own, late=late, whole=whole) if counted else found,
        state=state,
        own=counted,
    )
