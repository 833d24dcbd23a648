"""The decision: one pure function over an observation, a policy and a history."""

from __future__ import annotations

import math
from dataclasses import replace

from gopub.health.leaving import goes_on, is_sure
from gopub.health.logscore import least
from gopub.health.observation import Observation
from gopub.judge.budget import why_not
from gopub.judge.hosts import elsewhere, hard_failure, say_elsewhere
from gopub.judge.noninferior import say_sooner, sooner
from gopub.judge.own import doubts, unread
from gopub.judge.processes import full, killed, say_uses
from gopub.judge.surging import surging
from gopub.judge.verdict import Cause, History, Kind, Policy, Verdict
from gopub.judge.words import (
    say_aside,
    say_break,
    say_despite_few,
    say_e,
    say_e_all,
    say_good,
    say_leaving,
    say_left,
    say_lines,
    say_logs,
    say_score,
    say_worse,
)
from gopub.units import say_about, say_seconds

EARLY = 90.0
"""Seconds of watching a canary's growth after which a rollout waits for a slope no longer."""
OVERWHELMING = 100.0
"""Evidence this many times what the level α asks for needs no second opinion."""
GONE = 30.0
"""Seconds after which a canary host that is silent and fails is taken from its users."""
FAILED, FAILED_SHARE = 10, 0.05
"""Fails: so many requests of this silence, and this share of them."""
DEATHS = 2
"""One death is nobody's pattern."""


def decide(observation: Observation, policy: Policy, history: History) -> Verdict:
    """Say what to do next. The first rule that matches fires; the verdict bears its number.

    1.  Hard failure: a canary host that answers says that its process is not active, died and was restarted (more than
        ``max_restarts`` times since the switch), is not the signed binary, or fails its probe: ROLLBACK.
        Where ``current`` of a host names another release, somebody else switched it: what runs there says nothing of
        the release, and where nothing else fails the rollout is over: WITHDRAW.
        A rollout without router or judge is ``health-only``: this rule and rule 7 are all there is, and the reason
        says so.
    2.  No data, fewer than ``min_requests`` requests on the canary in this step, or none for ``quiet`` seconds: HOLD;
        at the deadline WITHDRAW. The last is for a canary whose traffic went elsewhere: old figures promote nobody,
        but they can condemn (it is looked at after rule 3).
        Two things can decide where requests are few (never where there is no data): the approval of the next step,
        where the plan asks for one, and a first release without an error so far; for both, rules 4 to 6 do not apply.
        What a host that does not answer failed is the host's, and in no figure (``health.aside``). Who uses it suffers
        all the same: WITHDRAW once it has been silent for ``GONE`` seconds and goes on failing; WITHDRAW as well once
        every canary host died, more often than stable's; WITHDRAW where the kernel kills the canary's processes for
        want of memory, more often than stable's (``processes.killed``). None of these blames the release.
        HOLD as well, after rules 3 to 6, while a metric of the team's own that is required has no figures (``own``).
    3.  E ≥ 100/α: ROLLBACK at once.
    4.  The canary breaks the SLO, stable does not, and E ≥ 1/α: ROLLBACK if the log score reaches its mark;
        else alert and WATCH with the weight frozen for ``watch`` seconds, then ROLLBACK unless recovered.
        A watch once begun is finished by this rule even when data stop or E falls: what has not shown
        that it recovered did not. It ends early when the canary keeps the SLO again, or stable breaks it, too.
    5.  Any other SLO break (both tracks, or too little evidence): HOLD and alert, for a shared incident must not kill
        an innocent; at the deadline WITHDRAW. So is a break while stable has no traffic, in a first release or the last
        step: what fails there may fail everywhere, and nobody can tell.
    6.  E ≥ 1/α without an SLO break (answers later than stable's own count here, too), a log score that reaches its
        mark, a score below ``pass_score``, clients that leave more often than stable's (``health.leaving``), files at
        their limit (``processes.full``), a gauge of the team's own (``own``), or an INCONCLUSIVE score: HOLD and,
        INCONCLUSIVE apart, alert; at the deadline ROLLBACK by E or error lines. WITHDRAW if the score, INCONCLUSIVE,
        files, gauges or clients that left are all there is against it: a score is no test, how often it is wrong of a
        good release nobody can say, and nobody knows how answers that were left would have ended. So the canary's users
        are spared and the release is not blamed. What blames a release is within α together: E has nine tenths of it,
        error lines one (``logscore.least``).
        Bake time over, and too early to say whether memory or open files grow: HOLD until there is a slope, or growth
        was watched for ``EARLY`` seconds in this rollout; then it is left at that, and every verdict's reason says so.
    7.  Bake time over and every canary host answered for its health: PROMOTE. Otherwise HOLD; where only hosts that do
        not answer stand in the way, or a clock that stands, WITHDRAW at the deadline. Bake time is observed time: see
        ``observed``. Where hosts warmed up in this step, ``min_requests`` answers of warm hosts are needed as well.
        With ``promote: evidence`` counts may end the bake before its time (``noninferior``); all else is as at its end.
        While the gate of the next step (an approval, a window) is closed, PROMOTE says what is waited for and the step
        is not passed; at the deadline WITHDRAW. Once it is open, a person who promotes by hand ends a HOLD or a WATCH:
        PROMOTE, and the reason says what was overridden; no ROLLBACK and no WITHDRAW is.
        Where the policy asks for the error budget (``judge.budget``) a PROMOTE that would grow the rollout is a HOLD by
        rule 5 while too little of it is left, while it burns too fast, or while it cannot be read. The approval of the
        next step lets it grow, and the reason says so; no other verdict knows the budget.
        While somebody holds the rollout a PROMOTE is a HOLD that says who; at the deadline every HOLD is a WITHDRAW.

    Where the canary's users chose themselves (a step that only a header rule feeds), E is the test against the SLO
    while stable has traffic and keeps it. Without any stable traffic E stays what it was, and blames by that alone.
    """
    verdict = _within_budget(_judge(observation, policy, history), observation, policy, history)
    if told := say_aside(observation):
        verdict = replace(verdict, reason=f"{verdict.reason}; {told}")
    if history.promoted is not None and history.gate is None and verdict.kind in (Kind.HOLD, Kind.WATCH):
        overrode = f"promoted by {history.promoted} over {verdict.kind} by rule {verdict.rule}: {verdict.reason}"
        verdict = _verdict(Kind.PROMOTE, 7, overrode, history, verdict.cause)
    return _at_the_gate(verdict, history)


def _within_budget(verdict: Verdict, observation: Observation, policy: Policy, history: History) -> Verdict:
    """Rule 7's PROMOTE may be more than the error budget allows."""
    if verdict.kind is not Kind.PROMOTE or not (why := why_not(observation, policy)):
        return verdict
    if policy.health_only or history.approved is not None:
        by = "health-only" if policy.health_only else f"approved by {history.approved}"
        return replace(verdict, reason=f"{verdict.reason}; {by}, although {why}")
    return _hold_or_withdraw(5, f"{why}; {verdict.reason}", history, Cause.BUDGET)


def _judge(observation: Observation, policy: Policy, history: History) -> Verdict:
    """The rules without what people may add to rule 7."""
    if verdict := _by_hosts(observation, policy, history):  # rule 1
        return verdict
    if policy.health_only:
        return _bake(observation, history, "health-only: no router or no judge, hosts answered for themselves")
    if history.watch_since is None and (
        verdict := _host_gone(observation, policy, history) or _want_of_data(observation, policy, history)
    ):  # rule 2
        return verdict
    if verdict := _overwhelming(observation, policy, history):  # rule 3
        return verdict
    if _few(observation, policy) and history.watch_since is None:  # rule 2 let it pass: an approval, a first release
        why = say_despite_few(observation, policy, history)
        return _unread(observation, history) or _bake(observation, history, why)
    return (
        _silence(observation, policy, history)  # rule 2
        or _slo_break(observation, policy, history)  # rules 4 and 5
        or _doubts(observation, policy, history)  # rule 6
        or _unread(observation, history)  # rule 2
        or _cold(observation, policy, history)  # rule 7
        or _by_evidence(observation, policy, history)  # rule 7
        or _too_early(observation, history)  # rule 6
        or _bake(observation, history, say_good(observation, policy) + say_uses(observation))  # rule 7
    )


def _verdict(kind: Kind, rule: int, reason: str, history: History, cause: Cause) -> Verdict:
    quiet = kind in (Kind.PROMOTE, Kind.HOLD) and rule != 5
    return Verdict(kind, rule, reason, history.now, alert=not quiet, cause=cause)


# --- rule 1


def _by_hosts(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    if failure := hard_failure(observation.hosts, policy):
        return _verdict(Kind.ROLLBACK, 1, failure, history, Cause.HOSTS)
    if others := elsewhere(observation.hosts):
        return _verdict(Kind.WITHDRAW, 1, say_elsewhere(others), history, Cause.ELSEWHERE)
    return None


# --- rule 2


def _few(observation: Observation, policy: Policy) -> bool:
    """Whether too little came to judge by; where clients leave before an attempt is one, enough came to say that."""
    few = observation.step_totals.canary_requests < policy.min_requests
    return few and not _leaving(observation, policy)


def _want_of_data(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    if observation.no_data is not None:
        return _hold_or_withdraw(2, f"no data: {observation.no_data}", history, Cause.NO_DATA)
    if history.approved is not None:
        return None
    if not _few(observation, policy):
        return None
    totals = observation.step_totals
    if policy.first and not totals.canary_errors:
        return None
    few = f"{totals.canary_requests} requests on the canary in this step, {policy.min_requests} are needed"
    reason = f"too few to judge by: {few}{say_left(observation, policy)}"
    if not totals.canary_requests and totals.stable_requests >= policy.min_requests:
        reason += f"; stable had {totals.stable_requests}: `gopub route explain` says why a request goes there"
    return _hold_or_withdraw(2, reason, history, Cause.FEW)


def _host_gone(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    """The canary's hosts are dead or cut off: its users must not pay for it, and the release is not blamed."""
    if _overwhelming(observation, policy, history):
        return None
    ours = {host.host: host for host in observation.aside if host.canary}
    for host in ours.values():
        if host.silent >= GONE and host.silent_errors >= max(FAILED, FAILED_SHARE * host.silent_attempts):
            text = f"{host.host} has not answered for {say_about(host.silent)} and its users suffer"
            return _verdict(Kind.WITHDRAW, 2, text, history, Cause.HOST_GONE)
    deaths = [ours[host.host].deaths if host.host in ours else 0 for host in observation.hosts]
    if min(deaths, default=0) and sum(deaths) >= DEATHS and sum(deaths) / len(deaths) > _stable_deaths(observation):
        text = "every canary host went down since it runs the release, more often than stable's"
        return _verdict(Kind.WITHDRAW, 2, text, history, Cause.DEATHS)
    if text := killed(observation):
        return _verdict(Kind.WITHDRAW, 2, text, history, Cause.KILLED)
    return None


def _stable_deaths(observation: Observation) -> float:
    """Per host; one that is gone now counts as one that died."""
    stable = observation.recent.stable if observation.recent else None
    dead = sum(host.deaths or (host.silent >= GONE) for host in observation.aside if not host.canary)
    return dead / max(1, len(stable.hosts) if stable else 0)


def _unread(observation: Observation, history: History) -> Verdict | None:
    """A metric of the team's own without figures; what can be known of the canary without it was asked before."""
    return _hold_or_withdraw(2, found, history, Cause.UNREAD) if (found := unread(observation)) else None


def _silence(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    idle = observation.idle
    if history.watch_since is not None or history.approved is not None or policy.first:
        return None
    if idle is not None and idle <= policy.quiet:
        return None
    since = "yet in this driver's life" if idle is None else f"for {say_about(idle)}"
    return _hold_or_withdraw(2, f"no request on the canary {since}: the figures are old", history, Cause.QUIET)


def _hold_or_withdraw(rule: int, reason: str, history: History, cause: Cause, *, hold: Kind = Kind.HOLD) -> Verdict:
    if history.now >= history.deadline:
        return _verdict(Kind.WITHDRAW, rule, f"{reason}; the deadline is over", history, cause)
    return _verdict(hold, rule, reason, history, cause)


# --- rule 3


def _overwhelming(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    if observation.no_data is not None or observation.evidence.log_e < math.log(OVERWHELMING / policy.alpha):
        return None
    mark = f"{OVERWHELMING:g}/α = {OVERWHELMING / policy.alpha:.4g}"
    why = f"{say_worse(observation)}: {say_e(observation)}, at least {mark}; {say_logs(observation)}"
    return _verdict(Kind.ROLLBACK, 3, why, history, Cause.SURE)


# --- rules 4 and 5


def _slo_break(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    stable_broken = bool(observation.slo_stable and observation.slo_stable.broken)
    if history.watch_since is not None and not stable_broken and not _recovered(observation):
        return _watched(observation, policy, history, history.watch_since)
    if observation.no_data is not None:  # a watch ended with the data
        return _hold_or_withdraw(2, f"no data: {observation.no_data}", history, Cause.NO_DATA)
    if not observation.slo_canary.broken:
        return None
    if not stable_broken and observation.evidence.log_e >= math.log(1 / policy.alpha):
        return _watched(observation, policy, history, history.now)
    alone = observation.config.shares_alpha and not (observation.slo_stable and observation.slo_stable.requests)
    why = "stable breaks it, too" if stable_broken else f"{say_e(observation)}: too little to blame the canary"
    why = f"stable has no traffic beside it, so all may fail alike; {say_e(observation)}" if alone else why
    reason = f"the canary breaks the SLO ({say_break(observation)}); {why}; {say_logs(observation)}"
    return _hold_or_withdraw(5, reason, history, Cause.ALONE if alone else Cause.SLO_DOUBT)


def _recovered(observation: Observation) -> bool:
    """Whether the canary has shown, on enough requests, that it keeps the SLO again."""
    check = observation.slo_canary
    return observation.no_data is None and check.enough and not check.above


def _watched(observation: Observation, policy: Policy, history: History, since: float) -> Verdict:
    log, left = observation.log_score, since + policy.watch - history.now
    state = say_break(observation) or observation.no_data or "not shown to have recovered"
    reason = f"the canary breaks the SLO ({state}), stable does not; {say_e(observation)}"
    if log is not None and log.value >= policy.log_score:
        return _verdict(Kind.ROLLBACK, 4, f"{reason}; log score {log.value:.4g}", history, Cause.SLO_ALONE)
    watched = f"watched for {say_seconds(policy.watch)}; {say_logs(observation)}"
    if left <= 0:
        return _verdict(Kind.ROLLBACK, 4, f"{reason}; {watched}", history, Cause.SLO_ALONE)
    soon = f"{reason}; {say_logs(observation)}; rolls back in {say_about(left)}"
    return _verdict(Kind.WATCH, 4, soon, history, Cause.SLO_ALONE)


# --- rule 6


def _doubts(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    guilty, unblamed, score = _guilty(observation, policy), _unblamed(observation, policy), observation.score
    against = (*guilty.values(), *unblamed.values())
    if not against and score.value is None:
        reason = (
            f"nothing to score the canary by, score INCONCLUSIVE: {'; '.join(score.notes)}; {say_logs(observation)}"
        )
        return _hold_or_withdraw(6, f"{reason}{say_left(observation, policy)}", history, Cause.UNSCORED)
    if not against:
        return None
    said, cause = "; ".join((*against, say_logs(observation))), next(iter((*guilty, *unblamed)))
    if history.now >= history.deadline:
        blamed = guilty.keys() - ({Cause.SCORE} if observation.config.shares_alpha else set())
        kind = Kind.ROLLBACK if blamed else Kind.WITHDRAW
        return _verdict(kind, 6, f"{said}; the deadline is over", history, cause)
    return replace(_verdict(Kind.HOLD, 6, said, history, cause), alert=True)


def _guilty(observation: Observation, policy: Policy) -> dict[Cause, str]:
    """What was measured of the canary itself and stands against it."""
    score, log, guilty = observation.score, observation.log_score, dict[Cause, str]()
    if max(observation.evidence.log_e, observation.evidence.log_e_all) >= math.log(1 / policy.alpha):
        guilty[Cause.WORSE] = f"{say_worse(observation)}, without an SLO break: {say_e_all(observation)}"
    mark = max(policy.log_score, least(policy.alpha) if observation.config.shares_alpha else 0.0)
    if log is not None and log.value >= mark and observation.config.rules >= 2:
        guilty[Cause.LOGS] = say_lines(log, mark)
    if score.value is not None and score.value < policy.pass_score:
        guilty[Cause.SCORE] = say_score(observation, policy)
    return guilty


def _unblamed(observation: Observation, policy: Policy) -> dict[Cause, str]:
    """What holds a canary and never blames it."""
    left = "; ".join(_leaving(observation, policy))
    told = {Cause.SURGE: surging(observation), Cause.LEAVING: left, Cause.FULL: full(observation)}
    told |= {Cause.OWN: doubts(observation)}
    return {cause: text for cause, text in told.items() if text}


def _leaving(observation: Observation, policy: Policy) -> tuple[str, ...]:
    """That the canary's clients leave: what they did, not what the canary did."""
    left = observation.evidence.left
    if left is None or not is_sure(left, policy.alpha) or not goes_on(left, observation.recent):
        return ()
    return (say_leaving(left, policy),)


def _too_early(observation: Observation, history: History) -> Verdict | None:
    early = [dimension for dimension in observation.score.dimensions if dimension.early]
    left = EARLY - observation.watched
    if not early or left <= 0 or _left(history) > 0:
        return None
    said = "; ".join(f"{dimension.name}: {dimension.note}" for dimension in early)
    reason = f"too early to say whether the canary leaks ({said}); waits for another {say_about(left)} at most"
    return _hold_or_withdraw(6, f"{reason}; {say_logs(observation)}", history, Cause.LEAK)


# --- rule 7


def _cold(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    """Hosts warmed up in this step, and too few of their answers came afterwards to say how fast they are."""
    timed = observation.step_totals.canary_timed
    if not observation.warming.timed or timed >= policy.min_requests or history.approved is not None:
        return None
    few = f"{timed} answers of hosts that are warm, {policy.min_requests} are needed"
    return _hold_or_withdraw(7, f"too few to judge by: {few}; {say_good(observation, policy)}", history, Cause.COLD)


def _by_evidence(observation: Observation, policy: Policy, history: History) -> Verdict | None:
    """The bake ended by counts before its time; what else holds at its end holds then, too."""
    found = sooner(observation, policy, history) if _left(history) > 0 else ()
    if policy.promote is None or not found:
        return None
    over = replace(history, bake=history.baked)
    why = f"{say_sooner(found, policy.promote, history)}; {say_good(observation, policy)}"
    if verdict := _too_early(observation, over):
        return verdict
    ended = _bake(observation, over, why)
    return replace(ended, reason=why, cause=Cause.EVIDENCE) if ended.kind is Kind.PROMOTE else ended


def _left(history: History) -> float:
    return round(history.bake - history.baked, 3)


def _bake(observation: Observation, history: History, why: str) -> Verdict:
    left = _left(history)
    seen = "" if history.observed is None else f" ({say_about(history.observed)} observed)"
    if left > 0:
        seen = seen.replace(" observed", f" of {say_seconds(history.bake)} observed")
        text = f"bakes for another {say_about(left)}{seen}"
        if history.stands:
            return _hold_or_withdraw(7, f"{text}; its clock stands: {history.stands}; {why}", history, Cause.BAKES)
        return _verdict(Kind.HOLD, 7, f"{text}; {why}", history, Cause.BAKES)
    silent = [host.host for host in observation.hosts if not host.reachable]
    if silent or not observation.hosts:
        unheard = f"no answer about the health of {', '.join(silent) or 'any host'}"
        return _hold_or_withdraw(7, unheard, history, Cause.SILENT)
    return _verdict(Kind.PROMOTE, 7, f"baked for {say_seconds(history.bake)}{seen}; {why}", history, Cause.GOOD)


def _at_the_gate(verdict: Verdict, history: History) -> Verdict:
    if history.held is not None and verdict.kind in (Kind.PROMOTE, Kind.HOLD):
        return _hold_or_withdraw(verdict.rule, f"{history.held}; {verdict.reason}", history, verdict.cause)
    if verdict.kind is not Kind.PROMOTE or history.gate is None:
        return verdict
    return _hold_or_withdraw(7, f"{history.gate}; {verdict.reason}", history, verdict.cause, hold=Kind.PROMOTE)
