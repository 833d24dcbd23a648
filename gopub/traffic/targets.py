"""What nginx makes of the first line of a request: the path that rules are matched with, and the query."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gopub.errors import UsageError

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


def taken_apart(target: str) -> tuple[str, str]:
    """The normalised path (decoded, one slash for several, without ``.`` and ``..``) and the query as it was sent.

    Raises:
        UsageError: GP510 nginx answers 400 to it.
    """
    path, _, query = target.partition("#")[0].partition("?")
    if not path.startswith("/") or _BROKEN.search(path):
        raise _bad(target, "is no path")
    decoded = unquote_to_bytes(path).decode("utf-8", "surrogateescape")
    if "\0" in decoded:
        raise _bad(target, "has a NUL")
    kept: list[str] = []
    parts = re.split("/+", decoded)[1:]
    for part in parts:
        if part == "..":
            if not kept:
                raise _bad(target, "climbs above /")
            kept.pop()
        elif part not in (".", ""):
            kept.append(part)
    below = parts[-1] in ("", ".", "..") and kept
    return "/" + "/".join(kept) + ("/" if below else ""), query


def _bad(target: str, problem: str) -> UsageError:
    return UsageError(
        "GP510", f"the request target {target!r} {problem}", hint="write it as a client sends it: /path?query"
    )
