"""Verdict records, and whether a record still gives the same verdict.

``python -m gopub.judge.replay`` writes the JSON Schemas anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from gopub.canon import Json, digest_of
from gopub.errors import UsageError
from gopub.health.logscore import again_from
from gopub.health.observation import Observation, conclude
from gopub.health.score import Score
from gopub.health.sequential import MetricState
from gopub.health.wire import from_json, schema_of, to_json
from gopub.judge.decision import decide
from gopub.judge.shadow import again as again_beside
from gopub.judge.sound import checked
from gopub.judge.verdict import SCHEMA, History, Policy, Verdict, VerdictRecord

_WORDS = 2
"""The first rules whose verdicts have the present words, and a digest."""


def judge(observation: Observation, policy: Policy, history: History) -> VerdictRecord:
    """Decide, and keep what was decided from."""
    return sealed(VerdictRecord(decide(observation, policy, history), observation, policy, history))


def sealed(record: VerdictRecord, memory: Json = None) -> VerdictRecord:
    """With the digest of all that the record holds, and of what the observer remembers beside it."""
    known = replace(record, memory="" if memory is None else digest_of(memory))
    return replace(known, digest=_digest(known))


def _digest(record: VerdictRecord) -> str:
    whole = _as_before(to_json(replace(record, digest="")))
    return digest_of(whole if record.observation.config.looks_at_left else _of_rules_2(whole))


_METRICS = ("errors", "slow", "late", "left")
_PROCESSES = ("versus_stable", "versus_slo")
_STEPWISE: tuple[tuple[tuple[str, ...], str, Json], ...] = (
    *(((metric, process), "at_step", None) for metric in _METRICS for process in _PROCESSES),
    *(((metric, process), "steps", 0) for metric in _METRICS for process in _PROCESSES),
    *(((metric, "spread"), "past", {}) for metric in _METRICS),
)
"""The same within the evidence; see ``config.STEPWISE``."""
_NEWER: tuple[tuple[tuple[str, ...], str, Json], ...] = (
    (("observation", "config"), "warmup_seen", False),
    (("observation", "warming"), "stable_timed", 0),
    (("observation", "warming"), "stable_slow", 0),
    (("observation",), "unseen", None),
    (("observation",), "beside", []),
    (("observation", "hosts"), "use", None),
    (("observation", "hosts"), "other", None),
    (("observation", "beside"), "other", None),
    (("verdict",), "cause", ""),
    (("observation", "config"), "budget", None),
    (("observation",), "spending", None),
    (("policy",), "freeze_below", None),
    (("policy",), "burn", "ignore"),
    ((), "shadow", None),
    (("shadow",), "spending", None),
    (("policy",), "promote", None),
    (("observation", "config"), "promote", None),
    (("observation", "config"), "own", []),
    (("shadow", "config"), "own", []),
    (("observation",), "own", None),
    *(
        (("observation", totals), name, 0)
        for totals in ("step_totals", "rollout_totals")
        for name in ("canary_slow", "stable_timed", "stable_slow")
    ),
    (("observation", "score", "dimensions"), "origin", ""),
    *((("observation", part), "endpoints", []) for part in ("config", "before", "evidence")),
    *(
        (("observation", *part, track), "endpoints", [])
        for part in (("windows",), ("recent",), ("scored",), ("before", "waiting"))
        for track in ("canary", "stable")
    ),
    *(
        (("observation", *part), "gathered", None)
        for part in (("windows",), ("recent",), ("before", "waiting"), ("before", "endpoints", "waiting"))
    ),
    (("observation", "scored", "runtime"), "stable_memory", None),
    (("observation", "scored", "runtime"), "stable_files", None),
    (("observation", "config"), "logs_profile", "default"),
    (("observation", "log_score"), "article", []),
    (("observation", "log_score"), "surge", None),
    *((("observation", "before", *place), name, default) for place, name, default in _STEPWISE),
)
"""Where a record has got fields since digests are kept, and what they are where nothing is said."""


def _as_before(document: Json) -> Json:
    """Without newer fields that say nothing, so that the digest of an older record is what it was."""
    for path, name, default in _NEWER:
        found: list[Json] = [document]
        for part in path:
            found = [inner for one in found if isinstance(one, dict) for inner in _each(one.get(part))]
        for one in found:
            if isinstance(one, dict) and name in one and one[name] == default:
                del one[name]
    return document


def _each(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _no_state() -> Json:
    """A metric's state that says nothing, as rules 3 wrote it."""
    state = to_json(MetricState())
    _as_before({"observation": {"before": {"left": state}}})
    return state


_NOTHING: dict[str, tuple[Json, ...]] = {"left": (0, None, _no_state()), "failed": ({},)}
"""What is new since rules 2 where it says nothing: on a host, in the evidence, in its state."""


def _of_rules_2(value: Json) -> Json:
    if isinstance(value, list):
        return [_of_rules_2(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _of_rules_2(item) for key, item in value.items() if item not in _NOTHING.get(key, ())}


def record_to_json(record: VerdictRecord) -> Json:
    """The form that goes into the journal (schemas/verdict.v1.json)."""
    return to_json(record)


def record_from_json(data: Json) -> VerdictRecord:
    """Read a record back: the door through which whatever was kept comes in.

    Raises:
        UsageError: GP601, it is none, or a figure in it is none that the judge could have had.
    """
    record = from_json(VerdictRecord, _dated(data), "verdict")
    if record.schema != SCHEMA:
        raise UsageError("GP601", f"verdict.schema: {record.schema!r} is not {SCHEMA}", hint="another version wrote it")
    return checked(record, "verdict")


def _dated(data: Json) -> Json:
    """A record that does not say by which rules it was judged is from before there were several."""
    seen = data.get("observation") if isinstance(data, dict) else None
    config = seen.get("config") if isinstance(seen, dict) else None
    if not isinstance(data, dict) or not isinstance(seen, dict) or not isinstance(config, dict) or "rules" in config:
        return data
    return {**data, "observation": {**seen, "config": {**config, "rules": 1}}}


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
    """Compute all that follows from the inputs in the record again, and compare; the digest covers the inputs.

    Of a record of the first rules, the verdict is compared without its words: the present ones are others.
    """
    seen = record.observation
    found = conclude(
        seen.config,
        seen.recent,
        seen.scored,
        seen.windows,
        seen.before,
        compare=seen.compare,
        step=seen.step,
        own=seen.own,
    )
    again = replace(
        seen,
        slo_canary=found.slo_canary,
        slo_stable=found.slo_stable,
        score=_as_told(found.score, seen.score),
        evidence=found.evidence,
        log_score=again_from(seen.log_score) if seen.log_score else None,
    )
    verdict = decide(again, record.policy, record.history)
    old = seen.config.rules < _WORDS
    if old:
        verdict = replace(verdict, reason=record.verdict.reason, alert=record.verdict.alert)
    if not record.verdict.cause:  # it is from before causes were kept; the digest holds that it was not taken away
        verdict = replace(verdict, cause=record.verdict.cause)
    pairs = (
        ("slo_canary", seen.slo_canary, again.slo_canary),
        ("slo_stable", seen.slo_stable, again.slo_stable),
        ("score", seen.score, again.score),
        ("evidence", seen.evidence, again.evidence),
        ("log_score", seen.log_score, again.log_score),
        ("verdict", record.verdict, verdict),
        ("shadow", record.shadow, record.shadow and again_beside(record.shadow, seen, record.policy, record.history)),
    )
    differences = [f"{name}: {a} is now {b}" for name, a, b in pairs if a != b]
    return Replay(verdict, (*differences, *_changed(record, old=old)))


def _as_told(found: Score, kept: Score) -> Score:
    """Without where targets came from, where the record is of before that was kept; its digest holds that it is."""
    if any(one.origin for one in kept.dimensions):
        return found
    return replace(found, dimensions=tuple(replace(one, origin="") for one in found.dimensions))


def _changed(record: VerdictRecord, *, old: bool) -> tuple[str, ...]:
    if old and not record.digest:
        return ()
    if not record.digest:
        return ("digest: the record has none",)
    if (found := _digest(record)) != record.digest:
        return (f"digest: {record.digest[:12]} is now {found[:12]}: something in the record was changed",)
    return ()


def surroundings(kept: Mapping[str, Json], record: VerdictRecord) -> tuple[str, ...]:
    """Where the journal's entry (``step``, ``kind``, ``rule``, ``reason``, ``record``) says other than its record."""
    verdict = record.verdict
    told: dict[str, Json] = {
        "step": record.observation.step, "kind": str(verdict.kind), "rule": verdict.rule, "reason": verdict.reason
    }  # fmt: skip
    if record.digest and "observed" in kept:
        told["observed"] = round(record.history.observed or 0.0, 3)
    found = [f"entry.{name}: {kept[name]} is now {value}" for name, value in told.items() if kept.get(name) != value]
    inner = kept.get("record")
    memory = inner.get("observer") if isinstance(inner, dict) else None
    if record.digest and record.memory != ("" if memory is None else digest_of(memory)):
        found.append("observer: what the observer remembered was changed")
    return tuple(found)


def main() -> None:
    """Write the schema files into gopub/schemas of this checkout."""
    folder = Path(str(files("gopub.schemas")))
    for name, made in schemas().items():
        (folder / name).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
