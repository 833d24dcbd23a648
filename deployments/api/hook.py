"""``POST /v1/hooks/gitlab``: from a delivery to started runs, at once or as soon as the engine is back.

GitLab switches a webhook off after a few failures and does not send a delivery again by itself. So a valid delivery
is answered with 2xx whatever it leads to (202 started or waiting, 200 ignored or repeated), within its 10 seconds;
401 is for a sender who is not known, 422 for a body that is no GitLab event.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from deployments.api.parts import Parts
from deployments.api.requests import read_body
from deployments.deliveries import Delivery
from deployments.hooks.gitlab import LIMIT, Ignored, Push, delivery_key, read
from deployments.hooks.matching import orders_for
from deployments.hooks.signing import HookSecrets, refusal
from deployments.refs import settled
from deployments.starter import RunOrder
from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError
from gopub.spec.refglob import EVERY
from gopub.telemetry import log

RETRY_EVERY = 5.0
LONGEST_PAUSE = 300.0
"""Seconds between two tries while the file of deliveries itself cannot be used."""
GIVE_UP_AFTER = 86400.0
_START_WITHIN = 4.0
_LOG = log("hooks")


def router(parts: Parts) -> APIRouter:
    """The route for GitLab."""
    routes = APIRouter(prefix="/v1/hooks")

    @routes.post("/gitlab")
    async def gitlab(request: Request) -> JSONResponse:
        """Take a webhook of GitLab: push and tag push."""
        body = await read_body(request, LIMIT)
        headers = {name.lower(): value for name, value in request.headers.items()}
        allowed = accepted_apps(parts, headers, body)
        key = delivery_key(headers, body)
        event = _event(body)
        orders = event if isinstance(event, Ignored) else orders_for(event, parts.projects, allowed, key)
        if isinstance(orders, Ignored):
            return JSONResponse({"status": "ignored", "reason": orders.reason}, 200)
        delivery, new = await asyncio.to_thread(
            parts.deliveries.begin, f"gitlab:{key}", sha256(body), orders, parts.clock.now()
        )
        if not new and delivery.outcome:
            return JSONResponse({"status": "repeated", **delivery.outcome}, 200)
        return await _start_now(parts, delivery)

    return routes


def accepted_apps(parts: Parts, headers: dict[str, str], body: bytes) -> frozenset[str]:
    """The apps whose webhook secret the sender holds.

    Raises:
        RefusedError: GP938 of none.
    """
    now = parts.clock.now()
    verdicts: dict[HookSecrets, str | None] = {
        secrets: refusal(secrets, headers, body, now) for secrets in set(parts.hooks.values())
    }
    allowed = frozenset(app for app, secrets in parts.hooks.items() if verdicts[secrets] is None)
    if not allowed:
        reasons = sorted({reason for reason in verdicts.values() if reason}) or ["no webhook is set up"]
        _LOG.warning("refused a webhook: %s", "; ".join(reasons))
        raise RefusedError(
            "GP938", "the webhook's sender is not known", hint="compare the secret in GitLab with projects.yaml"
        )
    return allowed


def _event(body: bytes) -> Push | Ignored:
    try:
        return read(body)
    except ValueError as error:
        raise GopubError("GP933", f"no GitLab event: {error}") from None


async def _start_now(parts: Parts, delivery: Delivery) -> JSONResponse:
    try:
        async with asyncio.timeout(_START_WITHIN):
            outcome = await start_all(parts, delivery)
    except Exception as error:  # noqa: BLE001 - it is kept, and tried again: GitLab must not switch the webhook off
        _LOG.warning("delivery %s waits for the engine: %s", delivery.key, str(error) or "no answer in time")
        return JSONResponse({"status": "waiting", "runs": []}, 202)
    return JSONResponse({"status": "started" if outcome["runs"] else "refused", **outcome}, 202)


async def start_all(parts: Parts, delivery: Delivery) -> dict[str, Any]:
    """Start every run of a delivery and record the outcome; may be done twice, since the keys are the same.

    What was pushed must be there, and in a branch or a tag that the rule names: the outcome says what was refused.

    Raises:
        GopubError: the engine or the repository does not answer, or refuses; those before it are started.
    """
    runs, refused = [], []
    for order in delivery.orders:
        if why := await _refusal(parts, order):
            _LOG.warning("delivery %s starts nothing in %s: %s", delivery.key, order.env, why.problem)
            refused.append({"app": order.app, "env": order.env, "code": why.code, "detail": why.problem})
            continue
        made = await parts.starter.start(order)
        _LOG.info("delivery %s started run %s: %s to %s", delivery.key, made.id, order.app, order.env)
        runs.append({"id": made.id, "name": made.name, "app": order.app, "env": order.env})
    outcome: dict[str, Any] = {"runs": runs} | ({"refused": refused} if refused else {})
    await asyncio.to_thread(parts.deliveries.finish, delivery.key, outcome)
    return outcome


async def _refusal(parts: Parts, order: RunOrder) -> GopubError | None:
    """Why what was pushed may not be released; None where it may be.

    Raises:
        GopubError: GP939 the repository does not answer.
    """
    repository, ref = str(order.parameters["repository"]), str(order.parameters["ref"])
    patterns = tuple(map(str, cast("list[str]", order.parameters.get("refs") or EVERY)))
    try:
        found = await settled(parts.refs, repository, ref, patterns)
    except RefusedError as error:
        return error
    return None if found else GopubError("GP934", f"{order.app}: the repository has no {ref} in any branch or tag")


async def start_waiting(parts: Parts) -> int:
    """Try the deliveries that wait; gives how many still do. One that waited a day is given up, with an alarm."""
    waiting = await asyncio.to_thread(parts.deliveries.waiting)
    left = 0
    for delivery in waiting:
        if parts.clock.now() - delivery.received > GIVE_UP_AFTER:
            _LOG.error("gave up on delivery %s after a day: %s", delivery.key, delivery.orders)
            await asyncio.to_thread(parts.deliveries.finish, delivery.key, {"runs": [], "given_up": True})
            continue
        try:
            await start_all(parts, delivery)
        except Exception as error:  # noqa: BLE001 - whatever one meets, those after it have their turn
            left += 1
            _LOG.warning("delivery %s still waits: %s", delivery.key, str(error) or repr(error))
    return left


async def keep_starting(parts: Parts) -> None:
    """Start what waits, now and every few seconds, until cancelled: more slowly while the file cannot be used."""
    pause = RETRY_EVERY
    while True:
        try:
            await start_waiting(parts)
            pause = RETRY_EVERY
        except Exception:  # noqa: BLE001 - a locked file or a full disk now is no reason to start nothing ever after
            pause = min(2 * pause, LONGEST_PAUSE)
            _LOG.exception("what waits cannot be read or started; tried again in %gs", pause)
        await parts.clock.sleep(pause)
