"""The application: its routes, its errors, and the task that starts what waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from deployments.api import deploy, hold, hook, problems, starting
from deployments.api.parts import Parts
from gopub import __version__


def create_app(parts: Parts) -> FastAPI:
    """The ASGI application. Its pages load nothing from other hosts, so there is no /docs; see /openapi.json."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        kept = asyncio.create_task(starting.keep_starting(parts))
        try:
            yield
        finally:
            kept.cancel()
            with suppress(asyncio.CancelledError):
                await kept
            parts.deliveries.close()

    app = FastAPI(title="gopub", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    app.include_router(deploy.router(parts))
    app.include_router(hold.router(parts))
    app.include_router(hook.router(parts))

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        """That the API runs, and how many deliveries wait to be started."""
        return {"status": "ok", "waiting": await parts.deliveries.aside(parts.deliveries.count)}

    return app
