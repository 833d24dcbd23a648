"""What a verdict says in Chinese: one sentence with its figures, as ``sentence`` says it in English. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gopub.health.endpoints import loudest
from gopub.health.evidence import MetricEvidence
from gopub.health.score import Dimension
from gopub.judge.budget import why_not
from gopub.judge.hosts import elsewhere
from gopub.judge.own import doubts, unread
from gopub.judge.verdict import Cause, Kind, VerdictRecord
from gopub.units import say_about
from gopub.views.amounts import clock, count, percent, short, took
from gopub.views.sentence import BENIGN, not_yet, specific, waits_for_leak, watched_for
from gopub.views.unwell import filled, kills, unwell
from gopub.views.wording_zh import CAUSES, KINDS

_NAMED = 3


def sentence_zh(record: VerdictRecord) -> str:
    """What happened, with its figures, and what gopub does."""
    cause, history = record.verdict.cause, record.history
    figures = _FIGURES.get(cause)
    seen = figures(record) if figures else ""
    told = f"{'边缘的首次计数还未到' if not_yet(record) else CAUSES[cause]}{f'（{seen}）' if seen else ''}"
    if record.verdict.kind is Kind.PROMOTE and cause not in (Cause.GOOD, Cause.EVIDENCE, Cause.UNSAID):
        return f"由人工通过（{history.promoted}）；此前：{told}"
    if (waits := history.held or history.gate) and record.verdict.kind in (Kind.HOLD, Kind.WITHDRAW):
        told = f"{'由人暂停' if history.held else '等待放行'}（{waits}）；{told}"
    return f"{told}：{_does(record)}"


def _does(record: VerdictRecord) -> str:
    verdict, history = record.verdict, record.history
    done = KINDS[verdict.kind]
    late = "（期限已到）" if history.now >= history.deadline else ""
    if verdict.kind is Kind.HOLD:
        return _holds(record)
    if verdict.kind is Kind.WATCH:
        return f"{done}，{say_about(watched_for(record))} 内不恢复则退回"
    if verdict.kind is Kind.WITHDRAW:
        return f"{done}{late}，不归咎于此版本"
    if verdict.kind is Kind.PROMOTE and history.gate:
        return f"等待放行（{history.gate}），到 {clock(history.deadline, history.now)} 仍未放行则退回"
    return f"{done}{late if verdict.kind is Kind.ROLLBACK and verdict.rule == 6 else ''}"


def _holds(record: VerdictRecord) -> str:
    cause, history = record.verdict.cause, record.history
    until = clock(history.deadline, history.now)
    if history.held is not None:
        return f"不再推进，直到 `gopub resume`；到 {until} 仍未恢复则退回"
    if cause is Cause.BAKES and not history.stands:
        return f"还需观察 {say_about(history.bake - history.baked)}"
    if cause is Cause.LEAK:
        return f"最多再等 {say_about(waits_for_leak(record))}"
    return f"等待，最迟到 {until}" if cause in BENIGN else f"不再推进，到 {until} 仍未好转则退回"


def _names(hosts: Sequence[str]) -> str:
    return "、".join(hosts) if len(hosts) <= _NAMED else f"{'、'.join(hosts[:_NAMED])} 等 {len(hosts)} 台"


def _metric(found: MetricEvidence, did: str) -> str:
    ours = _of("金丝雀", found.canary_bad, found.canary_exposed, did)
    return f"{ours}；{_of('稳定版', found.stable_bad, found.stable_exposed, did)}"


def _of(whose: str, bad: int, of: int, did: str) -> str:
    if of <= 0:
        return f"{whose}没有流量"
    share = f"，{percent(bad / of)}" if bad else ""
    return f"{whose} {count(of)} 个应答中 {count(bad)} 个{did}{share}".lstrip()


def _worse(record: VerdictRecord) -> str:
    evidence = record.observation.evidence
    if one := loudest(evidence):
        slow = one.slow if one.slow and one.slow.log_e > one.errors.log_e else None
        target = took(record.observation.config.slo.latency_p95 or 0.0)
        return f"{one.endpoint}：{_metric(slow or one.errors, f'超过 {target}' if slow else '失败')}"
    told = [one for one in evidence.metrics if one.canary_exposed]
    worst = max(told, key=lambda one: one.log_e, default=None)
    if worst is None:
        return ""
    if worst.name in {one.name for one in record.observation.config.own}:
        both = ("金丝雀", worst.canary_bad, worst.canary_exposed), ("稳定版", worst.stable_bad, worst.stable_exposed)
        said = [f"{whose} {count(of)} 次中 {count(bad)} 次，{percent(bad / max(1, of))}" for whose, bad, of in both]
        return f"{worst.name}：{'；'.join(said)}"
    bound = evidence.slow_above if worst.name == "slow" else evidence.late_above
    if evidence.basis == "slo":
        return f"{_of('金丝雀', worst.canary_bad, worst.canary_exposed, '失败')}，多于 SLO 所允许"
    return _metric(worst, "失败" if worst.name == "errors" else f"超过 {took(bound or 0.0)}")


def _broken(record: VerdictRecord) -> str:
    check, slo = record.observation.slo_canary, record.observation.config.slo
    said = []
    if "error_rate" in check.above:
        allowed = f"，SLO 允许 {percent(slo.error_rate)}" if slo.error_rate is not None else ""
        canary = record.observation.recent.canary if record.observation.recent else None
        bad = canary.errors if canary else round((check.error_rate or 0.0) * check.requests)
        said.append(f"{_of('', bad, check.requests, '失败')}{allowed}")
    if "latency_p95" in check.above:
        allowed = f"，SLO 允许 {took(slo.latency_p95)}" if slo.latency_p95 is not None else ""
        said.append(f"5 % 的应答耗时 {took(check.p95 or 0.0)} 以上{allowed}")
    return "；".join(said)


def _few(record: VerdictRecord) -> str:
    totals = record.observation.step_totals
    return f"至今 {count(totals.canary_requests)} 个，需要 {count(record.policy.min_requests)} 个"


def _cold(record: VerdictRecord) -> str:
    timed = record.observation.step_totals.canary_timed
    return f"至今 {count(timed)} 个，需要 {count(record.policy.min_requests)} 个"


def _well(record: VerdictRecord) -> str:
    totals, history = record.observation.step_totals, record.history
    baked = f"已观察 {say_about(history.baked)}，共需 {say_about(history.bake)}"
    baked += f"，计时停住：{history.stands}" if history.stands else ""
    if record.policy.health_only:
        return f"主机自报正常，没有计数；{baked}"
    if not totals.canary_requests:
        return f"主机正常，这一步还没有请求到达；{baked}"
    return f"{_of('', totals.canary_errors, totals.canary_requests, '失败')}；{baked}"


def _logs(record: VerdictRecord) -> str:
    log = record.observation.log_score
    counted = [one for one in log.classes if one.counted] if log else []
    loud = max(counted, key=lambda one: (specific(one.name), one.canary), default=None)
    if log is None or loud is None:
        return ""
    ours, theirs = count(log.canary_requests), count(log.stable_requests)
    canary, stable = (f"{of} 个请求中 {count(n)} 次" for of, n in ((ours, loud.canary), (theirs, loud.stable)))
    return f"{short(loud.name)}：金丝雀 {canary}，稳定版 {stable}"


def _score(record: VerdictRecord) -> str:
    score, least = record.observation.score, record.policy.pass_score
    low = [one for one in score.dimensions if one.value is not None]
    worst = min(low, key=lambda one: one.value or 0.0, default=None)
    told = f"{min(score.value or 0.0, least - 0.1):.3g}，需要 {least:g}"
    return f"{_part(worst)}；评分 {told}" if worst else told


def _part(worst: Dimension) -> str:
    measured = worst.measured or 0.0
    if worst.name == "latency":
        good = f"，{took(worst.target)} 才算好" if worst.target is not None else ""
        return f"5 % 的应答耗时 {took(measured)} 以上{good}"
    if worst.name == "errors":
        return f"{percent(measured)} 的应答失败"
    if worst.name == "memory_growth":
        files = "open files" in worst.note
        return f"打开的文件每分钟增加 {measured:.3g} 个" if files else f"内存每分钟增长 {measured:.3g} MiB"
    return "垃圾回收停顿太久"


def _leaving(record: VerdictRecord) -> str:
    left = record.observation.evidence.left
    return _metric(left, "被客户端中途放弃") if left else ""


def _gone(record: VerdictRecord) -> str:
    ours = [host for host in record.observation.aside if host.canary and host.silent]
    worst = max(ours, key=lambda host: host.silent, default=None)
    if worst is None:
        return ""
    bad, of = count(worst.silent_errors), count(worst.silent_attempts)
    return f"{worst.host} 已 {say_about(worst.silent)} 没有回应，其间 {of} 个请求中 {bad} 个失败"


def _hosts(record: VerdictRecord) -> str:
    return _names([host.host for host in unwell(record)])


def _silent(record: VerdictRecord) -> str:
    return _names([host.host for host in record.observation.hosts if not host.reachable])


def _no_data(record: VerdictRecord) -> str:
    return "" if not_yet(record) else short(record.observation.no_data or "")


def _killed(record: VerdictRecord) -> str:
    return "、".join(f"{name} {number} 次" for name, number in kills(record).items())


def _full(record: VerdictRecord) -> str:
    return "、".join(f"{name} 已打开 {has}，上限 {may}" for name, (has, may) in filled(record).items())


def _quiet(record: VerdictRecord) -> str:
    idle = record.observation.idle
    return "" if idle is None else f"已 {say_about(idle)}"


_FIGURES: Mapping[Cause, Callable[[VerdictRecord], str]] = {
    Cause.UNSAID: lambda record: record.verdict.reason,
    Cause.HOSTS: _hosts,
    Cause.ELSEWHERE: lambda record: _names(list(elsewhere(record.observation.hosts))),
    Cause.NO_DATA: _no_data,
    Cause.FEW: _few,
    Cause.HOST_GONE: _gone,
    Cause.KILLED: _killed,
    Cause.FULL: _full,
    Cause.BUDGET: lambda record: why_not(record.observation, record.policy),
    Cause.QUIET: _quiet,
    Cause.SURE: _worse,
    Cause.SLO_ALONE: _broken,
    Cause.SLO_DOUBT: _broken,
    Cause.ALONE: _broken,
    Cause.WORSE: _worse,
    Cause.LOGS: _logs,
    Cause.SCORE: _score,
    Cause.LEAVING: _leaving,
    Cause.COLD: _cold,
    Cause.BAKES: _well,
    Cause.GOOD: _well,
    Cause.EVIDENCE: _well,
    Cause.SILENT: _silent,
    Cause.OWN: lambda record: short(doubts(record.observation)),
    Cause.UNREAD: lambda record: short(unread(record.observation)),
}
"""The figures of each cause; of one that has none its words stand alone."""
