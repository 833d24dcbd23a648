"""The engine behind the API: deployments of a Prefect server, started with an idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Pending, Scheduled

from deployments.journal import rollout_of_run, stands
from deployments.starter import RunOrder, RunView
from gopub.errors import GopubError, UsageError
from gopub.source.git import without_password
from gopub.telemetry import REDACTOR
from gopub.usecases.doctor import POOL
from gopub.views.standing import Standing
from tasks.tracing import LABEL

ANSWER_WITHIN = 8.0
"""Seconds: GitLab gives up on a webhook after 10."""

_APP, _ENV, _ROLLOUT, _TRACE = "app:", "env:", "rollout:", "trace:"

_TAKEN_FOR = "canceled before it began: "
"""How the message of a pending state begins that is ours, and no worker's."""


class PrefectStarter:
    """Starts the deployments that ``gopub setup`` made."""

    async def start(self, order: RunOrder) -> RunView:
        """Start a run, or give the one that this key started before."""
        async with _asking() as client:
            try:
                wanted = await client.read_deployment_by_name(order.deployment)
                made = await client.create_flow_run_from_deployment(
                    wanted.id,
                    parameters=dict(order.parameters),
                    state=Scheduled(),
                    tags=_tags(order),
                    idempotency_key=order.key,
                    labels={LABEL: order.trace} if order.trace else None,
                )
            except ObjectNotFound as error:
                raise _refused(f"the server has no deployment {order.deployment!r}") from error
            except PrefectHTTPStatusError as error:
                if error.response.status_code in {httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}:
                    raise _refused(f"the server refuses to start {order.deployment!r}: {error}") from error
                raise
        return await _with_rollout(_run(made))

    async def run(self, run_id: str) -> RunView | None:
        """How a run stands; None when there is no such run, or it was not started for an app."""
        try:
            asked = UUID(run_id)
        except ValueError:
            return None
        async with _asking() as client:
            try:
                found = _run(await client.read_flow_run(asked))
            except ObjectNotFound:
                return None
        if not found.app:
            return None
        found = await _with_rollout(found)
        known = await asyncio.to_thread(stands, found.rollout) if found.rollout else None
        return told(found, known) if known else found

    async def cancel_unbegun(self, run_id: str, why: str) -> bool:
        """Cancel a run that no worker took up; see `Starter.cancel_unbegun`."""
        async with _asking() as client:
            try:
                return await _canceled(client, UUID(run_id), why)
            except ObjectNotFound:
                return True


async def _canceled(client: PrefectClient, run_id: UUID, why: str) -> bool:
    """Take the run up as a worker does, which the server lets one do alone; then cancel what nobody else begins."""
    found = await client.read_flow_run(run_id)
    state = found.state
    if state is None or state.is_final():
        return True
    ours = f"{_TAKEN_FOR}{why}"
    if not (state.is_pending() and (state.message or "").startswith(_TAKEN_FOR)):
        if not state.is_scheduled() or found.run_count or found.start_time:
            return False
        taken: OrchestrationResult[Any] = await client.set_flow_run_state(run_id, Pending(message=ours))
        if taken.status != SetStateStatus.ACCEPT or taken.state is None or not taken.state.is_pending():
            return False
    ended: OrchestrationResult[Any] = await client.set_flow_run_state(run_id, Cancelled(message=why))
    return ended.status == SetStateStatus.ACCEPT


async def attended() -> bool:
    """Whether a worker is there that takes up runs.

    Raises:
        GopubError: GP918 the engine does not answer.
    """
    async with _asking() as client:
        try:
            pool = await client.read_work_pool(POOL)
            workers = await client.read_workers_for_work_pool(POOL)
        except ObjectNotFound:
            return False
    return not pool.is_paused and any(one.status == WorkerStatus.ONLINE for one in workers)


def require_server() -> str:
    """The address of the Prefect server that is set up.

    Raises:
        UsageError: GP911 none is: Prefect would start one of its own, whose runs no worker would ever take.
    """
    url = get_current_settings().api.url
    if not url:
        raise UsageError(
            "GP911",
            "no Prefect server is set up",
            hint="give --server URL, or set PREFECT_API_URL, for example http://127.0.0.1:4200/api",
        )
    return url


@asynccontextmanager
async def _asking() -> AsyncIterator[PrefectClient]:
    """A client whose calls end in time; its failures become GP918."""
    with answering():
        async with asyncio.timeout(ANSWER_WITHIN), get_client() as client:
            yield client


@contextmanager
def answering() -> Iterator[None]:
    """Turn what Prefect's client raises when the server is away into GP918."""
    try:
        yield
    except (httpx.HTTPError, OSError, TimeoutError, RuntimeError) as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise _busy(error.request) from error
        raise GopubError(
            "GP918",
            f"the Prefect server at {shown_url()} does not answer: "
            f"{error.__class__.__name__} {REDACTOR.clean(str(error))}".rstrip(),
            hint="is it up, and is PREFECT_API_URL right?",
        ) from error


def _busy(asked: httpx.Request) -> GopubError:
    """It is there, and so is its address: it had no time, each time that Prefect's client asked."""
    return GopubError(
        "GP918",
        f"the Prefect server at {shown_url()} is too busy: again and again it answers 503 to "
        f"{asked.method} {asked.url.path}",
        hint="repeat it when the server has less to do; on SQLite one writes at a time, on PostgreSQL many do",
    )


def shown_url() -> str:
    """The server's address, for clients of the API too: without the password, which is masked from now on."""
    url = get_current_settings().api.url or ""
    for password in filter(None, [urlsplit(url).password]):
        REDACTOR.learn(password)
        REDACTOR.learn(unquote(password))
    return without_password(url)


def _refused(problem: str) -> GopubError:
    return GopubError("GP919", problem, hint="run `gopub setup` against this server, with this version of gopub")


def told(run: RunView, known: Standing) -> RunView:
    """The run with what the journal says of its rollout."""
    return replace(run, outcome=known.outcome, waits_for=known.waits_for, until=known.until, final=known.final)


async def _with_rollout(found: RunView) -> RunView:
    """The run with the rollout that it drives: by its tag, which is for people and may be late, else by the journal."""
    if found.rollout or not found.app:
        return found
    since = datetime.fromisoformat(found.created).timestamp() if found.created else 0.0
    known = await asyncio.to_thread(rollout_of_run, found.app, found.env, found.id, since)
    return replace(found, rollout=known)


def _run(found: FlowRun) -> RunView:
    state = found.state
    return RunView(
        id=str(found.id),
        name=found.name,
        state=state.name or "" if state else "",
        app=_tagged(found.tags, _APP),
        env=_tagged(found.tags, _ENV),
        final=bool(state and state.is_final()),
        message=state.message or "" if state else "",
        created=_when(found.created),
        started=_when(found.start_time),
        ended=_when(found.end_time),
        rollout=_tagged(found.tags, _ROLLOUT),
        trace=_tagged(found.tags, _TRACE),
    )


def _tags(order: RunOrder) -> list[str]:
    """What the run is found by; somebody's own flow is none of ours, which are looked after by that tag."""
    about = ((_APP, order.app), (_ENV, order.env), (_TRACE, order.trace_id))
    return [*(["gopub"] if order.ours else []), *(prefix + name for prefix, name in about if name)]


def _tagged(tags: list[str], prefix: str) -> str:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), "")


def _when(moment: datetime | None) -> str:
    return moment.isoformat(timespec="milliseconds") if moment else ""
