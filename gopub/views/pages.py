"""What stands on the pages of a release and of a rollout in an engine's UI: texts in Markdown, and tables. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from gopub.canon import Json
from gopub.journal.state import HostState, State
from gopub.plan.model import Outcome, Plan
from gopub.release.model import Release
from gopub.telemetry import one_line
from gopub.views.events import tell
from gopub.views.plan import named, plan_lines
from gopub.views.runs import SeatView
from gopub.views.verdict import Figures, because, number, verdict_view

_MARKUP = re.compile(r"[\\`*_\[\]|#>!]")


@dataclass(frozen=True, slots=True)
class TextPage:
    """A page of text; pages of one ``key`` are one history in the UI."""

    key: str
    description: str
    text: str


@dataclass(frozen=True, slots=True)
class TablePage:
    """A page with one table: each row gives every column its cell."""

    key: str
    description: str
    rows: tuple[Mapping[str, Json], ...]


def shown(text: str) -> str:
    """What somebody else wrote (a reason, a host's words), as text of a page: no markup, no line of its own."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text).replace("<", "&lt;"))


def release_page(release: Release) -> TablePage:
    """One row for each file of a release."""
    rows: list[Mapping[str, Json]] = [
        {"file": file.name, "sha256": file.digest, "bytes": file.size} for file in release.files()
    ]
    told = f"{release.app} {release.version}: {release.release_id}"
    return TablePage(_named(f"{release.app}-release"), told, tuple(rows))


def plan_page(state: State) -> TextPage | None:
    """The plan as a list; None while there is none."""
    if state.plan is None:
        return None
    head, *rest = plan_lines(state.plan)
    text = f"## {shown(head)}\n\n" + "\n".join(f"- {shown(line.strip())}" for line in rest)
    return TextPage(_key(state, "plan"), f"The plan of rollout {state.rollout}", text)


def hosts_page(state: State) -> TablePage | None:
    """One row for each host; None while there is no plan."""
    if state.plan is None:
        return None
    told = f"Where the hosts of rollout {state.rollout} stand: {shown(_stands(state))}"
    return TablePage(_key(state, "hosts"), told, tuple(_rows(state, state.plan)))


def verdict_page(state: State) -> TextPage | None:
    """The last verdict with its reason and figures; None where there is none."""
    if state.verdict is None:
        return None
    verdict = verdict_view(state.verdict)
    where = f"{state.app} {state.release_version} in {state.env}, step {verdict.step + 1}"
    said = "\n\n".join(shown(line) for line in (verdict.lines if verdict.proof else (verdict.reason,)))
    head = f"## {verdict.kind} (rule {verdict.rule})\n\n{where}: {said}\n"
    text = f"{head}\n{_figures(verdict.figures)}\nThe whole record: `gopub explain {state.rollout}`\n"
    return TextPage(_key(state, "verdict"), f"The last verdict on {state.rollout}", text)


def plot_page(state: State, told: Sequence[str], drawn: str) -> TextPage | None:
    """The rollout's story and its picture, an SVG file; None where nothing was judged.

    The picture stands in the page itself, as Prefect's Markdown shows an image: an ``<img>`` in which nothing runs.
    """
    if state.verdict is None:
        return None
    head, *lines = told
    data = base64.b64encode(drawn.encode()).decode()
    picture = f"![evidence, failures, latency and memory over time](data:image/svg+xml;base64,{data})"
    text = (
        f"## {shown(head)}\n\n" + "\n".join(f"- {shown(' '.join(line.split()))}" for line in lines) + f"\n\n{picture}\n"
    )
    return TextPage(_key(state, "plot"), f"What was seen of rollout {state.rollout}", text)


def runs_page(state: State, seats: Sequence[SeatView], linked: Callable[[str], str]) -> TextPage | None:
    """All runs that drove a rollout, as ``linked`` shows each; None where it was one alone."""
    if len(seats) < 2:
        return None
    rows = [f"| {linked(seat.run)} | {seat.why} | {seat.epoch} | {seat.driver} |" for seat in seats]
    text = "\n".join([f"## {state.rollout}", "", "| run | why | epoch | driver |", "|---|---|---|---|", *rows, ""])
    return TextPage(_key(state, "runs"), f"The {len(seats)} runs that drove rollout {state.rollout}", text)


def back_page(result: Mapping[str, Json]) -> TextPage:
    """What a rollback that somebody asked for came to, from its summary."""
    alarms = "".join(f"- {shown(alarm)}\n" for alarm in cast("list[str]", result["alarms"]))
    owed = ", ".join([*cast("list[str]", result["owed"]), *cast("list[str]", result["owed_edges"])])
    head = f"## {result['outcome']}: {result['app']} {result['version']} in {result['env']}\n\n"
    head += f"{shown(str(result['reason']))}\n"
    text = f"{head}\nHosts run {result['runs'] or 'nothing'}; owed: {owed or 'none'}\n\n{alarms}"
    return TextPage(_named(f"{result['app']}-{result['env']}-rollback"), f"Rollback {result['rollout']}", text)


def _stands(state: State) -> str:
    if state.closed:
        why = because(state.verdict, state.closed.reason)
        return state.closed.outcome.value + (f" ({why})" if why else "")
    if state.waiting:
        return state.waiting
    if state.held:
        return tell(state.held) or ""
    return (
        f"going back: {because(state.verdict, state.back.reason)}"
        if state.back
        else f"step {max(state.reached, default=0) + 1}"
    )


def _rows(state: State, plan: Plan) -> list[dict[str, Json]]:
    promoted = state.closed is not None and state.closed.outcome is Outcome.PROMOTED
    return [
        {
            "host": name,
            "runs": named(plan, host.runs or plan.host(name).before),
            "track": "stable" if promoted else host.track,
            "new release": _new_release(plan, host),
            "owed": one_line(host.owed) or "-",
        }
        for name, host in state.hosts.items()
    ]


def _new_release(plan: Plan, host: HostState) -> str:
    if host.runs.startswith(plan.release.short):
        return "runs"
    return "staged" if host.staged else "not there yet"


def _figures(seen: Figures | None) -> str:
    """What was counted, as a table; empty where the verdict was drawn without counting."""
    if seen is None or not seen.counted:
        return ""
    rows = (("canary", seen.canary_requests, seen.canary_errors), ("stable", seen.stable_requests, seen.stable_errors))
    table = ["| | requests | errors |", "|---|---|---|", *(f"| {name} | {of} | {bad} |" for name, of, bad in rows)]
    no_data = f", no data: {seen.no_data}" if seen.no_data else ""
    score, e_value = number(seen.score, "none"), number(seen.e_value, "none")
    parts = [*(f"- {shown(part)}" for part in seen.parts), ""] if seen.parts else []
    return "\n".join([*table, "", f"Score {score}, evidence E {e_value}{no_data}", "", *parts])


def _key(state: State, what: str) -> str:
    return _named(f"{state.app}-{state.env}-{what}")


def _named(text: str) -> str:
    """Artifact keys have lower-case letters, digits and dashes only; the same key is one history in the UI."""
    return "".join(char if char.isalnum() else "-" for char in text.lower())
