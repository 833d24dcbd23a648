"""What another policy would have decided of a rollout, from the looks that the journal kept. Pure.

Each kept look is judged again from its counts, as ``replay`` does, with the other policy's marks, SLO and weights; a
watch lasts as long as that policy says. The evidence before each look is the kept one, so a look that was not kept is
missed as an instant and not as evidence. What people said (an approval, a hold) stands as it was.

Where the policy would have gone on watching when the rollout went on or ended, nobody knows what it would have seen:
``censored``. Counts of slow answers were taken above the SLO of their time; the SLO itself is held against quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gopub.health.config import DIMENSIONS, BudgetTarget, JudgeConfig, OwnTarget, PromoteTarget, ScoreWeights, SloTarget
from gopub.health.logscore import again_from
from gopub.health.observation import Observation, conclude
from gopub.judge.decision import decide
from gopub.judge.verdict import History, Kind, Policy, Verdict, VerdictRecord
from gopub.spec.budget import BudgetSpec, PromoteSpec
from gopub.spec.models import Judge

CENSORED = "censored"
_BACK = (Kind.ROLLBACK, Kind.WITHDRAW)


@dataclass(frozen=True, slots=True)
class Decided:
    """What the policy would have done in the end: PROMOTE, ROLLBACK, WITHDRAW or ``censored``, when, and why.

    ``after`` is seconds since the first kept look; ``step`` counts from 0; ``looks`` is how many were judged.
    """

    what: str
    step: int = 0
    after: float = 0.0
    rule: int = 0
    reason: str = ""
    looks: int = 0


def under(config: JudgeConfig, judge: Judge) -> JudgeConfig:
    """The configuration with what this ``judge`` part of a spec says."""
    score = judge.score
    declared = tuple(name for name in DIMENSIONS if name in score.model_fields_set)
    weights = (score.latency, score.errors, score.gc_pause, score.memory_growth)
    return replace(
        config,
        slo=SloTarget(judge.slo.latency_p95, judge.slo.error_rate),
        score=ScoreWeights(*weights, score.profile, declared),
        pass_score=score.pass_,
        min_requests=judge.min_requests,
        alpha=judge.alpha,
        log_score=judge.rollback.log_score,
        logs_profile=judge.logs_profile,
        watch=judge.rollback.watch,
        budget=_budget(judge.budget),
        promote=_promote(judge.promote),
        own=tuple(
            OwnTarget(one.name, one.kind, one.query, one.per, one.direction, one.margin, one.required)
            for one in judge.metrics
        ),
    )


def _promote(spec: PromoteSpec) -> PromoteTarget | None:
    return PromoteTarget(spec.margin, spec.beta, spec.observed) if spec.by == "evidence" else None


def _budget(spec: BudgetSpec) -> BudgetTarget | None:
    if spec.freeze_below is None and spec.burn == "ignore":
        return None
    return BudgetTarget(spec.freeze_below, spec.burn, spec.window, spec.query)


def backtest(records: Sequence[VerdictRecord], judge: Judge, steps: int, ended: str = "") -> Decided:
    """What ``judge`` would have decided, where ``records`` are a rollout's kept looks in order.

    Args:
        records: in order of time.
        judge: the other policy.
        steps: how many steps the rollout had.
        ended: how it ended, for people.
    """

    def says(record: VerdictRecord, since: float | None) -> Verdict:
        config = under(record.observation.config, judge)
        return decide_as(record.observation, record.policy, record.history, config, since, steps)

    return _walked(records, says, steps, ended)


def shadowed(records: Sequence[VerdictRecord], steps: int, ended: str = "") -> Decided:
    """The same of the policy that rode along, by what it said then."""
    kept = [record for record in records if record.shadow]
    if not kept:
        return Decided(CENSORED, reason="no shadow policy rode along")
    return _walked(
        kept, lambda record, _since: record.shadow.verdict if record.shadow else record.verdict, steps, ended
    )


def _walked(
    records: Sequence[VerdictRecord], says: Callable[[VerdictRecord, float | None], Verdict], steps: int, ended: str
) -> Decided:
    since, passed, looks = None, -1, 0
    last: Decided | None = None
    for record in records:
        step = record.observation.step
        if step <= passed:  # the policy was done with this step already
            continue
        if step > passed + 1 and last is not None:
            return replace(last, what=CENSORED, reason=f"the rollout went on while it said {last.reason}")
        looks += 1
        verdict = says(record, since)
        since = replace(record.history, watch_since=since).after(verdict).watch_since
        last = Decided(
            verdict.kind.value, step, record.history.now - records[0].history.now, verdict.rule, _says(verdict), looks
        )
        if verdict.kind in _BACK:
            return last
        if verdict.kind is Kind.PROMOTE and record.history.gate is None:
            passed, since = step, None
    if last is None:
        return Decided(CENSORED, reason="no look of it was kept")
    if steps < 1:
        return replace(last, what=CENSORED, reason="its plan is not in the journal")
    if passed >= steps - 1:
        return last
    end = f"ended ({ended})" if ended else "is under way"
    return replace(last, what=CENSORED, reason=f"the rollout {end} while it said {last.reason}")


def decide_as(
    seen: Observation, acting: Policy, history: History, config: JudgeConfig, since: float | None, steps: int
) -> Verdict:
    """The verdict of the policy of ``config`` on one look that ``acting`` was drawn from.

    Args:
        seen: what was observed.
        acting: the policy that it was observed for.
        history: of that time.
        config: the other policy's.
        since: when the other policy's watch began, if one lasts.
        steps: how many the rollout has.
    """
    found = conclude(
        config, seen.recent, seen.scored, seen.windows, seen.before, compare=seen.compare, step=seen.step, own=seen.own
    )
    again = replace(
        seen,
        config=config,
        slo_canary=found.slo_canary,
        slo_stable=found.slo_stable,
        score=found.score,
        evidence=found.evidence,
        log_score=again_from(seen.log_score) if seen.log_score else None,
    )
    policy = replace(
        Policy.at_step(config, seen.step, steps, compare=acting.compare, follow=acting.brakes),
        health_only=acting.health_only,
        max_restarts=acting.max_restarts,
    )
    if seen.spending is None:  # what was spent then was not read, so nobody knows
        policy = policy.of_the_end
    return decide(again, policy, replace(history, watch_since=since))


def _says(verdict: Verdict) -> str:
    return f"{verdict.kind} by rule {verdict.rule}: {verdict.reason}"
