"""A request's headers as the edge reads them, whoever wrote them: the one form that decides (text.lua on the edge)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names in any case and values, in the order in which they are sent; a name may come several times."""

OURS = ("x-gray-", "x-gopub-")
"""Headers that speak to routers; they count only from trusted addresses and are taken off other requests."""

BLANKS = " \t"
_READ = re.compile(r"[A-Za-z0-9-]+")


def is_read(name: str) -> bool:
    """Whether nginx reads a header of that name: it drops what has anything but letters, digits and hyphens."""
    return _READ.fullmatch(name) is not None


def looked_for(name: str) -> str:
    """The name that the edge looks for where a table says ``name``: Lua reads an underscore as a hyphen."""
    return name.lower().replace("_", "-")


class Seen:
    """What is left of the headers on the edge; of strangers those that speak to routers count nothing."""

    def __init__(self, headers: Headers, *, trusted: bool) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        self._lines: dict[str, list[str]] = {}
        self.dropped: list[str] = []
        for written, value in pairs:
            if not is_read(written):
                self.dropped.append(written)
            elif trusted or not written.lower().startswith(OURS):
                self._lines.setdefault(written.lower(), []).append(value.strip(BLANKS))

    def first(self, name: str) -> str | None:
        """The first line of that name, as a table writes it."""
        lines = self._lines.get(looked_for(name))
        return lines[0] if lines else None

    def lines(self, name: str) -> list[str]:
        """All lines of that name, in the order in which they are sent."""
        return self._lines.get(looked_for(name), [])

    def chain(self) -> list[str]:
        """What stands in x-forwarded-for, nearest last."""
        return [hop for hop in re.split(r"[, \t]+", ",".join(self._lines.get("x-forwarded-for", ()))) if hop]

    def cookie(self, wanted: str) -> str | None:
        """The first cookie of that name, in its own case."""
        for part in ";".join(self._lines.get("cookie", ())).split(";"):
            name, is_pair, value = part.strip(BLANKS).partition("=")
            if is_pair and name == wanted:
                return value
        return None
