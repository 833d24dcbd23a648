"""``POST /v1/hold`` and ``POST /v1/resume``: the rollout that is under way grows no further, or goes on.

They need the token that may deploy this app to this environment, and answer with how the rollout stands then.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.api.deploy import LIMIT, permitted
from deployments.api.parts import Parts
from deployments.api.requests import authenticate, read_body
from gopub.clock import SystemClock
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.usecases.ask import ask_hold, ask_resume, under_way
from gopub.views.reading import stands
from gopub.views.standing import Standing
from gopub.wiring import settings


class HoldRequest(BaseModel):
    """Whose rollout is meant, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    app: Annotated[str, Field(max_length=200, description="The app, as projects.yaml names it.")]
    env: Annotated[str, Field(max_length=200, description="The environment, such as prod.")]
    reason: Annotated[str, Field(max_length=500, description="Why; it stands in the journal.")] = ""


def router(parts: Parts) -> APIRouter:
    """The two routes."""
    routes = APIRouter(prefix="/v1")
    content = {"application/json": {"schema": HoldRequest.model_json_schema()}}
    documented: dict[str, Any] = {"requestBody": {"required": True, "content": content}}

    async def answered(request: Request, *, hold: bool) -> JSONResponse:
        caller = authenticate(request, parts.tokens)
        wanted = _read(await read_body(request, LIMIT))
        permitted(parts, caller, wanted.app, wanted.env)
        found = await asyncio.to_thread(_ask, wanted, f"token:{caller}", hold=hold)
        return JSONResponse(asdict(found))

    @routes.post("/hold", openapi_extra=documented)
    async def hold(request: Request) -> JSONResponse:
        """Let the rollout grow no further; it may still go back."""
        return await answered(request, hold=True)

    @routes.post("/resume", openapi_extra=documented)
    async def resume(request: Request) -> JSONResponse:
        """Let the rollout that is held go on."""
        return await answered(request, hold=False)

    return routes


def _read(body: bytes) -> HoldRequest:
    try:
        return HoldRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the body"
        raise GopubError("GP933", f"{field}: {first['msg']}") from None


def _ask(wanted: HoldRequest, actor: str, *, hold: bool) -> Standing:
    journal = settings.journal()
    try:
        rollout = under_way(journal, wanted.app, wanted.env)
        (ask_hold if hold else ask_resume)(journal, rollout, wanted.reason, actor=actor)
    except UsageError as error:  # a mistake at a command line is a conflict here
        raise RefusedError(error.code, error.problem, hint=error.hint) from None
    return stands(journal, rollout, SystemClock().now()) or Standing(rollout, "active")
