"""Lines with a signature under them, as a shell can check them: the frame of an admission and of a list of roles. Pure.

    name=value
    …
    (an empty line)
    MEUCIQ… (the DER signature in Base64; of a list of roles there may be several, each on a line)

Plain ASCII text without carriage returns, ended by a line end, and no longer than :data:`LARGEST`. What the lines say,
and over what the signature is, is for whoever has the frame to know.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from gopub.errors import RefusedError

LARGEST = 8192
"""Bytes of all of it."""
_FORM = "%Y-%m-%dT%H:%M:%SZ"


def framed(lines: str, *signatures: bytes) -> str:
    """The lines, each with its end, and the signatures."""
    return "\n".join([lines, *(base64.b64encode(one).decode() for one in signatures), ""])


@dataclass(frozen=True, slots=True)
class Frame:
    """What is read: the code that refuses it where it is malformed, its name, and what to do then."""

    code: str
    what: str
    hint: str

    def open(self, text: bytes, *, least: int, content: str) -> tuple[list[str], bytes]:
        """The lines and the signature that nobody checked yet; ``content`` says in words what it must have.

        Raises:
            RefusedError: it is too large, no plain text, or has fewer than ``least`` lines, or not one signature.
        """
        lines, (signature,) = self.open_all(text, least=least, content=content)
        return lines, signature

    def open_all(
        self, text: bytes, *, least: int, content: str, fewest: int = 1, most: int = 1
    ) -> tuple[list[str], tuple[bytes, ...]]:
        """The same where several may sign: ``fewest`` to ``most`` signatures, none of them twice.

        Raises:
            RefusedError: as :meth:`open`.
        """
        if len(text) > LARGEST:
            self.refuse(f"it is larger than {LARGEST} bytes")
        if not text.isascii() or b"\r" in text or b"\0" in text:
            self.refuse("it holds something else than lines of plain text")
        head, empty, tail = text.decode().partition("\n\n")
        lines, signed = head.split("\n"), tail.split("\n")
        written = signed[:-1]
        if not empty or len(lines) < least or signed[-1] or not fewest <= len(written) <= most or "" in written:
            self.refuse(f"it has not {content}")
        if len(set(written)) < len(written):
            self.refuse("a signature stands twice")
        return lines, tuple(self.raw(one, "its signature") for one in written)

    def value(self, line: str, name: str) -> str:
        """What a line says that must be the one of that name."""
        key, _, value = line.partition("=")
        if key != name:
            self.refuse(f"where {name} is due there is something else")
        return value

    def raw(self, value: str, what: str) -> bytes:
        """The bytes of what is written in Base64."""
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            self.refuse(f"{what} is not Base64")

    def refuse(self, problem: str) -> NoReturn:
        """Say what is wrong with it.

        Raises:
            RefusedError: always.
        """
        raise RefusedError(self.code, f"{self.what} is malformed: {problem}", hint=self.hint)


def moment(seconds: float) -> str:
    """Seconds since 1970 as such lines write them."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_FORM)


def seconds_of(value: str) -> float | None:
    """A moment as it is written, in seconds since 1970; None where it is not exactly one."""
    try:
        at = datetime.strptime(value, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return at.timestamp() if at.strftime(_FORM) == value else None
