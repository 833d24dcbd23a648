"""Verdicts as they come out, drawn by the rules themselves from observations that a reader can picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from gopub.health.aside import Aside, Warming
from gopub.health.burn import Spending, Spent
from gopub.health.config import BudgetTarget, JudgeConfig, OwnTarget, PromoteTarget, SloTarget
from gopub.health.evidence import Evidence, MetricEvidence
from gopub.health.logscore import LogClass, LogScore
from gopub.health.logsurge import Surge
from gopub.health.observation import Observation, Totals
from gopub.health.own import OwnLook, OwnTold
from gopub.health.samples import ProcessHealth
from gopub.health.score import Dimension, Score
from gopub.health.slo import SloCheck
from gopub.health.uses import ProcessUse
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.judge.replay import judge
from gopub.judge.verdict import History, Policy, VerdictRecord

NOON = 1_700_049_600.0
"""12:00 UTC."""
CONFIG = JudgeConfig("hello", "prod", "r-1", "c" * 12, "5" * 12, slo=SloTarget(0.2, 0.01))
POLICY = Policy()
HISTORY = History(NOON, NOON - 600, 600.0, NOON + 3600, observed=600.0)
GOOD = Observation(
    CONFIG, 0, NOON, True, (ProcessHealth("web3"),), idle=0.0,
    step_totals=Totals(846, 0, 2954, 0, 846), rollout_totals=Totals(846, 0, 2954, 0, 846),
    slo_canary=SloCheck(846, 0.0, 0.1, enough=True), slo_stable=SloCheck(2954, 0.0, 0.1, enough=True),
    score=Score(95.0), log_score=LogScore(0.0, 0.0, 846, 2954),
    evidence=Evidence(0.0, (MetricEvidence("errors", 0.0, 0, 846, 0, 2954, 1.0),), "stable"),
)  # fmt: skip


def drawn(history: Mapping[str, Any] | None = None, policy: Mapping[str, Any] | None = None, **seen: Any) -> Any:
    """What the rules say of the good canary with these changes; times of the history are seconds after noon."""
    return judge(replace(GOOD, **seen), replace(POLICY, **(policy or {})), replace(HISTORY, **(history or {})))


def evidence(e: float, *metrics: MetricEvidence, **more: Any) -> Evidence:
    """E, and the metrics that it comes from."""
    given = {"log_e_all": math.log(e), "slow_above": 0.2, "late_above": 0.1} | more
    return Evidence(math.log(e), metrics, **({"basis": "stable", "e_value": e} | given))


def metric(name: str, ours: tuple[int, int], stables: tuple[int, int], log_e: float = 1.0) -> MetricEvidence:
    """Counts of both tracks."""
    return MetricEvidence(name, log_e, *ours, *stables, 1.5)


def event(record: VerdictRecord, step: int = 0) -> ev.Judged:
    """As the journal keeps it."""
    verdict, kept = record.verdict, cast("Any", to_json(record))
    return ev.Judged(step, str(verdict.kind), verdict.rule, verdict.reason, {"record": kept, "observer": None})


FAILS = metric("errors", (19, 846), (0, 2954))
SLOW = metric("slow", (60, 500), (3, 2954))
ERRORS = SloCheck(846, 19 / 846, 0.1, above=("error_rate",), broken=("error_rate",), enough=True)
LATE = SloCheck(846, 0.0, 0.31, above=("latency_p95",), broken=("latency_p95",), enough=True)
BROKEN = SloCheck(2954, 0.02, 0.1, above=("error_rate",), broken=("error_rate",), enough=True)
LOUD = LogScore(
    0.99,
    9.0,
    846,
    2954,
    (
        LogClass("level:error", 9, 5, 5.0, True),
        LogClass("error:panic", 4, 0, 5.0, True),
        LogClass("template:quiet *", 9, 0, 1.0, False),
    ),
)
SURGING = LogScore(0.1, 2.0, 846, 2954, surge=Surge("template:lost *", 9.12, 31.4, 400.0, 2.2, 1200.0))
LOW = Score(48.6, (Dimension("latency", 40, 5.0, 0.31, 0.2), Dimension("errors", 40, 99.0, 0.0, 0.01)))
GROWS = Score(70.0, (Dimension("memory_growth", 15, 5.0, 3.25, 0.5),))
FILES = Score(70.0, (Dimension("memory_growth", 15, 5.0, 12.0, 0.5, "open files"),))
EARLY = Score(90.0, (Dimension("memory_growth", 15, None, note="30s of growth", early=True),))
GONE = Aside("web3", True, silent=40.0, silent_attempts=40, silent_errors=12, attempts=40, errors=12)
LEFT = metric("left", (180, 1380), (3, 4100), math.log(900))
OVER = {"now": NOON + 3600}
BAKING = {"observed": 11.0}
UNCOUNTED = "the edges have counted no answer of the canary release c so far"
SPENT: dict[str, Any] = {
    "config": replace(CONFIG, budget=BudgetTarget(0.2)),
    "spending": Spending(NOON, (Spent(30 * 86400.0, 100_000.0, 850.0),)),
}
QUEUE, LOST = OwnTarget("queue", "gauge", "q"), OwnTarget("lost", "ratio", "q", "p")
QUEUES = {
    "config": replace(CONFIG, own=(QUEUE,)),
    "own": OwnLook(told=(OwnTold("queue", canary={"web3": 40.0}, stable={"web1": 9.0, "web2": 11.0}),)),
}
UNKNOWN = {
    "config": replace(CONFIG, own=(LOST,)),
    "own": OwnLook(told=(OwnTold("lost", "it gives no series"),)),
}
FORMS: dict[str, VerdictRecord] = {
    "promoted": drawn(),
    "promoted, some failed": drawn(step_totals=Totals(50_000, 20, 0, 0, 50_000)),
    "baking": drawn(BAKING),
    "baking, nothing yet": drawn(BAKING | {"approved": "ann"}, step_totals=Totals()),
    "its clock stands": drawn(BAKING | {"stands": "no counts for 5m"}),
    "its clock stands at the deadline": drawn(BAKING | OVER | {"stands": "no counts for 5m"}),
    "health only": drawn(policy={"health_only": True}),
    "approved with few": drawn({"approved": "ann"}, step_totals=Totals(1, 0, 900, 0)),
    "error lines surge": drawn(BAKING, log_score=SURGING),
    "error lines surge at the deadline": drawn(BAKING | OVER, log_score=SURGING),
    "waits for an approval": drawn({"gate": "step 2 waits for the approval of ops"}),
    "no approval came": drawn({"gate": "step 2 waits for the approval of ops", **OVER}),
    "held by ann": drawn(BAKING | {"held": "held by ann since 11:00 UTC: lunch", "gate": "held by ann"}),
    "promoted by hand": drawn(BAKING | {"promoted": "ann: seen enough"}),
    "a host died": drawn(hosts=(ProcessHealth("web3", restarts=2, detail="exit code 2"),)),
    "a unit is down": drawn(hosts=(ProcessHealth("web1", active=False), ProcessHealth("web2", active=False))),
    "another binary": drawn(hosts=(ProcessHealth("web1", exe_ok=False), ProcessHealth("web2", probe_ok=False))),
    "somebody else switched": drawn(
        hosts=(ProcessHealth("web1", other="aaaaaaaaaaaa-111111111111"), ProcessHealth("web2", other=""))
    ),
    "a host is silent": drawn(hosts=(ProcessHealth("web3", reachable=False),)),
    "hosts are silent": drawn(OVER, hosts=tuple(ProcessHealth(f"web{n}", reachable=False) for n in range(1, 6))),
    "no host was asked": drawn(hosts=()),
    "Prometheus is down": drawn(no_data="Prometheus is not reached: connection refused"),
    "Prometheus stays down": drawn(OVER, no_data="Prometheus is not reached: connection refused"),
    "not counted yet": drawn({"step_started": NOON - 2}, no_data=UNCOUNTED,
                             unseen=15.0, rollout_totals=Totals()),
    "still not counted": drawn({"step_started": NOON - 70}, no_data=UNCOUNTED,
                               unseen=15.0, rollout_totals=Totals()),
    "few": drawn(step_totals=Totals(3, 0, 900, 0)),
    "none, stable has": drawn(step_totals=Totals(0, 0, 41_000, 0)),
    "none at all": drawn(OVER, step_totals=Totals()),
    "quiet": drawn(idle=125.0),
    "a canary host is gone": drawn(hosts=(ProcessHealth("web3", reachable=False),), aside=(GONE,)),
    "out of memory": drawn(hosts=(ProcessHealth("web3", use=ProcessUse(oom_kills=2, oom_limit=2)),)),
    "out of files": drawn(hosts=(ProcessHealth("web3", use=ProcessUse(descriptors=1000, descriptors_limit=1024)),)),
    "every canary host died": drawn(aside=(replace(GONE, deaths=3, silent=0.0),)),
    "errors, far beyond": drawn(evidence=evidence(2e4, FAILS)),
    "late, far beyond": drawn(evidence=evidence(2e4, SLOW)),
    "against the SLO alone": drawn(evidence=evidence(2e4, FAILS, basis="slo")),
    "watch": drawn(evidence=evidence(200, FAILS), slo_canary=ERRORS),
    "watch is over": drawn({"watch_since": NOON - 120}, evidence=evidence(200, FAILS), slo_canary=ERRORS),
    "watch, E fell": drawn({"watch_since": NOON - 20}, evidence=evidence(2, FAILS), slo_canary=ERRORS),
    "watch, no data": drawn({"watch_since": NOON - 20}, no_data="Prometheus is not reached"),
    "watch, too few to recover": drawn({"watch_since": NOON - 20}, slo_canary=SloCheck()),
    "SLO and logs": drawn(evidence=evidence(200, FAILS), slo_canary=ERRORS, log_score=LOUD),
    "SLO, late": drawn(evidence=evidence(200, SLOW), slo_canary=LATE),
    "SLO, above all buckets": drawn(evidence=evidence(2, SLOW), slo_canary=replace(LATE, saturated=True)),
    "breaks it alone": drawn(slo_canary=ERRORS, slo_stable=None),
    "breaks it alone until the deadline": drawn(OVER, slo_canary=LATE, slo_stable=SloCheck()),
    "both break": drawn(slo_canary=ERRORS, slo_stable=BROKEN),
    "both break until the deadline": drawn(OVER, slo_canary=ERRORS, slo_stable=BROKEN),
    "worse within the SLO": drawn(evidence=evidence(200, SLOW)),
    "worse at the deadline": drawn(OVER, evidence=evidence(200, SLOW)),
    "logs": drawn(log_score=LOUD),
    "logs, by a template": drawn(log_score=replace(LOUD, classes=(
        *LOUD.classes, LogClass("template:cannot charge *", 2, 1, 5.0, True)))),
    "logs, by a level": drawn(log_score=replace(LOUD, classes=LOUD.classes[:1])),
    "score, late": drawn(score=LOW),
    "score at the deadline": drawn(OVER, score=LOW),
    "score, memory": drawn(score=GROWS),
    "score, files": drawn(OVER, score=FILES),
    "no score": drawn(score=Score(None, notes=("gc_pause: not exposed",))),
    "warming up": drawn(score=Score(None, notes=("latency: no timed requests",)), warming=Warming(30, 20),
                        step_totals=Totals(60, 0, 2954, 0, 0)),
    "clients leave": drawn(evidence=replace(GOOD.evidence, left=LEFT)),
    "clients leave until the deadline": drawn(OVER, evidence=replace(GOOD.evidence, left=LEFT)),
    "too early for a leak": drawn(score=EARLY, watched=60.0),
    "by evidence": drawn({"bake": 1800.0, "observed": 240.0}, policy={"promote": PromoteTarget()},
                         step_totals=Totals(3000, 1, 27_000, 20, 3000, 2, 27_000, 10)),
    "budget": drawn(policy={"freeze_below": 0.2}, **SPENT),
    "budget until the deadline": drawn(OVER, policy={"freeze_below": 0.2}, **SPENT),
    "budget, approved": drawn({"approved": "ann"}, policy={"freeze_below": 0.2}, **SPENT),
    "own, a gauge": drawn(**QUEUES),
    "own, a gauge until the deadline": drawn(OVER, **QUEUES),
    "own, without figures": drawn(**UNKNOWN),
    "own, without figures until the deadline": drawn(OVER, **UNKNOWN),
    "own, counted": drawn(evidence=evidence(200, metric("lost", (19, 846), (9, 2954))), **UNKNOWN),
    "cold": drawn(warming=Warming(30, 20), step_totals=Totals(846, 0, 2954, 0, 12)),
}  # fmt: skip
"""Every way in which a verdict comes out, by a name for it."""
