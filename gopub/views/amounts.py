"""Numbers as a tired person reads them: shares, counts, times and names, each true at its edges. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from gopub.units import say_took

_FEW = 20
"""Of fewer than so many, a percentage says more than is known."""
_PLAIN = 10_000
"""Numbers below have no separator."""
_NAMED = 3
_MOST_TEXT = 120


def count(number: int) -> str:
    """``2954``, ``12,345``."""
    return str(number) if abs(number) < _PLAIN else f"{number:,}"


def percent(share: float) -> str:
    """A fraction in two digits; a share that is not nothing is never ``0 %``, one that is not all never ``100 %``."""
    value = 100 * share
    if value <= 0 or value >= 100:
        return "0 %" if value <= 0 else f"{value:.3g} %"
    if value < 0.01:
        return "less than 0.01 %"
    if value > 99:
        return f"{math.floor(value * 100) / 100:g} %" if value < 99.99 else "more than 99.99 %"
    return f"{value:.2g} %"


def failed(bad: int, of: int, whose: str, did: str = "failed") -> str:
    """``2.2 % of the canary's answers failed (19 of 846)``; words where there is nothing to divide."""
    its = "its" if whose == "it" else f"{whose}'s"
    if of <= 0:
        return f"{whose} had no answers"
    if of == 1:
        return f"{its} only answer {did if bad > 0 else 'was fine'}"
    if bad <= 0 or bad >= of:
        return f"{'none' if bad <= 0 else 'all'} of {its} {answers(of)} {did}"
    if of < _FEW:
        return f"{bad} of {its} {answers(of)} {did}"
    return f"{percent(bad / of)} of {its} answers {did} ({count(bad)} of {count(of)})"


def beside(bad: int, of: int, whose: str) -> str:
    """The other track, after ``failed``: ``none of stable's 2954``."""
    if of <= 0:
        return f"{whose} had no traffic to compare with"
    if bad <= 0:
        return f"none of {whose}'s {count(of)}"
    if bad >= of or of < _FEW:
        return f"{'all' if bad >= of else bad} of {whose}'s {count(of)}"
    return f"{percent(bad / of)} of {whose}'s ({count(bad)} of {count(of)})"


def answers(number: int) -> str:
    """``1 answer``, ``846 answers``."""
    return f"{count(number)} answer{'' if number == 1 else 's'}"


def times(number: int) -> str:
    """``once``, ``twice``, ``3 times``; ``never`` for none."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{count(number)} times")


took = say_took


def names(hosts: Sequence[str]) -> str:
    """``web1``, ``web1 and web2``, ``web1, web2 and 5 more``."""
    if len(hosts) < 2:
        return "".join(hosts)
    shown = hosts if len(hosts) <= _NAMED else hosts[: _NAMED - 1]
    last = shown[-1] if shown is hosts else f"{len(hosts) - len(shown)} more"
    return f"{', '.join(shown[:-1] if shown is hosts else shown)} and {last}"


def clock(at: float, now: float) -> str:
    """The time of day, with the date where it is another day: ``12:34 UTC``."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"{then:%H:%M} UTC" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M} UTC"


def day(moment: str) -> str:
    """A time of RFC 3339, all of ours in UTC, as sentences have it: ``2026-11-15 12:00:00 UTC``."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short(text: str) -> str:
    """What others wrote, as far as it fits into a sentence; all of it is in the verdict's reason."""
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
