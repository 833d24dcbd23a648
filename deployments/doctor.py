"""What `gopub doctor` asks the Prefect server; it reads only. What is made of it: `gopub.usecases.doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import prefect
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
)
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from deployments.engine import shown_url
from deployments.lint import PULL, Schedule, load_deployments
from deployments.lint import Deployment as Wanted
from deployments.setup.owned import labelled, tagged
from deployments.setup.pool import LIMITS
from deployments.setup.watchdog import NAME, same_as_ours
from gopub.canon import Json
from gopub.clock import SystemClock
from gopub.usecases.doctor import NEEDED, POOL
from gopub.usecases.doctor_facts import (
    Automation,
    Deployed,
    Facts,
    Held,
    Place,
    Server,
    Stuck,
    Worker,
)
from gopub.usecases.doctor_here import by_date
from gopub.usecases.doctor_looking import Look, why

ANSWERS, WITHIN = 7.0, 12.0
"""Seconds for the server's first answer, and for each look."""
PENDING = 120.0
"""Seconds in which a run that a worker took up begins: its process has to start."""
SILENT = 120.0
"""Seconds without a heartbeat after which the watchdog has marked a run; ours send one in thirty."""
_MOST = 50
_UNDER_WAY = ("RUNNING", "PENDING")


def server_look() -> Look:
    """Whether the server answers, in which version and with which settings."""
    return Look("the Prefect server", WITHIN, _server)


def looks(root: Path) -> list[Look]:
    """All that a server that answers can be asked."""
    return [
        Look("the workers", WITHIN, _asked(_workers)),
        Look("pool and queues", WITHIN, _asked(_places)),
        Look("the deployments", WITHIN, _asked(lambda client: _deployments(client, root))),
        Look("the automations", WITHIN, _asked(_automations)),
        Look("the limits", WITHIN, _asked(_limits)),
        Look("stuck runs", WITHIN, _asked(_stuck)),
        Look("whose the forms are", WITHIN, _asked(_houses)),
    ]


def _asked(work: Callable[[PrefectClient], Awaitable[Facts]]) -> Callable[[], Awaitable[Facts]]:
    async def look() -> Facts:
        async with get_client() as client:
            return await work(client)

    return look


async def _server() -> Facts:
    url, client_version = shown_url(), prefect.__version__
    try:
        async with asyncio.timeout(ANSWERS), get_client() as client:
            sent = _now()
            answer = await client.request("GET", "/admin/version")
            got = _now()
            told = (await client.request("GET", "/admin/settings")).json().get("server")
    except PrefectHTTPStatusError as error:
        refused = error.response.status_code == httpx.codes.UNAUTHORIZED
        return Facts("", server=Server(url, why(error), refuses_login=refused, client=client_version))
    except TimeoutError:
        return Facts("", server=Server(url, f"no answer within {ANSWERS:g} s", client=client_version))
    except (httpx.HTTPError, OSError, RuntimeError, ValueError, KeyError) as error:
        return Facts("", server=Server(url, why(error), client=client_version))
    clock = by_date("the Prefect server", answer.headers.get("date"), sent, got)
    seen = Server(url, version=str(answer.json()), client=client_version, settings=needed(told or {}))
    return Facts("", server=seen, clocks=(clock,) if clock else ())


def needed(told: Mapping[str, Any]) -> dict[str, Json]:
    """The settings that gopub needs, by their dotted names; a server that does not tell one has nothing of it said."""
    found: dict[str, Json] = {name: _at(told, f"{name}.enabled") for name in NEEDED}
    found |= {name: _at(told, name) for name in ("concurrency.lease_storage", "analytics_enabled")}
    return {name: value for name, value in found.items() if value is not None}


def _at(told: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        told = told.get(part) if isinstance(told, dict) else None
    return told


async def _workers(client: PrefectClient) -> Facts:
    try:
        found = await client.read_workers_for_work_pool(POOL)
    except ObjectNotFound:
        return Facts("", workers=())
    return Facts("", workers=tuple(
        Worker(one.name, _since(one.last_heartbeat_time), one.status == WorkerStatus.ONLINE) for one in found
    ))  # fmt: skip


async def _places(client: PrefectClient) -> Facts:
    try:
        pool = await client.read_work_pool(POOL)
    except ObjectNotFound:
        return Facts("", places=(Place(there=False),))
    runs = await client.read_flow_runs(flow_run_filter=_in(_UNDER_WAY), limit=200)
    mine = [one for one in runs if one.work_pool_name == POOL]
    queues = {one.name: one for one in await client.read_work_queues(work_pool_name=POOL)}
    found = [Place(paused=bool(pool.is_paused), limit=pool.concurrency_limit, busy=len(mine))]
    for name in ("default", "urgent"):
        one = queues.get(name)
        busy = sum(run.work_queue_name == name for run in mine)
        found.append(
            Place(name, paused=bool(one.is_paused), limit=one.concurrency_limit, busy=busy)
            if one else Place(name, there=False)
        )  # fmt: skip
    return Facts("", places=tuple(found))


async def _deployments(client: PrefectClient, root: Path) -> Facts:
    return Facts("", deployed=tuple([await _deployed(client, one) for one in load_deployments(root).deployments]))


async def _deployed(client: PrefectClient, wanted: Wanted) -> Deployed:
    scheduled = bool(wanted.schedules)
    try:
        found = await client.read_deployment_by_name(f"{wanted.name}/{wanted.name}")
    except ObjectNotFound:
        return Deployed(wanted.name, there=False, scheduled=scheduled)
    which = DeploymentFilter(id=DeploymentFilterId(any_=[found.id]))
    coming = await client.read_flow_runs(deployment_filter=which, flow_run_filter=_in(("SCHEDULED",)), limit=1)
    ran = await client.read_flow_runs(
        deployment_filter=which, flow_run_filter=_in((*_UNDER_WAY, "COMPLETED", "FAILED")), limit=1,
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
    )  # fmt: skip
    return Deployed(
        wanted.name,
        paused=found.paused,
        differs=differs(found, wanted),
        scheduled=scheduled,
        paused_schedule=next((str(one.id) for one in found.schedules if not one.active), "") if scheduled else "",
        coming=len(coming),
        version=_version(found.version),
        ran=_version(ran[0].flow_version) if ran else "",
    )


def differs(found: DeploymentResponse, wanted: Wanted) -> tuple[str, ...]:
    """Which parts of a deployment are not as prefect.yaml has them."""
    places = found.global_concurrency_limit.limit if found.global_concurrency_limit else 0
    fewest = wanted.concurrency_limit.limit if wanted.concurrency_limit else 0
    pairs = {
        "entrypoint": (found.entrypoint, wanted.entrypoint),
        "description": (found.description, wanted.description),
        "tags": (sorted(found.tags), sorted(wanted.tags)),
        "work pool": (found.work_pool_name, wanted.work_pool.name),
        "work queue": (found.work_queue_name, wanted.work_pool.work_queue_name),
        "job variables": (found.job_variables, wanted.work_pool.job_variables),
        "pull steps": (found.pull_steps, list(PULL)),
        "concurrency limit": (max(places, fewest), places),  # a person may have given it more
        "schedules": (sorted(_timed(one) for one in found.schedules), sorted(_meant(one) for one in wanted.schedules)),
    }
    return tuple(name for name, (there, here) in pairs.items() if there != here)


def _timed(one: DeploymentSchedule) -> str:
    seconds = getattr(one.schedule, "interval", None)
    return f"{seconds.total_seconds():g} s" if seconds else str(getattr(one.schedule, "cron", ""))


def _meant(one: Schedule) -> str:
    return f"{one.interval} s" if one.interval else str(one.cron)


def _version(text: str | None) -> str:
    """That of a gopub; that of a flow without one is a digest of its file."""
    return text if text and "." in text else ""


async def _automations(client: PrefectClient) -> Facts:
    found = await client.read_automations_by_name(NAME)
    if not found:
        return Facts("", automations=(Automation(NAME, there=False),))
    one = found[0]
    return Facts("", automations=(Automation(NAME, str(one.id), enabled=one.enabled, same=same_as_ours(one)),))


async def _houses(client: PrefectClient) -> Facts:
    ours = DeploymentFilter.model_validate({"tags": {"all_": ["gopub"]}})
    forms = [labelled(one.labels) for one in await client.read_deployments(deployment_filter=ours, limit=200)]
    asides = [tagged(list(one.tags)) for one in await client.read_automations(limit=200)]
    owners = tuple(sorted({one.owner for one in (*forms, *asides) if one}))
    return Facts("", houses=owners)


async def _limits(client: PrefectClient) -> Facts:
    runs = await client.read_flow_runs(flow_run_filter=_in(_UNDER_WAY), limit=200)
    found = []
    for name in LIMITS:
        try:
            one = await client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            found.append(Held(name, there=False))
        else:
            found.append(Held(name, limit=one.limit, taken=one.active_slots, could=len(runs)))
    return Facts("", limits=tuple(found))


async def _stuck(client: PrefectClient) -> Facts:
    runs = await client.read_flow_runs(flow_run_filter=_in((*_UNDER_WAY, "SCHEDULED")), limit=200,
                                       sort=FlowRunSort.EXPECTED_START_TIME_ASC)  # fmt: skip
    beating = await _beating(client, [one for one in runs if one.state and one.state.is_running()])
    return Facts("", stuck=tuple(one for run in runs if (one := stuck(run, beating))))


def stuck(run: FlowRun, beating: frozenset[str]) -> Stuck | None:
    """Whether a run does not get on; ``beating`` are the runs of which something was heard lately."""
    state = run.state
    if state is None:
        return None
    since = _since(state.timestamp)
    if state.name == "Late":
        return Stuck(str(run.id), run.name, "Late", _since(run.expected_start_time))
    if state.is_pending() and since > PENDING:
        return Stuck(str(run.id), run.name, "Pending", since)
    if state.is_running() and since > SILENT and str(run.id) not in beating:
        return Stuck(str(run.id), run.name, "Running", since)
    return None


async def _beating(client: PrefectClient, running: list[FlowRun]) -> frozenset[str]:
    """The runs of which any event came lately, a heartbeat above all."""
    if not running:
        return frozenset()
    since = datetime.fromtimestamp(_now() - SILENT, UTC)
    wanted = EventFilter.model_validate({
        "occurred": {"since": since.isoformat()},
        "resource": {"id": [f"prefect.flow-run.{one.id}" for one in running]},
    })  # fmt: skip
    page = await client.read_events(wanted, limit=_MOST)
    return frozenset(one.resource.id.removeprefix("prefect.flow-run.") for one in page.events)


def _in(kinds: tuple[str, ...]) -> FlowRunFilter:
    return FlowRunFilter.model_validate({"tags": {"all_": ["gopub"]}, "state": {"type": {"any_": list(kinds)}}})


def _since(moment: datetime | None) -> float:
    return max(0.0, _now() - moment.timestamp()) if moment else 0.0


def _now() -> float:
    return SystemClock().now()
