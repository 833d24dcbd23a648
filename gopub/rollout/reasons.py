"""What a verdict says: first a sentence for whoever is woken by it, then the figures. Pure."""

from __future__ import annotations

from gopub.health.evidence import MetricEvidence
from gopub.health.logscore import LogClass, LogScore
from gopub.health.observation import Observation
from gopub.health.score import Dimension
from gopub.rollout.verdict import Policy

_CLASSES = 3
"""Classes of error lines that are named; the record has more."""
_WORSE = {"errors": "the canary fails more often than stable", "slow": "the canary answers later than stable"}


def say_e(observation: Observation) -> str:
    """E, and the counts behind it."""
    evidence = observation.evidence
    counts = [
        f"{m.name} {m.canary_bad}/{m.canary_exposed} against {m.stable_bad}/{m.stable_exposed}"
        for m in evidence.metrics
        if m.canary_exposed
    ]
    return f"E = {evidence.e_value:.4g} ({'; '.join(counts)}; φ = {evidence.phi:.3g})"


def say_worse(observation: Observation) -> str:
    """In words, what E holds against the canary: the metric that speaks loudest."""
    metrics: tuple[MetricEvidence, ...] = observation.evidence.metrics
    loudest = max(metrics, key=lambda metric: metric.log_e, default=None)
    words = _WORSE.get(loudest.name if loudest else "", "the canary is worse than stable")
    return words if observation.evidence.basis != "slo" else words.replace("stable", "the SLO allows")


def say_break(observation: Observation) -> str:
    """What the canary exceeds, with its figures."""
    check = observation.slo_canary
    figures = {
        "error_rate": f"error rate {check.error_rate or 0.0:.3%}",
        "latency_p95": f"p95 {'over ' if check.saturated else ''}{check.p95 or 0.0:.3g}s",
    }
    return ", ".join(figures[name] for name in check.above)


def say_logs(observation: Observation) -> str:
    """The log score, or why there is none."""
    if observation.log_score is None:
        return f"no log score: {observation.log_note or 'logs were not read'}"
    note = f" ({observation.log_note})" if observation.log_note else ""
    return f"log score {observation.log_score.value:.4g}{note}"


def say_lines(log: LogScore, mark: float) -> str:
    """Which error lines condemn the canary, with the counts of both tracks."""
    loud = [_say_class(found, log) for found in log.classes if found.counted][:_CLASSES]
    figures = "; ".join((*loud, f"log score {log.value:.4g}, the mark is {mark:g}"))
    return f"the canary logs errors that stable does not: {figures}"


def _say_class(found: LogClass, log: LogScore) -> str:
    return (
        f"{found.name!r} {found.canary} in {log.canary_requests} requests, stable {found.stable} in"
        f" {log.stable_requests}"
    )


def say_score(observation: Observation, policy: Policy) -> str:
    """A score below the mark, and what pulled it down."""
    score = observation.score
    low = [_say_dimension(d) for d in score.dimensions if d.value is not None and d.value < policy.pass_score]
    notes = f" ({'; '.join(score.notes)})" if score.notes else ""
    said = f": {'; '.join(low)}" if low else ""
    return f"score {score.value:.4g} below {policy.pass_score:g}{notes}{said}"


def _say_dimension(d: Dimension) -> str:
    target = "" if d.target is None else f", target {d.target:.4g}"
    return f"{d.name} {d.measured or 0.0:.4g}{target}"


def say_good(observation: Observation, policy: Policy) -> str:
    """Why nothing stands in the way: the figures, and what was left out."""
    value = observation.score.value
    score = f"score {value:.4g} of {policy.pass_score:g}" if value is not None else "no score"
    notes = "".join(f"; {note}" for note in observation.score.notes)
    first = "first release, held against the SLO alone; " if policy.first else ""
    return f"{first}{score}{notes}; {say_e(observation)}; {say_logs(observation)}"
