"""The engine's door: the only module that imports Prefect, and only when a flow is to run.

Flows are loaded by name from the Prefect project (the checkout, or the folder inside the wheel). With nothing set up
they run in this process and report to a server of their own on SQLite, which ends with this process; with
``PREFECT_API_URL`` they report to that server.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.paths import project_root, state_dir

if TYPE_CHECKING:
    from gopub.drive.naming import Elsewhere

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLI_PROMPT": "false",
}
"""Set before Prefect is imported, where the user has not set it: no telemetry, and we tell the story ourselves."""


def load(dotted: str) -> Any:
    """An attribute of the Prefect project, such as ``flows.rollout:rollout``."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if "PREFECT_API_URL" not in os.environ:
        home = os.environ.setdefault("PREFECT_HOME", str(state_dir() / "prefect"))
        Path(home).mkdir(parents=True, exist_ok=True)  # Prefect makes the last folder only
    root = str(project_root())
    if root not in sys.path:
        sys.path.insert(0, root)
    module, attribute = dotted.split(":")
    return getattr(importlib.import_module(module), attribute)


def server_blocks() -> Elsewhere | None:
    """Where a command that runs no flow looks for names that no file gives: on the server that is set up, if one is."""
    if "PREFECT_API_URL" not in os.environ:
        return None
    return cast("Elsewhere", load("blocks.resolve:ServerBlocks")())


def run_flow(name: str, parameters: Mapping[str, Json], beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
             on_interrupt: Callable[[], None] | None = None) -> Json:  # fmt: skip
    """Run a flow to its end in this process and give what it returns.

    ``beside`` runs next to it (it tells what happens) and is cancelled at the end. The first Ctrl-C calls
    ``on_interrupt``, which asks for a safe stop; the second one ends the process.

    Raises:
        GopubError: what the flow raised.
    """
    _own_server()
    flow = load(f"flows.{name}:{name}")
    return asyncio.run(_run(flow, parameters, beside, on_interrupt))


def _own_server() -> None:
    """Where no server is set up, start one for this process. Prefect reads its settings once, when it is imported."""
    if "PREFECT_API_URL" in os.environ:
        return
    start, stop = load("deployments.server:start_server"), load("deployments.server:stop")
    server = asyncio.run(start(Path(os.environ["PREFECT_HOME"]), own=True))
    os.environ["PREFECT_API_URL"] = server.url
    atexit.register(lambda: asyncio.run(stop(server.running, wait=5.0)))


def run_deployment(
    name: str, parameters: Mapping[str, Json], beside: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> str:
    """Start a deployment on the server of ``PREFECT_API_URL`` and wait for its end; gives the name of its state.

    Raises:
        GopubError: GP949 the run failed, crashed or was cancelled.
    """
    return asyncio.run(_run_deployment(name, parameters, beside))


async def _run_deployment(
    name: str, parameters: Mapping[str, Json], beside: Callable[[], Coroutine[Any, Any, None]] | None
) -> str:
    from prefect.deployments import arun_deployment

    telling = asyncio.create_task(beside()) if beside else None
    try:
        run = await arun_deployment(name, parameters=dict(parameters), timeout=None, poll_interval=1)
    finally:
        if telling:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    state = run.state
    if state is None or not state.is_completed():
        said = f"{state.name}: {state.message}" if state else "no state"
        raise GopubError(
            "GP949", f"the run {run.name} of {name} ended as {said}", hint="see its logs in the Prefect UI"
        )
    return state.name or ""


async def _run(
    flow: Any,
    parameters: Mapping[str, Json],
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
    on_interrupt: Callable[[], None] | None,
) -> Json:
    if on_interrupt:
        _first_asks_second_kills(on_interrupt)
    telling = asyncio.create_task(beside()) if beside else None
    try:
        return cast("Json", await flow(**parameters))
    finally:
        if telling:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


def _first_asks_second_kills(ask: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def asked() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        ask()

    try:
        loop.add_signal_handler(signal.SIGINT, asked)
    except (RuntimeError, NotImplementedError) as error:
        raise GopubError("GP950", "Ctrl-C cannot be watched here", hint="run gopub in the main thread") from error
