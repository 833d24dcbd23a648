"""``POST /v1/hooks/FORGE``: from a delivery to a row that waits to be started; ``GET /v1/deliveries/KEY`` tells of it.

Forges switch a webhook off after a few failures, and send a delivery again by themselves seldom or never. So a valid
delivery is answered with 2xx whatever it leads to (202 queued, 200 ignored or repeated), within their 10 seconds: the
answer waits until the row is on disk, and neither for the repository nor for the engine (deployments/api/starting.py
asks these). 401 is for a sender who is not known, 422 for a body that is no event of that forge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from deployments.api.following import waits_for
from deployments.api.parts import Parts
from deployments.api.requests import authenticate, read_body
from deployments.api.superseding import waits_in_queue
from deployments.deliveries import Delivery
from deployments.hooks.forges import FORGES
from deployments.hooks.forges.bodies import LIMIT
from deployments.hooks.forges.protocol import Forge, Ignored, Push
from deployments.hooks.matching import orders_for
from deployments.hooks.signing import HookSecrets
from deployments.starter import RunOrder
from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError
from gopub.telemetry import log

_LOG = log("hooks")


def router(parts: Parts) -> APIRouter:
    """The route for the forges, and the one that tells of their deliveries."""
    routes = APIRouter(prefix="/v1")

    for name, forge in FORGES.items():
        about = f"Take a webhook of {forge.shown}."
        routes.add_api_route(f"/hooks/{name}", _route(parts, name), methods=["POST"], name=name, description=about)

    @routes.get("/deliveries/{key:path}")
    async def delivery(request: Request, key: str) -> JSONResponse:
        """What became of a webhook's delivery, for a token of its app and env."""
        may = parts.projects.tokens[authenticate(request, parts.tokens)]
        found = await parts.deliveries.aside(parts.deliveries.find, key)
        mine = {(one.app, one.env) for one in found.orders if may.sees(one.app, one.env)} if found else set()
        if found is None or not mine:
            raise GopubError("GP937", f"there is no delivery {key!r} that this token may see")
        why = await waits_for(parts, found) or await waits_in_queue(parts, found)
        return JSONResponse(standing(found, mine) | ({"waits_for": why} if why else {}))

    return routes


def _route(parts: Parts, name: str) -> Callable[[Request], Awaitable[JSONResponse]]:
    """What answers the deliveries of that forge."""

    async def hook(request: Request) -> JSONResponse:
        return await _taken(parts, name, request)

    return hook


async def _taken(parts: Parts, name: str, request: Request) -> JSONResponse:
    """The answer to a delivery of that forge, once its row is on disk."""
    body, forge = await read_body(request, LIMIT), FORGES[name]
    headers = {name.lower(): value for name, value in request.headers.items()}
    allowed = accepted_apps(parts, name, headers, body)
    key = forge.key(headers, body)
    event = _event(forge, headers, body)
    orders = event if isinstance(event, Ignored) else orders_for(event, parts.projects, allowed, key)
    if isinstance(orders, Ignored):
        return JSONResponse({"status": "ignored", "reason": orders.reason}, 200)
    delivery = await _begun(parts, f"{name}:{key}", body, orders)
    if not _mine(delivery, allowed):  # its id is that of another sender's: that one's row is no answer to this one
        key = sha256("\0".join((key, *sorted(allowed))).encode())
        again = orders_for(event, parts.projects, allowed, key) if isinstance(event, Push) else ()
        delivery = await _begun(parts, f"{name}:{key}", body, () if isinstance(again, Ignored) else again)
    where = {"Location": f"/v1/deliveries/{quote(delivery.key, safe=':')}"}
    mine = _mine(delivery, allowed)
    if delivery.outcome:
        return JSONResponse({"status": "repeated", **_of(delivery.outcome, mine)}, 200, headers=where)
    parts.fresh.set()
    return JSONResponse(standing(delivery, mine), 202, headers=where)


def accepted_apps(parts: Parts, forge: str, headers: dict[str, str], body: bytes) -> frozenset[str]:
    """The apps of that forge whose webhook secret the sender holds.

    Raises:
        RefusedError: GP938 of none.
    """
    now, its = parts.clock.now(), FORGES[forge]
    mine = {app: secrets for app, secrets in parts.hooks.items() if parts.projects.forge_of(app) == forge}
    verdicts: dict[HookSecrets, str | None] = {
        secrets: its.refusal(secrets, headers, body, now) for secrets in set(mine.values())
    }
    allowed = frozenset(app for app, secrets in mine.items() if verdicts[secrets] is None)
    if not allowed:
        reasons = sorted({reason for reason in verdicts.values() if reason}) or ["no webhook is set up"]
        _LOG.warning("refused a webhook of %s: %s", its.shown, "; ".join(reasons))
        hint = f"compare the secret in {its.shown} with projects.yaml"
        raise RefusedError("GP938", "the webhook's sender is not known", hint=hint)
    return allowed


async def _begun(parts: Parts, key: str, body: bytes, orders: Sequence[RunOrder]) -> Delivery:
    """The row of a delivery, written now or before."""
    began = parts.deliveries.begin
    delivery, _ = await parts.deliveries.aside(began, key, sha256(body), orders, parts.clock.now())
    return delivery


def _mine(delivery: Delivery, allowed: Collection[str]) -> set[tuple[str, str]]:
    """What of a delivery is the sender's; an id may be another's."""
    return {(one.app, one.env) for one in delivery.orders if one.app in allowed}


def _event(forge: Forge, headers: Mapping[str, str], body: bytes) -> Push | Ignored:
    try:
        return forge.read(headers, body)
    except ValueError as error:
        raise GopubError("GP933", f"no {forge.shown} event: {error}") from None


def standing(delivery: Delivery, mine: Collection[tuple[str, str]]) -> dict[str, Any]:
    """How a delivery stands: queued, started, refused or given_up, and what became of the orders that are ``mine``."""
    outcome = _of(delivery.outcome or {}, mine)
    runs, refused = outcome.get("runs", []), outcome.get("refused", [])
    if delivery.outcome is None:
        status = "queued"
    else:
        status = "given_up" if outcome.get("given_up") else "started" if runs else "refused"
    traces = dict.fromkeys(one.trace_id for one in delivery.orders if one.trace_id and (one.app, one.env) in mine)
    told: dict[str, Any] = {"status": status, "delivery": delivery.key, "runs": runs}
    return told | ({"refused": refused} if refused else {}) | ({"trace": next(iter(traces))} if traces else {})


def _of(outcome: Mapping[str, Any], mine: Collection[tuple[str, str]]) -> dict[str, Any]:
    """The part of an outcome that is about these apps and envs."""
    return {
        what: [one for one in found if (one["app"], one["env"]) in mine] if isinstance(found, list) else found
        for what, found in outcome.items()
    }
