"""Stories told beside each other: each waits most of its time, for a bake, a lapsed lease or Prefect's next look.

A story is a coroutine over what they share (a real server, say) and has an env of its own there. The first test that
asks how its story ended begins all that this run of pytest selected; each test then waits for its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from threading import Thread
from typing import Any, Generic, TypeVar

import pytest

Shared = TypeVar("Shared")
Story = Callable[[Shared], Awaitable[None]]

AT_ONCE = 4
"""More would only wait for two cores."""


class Beside(Generic[Shared]):
    """Tells stories over what they ``share``, so many at once, in a loop and a thread of its own."""

    def __init__(self, shared: Shared, stories: Iterable[Story[Shared]], at_once: int = AT_ONCE) -> None:
        self._ends: dict[Story[Shared], Future[None]] = {story: Future() for story in stories}
        self._shared, self._at_once = shared, at_once
        self._teller = Thread(target=lambda: asyncio.run(self._tell_all()))
        self._teller.start()

    def end_of(self, story: Story[Shared]) -> None:
        """Wait until it has ended; raises what it raised."""
        self._ends[story].result()

    def close(self) -> None:
        """Wait for those that nobody asked about (their tests were left out after a failure)."""
        self._teller.join()

    async def _tell_all(self) -> None:
        turn = asyncio.Semaphore(self._at_once)

        async def tell(story: Story[Shared], end: Future[None]) -> None:
            async with turn:
                try:
                    await story(self._shared)
                except BaseException as error:  # noqa: BLE001 - it is the test's that asks, whatever it is
                    end.set_exception(error)
                else:
                    end.set_result(None)

        await asyncio.gather(*(tell(story, end) for story, end in self._ends.items()))


def selected(items: Iterable[pytest.Item]) -> list[Story[Any]]:
    """The stories among the tests that this run of pytest wants, in their order."""
    stories = (getattr(item, "callspec", None) for item in items)
    return [one.params["story"] for one in stories if one and "story" in one.params]
