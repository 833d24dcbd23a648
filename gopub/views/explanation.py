"""A rollout's journal as text: who asked, what was admitted, what was seen, which rule fired. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gopub.canon import Json
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.events import encode
from gopub.telemetry import one_line
from gopub.views.events import tell
from gopub.views.verdict import Figures, LogView, number, verdict_view


def explanation(entries: Sequence[Entry]) -> list[str]:
    """The lines that `gopub explain` prints; what others wrote adds no line and no control character of its own."""
    lines: list[str] = []
    judged: ev.Judged | None = None
    unpinned: Collection[str] = ()
    for entry in entries:
        told = tell(entry.event, judged)
        judged = entry.event if isinstance(entry.event, ev.Judged) else judged
        unpinned = entry.event.plan.unpinned if isinstance(entry.event, ev.Planned) else unpinned
        if told:
            lines.append(f"{entry.when}  {told}")
        lines += [f"    {detail}" for detail in _details(entry.event, unpinned)]
    if entries:
        lines.append(f"trace {entries[0].trace or '-'}; {len(entries)} entries, last hash {entries[-1].hash[:16]}")
    return [one_line(line) for line in lines]


def explanation_json(entries: Sequence[Entry]) -> dict[str, Json]:
    """The same as one JSON document, with every entry in full."""
    shown: list[Json] = []
    for entry in entries:
        kind, data = encode(entry.event)
        shown.append({"at": entry.when, "version": entry.version, "type": kind, "actor": entry.actor,
                      "data": data, "hash": entry.hash})  # fmt: skip
    return {"schema_version": 1, "trace": entries[0].trace if entries else "", "entries": shown}


def _details(event: ev.Event, unpinned: Collection[str]) -> list[str]:
    match event:
        case ev.Opened():
            asked = f" because {event.reason}" if event.reason else ""
            return [f"release {event.release}{asked}"]
        case ev.Admitted(checks=checks, statements=statements, unstated=unstated):
            stated = [f"stated for {one.target} at {one.level} until {one.expires}: {one.place}" for one in statements]
            return [*checks, *stated, *([f"nothing was stated: {unstated}"] if unstated else [])]
        case ev.Planned(plan=plan):
            return [f"stable: {plan.stable.version if plan.stable else 'none (first release)'}", *plan.notes]
        case ev.HostSwitched(values=values) if values.get("unit.exe_digest"):
            return [f"process {values.get('unit.main_pid')} runs sha256:{values['unit.exe_digest']}"]
        case ev.Judged():
            view = verdict_view(event, unpinned)
            beside = [f"shadow policy, which acts on nothing: {view.shadow}"] if view.shadow else []
            return [*view.lines[1:], *beside, *_verdict(view.figures)]
        case _:
            return []


def _verdict(figures: Figures | None) -> list[str]:
    if figures is None:
        return []
    canary = f"canary {figures.canary_errors} errors in {figures.canary_requests} requests"
    asked = (f"asked: {one.text} → {one.series} series, digest {one.answer}" for one in figures.queries)
    return [
        f"{canary}, stable {figures.stable_errors} in {figures.stable_requests}",
        f"score {number(figures.score, '-')}; evidence E {number(figures.e_value, '-')}"
        + (f"; no data: {figures.no_data}" if figures.no_data else ""),
        *(f"score of {part}" for part in figures.parts),
        _logs(figures.logs, figures.log_note),
        *(f"noted: {note}" for note in figures.notes),
        *asked,
    ]


def _logs(found: LogView | None, note: str) -> str:
    """The log score and the error lines that speak loudest; or why there is none."""
    if found is None:
        return f"no log score: {note or 'logs were not read'}"
    requests = f"{found.canary_requests} requests against {found.stable_requests}"
    said = (f"log score {number(found.value, '-')} over {requests}", *found.loud, *((f"{note}",) if note else ()))
    return "; ".join(said)
