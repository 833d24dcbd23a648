"""Looks of `gopub doctor`: side by side, each in a thread of its own that is left behind when its time is over.

A library may wait for ever where nobody answers, deep in a thread: none of that holds up the others, or the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

from gopub.errors import GopubError
from gopub.telemetry import REDACTOR, one_line
from gopub.usecases.doctor_facts import Connected, Facts, Unseen
from gopub.wiring.guard import in_time


@dataclass(frozen=True, slots=True)
class Look:
    """Something to look at: what it is called, the seconds that it may take, and what it gives.

    A connection that fails is a finding of its own (``connection``); anything else was only not looked at.
    """

    what: str
    within: float
    work: Callable[[], Awaitable[Facts]]
    connection: bool = False

    def failed(self, told: str, hint: str = "", *, late: bool = False) -> Facts:
        """What is known of it where it failed."""
        if self.connection:
            return Facts("", connections=(Connected(self.what, "", "", told, hint, late),))
        return Facts("", unseen=(Unseen(self.what, told, late),))


def look_at(looks: Sequence[Look], known: Facts) -> Facts:
    """What is ``known`` with what all looks gave, in their order."""
    if not looks:
        return known
    with ThreadPoolExecutor(len(looks)) as beside:
        return reduce(together, beside.map(_looked, looks), known)


def together(one: Facts, other: Facts) -> Facts:
    """Both: lists after each other, of what is there once that which is there."""
    merged: dict[str, Any] = {}
    for name in (field.name for field in fields(Facts)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, tuple) and isinstance(theirs, tuple):
            merged[name] = (*mine, *theirs)
        else:
            merged[name] = theirs if mine is None or mine == "" else mine
    return replace(one, **merged)


def left_behind(facts: Facts) -> bool:
    """Whether a look did not end, and still blocks a thread."""
    return any(one.late for one in facts.unseen) or any(one.late for one in facts.connections)


def why(error: BaseException) -> str:
    """A failure on one line, without secrets."""
    if isinstance(error, GopubError):
        return one_line(REDACTOR.clean(f"{error.code} {error.problem}"))
    return one_line(REDACTOR.clean(f"{type(error).__name__} {error}".strip()))


def _looked(look: Look) -> Facts:
    async def work() -> Facts:
        return await look.work()

    try:
        return in_time(lambda: asyncio.run(work()), look.within)
    except TimeoutError:
        return look.failed(f"no answer within {look.within:g} s", late=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other looks go on
        return look.failed(why(error), error.hint if isinstance(error, GopubError) else "")
