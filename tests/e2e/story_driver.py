"""A driver's process for the rollout tests: warm, so that a flow starts at once, and mortal.

    python tests/e2e/story_driver.py FOLDER

It takes orders as FOLDER/NUMBER.json, runs the flow they name with the settings they name, and answers in
FOLDER/NUMBER.answer.json. An order may say at which journal append the driver stands still, so that the test can
SIGKILL it there, and how long lease and term are. It ends when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from gopub.cli.engine import load
from gopub.errors import GopubError
from gopub.journal.events import Event
from gopub.journal.store import Journal
from gopub.rollout import lease, seat
from gopub.wiring import settings

LOOK = 0.05
SLOW = 45.0
MARKER = "stands"


class CountedJournal(Journal):
    """The real journal; counts appends and stands still for ever before or after the one it is told."""

    count = 0

    def __init__(self, journal: Journal, at: int, *, after: bool, marker: Path) -> None:
        super().__init__(journal._engine, journal._clock)
        self._at, self._after, self._marker = at, after, marker

    def append_all(self, parts: Sequence[tuple[str, int, Sequence[Event]]], **more: Any) -> list[int]:
        """Append; at the fatal one, stand still with everything of this process."""
        CountedJournal.count += 1
        mine = CountedJournal.count == self._at
        what = ", ".join(type(event).__name__ for _, _, events in parts for event in events)
        if mine and not self._after:
            self._stand_still(f"before {what}")
        versions = super().append_all(parts, **more)
        if mine:
            self._stand_still(f"after {what}")
        return versions

    def _stand_still(self, where: str) -> None:
        draft = self._marker.with_suffix(".part")
        draft.write_text(where)
        draft.rename(self._marker)
        while True:  # nothing of this process goes on: neither the renewal of the lease nor a handler
            time.sleep(60)


def main(folder: Path) -> None:
    """Load the flows, then obey."""
    load("flows.rollout:rollout")
    parent, number = os.getppid(), 0
    (folder / "ready").touch()
    while os.getppid() == parent:
        order = folder / f"{number}.json"
        if not order.exists():
            time.sleep(LOOK)
            continue
        answer = obey(json.loads(order.read_text()), folder)
        draft = folder / f"{number}.part"
        draft.write_text(json.dumps(answer))
        draft.rename(folder / f"{number}.answer.json")
        number += 1


def obey(order: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run one flow; an error of ours is an answer, too."""
    os.environ.update(order["env"])
    prepare(order, folder)
    began = time.monotonic()
    faulthandler.dump_traceback_later(SLOW, repeat=True)
    try:
        result = asyncio.run(watched(load(f"flows.{order['flow']}:{order['flow']}")(**order["parameters"])))
    except GopubError as error:
        return {"error": {"code": error.code, "exit": int(error.exit), "text": str(error)}}
    except Exception as error:  # noqa: BLE001 - the test shows it
        return {"error": {"code": type(error).__name__, "exit": -1, "text": repr(error)}}
    finally:
        faulthandler.cancel_dump_traceback_later()
    return {"result": result, "appends": CountedJournal.count, "seconds": time.monotonic() - began}


async def watched(flow: Coroutine[Any, Any, Any]) -> Any:
    """The flow; what it waits for is written to the log when it takes long."""
    watch = asyncio.create_task(_tell_stacks())
    try:
        return await flow
    finally:
        watch.cancel()
        print(f"flow over at {time.time():.2f}", flush=True)


async def _tell_stacks() -> None:
    while True:
        await asyncio.sleep(SLOW)
        for task in asyncio.all_tasks():
            task.print_stack(limit=4)


def prepare(order: dict[str, Any], folder: Path) -> None:
    """Lease, term and the fatal append, as ordered."""
    lease.LEASE = seat.LEASE = order.get("lease", 30.0)
    lease.TERM = order.get("term", 30.0)
    lease.RENEW = min(lease.LEASE, lease.TERM) / 6
    CountedJournal.count = 0
    die = order.get("die") or {}

    def journal(clock: Any = None, **patience: float) -> Journal:
        if patience:  # a build counts itself, and is none of the appends at which a driver is killed
            return original(clock, **patience)
        real = original(clock)
        return CountedJournal(real, die.get("at", 0), after=die.get("after", False), marker=folder / MARKER)

    settings.journal = journal


original = settings.journal

if __name__ == "__main__":
    main(Path(sys.argv[1]))
