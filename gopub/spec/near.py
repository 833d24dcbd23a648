"""Did you mean: the known word that is nearest to a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, or None where none is near."""
    by_lower = {name.lower(): name for name in sorted(known)}
    found = difflib.get_close_matches(word.lower()[:80], by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """A hint that names the nearest known word; where none is near, the hint ``otherwise``."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise
