"""What a verdict says: first a sentence for whoever is woken by it, then the figures. Pure."""

from __future__ import annotations

import math

from gopub.health.aside import Aside
from gopub.health.config import STEPWISE
from gopub.health.curves import latency_origin
from gopub.health.endpoints import loudest as loudest_endpoint
from gopub.health.evidence import EndpointEvidence, MetricEvidence
from gopub.health.leaving import is_sure, mark, share
from gopub.health.logscore import LogClass, LogScore
from gopub.health.observation import Observation
from gopub.health.quantile import quantile
from gopub.health.score import Dimension
from gopub.health.starts import say_seen
from gopub.judge.own import say_own
from gopub.judge.verdict import History, Policy
from gopub.units import say_about, say_took

_CLASSES = 3
"""Classes of error lines that are named; the record has more."""
_WORSE = {
    "errors": "the canary fails more often than stable",
    "slow": "the canary answers later than stable",
    "late": "the canary answers later than stable",
}
YOUNG = 120.0
"""Seconds: slow answers of processes that are no older may be those of a start."""
_SHORT = {
    "latency": "the canary answers too late",
    "errors": "the canary fails too often",
    "gc_pause": "the canary stops for too long to collect garbage",
    "memory_growth": "the canary keeps what it should give back",
}
_TOLD = math.log(10)
"""E of an endpoint from which on its counts stand beside the totals'."""
_TAIL = 1.25
"""Where the canary's p95 is no more than so many times stable's, it is its tail that is late."""
_ONE_WAY = 6
"""The first rules whose words have times as everything else says them."""
_NEARLY = 0.9995
_NOTABLE = 2.0
"""A canary whose p95 is this many times stable's is promoted with a word."""


def say_e(observation: Observation) -> str:
    """E that takes a release back, and the counts behind it."""
    return _say_e(observation, observation.evidence.e_value)


def say_e_all(observation: Observation) -> str:
    """The same with late answers at their full worth."""
    return _say_e(observation, max(observation.evidence.e_value, observation.evidence.e_all))


def _say_e(observation: Observation, value: float) -> str:
    evidence = observation.evidence
    counts = [
        f"{m.name} {m.canary_bad}/{m.canary_exposed} against {m.stable_bad}/{m.stable_exposed}"
        for m in evidence.metrics
        if m.canary_exposed
    ]
    if (one := loudest_endpoint(evidence)) and one.errors.log_e > _TOLD:
        found = one.errors
        counts.append(
            f"{one.endpoint} {found.canary_bad}/{found.canary_exposed}"
            f" against {found.stable_bad}/{found.stable_exposed}"
        )
    bounds = {"slow": evidence.slow_above, "late": evidence.late_above}
    above = [f"{name} is above {_time(bound, observation)}" for name, bound in bounds.items() if bound is not None]
    return f"E = {value:.4g} ({'; '.join((*counts, f'φ = {evidence.phi:.3g}', *above))})"


def say_latency(observation: Observation) -> str:
    """The 95th percentiles of both tracks, and what the SLO allows; empty where nothing was timed."""
    canary, stable, slo = observation.slo_canary, observation.slo_stable, observation.config.slo.latency_p95
    if canary.p95 is None:
        return ""
    said = [f"p95 {'over ' if canary.saturated else ''}{_time(canary.p95, observation)}"]
    said += [f"stable's {_time(stable.p95, observation)}"] if stable and stable.p95 is not None else []
    return ", ".join((*said, *((f"the SLO {_time(slo, observation)}",) if slo is not None else ())))


def _time(seconds: float, observation: Observation) -> str:
    """By rules before 6, so that their verdicts stay what they were, 999.6 ms are ``1e+03 ms``."""
    if observation.config.rules >= _ONE_WAY or seconds < _NEARLY:
        return say_took(seconds)
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def say_worse(observation: Observation) -> str:
    """In words, what E holds against the canary: the metric that speaks loudest."""
    if one := loudest_endpoint(observation.evidence):
        return _say_endpoint(one, observation)
    metrics: tuple[MetricEvidence, ...] = observation.evidence.metrics
    loudest = max(metrics, key=lambda metric: metric.log_e, default=None)
    name = loudest.name if loudest else ""
    if name in {target.name for target in observation.config.own}:
        return f"the canary is worse than stable by the team's own metric {name}"
    words = _WORSE.get(name, "the canary is worse than stable")
    words = words if observation.evidence.basis != "slo" else words.replace("stable", "the SLO allows")
    if name == "errors":
        return f"{words}{say_class(observation)}"
    if loudest is None or name not in ("slow", "late"):
        return words
    latency = _say_tail(observation, loudest) or say_latency(observation)
    return (f"{words} ({latency})" if latency else words) + _say_start(observation)


def _say_start(observation: Observation) -> str:
    """That the canary's processes have only just begun, where nothing of their start was left out."""
    config, ages = observation.config, [host.use.age for host in observation.hosts if host.use]
    if config.rules < STEPWISE or config.warmup or not ages or any(age is None or age > YOUNG for age in ages):
        return ""
    oldest = say_about(max(age for age in ages if age is not None))
    return f", {oldest} after its start at most (`judge.warmup` leaves out a start that is always slow)"


def _say_endpoint(one: EndpointEvidence, observation: Observation) -> str:
    """``POST /orders/* fails on the canary: 31 of 400, stable 2 of 3600``."""
    found = one.slow if one.slow and one.slow.log_e > one.errors.log_e else one.errors
    counts = f"{found.canary_bad} of {found.canary_exposed}"
    theirs = f"stable {found.stable_bad} of {found.stable_exposed}"
    if found is one.errors:
        return f"{one.endpoint} fails on the canary: {counts}, {theirs}"
    bound = observation.config.slo.latency_p95
    above = f" above {_time(bound, observation)}" if bound else ""
    return f"{one.endpoint} answers later on the canary: {counts}{above}, {theirs}"


def _say_tail(observation: Observation, loudest: MetricEvidence) -> str:
    """The counts of late answers, where both tracks' p95 are the same and explain nothing; else empty."""
    evidence, canary, stable = observation.evidence, observation.slo_canary, observation.slo_stable
    bound = evidence.slow_above if loudest.name == "slow" else evidence.late_above
    if bound is None or canary.p95 is None or stable is None or stable.p95 is None:
        return ""
    if canary.p95 > _TAIL * stable.p95 or not loudest.canary_exposed:
        return ""
    counts = f"{loudest.canary_bad} of {loudest.canary_exposed}"
    theirs = f"stable {loudest.stable_bad} of {loudest.stable_exposed}"
    return f"{counts} above {_time(bound, observation)}, {theirs}; p95 alike"


def say_class(observation: Observation) -> str:
    """The class that most of the canary's failures are of, in parentheses; empty where none is."""
    canary = observation.recent.canary if observation.recent else None
    failed = canary.failed if canary else {}
    name = max(failed, key=lambda found: failed[found], default="")
    if not name or 2 * failed[name] <= sum(failed.values()):
        return ""
    hosts = observation.hosts
    well = bool(hosts) and all(host.reachable and host.active and host.probe_ok for host in hosts)
    why = ": its hosts say that they are well, but edges get no connection" if name == "connect" and well else ""
    return f" ({name} {failed[name]} of {sum(failed.values())}{why})"


def say_break(observation: Observation) -> str:
    """What the canary exceeds, with its figures."""
    check, p95 = observation.slo_canary, observation.slo_canary.p95 or 0.0
    shown = _time(p95, observation) if observation.config.rules >= _ONE_WAY else f"{p95:.3g}s"
    figures = {
        "error_rate": f"error rate {check.error_rate or 0.0:.3%}{say_class(observation)}",
        "latency_p95": f"p95 {'over ' if check.saturated else ''}{shown}",
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


def say_leaving(left: MetricEvidence, policy: Policy) -> str:
    """That clients leave the canary more often, with the figures of both tracks."""
    told = f"E = {math.exp(min(left.log_e, 690.0)):.4g}, the mark is {mark(policy.alpha):g}, φ = {left.phi:.3g}"
    return f"clients leave the canary's answers before the end more often than stable's: {_counts(left)}; {told}"


def say_left(observation: Observation, policy: Policy) -> str:
    """How many answers clients left, as a part of a sentence; empty where nobody left."""
    left = observation.evidence.left
    if left is None:
        return ""
    over = " (it was more than chance, and is no more)" if is_sure(left, policy.alpha) else ""
    alone = "" if policy.compare and observation.evidence.basis == "stable" else "; not compared with stable now"
    return f"; left by clients before the end: {_counts(left)}{over}{alone}"


def _counts(left: MetricEvidence) -> str:
    ours, theirs = (left.canary_bad, left.canary_exposed), (left.stable_bad, left.stable_exposed)
    said = f"canary {ours[0]} of {ours[1]} ({share(*ours):.1%})"
    return f"{said}, stable {theirs[0]} of {theirs[1]} ({share(*theirs):.1%})"


def say_score(observation: Observation, policy: Policy) -> str:
    """A score below the mark, and what pulled it down."""
    score = observation.score
    low = [
        _say_dimension(d, observation) for d in score.dimensions if d.value is not None and d.value < policy.pass_score
    ]
    notes = f" ({'; '.join(score.notes)})" if score.notes else ""
    worst = min(score.dimensions, key=lambda d: policy.pass_score if d.value is None else d.value, default=None)
    short = _SHORT.get(worst.name, "") if worst and low else ""
    said = f"{'; '.join(low)}; " if low else ""
    return f"{short or 'the canary falls short'}: {said}score {score.value:.4g} below {policy.pass_score:g}{notes}"


def _say_dimension(d: Dimension, observation: Observation) -> str:
    measured = d.measured or 0.0
    if d.target is None:
        return f"{d.name} {measured:.4g}"
    if d.name == "latency":
        found, target = (_time(value, observation) for value in (measured, d.target))
        return f"latency p95 {found}, target {target} ({_origin(observation)})"
    if d.name == "errors":
        return f"errors {measured:.3%}{say_class(observation)}, target {d.target:.3%}"
    if d.name == "memory_growth":
        what = "open files grow by {:.4g}" if "open files" in d.note else "memory grows by {:.4g} MiB"
        return f"{what.format(measured)} a minute, target {d.target:.4g}"
    return f"{d.name} {measured:.4g}, target {d.target:.4g}"


def _origin(observation: Observation) -> str:
    config, stable = observation.config, observation.scored.stable
    p95 = quantile(0.95, stable.latency) if stable else None
    if config.score.profile == "article":
        return "the profile's"
    return latency_origin(config.slo.latency_p95, p95.value if p95 else None)


def say_despite_few(observation: Observation, policy: Policy, history: History) -> str:
    """On whose word, or on what, few requests are enough."""
    seen = f"{observation.step_totals.canary_requests} requests of {policy.min_requests}"
    left = say_left(observation, policy)
    if history.approved is not None:
        return f"approved by {history.approved} with {seen}{left}"
    return f"first release, on health alone: {seen}, none failed{left}"


def say_good(observation: Observation, policy: Policy) -> str:
    """Why nothing stands in the way: the figures, and what was left out."""
    value = observation.score.value
    score = f"a score of {value:.4g}, {policy.pass_score:g} are needed" if value is not None else "no score"
    late = [d.note for d in observation.score.dimensions if d.early and d.value is not None]
    notes = "".join(f"; {note}" for note in (*observation.score.notes, *late))
    first = "first release, held against the SLO alone; " if policy.first else ""
    slower = f"; slower than stable: {say_latency(observation)}" if _slower(observation) else ""
    cold = say_warming(observation)
    left = say_left(observation, policy)
    own = say_own(observation)
    return f"{first}{score}{notes}{slower}; {say_e_all(observation)}; {say_logs(observation)}{cold}{left}{own}"


def say_warming(observation: Observation) -> str:
    """How many answers of warming hosts were left out of the latency, beside stable's own; empty where none was."""
    cold = observation.warming
    if not cold.timed:
        return ""
    told = f"; left out of the latency: {cold.timed} answers of warming hosts, {cold.slow} slow"
    told += f"; stable's own starts: {cold.stable_slow} slow of {cold.stable_timed}" if cold.stable_timed else ""
    return f"{told}; {say_seen(observation.config.warmup)}" if observation.config.warmup_seen else told


def _slower(observation: Observation) -> bool:
    canary, stable = observation.slo_canary, observation.slo_stable
    if canary.p95 is None or stable is None or stable.p95 is None or not (canary.enough and stable.enough):
        return False
    return canary.p95 > _NOTABLE * stable.p95


def say_aside(observation: Observation) -> str:
    """What was set aside of hosts that died or are silent; empty where nothing was."""
    found = [_say_host(host) for host in observation.aside if host.attempts or host.deaths]
    return f"set aside as the hosts' own: {'; '.join(found)}" if found else ""


def _say_host(host: Aside) -> str:
    died = f", went down {host.deaths} times" if host.deaths > 1 else ", went down" if host.deaths else ""
    silent = f", silent for {say_about(host.silent)}" if host.silent else ""
    track = "canary" if host.canary else "stable"
    return f"{host.host} ({track}{died}{silent}) {host.errors} errors in {host.attempts} requests"
