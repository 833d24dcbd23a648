"""The roots' word as it goes to an enrolled host, and what that answers. Pure (docs/reference/host-program.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gopub.errors import GopubError

RootVerb: TypeAlias = Literal["ask", "roles", "upgrade", "unenroll"]
_BEGIN = "gopub-record=1"


@dataclass(frozen=True, slots=True)
class RootAnswer:
    """What a host says to the roots' word: whether it is so now, and whether this changed anything."""

    host: str
    verb: RootVerb
    ok: bool
    changed: bool
    code: str = ""
    message: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def serial(self) -> int:
        """Of the list of roles that it believes; 0 where it does not say."""
        said = self.values.get("roles", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0

    @property
    def ended(self) -> bool:
        """Whether roots had ended its enrolment, which was cut then, and is gone now."""
        return self.ok and self.values.get("ended") == "1"

    @property
    def upgraded(self) -> int:
        """The serial below which it takes no upgrade; 0 where it does not say."""
        said = self.values.get("upgraded", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else 0

    def error(self) -> GopubError:
        """As an error, for those for whom it had to be so."""
        return GopubError(self.code or "GP416", f"{self.host}: {self.verb}: {self.message}")


def as_sent(verb: RootVerb, said: bytes) -> bytes:
    """A word of the roots as it goes over the wire."""
    return f"gopub-root=1 {verb} {len(said)}\n".encode() + said


def answer_of(text: str, *, host: str, verb: RootVerb) -> RootAnswer | None:
    """What the host program printed; None where it is no record.

    Raises:
        GopubError: GP416 the record has no end.
    """
    lines = text.splitlines()
    if _BEGIN not in lines:
        return None
    pairs = dict(line.partition("=")[::2] for line in lines[lines.index(_BEGIN) :])
    if lines[-1] != "end=1" or pairs.get("ok") not in {"true", "false"}:
        raise GopubError("GP416", f"{host}: {verb}: its record has no end")
    values = {key[6:]: said for key, said in pairs.items() if key.startswith("value.")}
    changed = pairs.get("changed") == "true"
    return RootAnswer(
        host, verb, pairs["ok"] == "true", changed, pairs.get("code", ""), pairs.get("message", ""), values
    )
