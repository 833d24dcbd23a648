"""Errors as clients of the API see them: problem details, RFC 9457.

``{"type": "urn:gopub:error:GP932", "title": …, "status": 404, "detail": …, "code": "GP932", "hint": …}``

Each code has a page docs/errors/GPnnn.md. Unexpected failures say nothing about their inside: it stands in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gopub.errors import GopubError, RefusedError
from gopub.telemetry import REDACTOR, log

MEDIA_TYPE = "application/problem+json"
_LOG = log("api")

_TITLES: Mapping[str, tuple[int, str]] = {
    "GP915": (503, "The file of deliveries cannot be used"),
    "GP918": (503, "The engine does not answer"),
    "GP919": (503, "The engine does not know what to start"),
    "GP930": (401, "A token is needed"),
    "GP931": (403, "The token does not allow this"),
    "GP932": (404, "Unknown app or environment"),
    "GP933": (422, "The request is not valid"),
    "GP934": (422, "The version cannot be deployed"),
    "GP935": (422, "The idempotency key was used for another request"),
    "GP936": (413, "The request is too large"),
    "GP937": (404, "Unknown run or delivery"),
    "GP938": (401, "The webhook's sender is not known"),
    "GP939": (503, "The repository does not answer"),
}
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": "10"},
}


def problem(error: GopubError) -> JSONResponse:
    """The response for one of our errors; a code without a status of its own is a 409 if refused, else a 500."""
    refused = isinstance(error, RefusedError)
    status, title = _TITLES.get(error.code, (409, "Refused") if refused else (500, "Internal error"))
    body = {
        "type": f"urn:gopub:error:{error.code}",
        "title": title,
        "status": status,
        "detail": REDACTOR.clean(error.problem),
        "code": error.code,
    }
    if error.hint:
        body["hint"] = REDACTOR.clean(error.hint)
    return _response(status, body)


def plain_problem(status: int) -> JSONResponse:
    """The response for what HTTP itself names: an unknown path, a wrong method, a crash of ours."""
    return _response(status, {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status})


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""

    @app.exception_handler(GopubError)
    async def _ours(_request: Request, error: GopubError) -> JSONResponse:
        return problem(error)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return plain_problem(error.status_code)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return plain_problem(500)


def _response(status: int, body: Mapping[str, object]) -> JSONResponse:
    return JSONResponse(body, status, headers=_HEADERS.get(status), media_type=MEDIA_TYPE)
