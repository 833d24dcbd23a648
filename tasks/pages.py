"""What the Prefect UI shows of a release and of a rollout: its files, the plan, the hosts, the last verdict.

A page is for people to look at. A server that does not take one must not keep a rollout waiting, least of all between
a canary's first request and its first look; so a page is given a few seconds, and goes missing with a line in the log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, cast
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.utilities.urls import url_for

from gopub.canon import Json
from gopub.journal.events import SeatTaken
from gopub.journal.state import HostState
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome, Plan
from gopub.release.model import Release
from gopub.rollout.run import Run
from gopub.telemetry import log, one_line
from gopub.views.events import tell
from gopub.views.plan import plan_lines

P = ParamSpec("P")
PATIENCE = 5.0
"""Seconds that the server is given to take a page."""
_log = log("pages")
_MARKUP = re.compile(r"[\\`*_\[\]|#>!]")


def page(draw: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """Make a function one that puts a page on the server if that is easily done."""

    @wraps(draw)
    async def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await draw(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever the server's trouble is, it is not the rollout's
            _log.warning("%s is not shown in Prefect: %s", draw.__name__, str(error) or type(error).__name__)

    return drawn


def shown(text: str) -> str:
    """What somebody else wrote (a reason, a host's words), as text of a page: no markup, no line of its own."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text).replace("<", "&lt;"))


@page
async def release_page(release: Release) -> None:
    """One row for each file of a release."""
    rows = [{"file": file.name, "sha256": file.digest, "bytes": file.size} for file in release.files()]
    told = f"{release.app} {release.version}: {release.release_id}"
    await acreate_table_artifact(rows, key=_named(f"{release.app}-release"), description=told)


@page
async def plan_page(run: Run) -> None:
    """The plan as a list."""
    if run.state.plan is None:
        return
    head, *rest = plan_lines(run.state.plan)
    text = f"## {shown(head)}\n\n" + "\n".join(f"- {shown(line.strip())}" for line in rest)
    await acreate_markdown_artifact(text, key=_key(run, "plan"), description=f"The plan of rollout {run.rollout}")


@page
async def progress_page(run: Run) -> None:
    """One row for each host."""
    if run.state.plan is None:
        return
    told = f"Where the hosts of rollout {run.rollout} stand: {shown(_stands(run))}"
    await acreate_table_artifact(_rows(run, run.state.plan), key=_key(run, "hosts"), description=told)


@page
async def verdict_page(run: Run) -> None:
    """The last verdict with its reason and figures; the whole record is in the journal (`gopub explain`)."""
    verdict = run.state.verdict
    if verdict is None:
        return
    where = f"{run.state.app} {run.state.release_version} in {run.state.env}, step {verdict.step + 1}"
    head = f"## {verdict.kind} (rule {verdict.rule})\n\n{where}: {shown(verdict.reason)}\n"
    text = f"{head}\n{_figures(verdict.record)}\nThe whole record: `gopub explain {run.rollout}`\n"
    await acreate_markdown_artifact(text, key=_key(run, "verdict"), description=f"The last verdict on {run.rollout}")


@page
async def runs_page(run: Run) -> None:
    """Where a rollout was gone on with in another run: all its runs, on the page of each."""
    events = (entry.event for entry in run.ports.journal.read(stream_of(run.rollout)))
    seats = {event.run: event for event in events if isinstance(event, SeatTaken) and event.run}
    if len(seats) < 2:
        return
    rows = [f"| {_linked(one)} | {seat.why} | {seat.epoch} | {seat.driver} |" for one, seat in seats.items()]
    text = "\n".join([f"## {run.rollout}", "", "| run | why | epoch | driver |", "|---|---|---|---|", *rows, ""])
    told = f"The {len(seats)} runs that drove rollout {run.rollout}"
    async with get_client() as client:
        for one in seats:
            made = ArtifactCreate(key=_key(run, "runs"), type="markdown", description=told, data=text,
                                  flow_run_id=UUID(one))  # fmt: skip
            await client.create_artifact(made)


def _linked(run: str) -> str:
    """A run's id, as a link where the UI has an address."""
    url = url_for("flow-run", obj_id=run)
    return f"[{run}]({url})" if url else run


@page
async def back_page(result: Mapping[str, Json]) -> None:
    """What a rollback that somebody asked for came to."""
    alarms = "".join(f"- {shown(alarm)}\n" for alarm in cast("list[str]", result["alarms"]))
    owed = ", ".join([*cast("list[str]", result["owed"]), *cast("list[str]", result["owed_edges"])])
    head = f"## {result['outcome']}: {result['app']} {result['version']} in {result['env']}\n\n"
    head += f"{shown(str(result['reason']))}\n"
    text = f"{head}\nHosts run {result['runs'] or 'nothing'}; owed: {owed or 'none'}\n\n{alarms}"
    key = _named(f"{result['app']}-{result['env']}-rollback")
    await acreate_markdown_artifact(text, key=key, description=f"Rollback {result['rollout']}")


def _stands(run: Run) -> str:
    state = run.state
    if state.closed:
        return state.closed.outcome.value + (f" ({state.closed.reason})" if state.closed.reason else "")
    if state.waiting:
        return state.waiting
    if state.held:
        return tell(state.held) or ""
    return f"going back: {state.back.reason}" if state.back else f"step {max(state.reached, default=0) + 1}"


def _rows(run: Run, plan: Plan) -> list[dict[str, str]]:
    promoted = run.state.closed is not None and run.state.closed.outcome is Outcome.PROMOTED
    return [
        {
            "host": name,
            "runs": _release(plan, host.runs or plan.host(name).before),
            "track": "stable" if promoted else host.track,
            "new release": _new_release(plan, host),
            "owed": one_line(host.owed) or "-",
        }
        for name, host in run.state.hosts.items()
    ]


def _release(plan: Plan, folder: str) -> str:
    """A host's folder as people know it: the version where the plan knows it, and the release's short id."""
    short = folder.partition("-")[0]
    known = [ref.version for ref in (plan.release, plan.stable) if ref and ref.short == short and ref.version != short]
    return f"{known[0]} ({short})" if known else short or "-"


def _new_release(plan: Plan, host: HostState) -> str:
    if host.runs.startswith(plan.release.short):
        return "runs"
    return "staged" if host.staged else "not there yet"


def _figures(record: Mapping[str, Any]) -> str:
    """What was counted, as a table; empty where the verdict was drawn without counting."""
    seen = (record.get("record") or {}).get("observation") or {}
    totals, score, evidence = (seen.get(name) or {} for name in ("rollout_totals", "score", "evidence"))
    if not totals:
        return ""
    rows = ["| | requests | errors |", "|---|---|---|"]
    rows += [f"| {t} | {totals.get(f'{t}_requests')} | {totals.get(f'{t}_errors')} |" for t in ("canary", "stable")]
    return "\n".join([*rows, "", f"Score {_number(score.get('value'))}, evidence E {_number(evidence.get('e_value'))}"
                      + (f", no data: {seen['no_data']}" if seen.get("no_data") else ""), ""])  # fmt: skip


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value or "none")


def _key(run: Run, what: str) -> str:
    return _named(f"{run.state.app}-{run.state.env}-{what}")


def _named(text: str) -> str:
    """Artifact keys have lower-case letters, digits and dashes only; the same key is one history in the UI."""
    return "".join(char if char.isalnum() else "-" for char in text.lower())
