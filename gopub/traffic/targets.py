"""What nginx makes of the first line of a request: the path that rules are matched with, and the query."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gopub.errors import UsageError

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[\w.-]+|\[[\dA-Fa-f:.]+\])(?::\d*)?(?=[/?#]|$)", re.ASCII)
"""Before the path where a client asks as a proxy is asked: nginx takes the path behind it."""


def taken_apart(target: str) -> tuple[str, str]:
    """The normalised path (decoded, one slash for several, without ``.`` and ``..``) and the query as it was sent.

    Raises:
        UsageError: GP510 nginx answers 400 to it.
    """
    if any(letter <= " " or letter == "\x7f" for letter in target):
        raise _bad(target, "has a blank or a control character")
    if absolute := _ABSOLUTE.match(target):
        rest = target[absolute.end() :]
        target = rest if rest.startswith("/") else f"/{rest}"
    path, _, query = target.partition("#")[0].partition("?")
    if not path.startswith("/") or _BROKEN.search(path):
        raise _bad(target, "is no path")
    decoded = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
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
