"""Patterns of endpoints, ``[METHOD ]/path``: what they may be, and which of them hides another. Pure.

``*`` is any one segment and ``**`` at the end whatever follows, nothing included. The same grammar as endpoints.lua on
the edge, which compares them with nginx's own reading of a path: decoded, without ``//``, ``/../`` and query.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 10
"""Endpoints that one table names at most: the edge counts each of them for every host."""
LENGTH = 128
AUTO = "auto"
"""In the place of the last pattern: the busiest endpoints of stable, up to ``MOST`` in all."""
_PATTERN = re.compile(r"(?:([A-Z]+) )?(/.*)")
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()+,;=:@-]+")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One taken apart; ``rest``: it ends in ``**``, which is none of the segments."""

    method: str | None
    segments: tuple[str, ...]
    rest: bool = False

    def covers(self, other: Pattern) -> bool:
        """Whether every request that fits ``other`` fits this one, too."""
        if self.method not in (None, other.method) or len(self.segments) > len(other.segments):
            return False
        if not self.rest and (other.rest or len(self.segments) != len(other.segments)):
            return False
        return all(ours in ("*", theirs) for ours, theirs in zip(self.segments, other.segments, strict=False))


def pattern(text: str) -> Pattern | None:
    """The pattern in a text; None where it is none."""
    found = _PATTERN.fullmatch(text)
    if found is None or len(text) > LENGTH or not text.isascii():
        return None
    segments = found[2].split("/")[1:] if found[2] != "/" else []
    rest = segments[-1:] == ["**"]
    named = tuple(segments[:-1] if rest else segments)
    if any(one in (".", "..") or not (one == "*" or _SEGMENT.fullmatch(one)) for one in named):
        return None
    return Pattern(found[1], named, rest)


def hidden_by(patterns: Sequence[Pattern], at: int) -> int | None:
    """The place of the first pattern before that one which takes all of its requests; None: it gets some."""
    return next((place for place, one in enumerate(patterns[:at]) if one.covers(patterns[at])), None)
