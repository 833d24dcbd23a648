"""``POST /v1/hooks/alertmanager``: an alert that fires holds the rollout of the app and environment that it names.

There only with ``alertmanager:`` in projects.yaml. A hold stops growth and takes nothing back, as a person's does.
Alertmanager sends again what is answered with 5xx and nothing that is answered with 4xx: a journal that does not
answer is the former, and what is about no rollout is answered with 200 and told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from deployments.api.parts import Parts
from deployments.api.requests import read_body
from deployments.hooks.alertmanager import LIMIT, Heard, may_tell, read
from deployments.starter import RunOrder
from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.judge.gates import HOLD, RESUME
from gopub.telemetry import log
from gopub.usecases.alerts import Alert, hear
from gopub.usecases.ask import under_way

_SHOWN = 20
_LOG = log("hooks")


def router(parts: Parts) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1")
    one_by_one = asyncio.Lock()

    @routes.post("/hooks/alertmanager")
    async def alertmanager(request: Request) -> JSONResponse:
        """Take a webhook of Alertmanager, version 4: alerts that fire or are over."""
        wanted = parts.projects.alertmanager
        if wanted is None or not may_tell(parts.alerts, request.headers.get("authorization", "")):
            hint = "compare http_config in Alertmanager with alertmanager: in projects.yaml"
            raise RefusedError("GP938", "the webhook's sender is not known", hint=hint)
        body = await read_body(request, LIMIT)
        try:
            heard = read(body, wanted, parts.projects, parts.clock.now())
        except ValueError as error:
            raise GopubError("GP933", f"no webhook of Alertmanager: {error}") from None
        async with one_by_one:  # an outage makes hundreds at once: they would only be in each other's way
            written = await asyncio.to_thread(_hear, parts, heard)
        begun = [one for order in heard.orders for one in await _begun(parts, order)]  # first what keeps users safe
        return JSONResponse(_answer(heard, written) | ({"begun": begun} if begun else {}))

    return routes


async def _begun(parts: Parts, order: RunOrder) -> Sequence[str]:
    """The row of a run that an alert starts, by which it is started as any other; nothing where it was told before."""
    made = parts.deliveries.begin
    _, new = await parts.deliveries.aside(made, order.key, sha256(order.key.encode()), (order,), parts.clock.now())
    if not new:
        return ()
    _LOG.info("%s is to be started: %s", order.deployment, order.key)
    parts.fresh.set()
    return (order.key,)


def _hear(parts: Parts, heard: Heard) -> Mapping[str, Sequence[ev.Asked]]:
    """What was written, by rollout."""
    if heard.truncated:
        _LOG.warning("Alertmanager left out %d alerts of a group: see max_alerts there", heard.truncated)
    if not heard.about:
        return {}
    journal = parts.journal()
    try:
        written: dict[str, Sequence[ev.Asked]] = {}
        for (app, env), alerts in heard.about.items():
            try:
                rollout = under_way(journal, app, env)
            except UsageError:
                heard.ignored += [f"{one.says}: no rollout of {app} in {env} is under way" for one in alerts]
            else:
                written[rollout] = _written(parts, journal, rollout, alerts)
        return written
    finally:
        journal.close()


def _written(parts: Parts, journal: Journal, rollout: str, alerts: Sequence[Alert]) -> Sequence[ev.Asked]:
    found = hear(journal, rollout, alerts, parts.clock)
    for one in found:
        _LOG.warning("%s: %s: %s", rollout, one.what, one.reason)
    return found


def _answer(heard: Heard, written: Mapping[str, Sequence[ev.Asked]]) -> dict[str, object]:
    def of(what: str) -> list[str]:
        return sorted(rollout for rollout, said in written.items() if said and said[-1].what == what)

    return {"status": "heard", "held": of(HOLD), "resumed": of(RESUME), "ignored": heard.ignored[:_SHOWN]}
