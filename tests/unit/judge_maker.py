"""Observations as a reader of a case imagines them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gopub.health.config import RULES, JudgeConfig
from gopub.health.evidence import Evidence, MetricEvidence
from gopub.health.logscore import LogScore
from gopub.health.observation import Observation, Totals
from gopub.health.samples import ProcessHealth
from gopub.health.score import Dimension, Score
from gopub.health.slo import SloCheck
from gopub.judge.verdict import History, Policy

CONFIG = JudgeConfig("hello", "prod", "r-1", "c" * 12, "5" * 12)


def observation(case: Mapping[str, Any]) -> Observation:
    log_score = case["log_score"]
    return Observation(
        config=replace(CONFIG, rules=case.get("rules", RULES)),
        step=0,
        at=float(case["now"]),
        hosts=tuple(ProcessHealth(**host) for host in case["hosts"]),
        no_data=case["no_data"],
        idle=case["idle"],
        step_totals=Totals(case["requests"], case["failed"], 9000, 0),
        slo_canary=SloCheck(
            case["requests"],
            0.02,
            0.3,
            above=tuple(case["canary_above"]),
            broken=tuple(case["canary_broken"]),
            enough=case["enough"],
        ),
        slo_stable=SloCheck(case.get("stable_seen", 9000), 0.0, 0.1, broken=tuple(case["stable_broken"]), enough=True),
        watched=case.get("watched", 0.0),
        score=Score(case["score"], _early(case), () if case["score"] is not None else ("latency: no requests",)),
        evidence=Evidence(
            math.log(case["e"]),
            (MetricEvidence("errors", 0.0, 1, 10, 1, 10, 1.0),),
            "stable",
            e_value=case["e"],
            log_e_all=math.log(max(case["e"], case.get("late", 1.0))),
            e_all=max(case["e"], case.get("late", 1.0)),
            left=_left(case.get("left")),
        ),
        log_score=LogScore(log_score, 0.0, 1, 1) if log_score is not None else None,
    )


def _left(e: float | None) -> MetricEvidence | None:
    return None if e is None else MetricEvidence("left", math.log(e), 180, 1380, 3, 4100, 1.5)


def _early(case: Mapping[str, Any]) -> tuple[Dimension, ...]:
    note = case.get("early")
    return (Dimension("memory_growth", 15, None, note=note, early=True),) if note else ()


def policy(case: Mapping[str, Any]) -> Policy:
    return Policy(**case["policy"])


def history(case: Mapping[str, Any]) -> History:
    return History(
        now=float(case["now"]),
        step_started=0.0,
        bake=float(case["bake"]),
        deadline=float(case["deadline"]),
        watch_since=case["watch_since"],
        approved=case.get("approved"),
        promoted=case.get("promoted"),
        gate=case.get("gate"),
        observed=case.get("observed"),
        stands=case.get("stands", ""),
    )
