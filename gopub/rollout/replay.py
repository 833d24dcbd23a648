"""Verdict records, and whether a record still gives the same verdict.

``python -m gopub.rollout.replay`` writes the JSON Schemas anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.health.observation import Observation, conclude
from gopub.health.wire import from_json, schema_of, to_json
from gopub.rollout.decision import decide
from gopub.rollout.verdict import SCHEMA, History, Policy, Verdict, VerdictRecord


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
    record = from_json(VerdictRecord, data, "verdict")
    if record.schema != SCHEMA:
        raise UsageError("GP601", f"verdict.schema: {record.schema!r} is not {SCHEMA}", hint="another version wrote it")
    return record


def schemas() -> Mapping[str, Json]:
    """The schemas of what is written here by file name, made from the types."""
    return {
        "observation.v1.json": schema_of(Observation, "observation"),
        "verdict.v1.json": schema_of(VerdictRecord, "verdict"),
    }


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


def main() -> None:
    """Write the schema files into gopub/schemas of this checkout."""
    folder = Path(str(files("gopub.schemas")))
    for name, made in schemas().items():
        (folder / name).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
