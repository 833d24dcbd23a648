"""What a verdict says to whoever is woken by it: one sentence, from the verdict's data. Pure.

A sentence is what was seen (a table, by cause), and what gopub does (by kind). The rule's number, E and φ are in the
verdict's own reason, which is told after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gopub.health.aside import Aside
from gopub.health.endpoints import loudest
from gopub.health.evidence import EndpointEvidence, MetricEvidence
from gopub.health.score import Dimension
from gopub.judge.budget import why_not
from gopub.judge.decision import EARLY, OVERWHELMING
from gopub.judge.own import doubts, unread
from gopub.judge.surging import surging
from gopub.judge.verdict import Cause, Kind, VerdictRecord
from gopub.units import say_about
from gopub.views.amounts import answers, beside, clock, count, failed, names, percent, short, times, took
from gopub.views.unwell import elsewhere_seen, full_seen, hosts_seen, killed_seen

BENIGN = frozenset(
    {Cause.NO_DATA, Cause.FEW, Cause.QUIET, Cause.UNSCORED, Cause.LEAK, Cause.COLD, Cause.BAKES, Cause.SILENT,
     Cause.UNREAD}
)  # fmt: skip
"""What holds a rollout without anything against the canary."""
_GOOD = (Cause.GOOD, Cause.EVIDENCE)
_CLASSES = ("level", "error", "template")
"""What classes of log lines there are, the most general first."""
_LATE, _GRACE = 2.0, 5.0


def sentence(record: VerdictRecord) -> str:
    """What happened, and what gopub does: ``2.2 % of the canary's answers failed (19 of 846), …: taken back``."""
    verdict, history = record.verdict, record.history
    seen = SEEN[verdict.cause](record)
    if verdict.kind is Kind.PROMOTE and verdict.cause not in (*_GOOD, Cause.UNSAID):
        return f"promoted by hand ({history.promoted}); until then: {seen}"
    waits = history.held or (history.gate if verdict.cause in _GOOD else None)
    if waits and verdict.kind in (Kind.HOLD, Kind.WITHDRAW):
        seen = f"{waits}; {seen}"
    return f"{seen}: {_DOES[verdict.kind](record)}{_certainty(record)}"


def not_yet(record: VerdictRecord) -> bool:
    """Whether a canary that no edge counts is nothing to worry about: its first figures are not due yet."""
    seen = record.observation
    if seen.unseen is None or seen.rollout_totals.canary_requests or record.verdict.kind is not Kind.HOLD:
        return False
    return record.history.now <= _due(record)


def _due(record: VerdictRecord) -> float:
    return record.history.step_started + _LATE * (record.observation.unseen or 0.0) + _GRACE


# --- what gopub does


def _promote(record: VerdictRecord) -> str:
    gate = record.history.gate
    return f"{gate}, and goes back at {_deadline(record)} unless that comes" if gate else "step passed"


def _hold(record: VerdictRecord) -> str:
    cause, history = record.verdict.cause, record.history
    if history.held is not None:
        return f"nothing moves until `gopub resume`, and it goes back at {_deadline(record)}"
    if cause is Cause.BAKES and not history.stands:
        return f"bakes for another {say_about(history.bake - history.baked)}"
    if not_yet(record):
        return "waits"
    if cause is Cause.LEAK:
        return f"waits for another {say_about(waits_for_leak(record))} at most"
    if cause in BENIGN:
        return f"waits, until {_deadline(record)} at most"
    return f"nothing moves, and it goes back at {_deadline(record)} unless this ends"


def waits_for_leak(record: VerdictRecord) -> float:
    """Seconds after which nobody waits for a slope any more; the rollout's end may come first."""
    history = record.history
    return max(min(EARLY - record.observation.watched, history.deadline - history.now), 0.0)


def watched_for(record: VerdictRecord) -> float:
    """Seconds that are left of a watch."""
    history = record.history
    since = record.verdict.at if history.watch_since is None else history.watch_since
    return max(since + record.policy.watch - history.now, 0.0)


def _watch(record: VerdictRecord) -> str:
    left = say_about(watched_for(record))
    return f"its traffic stays as it is, and it is taken back in {left} unless it recovers"


def _rollback(record: VerdictRecord) -> str:
    return "taken back, for the deadline is over" if record.verdict.rule == 6 else "taken back"


def _withdraw(record: VerdictRecord) -> str:
    late = record.history.now >= record.history.deadline and record.verdict.cause not in (
        Cause.ELSEWHERE, Cause.HOST_GONE, Cause.DEATHS, Cause.KILLED,
    )  # fmt: skip
    return f"taken back{', for the deadline is over' if late else ''}; the release is not blamed"


_DOES: Mapping[Kind, Callable[[VerdictRecord], str]] = {
    Kind.PROMOTE: _promote,
    Kind.HOLD: _hold,
    Kind.WATCH: _watch,
    Kind.ROLLBACK: _rollback,
    Kind.WITHDRAW: _withdraw,
}


def _deadline(record: VerdictRecord) -> str:
    return clock(record.history.deadline, record.history.now)


def _certainty(record: VerdictRecord) -> str:
    """How far E is beyond its mark, where it was asked for; nothing where it fell below since."""
    cause, evidence, alpha = record.verdict.cause, record.observation.evidence, record.policy.alpha
    if cause not in (Cause.SURE, Cause.SLO_ALONE, Cause.WORSE):
        return ""
    log_e = max(evidence.log_e, evidence.log_e_all) if cause is Cause.WORSE else evidence.log_e
    beyond = log_e - math.log(1 / alpha)
    how = "far beyond" if beyond >= math.log(OVERWHELMING) else "beyond"
    return f"; certainty {how} the {percent(alpha)} limit" if beyond >= 0 else ""


# --- what was seen


def _no_data(record: VerdictRecord) -> str:
    seen, history = record.observation, record.history
    if not_yet(record):
        left = say_about(max(1, _due(record) - history.now))
        return f"the edges' first counts of the canary are not in yet (due within {left})"
    if seen.unseen is not None and not seen.rollout_totals.canary_requests:
        waited = say_about(history.now - history.step_started)
        return f"no edge has counted an answer of the canary since its step began {waited} ago"
    return f"nothing is known of the canary's answers ({short(seen.no_data or '')})"


def _few(record: VerdictRecord) -> str:
    totals, needed = record.observation.step_totals, record.policy.min_requests
    if totals.canary_requests:
        return f"too few answers of the canary to judge by ({count(totals.canary_requests)} of {count(needed)} so far)"
    had = f", stable had {count(totals.stable_requests)}" if totals.stable_requests else ""
    return f"no request has reached the canary in this step{had} ({count(needed)} are needed)"


def _gone(record: VerdictRecord) -> str:
    ours = [host for host in record.observation.aside if host.canary and host.silent]
    worst: Aside | None = max(ours, key=lambda host: host.silent, default=None)
    if worst is None:
        return "a canary host is gone and its users suffer"
    suffer = f"{count(worst.silent_errors)} of {answers(worst.silent_attempts)} failed since"
    return f"canary host {worst.host} has not answered for {say_about(worst.silent)}, {suffer}"


def _deaths(record: VerdictRecord) -> str:
    hosts = [host.host for host in record.observation.hosts]
    return f"every canary host ({names(hosts)}) went down since it runs the release, more often than stable's"


def _quiet(record: VerdictRecord) -> str:
    idle = record.observation.idle
    since = "since this driver began" if idle is None else f"for {say_about(idle)}"
    return f"no request has reached the canary {since}, and older figures promote nobody"


def _worse(record: VerdictRecord) -> str:
    evidence = record.observation.evidence
    if one := loudest(evidence):
        return _endpoint(one, record)
    told = [one for one in evidence.metrics if one.canary_exposed]
    worst = max(told, key=lambda one: one.log_e, default=None)
    if worst is None:
        return "the canary is worse than stable"
    if worst.name in {one.name for one in record.observation.config.own}:
        ours = f"{worst.name}, the team's own metric, is {count(worst.canary_bad)} of {count(worst.canary_exposed)}"
        return f"{ours} on the canary, {beside(worst.stable_bad, worst.stable_exposed, 'stable')}"
    bound = evidence.slow_above if worst.name == "slow" else evidence.late_above
    return _metric(worst, "failed" if worst.name == "errors" else f"took over {took(bound or 0.0)}", record)


def _endpoint(one: EndpointEvidence, record: VerdictRecord) -> str:
    found, did = one.errors, "failed"
    if one.slow and one.slow.log_e > one.errors.log_e:
        found, did = one.slow, f"took over {took(record.observation.config.slo.latency_p95 or 0.0)}"
    ours = failed(found.canary_bad, found.canary_exposed, "the canary", did)
    return f"{one.endpoint}: {ours}, {beside(found.stable_bad, found.stable_exposed, 'stable')}"


def _metric(found: MetricEvidence, did: str, record: VerdictRecord) -> str:
    ours = failed(found.canary_bad, found.canary_exposed, "the canary", did)
    if record.observation.evidence.basis == "slo":
        return f"{ours}, more than the SLO allows{_allows(found.name, record)}"
    return f"{ours}, {beside(found.stable_bad, found.stable_exposed, 'stable')}"


def _allows(name: str, record: VerdictRecord) -> str:
    slo = record.observation.config.slo
    rate = slo.error_rate if name == "errors" else 0.05 if slo.latency_p95 is not None else None
    return f" ({percent(rate)})" if rate is not None else ""


def _broken(record: VerdictRecord) -> str:
    """What of the SLO the canary exceeds, with figures; empty where it exceeds nothing now."""
    seen = record.observation
    check, slo, canary = seen.slo_canary, seen.config.slo, seen.recent.canary if seen.recent else None
    said = []
    if "error_rate" in check.above:
        bad = canary.errors if canary else round((check.error_rate or 0.0) * check.requests)
        allowed = f", the SLO allows {percent(slo.error_rate)}" if slo.error_rate is not None else ""
        said.append(f"{failed(bad, check.requests, 'the canary')}{allowed}")
    if "latency_p95" in check.above:
        p95 = took(check.p95 or 0.0)
        allowed = f", the SLO allows {took(slo.latency_p95)}" if slo.latency_p95 is not None else ""
        long = f"more than {p95}" if check.saturated else f"{p95} or more"
        said.append(f"5 % of the canary's answers take {long}{allowed}")
    return "; ".join(said)


def _slo_alone(record: VerdictRecord) -> str:
    if now := _broken(record):
        return f"{now}; stable keeps the SLO"
    if why := record.observation.no_data:
        return f"the canary broke the SLO alone, and nothing is known of it since ({short(why)})"
    return "the canary broke the SLO alone, and has not shown that it recovered"


def _slo_doubt(record: VerdictRecord) -> str:
    stable = record.observation.slo_stable
    if stable and stable.broken:
        return f"{_broken(record) or 'the canary breaks the SLO'}; stable breaks the SLO, too"
    return f"{_broken(record) or 'the canary breaks the SLO'}; too little is known to blame it"


def _alone(record: VerdictRecord) -> str:
    broken = _broken(record) or "the canary breaks the SLO"
    return f"{broken}; stable has no traffic to compare with, so it may be an incident that any release would have"


def _unscored(record: VerdictRecord) -> str:
    if warms_up(record):
        return "the canary's hosts are still warming up, and none of their answers is timed yet"
    notes = short("; ".join(record.observation.score.notes))
    return f"nothing to score the canary by{f' ({notes})' if notes else ''}"


def warms_up(record: VerdictRecord) -> bool:
    """Whether no answer of a warm canary host was timed in this step, though some of warming ones were."""
    seen = record.observation
    return bool(seen.warming.timed) and not seen.step_totals.canary_timed


def _logs(record: VerdictRecord) -> str:
    """The line that speaks loudest, by its most specific class: a template, else an error, else a level."""
    log = record.observation.log_score
    counted = [found for found in log.classes if found.counted] if log else []
    loud = max(counted, key=lambda found: (specific(found.name), found.canary), default=None)
    if loud is None or log is None:
        return "the canary logs errors that stable does not"
    kind, _, text = loud.name.partition(":")
    told = {"level": f"lines of level {text}", "new": "in ways that no host had before"}
    what = told.get(kind) or repr(short(text or kind))
    ours = f"{times(loud.canary)} in {count(log.canary_requests)} requests"
    theirs = f"on stable {times(loud.stable)} in {count(log.stable_requests)}"
    return f"the canary logs an error more often than stable does ({what}: {ours}, {theirs})"


def specific(name: str) -> int:
    """How much a class of log lines says: a template more than an error, that more than a level."""
    return _CLASSES.index(kind) if (kind := name.partition(":")[0]) in _CLASSES else 0


def _score(record: VerdictRecord) -> str:
    score, least = record.observation.score, record.policy.pass_score
    low = [one for one in score.dimensions if one.value is not None]
    worst = min(low, key=lambda one: one.value or 0.0, default=None)
    value = score.value or 0.0
    told = f"its score is {min(value, least - 0.1):.3g} of the {least:g} that it needs"
    return f"{_dimension(worst) if worst else 'the canary falls short'}; {told}"


def _dimension(found: Dimension) -> str:
    measured, files = found.measured or 0.0, "open files" in found.note
    if found.name == "latency":
        good = f", {took(found.target)} would be good" if found.target is not None else ""
        return f"the canary answers late (5 % of its answers take {took(measured)} or more{good})"
    if found.name == "errors":
        return f"{percent(measured)} of the canary's answers failed"
    if found.name == "memory_growth":
        grows = f"open files grow by {measured:.3g}" if files else f"memory grows by {measured:.3g} MiB"
        return f"the canary's {grows} a minute"
    return "the canary stops for too long to collect garbage"


def _leaving(record: VerdictRecord) -> str:
    left = record.observation.evidence.left
    if left is None:
        return "clients leave the canary's answers before the end"
    return _metric(left, "were left by their clients before the end", record)


def _leak(record: VerdictRecord) -> str:
    found = [one.name for one in record.observation.score.dimensions if one.early]
    what = "memory" if found == ["memory_growth"] or not found else " and ".join(found).replace("_", " ")
    return f"the bake is over, but it is too early to say whether the canary's {what} leaks"


def _cold(record: VerdictRecord) -> str:
    so_far = f"{count(record.observation.step_totals.canary_timed)} of {count(record.policy.min_requests)} so far"
    return f"too few answers of warmed-up canary hosts to say how fast they are ({so_far})"


def _good_so_far(record: VerdictRecord) -> str:
    history = record.history
    good = _well(record)
    if not history.stands:
        return f"nothing against the canary so far, {good}"
    done = f"{say_about(history.baked)} of {say_about(history.bake)}"
    return f"nothing against the canary so far, {good}, but its bake stands still at {done} ({history.stands})"


def _silent(record: VerdictRecord) -> str:
    silent = [host.host for host in record.observation.hosts if not host.reachable]
    if not silent:
        return "the bake is over, but no host was asked for its health"
    return f"the bake is over, but {names(silent)} {'do' if len(silent) > 1 else 'does'} not answer"


def _good(record: VerdictRecord) -> str:
    approved = record.history.approved
    by = f", approved by {approved}" if approved else ""
    return f"the canary is good, baked for {say_about(record.history.bake)}{by}, {_well(record)}"


def _by_evidence(record: VerdictRecord) -> str:
    baked, bake = (say_about(one) for one in (record.history.baked, record.history.bake))
    return f"the canary is as good as stable by its counts, {baked} of {bake} baked, {_well(record)}"


def _budget(record: VerdictRecord) -> str:
    return f"nothing against the canary, but {why_not(record.observation, record.policy)}"


def _well(record: VerdictRecord) -> str:
    """What is known of its answers."""
    totals = record.observation.step_totals
    if record.policy.health_only:
        return "its hosts say that they are well, nobody counts answers"
    if not totals.canary_requests:
        return "its hosts are well, no request has reached it in this step"
    return failed(totals.canary_errors, totals.canary_requests, "it")


def _unsaid(record: VerdictRecord) -> str:
    return f"rule {record.verdict.rule}: {record.verdict.reason}"


SEEN: Mapping[Cause, Callable[[VerdictRecord], str]] = {
    Cause.UNSAID: _unsaid,
    Cause.HOSTS: hosts_seen,
    Cause.ELSEWHERE: elsewhere_seen,
    Cause.NO_DATA: _no_data,
    Cause.FEW: _few,
    Cause.HOST_GONE: _gone,
    Cause.DEATHS: _deaths,
    Cause.KILLED: killed_seen,
    Cause.FULL: full_seen,
    Cause.QUIET: _quiet,
    Cause.SURE: _worse,
    Cause.SLO_ALONE: _slo_alone,
    Cause.SLO_DOUBT: _slo_doubt,
    Cause.UNSCORED: _unscored,
    Cause.WORSE: _worse,
    Cause.LOGS: _logs,
    Cause.SURGE: lambda record: surging(record.observation).partition(" (")[0],
    Cause.SCORE: _score,
    Cause.LEAVING: _leaving,
    Cause.ALONE: _alone,
    Cause.LEAK: _leak,
    Cause.COLD: _cold,
    Cause.BAKES: _good_so_far,
    Cause.SILENT: _silent,
    Cause.GOOD: _good,
    Cause.BUDGET: _budget,
    Cause.EVIDENCE: _by_evidence,
    Cause.OWN: lambda record: short(doubts(record.observation)),
    Cause.UNREAD: lambda record: short(unread(record.observation)),
}
"""What was seen, by cause."""
