"""The engine's door: the only module that imports Prefect, and only when a flow is to run.

Flows are loaded by name from the Prefect project (the checkout, or the folder inside the wheel). With nothing set up
they run in this process and report to a server of their own on SQLite, which ends with this process; with
``PREFECT_API_URL`` they report to that server.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from gopub.canon import Json
from gopub.cli.lines import awaited, hush
from gopub.cli.signals import Wish, heeded
from gopub.clock import SystemClock
from gopub.errors import GopubError, InterruptedByUser
from gopub.paths import OWN_SERVER, private_folder, project_root, state_dir, state_folder
from gopub.plan.model import Outcome

if TYPE_CHECKING:
    from gopub.wiring.naming import Elsewhere

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
"""Set before Prefect is imported, where the user has not set it: no telemetry, and the watchdog of a server hears of
our runs as often as of a worker's. That we tell the story ourselves is set by `lines.hush`."""


def load(dotted: str) -> Any:
    """An attribute of the Prefect project, such as ``flows.rollout:rollout``."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    hush()
    if "PREFECT_API_URL" not in os.environ:
        state_folder()
        private_folder(Path(os.environ.setdefault("PREFECT_HOME", str(engine_home()))))
    return bring(dotted)


def bring(dotted: str) -> Any:
    """The same of what needs no engine: nothing is set up for one."""
    root = str(project_root())
    if root not in sys.path:
        sys.path.insert(0, root)
    module, attribute = dotted.split(":")
    return getattr(importlib.import_module(module), attribute)


def engine_home() -> Path:
    """Where the engine of this Prefect keeps its state when no server is set up.

    Each version has a folder of its own: a database that a newer one migrated cannot be opened by an older one, and a
    checkout and an installed wheel of the same user need not have the same.
    """
    return state_dir() / f"prefect-{version('prefect')}"


def server_blocks() -> Elsewhere | None:
    """Where a command that runs no flow looks for names that no file gives: on the server that is set up, if one is."""
    if "PREFECT_API_URL" not in os.environ:
        return None
    return cast("Elsewhere", load("tasks.elsewhere:Elsewhere")())


def needs_own_server() -> bool:
    """Whether no server is set up, so that flows of this process need one."""
    return "PREFECT_API_URL" not in os.environ


WAITING = "Waiting"
"""What `tasks.marks` calls the state of a run whose rollout waits."""
_OUTCOMES = frozenset(outcome.value.capitalize() for outcome in Outcome if outcome is not Outcome.FAILED)
Beside = Callable[[], Coroutine[Any, Any, None]]
"""What runs next to flows, such as telling what happens; cancelled at their end."""
Interrupt = Callable[[Sequence[Callable[[], object]], str], Coroutine[Any, Any, None]]
"""What the first signal starts; it is given what cancels each flow, in the order of their parameters, and its name."""


def run_flow(name: str, parameters: Mapping[str, Json], beside: Beside | None = None) -> Json:
    """Run a flow to its end in this process and give what it returns.

    Raises:
        GopubError: what the flow raised; GP952 somebody stopped it.
    """
    (result,) = run_flows(name, [parameters], beside)
    if isinstance(result, asyncio.CancelledError):
        hint = "`gopub verify VERSION` says whether a release was published, `gopub status` what runs"
        raise InterruptedByUser("GP952", f"the {name} was stopped before its end", hint=hint)
    if isinstance(result, BaseException):
        raise result
    return result


def _nothing_begun() -> InterruptedByUser:
    return InterruptedByUser("GP952", "stopped before a rollout was begun", hint="nothing was rolled out")


def run_flows(
    name: str,
    parameters: Sequence[Mapping[str, Json]],
    beside: Beside | None = None,
    on_interrupt: Interrupt | None = None,
) -> list[Json | BaseException]:
    """Run a flow once for each of ``parameters``, side by side in this process; what each returns or raises.

    The first Ctrl-C, SIGTERM or SIGHUP starts ``on_interrupt`` next to them, by default it cancels them; a Ctrl-C after
    that ends the process.
    """
    try:
        with awaited("starting the engine"):
            up = _own_server()
            with collecting_later():
                flow, wish = load(f"flows.{name}:{name}"), Wish()
            up()
    except KeyboardInterrupt:
        raise _nothing_begun() from None
    return _in_a_thread(lambda: asyncio.run(_run(flow, parameters, beside, on_interrupt or _cancel, wish)), wish.say)


def _own_server() -> Callable[[], object]:
    """Where no server is set up, start one for this process; gives what waits until it answers.

    It comes up while the flows are imported. Prefect reads its settings once, when it is imported: the address is known
    before.
    """
    if not needs_own_server():
        return bool
    with collecting_later():
        launch, answering = load("deployments.server:launch_own"), load("deployments.server:answering")
        stop = load("deployments.server:stop")
    server = launch(Path(os.environ["PREFECT_HOME"]))

    def end() -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the process ends already, with a code of its own
        asyncio.run(stop(server.running, wait=5.0))

    atexit.register(end)
    os.environ |= {OWN_SERVER: "1", "PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": server.login}
    return lambda: asyncio.run(answering(server))


@contextmanager
def collecting_later() -> Iterator[None]:
    """Collect no garbage within the block: an import makes much that stays, and every look at it is in vain."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def run_deployment(name: str, parameters: Mapping[str, Json], beside: Beside | None = None) -> str:
    """Start a deployment on the server of ``PREFECT_API_URL`` and wait for its end; gives the name of its state.

    A run whose release did not stay is Failed under the name of the outcome; it did what it was started for. A run
    whose rollout waits for a window or an approval may wait for days: it is not waited for, and ``Waiting``.

    Raises:
        GopubError: GP949 the run failed, crashed or was cancelled.
    """
    return asyncio.run(_run_deployment(name, parameters, beside))


async def _run_deployment(name: str, parameters: Mapping[str, Json], beside: Beside | None) -> str:
    from prefect.client.orchestration import get_client
    from prefect.deployments import arun_deployment

    telling = asyncio.create_task(beside()) if beside else None
    try:
        async with get_client() as client:  # one of its own it would never close
            run = await arun_deployment(name, client=client, parameters=dict(parameters), timeout=0)
            state = await _last_state(client, run.id)
    finally:
        if telling:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    if not state.is_completed() and state.name not in (WAITING, *_OUTCOMES):
        said = f"{state.name}: {state.message}"
        raise GopubError(
            "GP949", f"the run {run.name} of {name} ended as {said}", hint="see its logs in the Prefect UI"
        )
    return state.name or ""


async def _last_state(client: Any, run: UUID) -> Any:
    """The state in which a run ends, or waits."""
    while True:
        state = (await client.read_flow_run(run)).state
        if state and (state.is_final() or (state.is_paused() and state.name == WAITING)):
            return state
        await SystemClock().sleep(1)


async def _run(
    flow: Any, parameters: Sequence[Mapping[str, Json]], beside: Beside | None, on_interrupt: Interrupt, wish: Wish
) -> list[Json | BaseException]:
    flows = [_begun(flow, each) for each in parameters]

    async def stop() -> None:
        await on_interrupt([one.cancel for one in flows], await wish.heard())

    companions = [asyncio.create_task(one()) for one in (beside, stop) if one]
    try:
        return cast("list[Json | BaseException]", await asyncio.gather(*flows, return_exceptions=True))
    finally:
        for one in companions:
            one.cancel()
        await asyncio.gather(*companions, return_exceptions=True)


def _begun(flow: Any, parameters: Mapping[str, Json]) -> asyncio.Task[Json]:
    """The flow, begun; its run bears the tags by which the watchdog and people find it."""
    named = [f"{key}:{parameters[key]}" for key in ("app", "env") if parameters.get(key)]
    with importlib.import_module("prefect").tags("gopub", *named):
        return asyncio.create_task(flow(**parameters))


async def _cancel(cancels: Sequence[Callable[[], object]], _why: str) -> None:
    for cancel in cancels:
        cancel()


def _in_a_thread(work: Callable[[], list[Json | BaseException]], first: Callable[[str], None]) -> list[Any]:
    """What ``work`` gives in a thread of its own, while this one listens for signals."""
    ended: list[Any] = []
    raised: list[BaseException] = []

    def thread() -> None:
        try:
            ended.extend(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            raised.append(error)

    worker = threading.Thread(target=contextvars.copy_context().run, args=(thread,), name="flows", daemon=True)
    with heeded(first):
        worker.start()
        worker.join()
    if raised:
        raise raised[0]
    return ended
