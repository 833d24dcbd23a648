"""What the roots say to a host besides the list of roles: another program, the end of an enrolment.

As a list it is lines with signatures under them, each of a root and over the DSSE encoding of the lines with a payload
type of its own, so that no word passes for another. A host finds out by its own list who may say it, and how many must
(gopub/fleet/program/roles.sh).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from gopub.evidence.bundle import pre_authentication
from gopub.evidence.frame import Frame, framed, moment
from gopub.evidence.keys import PublicKey, Signer
from gopub.evidence.roles import MOST_SIGNATURES

_FRAME = Frame("GP475", "the word of the roots", "have it made and signed anew")
_TYPES = {
    ("serial", "program", "size"): "application/vnd.gopub.upgrade",
    ("machine_id", "enrolled"): "application/vnd.gopub.unenroll",
}
_VALUE = re.compile(r"[0-9A-Za-z:.-]{1,64}")


@dataclass(frozen=True, slots=True)
class RootWord:
    """The lines of a word, and the DER signatures of those who said it; nobody may have checked them yet."""

    said: tuple[tuple[str, str], ...]
    signatures: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no host reads.

        Raises:
            RefusedError: GP475.
        """
        if tuple(name for name, _ in self.said) not in _TYPES:
            _FRAME.refuse("its lines are those of no word that there is")
        if not all(_VALUE.fullmatch(value) for _, value in self.said):
            _FRAME.refuse("a line of it has a value that is none")

    @property
    def is_upgrade(self) -> bool:
        """Whether it is about a program; else about the end of an enrolment."""
        return self.said[0][0] == "serial"

    @property
    def lines(self) -> str:
        """As they are signed."""
        return "".join(f"{name}={value}\n" for name, value in self.said)

    @property
    def signed(self) -> bytes:
        """What a signature is taken over."""
        return pre_authentication(_TYPES[tuple(name for name, _ in self.said)], self.lines.encode())

    @property
    def text(self) -> str:
        """As it travels."""
        return framed(self.lines, *self.signatures)

    def signed_by(self, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
        """Which of these keys signed it, each once."""
        digest = hashlib.sha256(self.signed).digest()
        return tuple(
            key for key in dict.fromkeys(keys) if any(key.accepts(one, digest=digest) for one in self.signatures)
        )

    def with_signature(self, root: Signer) -> Self:
        """The word, said by one more; the same where that key signed already."""
        if self.signed_by([root.public]):
            return self
        return replace(self, signatures=(*self.signatures, root.sign(self.signed)))


def upgrade_to(program: bytes, at: float) -> RootWord:
    """That hosts take this program; ``at`` is when it is said (seconds since 1970), of which its serial is made."""
    serial = re.sub(r"\D", "", moment(at))
    digest = hashlib.sha256(program).hexdigest()
    return RootWord((("serial", serial), ("program", digest), ("size", str(len(program)))))


def end_of(machine_id: str, enrolled: str) -> RootWord:
    """That this machine is no enrolled host any more; ``enrolled`` is the moment of the enrolment that ends."""
    return RootWord((("machine_id", machine_id), ("enrolled", enrolled)))


def read_word(text: bytes) -> RootWord:
    """Read a word, signed by nobody yet or by some.

    Raises:
        RefusedError: GP475 it is not exactly the lines of one.
    """
    content = f"two or three lines, an empty one and at most {MOST_SIGNATURES} signatures"
    lines, signatures = _FRAME.open_all(text, least=2, content=content, fewest=0, most=MOST_SIGNATURES)
    pairs = [line.partition("=") for line in lines]
    return RootWord(tuple((name, value) for name, _, value in pairs), signatures)
