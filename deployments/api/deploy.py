"""``POST /v1/deploy`` and ``GET /v1/runs/{id}``.

The checks, in this order; the first that fails is the answer, and nothing was started:

1. the token is known (401);
2. the body is small (413) and valid (422);
3. the token may deploy this app to this environment (403), and both exist (404);
4. the same idempotency key was not used for another request (422); for the same request the first answer is repeated;
5. the version has a tag, or the ref is there (422), and may be released (409);
6. it is not older than the stable one, unless a downgrade is asked for (409);
7. the engine takes the run (503).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.api.parts import Parts
from deployments.api.requests import authenticate, idempotency_key, read_body
from deployments.deliveries import Delivery
from deployments.hooks.matching import deploy_parameters
from deployments.journal import not_older
from deployments.refs import settled
from deployments.starter import RunOrder, RunView
from gopub.canon import JsonError, bounded, digest_of, read_json
from gopub.clock import new_token
from gopub.errors import GopubError, RefusedError
from gopub.source.versions import without_v
from gopub.spec.projects import VERSION, Project
from gopub.spec.refglob import EVERY, is_ref
from gopub.telemetry import log

LIMIT = 64 * 1024
_LOG = log("api")
_VERSION = re.compile(r"v?((?!.*\.\.)[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]*[0-9A-Za-z])?)")


class DeployRequest(BaseModel):
    """What to deploy where; ``targets`` are hosts, chosen by the environment's own selector until it is acted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    app: Annotated[str, Field(description="The app, as projects.yaml names it.")]
    version: Annotated[str, Field(max_length=64, description="Its version, such as 1.4.0.")]
    env: Annotated[str, Field(description="The environment, such as prod.")]
    targets: Annotated[list[str], Field(max_length=0, description="Hosts; not acted on yet.")] = []
    ref: Annotated[str | None, Field(description="A branch, tag or commit id; default: the version's tag.")] = None
    reason: Annotated[str, Field(max_length=500, description="Why; it stands in the journal.")] = ""
    downgrade: Annotated[bool, Field(description="Deploy it though a newer version is stable.")] = False


def router(parts: Parts) -> APIRouter:
    """The routes of the API."""
    routes = APIRouter(prefix="/v1")
    content = {"application/json": {"schema": DeployRequest.model_json_schema()}}
    documented: dict[str, Any] = {"requestBody": {"required": True, "content": content}}

    @routes.post("/deploy", status_code=202, openapi_extra=documented)
    async def deploy(request: Request) -> JSONResponse:
        """Start a deployment; the same idempotency key starts it once."""
        caller = authenticate(request, parts.tokens)
        asked = read_request(await read_body(request, LIMIT))
        app = permitted(parts, caller, asked.app, asked.env)
        wanted = idempotency_key(request)
        key = f"rest:{caller}:{wanted or new_token()}"
        answer, replayed = await _started(parts, app, asked, caller, key)
        headers = {"Location": f"/v1/runs/{answer['id']}"} | ({"Idempotent-Replayed": "true"} if replayed else {})
        return JSONResponse(answer, 202, headers=headers)

    @routes.get("/runs/{run_id}")
    async def run(request: Request, run_id: str) -> JSONResponse:
        """How a run stands."""
        caller = authenticate(request, parts.tokens)
        found = await parts.starter.run(run_id)
        if found is None:
            raise GopubError("GP937", f"there is no run {run_id!r}")
        if not parts.projects.tokens[caller].sees(found.app, found.env):
            raise _not_allowed(caller, found.app, found.env)
        return JSONResponse(asdict(found))

    return routes


def read_request(body: bytes) -> DeployRequest:
    """The request in a body.

    Raises:
        GopubError: GP933 naming the field that is wrong.
    """
    try:
        read_json(body, limit=LIMIT)
        asked = DeployRequest.model_validate_json(body)
    except JsonError as error:
        raise GopubError("GP933", f"the body: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the body"
        hint = "hosts are chosen by the environment in gopub.yaml" if field == "targets" else ""
        what = "is not acted on yet" if field == "targets" and first["type"] == "too_long" else first["msg"]
        raise GopubError("GP933", bounded(f"{field}: {what}"), hint=hint) from None
    if asked.ref is not None and not is_ref(asked.ref):
        raise GopubError("GP933", f"ref: {asked.ref!r} cannot be a git ref")
    return asked


def permitted(parts: Parts, caller: str, app: str, env: str) -> Project:
    """The app, where the caller may deploy it to the environment.

    Raises:
        RefusedError: GP931 not with this token.
        GopubError: GP932 there is no such app or environment.
    """
    if not parts.projects.tokens[caller].allows(app, env):
        raise _not_allowed(caller, app, env)
    project = parts.projects.apps.get(app)
    if project is None:
        raise GopubError("GP932", f"there is no app {app!r}", hint="projects.yaml on the server lists them")
    if env not in project.envs:
        raise GopubError("GP932", f"{app} has no environment {env!r}", hint="it has " + ", ".join(project.envs))
    return project


async def _started(
    parts: Parts, app: Project, asked: DeployRequest, caller: str, key: str
) -> tuple[Mapping[str, Any], bool]:
    """The answer, and whether it was given before."""
    digest = digest_of(asked.model_dump() | {"version": without_v(asked.version)})
    seen = await parts.deliveries.aside(parts.deliveries.find, key)
    if seen and _same_request(seen, digest).outcome:
        return await _with_rollout(parts, asked, seen), True
    patterns = parts.projects.tokens[caller].refs
    version, ref = await resolved(parts, app, asked, patterns)
    if not asked.downgrade:
        await not_older(parts.downgrade, asked.app, asked.env, version)
    row, _ = await parts.deliveries.aside(parts.deliveries.begin, key, digest, (), parts.clock.now())
    _same_request(row, digest)  # somebody may have used the key while the repository was asked
    reason = asked.reason or f"POST /v1/deploy by {caller}"
    parameters = deploy_parameters(asked.app, app, env=asked.env, ref=ref, actor=f"token:{caller}", reason=reason,
                                   refs=patterns)  # fmt: skip
    parameters["version"] = version
    if asked.downgrade:
        parameters["downgrade"] = True
    order = RunOrder(app=asked.app, env=asked.env, key=key, parameters=parameters)
    made = await parts.starter.start(order)
    _LOG.info(
        "%s started run %s: %s %s to %s, trace %s", caller, made.id, asked.app, version, asked.env, order.trace_id
    )
    answer = _answer(made, asked, version, ref)
    await parts.deliveries.aside(parts.deliveries.finish, key, answer)
    return answer, False


async def _with_rollout(parts: Parts, asked: DeployRequest, seen: Delivery) -> Mapping[str, Any]:
    """The answer that was given before, with the rollout if there is one by now."""
    answer = {"rollout": "", **(seen.outcome or {})}
    if answer["rollout"]:
        return answer
    known = await asyncio.to_thread(parts.rollouts, asked.app, asked.env, str(answer["id"]), seen.received)
    return {**answer, "rollout": known}


def _same_request(seen: Delivery, digest: str) -> Delivery:
    if seen.digest != digest:
        hint = "use a new key for a new request"
        raise GopubError("GP935", "this Idempotency-Key was used for another request", hint=hint)
    return seen


async def resolved(
    parts: Parts, app: Project, asked: DeployRequest, patterns: Sequence[str] = EVERY
) -> tuple[str, str]:
    """The version without its v, and the branch, tag or commit for it that exists and may be released.

    Raises:
        RefusedError: GP959 the token does not reach it.
        GopubError: GP934 it is no version, or nothing in the repository is called so; GP939 no answer from there.
    """
    match = _VERSION.fullmatch(asked.version)
    if match is None:
        raise GopubError("GP934", f"{asked.version!r} is not a version", hint='write it as "1.4.0"')
    ref = asked.ref or "refs/tags/" + app.version_tag.replace(VERSION, match[1])
    found = await settled(parts.refs, app.repository, ref, patterns)
    if found is None:
        hint = "push it first" if asked.ref else "push the tag first, or name a ref"
        raise GopubError("GP934", f"{asked.app} {match[1]}: the repository has no {ref}", hint=hint)
    return match[1], found


def _answer(made: RunView, asked: DeployRequest, version: str, ref: str) -> dict[str, Any]:
    return {
        "id": made.id, "name": made.name, "state": made.state,
        "app": asked.app, "env": asked.env, "version": version, "ref": ref, "rollout": made.rollout,
        "trace": made.trace,
    }  # fmt: skip


def _not_allowed(caller: str, app: str, env: str) -> RefusedError:
    return RefusedError("GP931", f"the token {caller!r} may not deploy {app!r} to {env!r}")
