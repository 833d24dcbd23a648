"""An observation: everything one look saw, with its inputs, so that the verdict can be explained and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field

from gopub.health.evidence import Evidence, EvidenceState
from gopub.health.logscore import LogScore
from gopub.health.samples import ProcessHealth, ResolvedQuery, Window
from gopub.health.score import Score
from gopub.health.slo import SloCheck


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests and errors on both tracks."""

    canary_requests: int = 0
    canary_errors: int = 0
    stable_requests: int = 0
    stable_errors: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What was measured at one look.

    ``windows`` are the new counts since the look before; ``recent`` is what score and SLO were taken from;
    ``before`` is the evidence state that ``windows`` were folded onto. ``no_data`` says why there is nothing to
    judge by; None means that there is data.
    """

    app: str
    env: str
    rollout: str
    step: int
    at: float
    canary: str
    stable: str | None
    hosts: tuple[ProcessHealth, ...] = ()
    no_data: str | None = None
    windows: tuple[Window, ...] = ()
    recent: Window | None = None
    step_totals: Totals = field(default_factory=Totals)
    rollout_totals: Totals = field(default_factory=Totals)
    slo_canary: SloCheck = field(default_factory=SloCheck)
    slo_stable: SloCheck | None = None
    score: Score = field(default_factory=Score)
    evidence: Evidence = field(default_factory=Evidence)
    before: EvidenceState = field(default_factory=EvidenceState)
    log_score: LogScore | None = None
    log_note: str = ""
    """Why there is no log score, or what was left out of it."""
    queries: tuple[ResolvedQuery, ...] = ()
    notes: tuple[str, ...] = ()
