"""Query texts: selectors whose label values cannot break out of their quotes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SPECIAL = re.compile(r"([.+*?()|\[\]{}^$\\])")


def selector(
    names: Sequence[str],
    *,
    equal: Mapping[str, str] | None = None,
    one_of: Mapping[str, Sequence[str]] | None = None,
    matching: Mapping[str, str] | None = None,
) -> str:
    """``{__name__=~"a|b",app="x",release=~"…|…"}``; ``matching`` values are regular expressions already."""
    parts = [f"__name__=~{any_of(names)}" if len(names) > 1 else f"__name__={quoted(names[0])}"]
    parts += [f"{label}={quoted(value)}" for label, value in (equal or {}).items()]
    parts += [f"{label}=~{any_of(values)}" for label, values in (one_of or {}).items()]
    parts += [f"{label}=~{quoted(value)}" for label, value in (matching or {}).items()]
    return "{" + ",".join(parts) + "}"


def any_of(values: Sequence[str]) -> str:
    """A quoted regular expression that matches exactly these values."""
    return quoted("|".join(escaped(value) for value in values))


def escaped(value: str) -> str:
    """A regular expression that matches exactly this value."""
    return _SPECIAL.sub(r"\\\1", value)


def quoted(value: str) -> str:
    """A PromQL string: backslash, quote and line end escaped, so that a hostile value stays a value."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
