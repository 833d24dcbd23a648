"""Verdict records, and whether a record still gives the same verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gopub.canon import Json
from gopub.health.observation import Observation, conclude
from gopub.health.wire import from_json, to_json
from gopub.rollout.decision import decide
from gopub.rollout.verdict import History, Policy, Verdict, VerdictRecord


def judge(observation: Observation, policy: Policy, history: History) -> VerdictRecord:
    """Decide, and keep what was decided from."""
    return VerdictRecord(decide(observation, policy, history), observation, policy, history)


def record_to_json(record: VerdictRecord) -> Json:
    """The form that goes into the journal (schemas/verdict.v1.json)."""
    return to_json(record)


def record_from_json(data: Json) -> VerdictRecord:
    """Read a record back.

    Raises:
        UsageError: GP601, it is none.
    """
    return from_json(VerdictRecord, data, "verdict")


@dataclass(frozen=True, slots=True)
class Replay:
    """What the kept inputs give now, and where it differs from what the record says."""

    verdict: Verdict
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def replay(record: VerdictRecord) -> Replay:
    """Compute SLO, score, evidence and verdict again from the counts in the record."""
    seen = record.observation
    found = conclude(seen.config, seen.recent, seen.scored, seen.windows, seen.before, compare=seen.compare)
    again = replace(
        seen,
        slo_canary=found.slo_canary,
        slo_stable=found.slo_stable,
        score=found.score,
        evidence=found.evidence,
    )
    verdict = decide(again, record.policy, record.history)
    pairs = (
        ("slo_canary", seen.slo_canary, again.slo_canary),
        ("slo_stable", seen.slo_stable, again.slo_stable),
        ("score", seen.score, again.score),
        ("evidence", seen.evidence, again.evidence),
        ("verdict", record.verdict, verdict),
    )
    return Replay(verdict, tuple(f"{name}: {a} is now {b}" for name, a, b in pairs if a != b))
