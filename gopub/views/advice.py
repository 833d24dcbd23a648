"""What whoever reads a verdict can do next: one line, by cause and kind; empty where there is nothing to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gopub.judge.own import settles
from gopub.judge.verdict import Cause, Kind, VerdictRecord
from gopub.views.amounts import names
from gopub.views.sentence import BENIGN, not_yet, warms_up
from gopub.views.unwell import unwell

_LOOK: Mapping[Cause, str] = {
    Cause.NO_DATA: "is Prometheus up, and does it scrape every edge",
    Cause.FEW: "does the canary get traffic: `gopub route explain` says where a request goes, and why",
    Cause.QUIET: "does the canary get traffic: `gopub route explain` says where a request goes, and why",
    Cause.SILENT: "are the canary's hosts up, and do they answer ssh",
    Cause.ELSEWHERE: "find out who switched it, another driver or a person, and whether it is still wanted",
    Cause.HOST_GONE: "mend or remove that host",
    Cause.DEATHS: "why do these hosts go down: out of memory, or the machines under them",
    Cause.KILLED: "what takes the memory: the release, or a neighbour on its hosts",
    Cause.FULL: "which files it holds: `ls -l /proc/PID/fd` on that host",
    Cause.SURGE: "read these lines on the canary's hosts: `gopub logs classes` lists what comes and how often",
    Cause.SLO_DOUBT: "look at what both tracks use: a database, a network, the edge itself",
    Cause.ALONE: "look at what the service uses: a database, a network, the edge itself",
    Cause.BUDGET: "see what spends the error budget",
    Cause.OWN: "look at that metric on the canary's hosts, or at its margin in gopub.yaml",
    Cause.UNREAD: "ask Prometheus the query that `gopub explain` shows; `required: false` goes on without the metric",
    Cause.UNSCORED: "does the service export what judge.score asks for",
}


def advice(record: VerdictRecord) -> str:
    """What to do next."""
    verdict, history = record.verdict, record.history
    look = _LOOK.get(verdict.cause, "") if _applies(record) else ""
    if verdict.kind is Kind.ROLLBACK:
        hosts = names([host.host for host in unwell(record) or record.observation.hosts])
        return f"mend the release (its logs are on {hosts or 'the canary hosts'}); until then it is quarantined"
    if verdict.kind is Kind.WITHDRAW:
        if verdict.cause is Cause.SCORE:
            return "mend what it fell short of, or the target in gopub.yaml; nothing is quarantined"
        return f"{look}; then roll the same release out again" if look else "roll the same release out again"
    if verdict.kind is Kind.PROMOTE:
        return "`gopub status` shows who or what opens the next step" if history.gate else ""
    if not_yet(record) or (verdict.cause in BENIGN and not look) or history.held is not None:
        return ""
    all_the_same = ", `gopub promote` goes on all the same" if verdict.cause is Cause.BUDGET else ""
    return (
        look
        if verdict.cause in BENIGN
        else f"{f'{look}; ' if look else ''}`gopub abort` takes it back now{all_the_same}"
    )


def _applies(record: VerdictRecord) -> bool:
    """Whether there is something to look at: not where answers come, hosts warm up or stable keeps the SLO."""
    seen, verdict = record.observation, record.verdict
    if verdict.cause is Cause.FEW and verdict.kind is Kind.HOLD:
        return not seen.step_totals.canary_requests
    if verdict.cause is Cause.UNSCORED and verdict.kind is Kind.HOLD:
        return not warms_up(record)
    if verdict.cause is Cause.UNREAD and verdict.kind is Kind.HOLD:
        return not settles(seen)
    return verdict.cause is not Cause.SLO_DOUBT or bool(seen.slo_stable and seen.slo_stable.broken)
