"""A verdict as people and programs are told: what was decided, by which rule, and the figures that it was drawn from.

What is kept with a verdict is JSON of this gopub or an older one: a figure that is missing there is None here. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.journal import events as ev
from gopub.judge.replay import record_from_json
from gopub.judge.verdict import VerdictRecord
from gopub.views.advice import advice
from gopub.views.amounts import names
from gopub.views.parts import parts_of
from gopub.views.sentence import not_yet, sentence

Tree = Mapping[str, Json]
_COUNTS = frozenset({"windows", "before", "scored", "queries"})


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked of the metrics, how many series answered, and the digest of the answer."""

    text: Json
    series: Json
    answer: Json


@dataclass(frozen=True, slots=True)
class LogView:
    """What the logs of both tracks score; ``loud`` are the classes of error lines that speak loudest."""

    value: Json
    canary_requests: Json
    stable_requests: Json
    loud: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a verdict was drawn from; ``counted`` is False where it was drawn without counting requests."""

    counted: bool
    canary_requests: Json
    canary_errors: Json
    stable_requests: Json
    stable_errors: Json
    score: Json
    e_value: Json
    no_data: str
    logs: LogView | None
    log_note: str
    queries: tuple[Query, ...]
    parts: tuple[str, ...] = ()
    """What the score is made of: each part with its measured value, its target and where that came from."""
    notes: tuple[str, ...] = ()
    """What a reader has to know of how it was counted: an edge that was restarted, monitoring that differs."""


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The verdict on a step, counted from 0; ``figures`` are None where nothing was observed for it.

    ``says`` is a sentence for people, ``proof`` the rule with E and φ, ``todo`` what to do next. Of a verdict of before
    causes were kept ``says`` is kind, rule and reason, and the others are empty.
    """

    step: int
    kind: str
    rule: int
    reason: str
    figures: Figures | None
    says: str = ""
    proof: str = ""
    todo: str = ""
    shadow: str = ""
    """What a policy said that rode along and acts on nothing; empty where none did."""
    matter: tuple[str, ...] = ()
    """What of it makes it another one than the verdict before; counts and times are no part of it."""

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is said, the sentence first."""
        return tuple(filter(None, (self.says, self.proof, self.todo and f"next: {self.todo}")))


def verdict_view(judged: ev.Judged, unpinned: Collection[str] = ()) -> VerdictView:
    """The verdict as it is told; ``unpinned`` are the plan's hosts that do not check who orders."""
    record = cast("Tree", judged.record.get("record") or {})
    seen = cast("Tree", record.get("observation") or {})
    figures = _figures(seen) if seen else None
    view = VerdictView(judged.step, judged.kind, judged.rule, judged.reason, figures, shadow=_shadow(record))
    plain = f"{judged.kind} by rule {judged.rule}: {judged.reason}"
    known = replace(view, says=plain, matter=(judged.kind, str(judged.rule)))
    if (whole := whole_of(judged)) is None:
        return known
    try:
        return replace(
            view, says=sentence(whole), proof=_proof(whole, unpinned), todo=advice(whole), matter=_matter(whole)
        )
    except (ArithmeticError, ValueError, OSError):  # a time or a count that no judge writes: it was changed
        return known


def _matter(record: VerdictRecord) -> tuple[str, ...]:
    verdict, history = record.verdict, record.history
    stands = "not yet" if not_yet(record) else "stands" if history.stands else ""
    return (str(verdict.kind), str(verdict.rule), str(verdict.cause), history.gate or history.held or "", stands)


def whole_of(judged: ev.Judged) -> VerdictRecord | None:
    """The record, where it can be read, is that of this verdict, and says by what it was drawn."""
    try:
        record = record_from_json(_without_counts(judged.record.get("record")))
    except UsageError:
        return None
    verdict = record.verdict
    same = (str(verdict.kind), verdict.rule, verdict.reason) == (judged.kind, judged.rule, judged.reason)
    return record if same and verdict.cause else None


def _without_counts(kept: Json) -> Json:
    """Without what no sentence needs: the counts of each host are most of a large fleet's record, and slow to read."""
    seen = kept.get("observation") if isinstance(kept, dict) else None
    if not isinstance(kept, dict) or not isinstance(seen, dict):
        return kept
    return {**kept, "observation": {name: value for name, value in seen.items() if name not in _COUNTS}}


def _proof(record: VerdictRecord, unpinned: Collection[str]) -> str:
    """The rule and its figures, and on which hosts nothing but SSH says who ordered: what the sentence leaves out."""
    verdict, hosts = record.verdict, [host.host for host in record.observation.hosts]
    loose = [name for name in hosts if name in unpinned]
    which = "" if len(loose) == len(hosts) else f"{names(loose)} "
    on = f", canary {names(hosts)}{f' ({which}unpinned)' if loose else ''}" if hosts else ""
    return f"{verdict.kind} by rule {verdict.rule}{on}: {verdict.reason}"


def because(judged: ev.Judged | None, reason: str) -> str:
    """Why a rollout turned around or ended, in the words of its verdict where it was a verdict; else as it is kept."""
    if judged is None or not reason or judged.reason != reason:
        return reason
    view = verdict_view(judged)
    return view.says if view.proof else reason


def number(value: Json, missing: str) -> str:
    """A figure to four digits; what is no figure as it stands, and ``missing`` for none."""
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value or missing)


def _figures(seen: Tree) -> Figures:
    totals, score, evidence = (_tree(seen, name) for name in ("rollout_totals", "score", "evidence"))
    queries = cast("Sequence[Tree]", seen.get("queries") or ())
    return Figures(
        counted=bool(totals),
        canary_requests=totals.get("canary_requests"),
        canary_errors=totals.get("canary_errors"),
        stable_requests=totals.get("stable_requests"),
        stable_errors=totals.get("stable_errors"),
        score=score.get("value"),
        e_value=evidence.get("e_value"),
        no_data=str(seen.get("no_data") or ""),
        logs=_logs(seen),
        log_note=str(seen.get("log_note") or ""),
        queries=tuple(Query(one.get("text"), one.get("series"), one.get("answer")) for one in queries),
        parts=parts_of(score),
        notes=tuple(str(note) for note in cast("Sequence[Json]", seen.get("notes") or ())),
    )


def _shadow(record: Tree) -> str:
    beside = record.get("shadow")
    said = beside.get("verdict") if isinstance(beside, Mapping) else None
    if not isinstance(said, Mapping):
        return ""
    return f"{said.get('kind')} by rule {said.get('rule')}: {said.get('reason')}"


def _logs(seen: Tree) -> LogView | None:
    found = cast("Tree | None", seen.get("log_score"))
    if found is None:
        return None
    classes = cast("Sequence[Tree]", found.get("classes") or ())
    loud = [f"{c.get('name')!r} {c.get('canary')} against {c.get('stable')}" for c in classes if c.get("counted")]
    return LogView(found.get("value"), found.get("canary_requests"), found.get("stable_requests"), tuple(loud[:3]))


def _tree(seen: Tree, name: str) -> Tree:
    return cast("Tree", seen.get(name) or {})
