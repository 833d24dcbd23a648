"""Durations, shares and sizes as people write them: ``30s``, ``10%``, ``2``, ``10MiB``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gopub.errors import UsageError

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NEARLY = 0.9995
"""Seconds from which on three digits of milliseconds would be four."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|MB|GB)?")
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def seconds(text: str) -> float:
    """Parse a duration such as ``1h30m``, ``200ms`` or ``0s`` into seconds.

    Raises:
        UsageError: GP101 when the text is not a duration; a bare number has no unit and is refused.
    """
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise UsageError("GP101", f"{text!r} is not a duration", hint='write a number and a unit, such as "30s"')
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def say_seconds(value: float) -> str:
    """Write seconds the short way round: ``90.0`` gives ``1m30s``."""
    if value < 1:
        return f"{round(value * 1000)}ms" if value else "0s"
    left, out = round(value, 3), ""
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, _SECONDS[unit])
        out += f"{int(whole)}{unit}" if whole else ""
    return out + (f"{left:g}s" if left or not out else "")


def say_about(value: float) -> str:
    """What is measured or left, for people: whole seconds, and never ``0s`` of what is not nothing."""
    return say_seconds(max(1, round(value)) if value > 0 else 0)


def say_took(value: float) -> str:
    """How long an answer took, wherever it is said: ``145 ms``, ``1.2 s``; never ``1e+03 ms``."""
    return f"{value * 1000:.3g} ms" if value < _NEARLY else f"{value:.3g} s"


def fraction(text: str) -> float:
    """Parse ``10%`` or ``0.5%`` into a fraction of 1.

    Raises:
        UsageError: GP102 when it is no percentage between 0 % and 100 %.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if not match or float(match[1]) > 100:
        raise UsageError("GP102", f"{text!r} is not a percentage from 0% to 100%", hint='write it as "10%"')
    return float(match[1]) / 100


def size(text: str) -> int:
    """Parse ``10MiB`` into bytes.

    Raises:
        UsageError: GP104 when the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise UsageError("GP104", f"{text!r} is not a size", hint='write it as "10MiB"')
    return int(float(match[1]) * _BYTES[match[2] or "B"])


def say_size(value: int) -> str:
    """Write bytes so that :func:`size` reads the same number: ``1GiB``, ``1500B``."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of hosts, or a share of them; exactly one of the two is set."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, value: str | int) -> Amount:
        """Read ``2`` or ``10%``.

        Raises:
            UsageError: GP103 when it is neither.
        """
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(count=value)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return cls(count=int(value))
        if isinstance(value, str) and value.endswith("%"):
            return cls(share=fraction(value))
        raise UsageError("GP103", f"{value!r} is neither a number nor a percentage", hint='write 2 or "10%"')

    def up(self, total: int) -> int:
        """How many of ``total``, rounded up, at most all of them (steps are rounded up)."""
        return min(total, self.count if self.count is not None else math.ceil(round((self.share or 0) * total, 9)))

    def down(self, total: int) -> int:
        """How many of ``total``, rounded down, at least one (``max_unavailable``)."""
        return max(1, min(total, self.count if self.count is not None else int((self.share or 0) * total)))

    def __str__(self) -> str:
        """As people write it."""
        return str(self.count) if self.count is not None else f"{(self.share or 0) * 100:g}%"
