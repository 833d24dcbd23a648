"""Claims about how long work takes, that a busy machine cannot spoil and that still find what grows too fast.

Noise makes work slower, never quicker. So both sides are measured again and again, one right after the other, and the
quickest of each side are compared. A claim is shown by the first round in which it holds, and fails only if it held in
none. Seconds are those of this thread on a processor; what else runs meanwhile has its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

ROUNDS = 30
FEWEST = 3
"""Rounds before which nothing is believed: one measure of the side that may be slow says little."""
Work = Callable[[], object]


def spent(work: Work) -> float:
    """Seconds of a processor that ``work`` takes in this thread."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def at_most(times: float, work: Work, than: Work, *, rounds: int = ROUNDS) -> None:
    """Assert that ``work`` takes at most so many times what the other one takes."""
    _shown(lambda this, that: this <= times * that, f"at most {times:g}", work, than, rounds)


def at_least(times: float, work: Work, than: Work, *, rounds: int = ROUNDS) -> None:
    """Assert that ``work`` takes at least so many times what the other one takes: the control of `at_most`."""
    _shown(lambda this, that: this >= times * that, f"at least {times:g}", work, than, rounds)


def _shown(holds: Callable[[float, float], bool], said: str, work: Work, than: Work, rounds: int) -> None:
    this = that = math.inf
    for turn in range(1, rounds + 1):
        that, this = min(that, spent(than)), min(this, spent(work))
        if turn >= FEWEST and holds(this, that):
            return
    raise AssertionError(f"{said} times as long in none of {rounds} rounds: {this:.6f} s and {that:.6f} s")


def in_one_of(tries: int, attempt: Callable[[int], None]) -> None:
    """Let a story whose seconds count go well in one of so many tries; raises what the last one raised.

    Each try gets its number, for a place of its own: none begins on what an earlier one left.
    """
    for number in range(tries):
        try:
            attempt(number)
        except AssertionError:
            if number == tries - 1:
                raise
        else:
            return
