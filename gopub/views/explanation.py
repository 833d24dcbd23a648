"""A rollout's journal as text: who asked, what was admitted, what was seen, which rule fired. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from gopub.canon import Json
from gopub.journal import events as ev
from gopub.journal.events import encode
from gopub.journal.store import Entry
from gopub.telemetry import one_line
from gopub.views.events import tell

Tree = Mapping[str, Json]


def explanation(entries: Sequence[Entry]) -> list[str]:
    """The lines that `gopub explain` prints; what others wrote adds no line and no control character of its own."""
    lines: list[str] = []
    for entry in entries:
        told = tell(entry.event)
        if told:
            lines.append(f"{entry.when}  {told}")
        lines += [f"    {detail}" for detail in _details(entry.event)]
    if entries:
        lines.append(f"trace {entries[0].trace or '-'}; {len(entries)} entries, last hash {entries[-1].hash[:16]}")
    return [one_line(line) for line in lines]


def explanation_json(entries: Sequence[Entry]) -> Json:
    """The same as one JSON document, with every entry in full."""
    shown: list[Json] = []
    for entry in entries:
        kind, data = encode(entry.event)
        shown.append({"at": entry.when, "version": entry.version, "type": kind, "actor": entry.actor,
                      "data": data, "hash": entry.hash})  # fmt: skip
    return {"schema_version": 1, "trace": entries[0].trace if entries else "", "entries": shown}


def _details(event: ev.Event) -> list[str]:
    match event:
        case ev.Opened():
            asked = f" because {event.reason}" if event.reason else ""
            return [f"release {event.release}{asked}"]
        case ev.Admitted(checks=checks):
            return [f"{check}" for check in checks]
        case ev.Planned(plan=plan):
            return [f"stable: {plan.stable.version if plan.stable else 'none (first release)'}", *plan.notes]
        case ev.HostSwitched(values=values) if values.get("unit.exe_digest"):
            return [f"process {values.get('unit.main_pid')} runs sha256:{values['unit.exe_digest']}"]
        case ev.Judged(record=kept):
            return _verdict(cast("Tree", kept.get("record") or {}))
        case _:
            return []


def _verdict(record: Tree) -> list[str]:
    seen = cast("Tree", record.get("observation") or {})
    if not seen:
        return []
    totals = cast("Tree", seen.get("rollout_totals") or {})
    score = cast("Tree", seen.get("score") or {})
    evidence = cast("Tree", seen.get("evidence") or {})
    canary = f"canary {totals.get('canary_errors')} errors in {totals.get('canary_requests')} requests"
    lines = [
        f"{canary}, stable {totals.get('stable_errors')} in {totals.get('stable_requests')}",
        f"score {_number(score.get('value'))}; evidence E {_number(evidence.get('e_value'))}"
        + (f"; no data: {seen['no_data']}" if seen.get("no_data") else ""),
    ]
    lines.append(_logs(seen))
    queries = cast("Sequence[Tree]", seen.get("queries") or ())
    asked = (f"asked: {one.get('text')} → {one.get('series')} series, digest {one.get('answer')}" for one in queries)
    return [*lines, *asked]


def _logs(seen: Tree) -> str:
    """The log score and the error lines that speak loudest; or why there is none."""
    found, note = cast("Tree | None", seen.get("log_score")), seen.get("log_note")
    if found is None:
        return f"no log score: {note or 'logs were not read'}"
    classes = cast("Sequence[Tree]", found.get("classes") or ())
    loud = [f"{c.get('name')!r} {c.get('canary')} against {c.get('stable')}" for c in classes if c.get("counted")]
    requests = f"{found.get('canary_requests')} requests against {found.get('stable_requests')}"
    said = (f"log score {_number(found.get('value'))} over {requests}", *loud[:3], *((f"{note}",) if note else ()))
    return "; ".join(said)


def _number(value: Json) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value or "-")
