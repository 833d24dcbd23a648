"""The application: its routes, its errors, and the tasks that start what waits, look at what ended and tell forges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from deployments.api import alerts, deploy, hold, hook, problems, starting
from deployments.api.parts import Parts
from deployments.api.tracing import Traced
from deployments.attending import keep_attending
from deployments.ends import keep_looking
from deployments.writeback.keeping import keep_telling
from gopub import __version__
from gopub.tracing.exporting import exporting


def _beside(parts: Parts) -> Iterator[Coroutine[None, None, None]]:
    yield starting.keep_starting(parts)
    yield keep_looking(parts)
    yield keep_attending(parts)
    yield keep_telling(parts)


def create_app(parts: Parts) -> FastAPI:
    """The ASGI application. Its pages load nothing from other hosts, so there is no /docs; see /openapi.json."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        beside = [asyncio.create_task(one) for one in _beside(parts)]
        try:
            with exporting():
                yield
        finally:
            for kept in beside:
                kept.cancel()
                with suppress(asyncio.CancelledError):
                    await kept
            parts.deliveries.close()

    app = FastAPI(title="gopub", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    app.add_middleware(Traced)
    app.include_router(deploy.router(parts))
    app.include_router(hold.router(parts))
    app.include_router(alerts.router(parts))
    app.include_router(hook.router(parts))

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        """That the API runs, and how many deliveries wait to be started."""
        return {"status": "ok", "waiting": await parts.deliveries.aside(parts.deliveries.count)}

    return app
