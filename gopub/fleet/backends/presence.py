"""Whether a host that answered without a record is enrolled at all: by its own word, never by what did not come.

An enrolled host may be silent: its disk is full, sudo's rule for user gopub is broken, sh is gone. To take it for one
that is not enrolled would send it an order that nobody signed, and let a rotation go past it. So a host counts as not
enrolled only when a shell there has looked for the program and the enrolment, found neither, and said so. User gopub of
an enrolled host has no such shell: whatever it is asked, it answers with a record (GP472).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gopub.errors import GopubError
from gopub.fleet.backends.stream import KILLED
from gopub.fleet.program import ENROLMENT_FILE, INSTALLED
from gopub.fleet.protocol import Payload
from gopub.process import Result

_SAYS, _NONE, _THERE = b"gopub-enrolled=", b"no", b"yes"
_LOOK = (
    'for file in "$@"; do if [ -e "$file" ] || [ -L "$file" ]; then echo gopub-enrolled=yes; exit; fi; done; '
    "echo gopub-enrolled=no"
)
LOOK = ("sh", "-c", _LOOK, "gopub", INSTALLED, ENROLMENT_FILE)
"""What is run there, as whoever carries out orders."""


def is_none(looked: Result) -> bool | None:
    """Whether the host said that it is not enrolled; None where it said neither.

    What a login shell prints besides is passed over.
    """
    said = {line.removeprefix(_SAYS) for line in looked.out.splitlines() if line.startswith(_SAYS)}
    if looked.code != 0 or len(said) != 1:
        return None
    return {_NONE: True, _THERE: False}.get(said.pop())


async def insist_none(
    host: str, what: str, silence: Result, talk: Callable[[Sequence[str], Payload], Awaitable[Result]]
) -> None:
    """Go on where the host is not enrolled; ``silence`` is what came in the place of a record, ``talk`` runs a program.

    Raises:
        ConnectionResetError: what looks was killed.
        GopubError: GP416 it is enrolled, or does not say.
    """
    looked = await talk(LOOK, ())
    if looked.code == KILLED:
        raise ConnectionResetError("what looks for the host program was killed")
    none = is_none(looked)
    if none:
        return
    told = silence.complaint or looked.complaint or "it was silent"
    enrolled = none is False or b"gopub-record=" in looked.out
    standing = "it is enrolled" if enrolled else "whether it is enrolled it does not say"
    raise GopubError(
        "GP416",
        f"{host}: {what}: the host program answered nothing (exit {silence.code}): {told}; {standing}",
        hint="look there for a full disk, a broken rule of sudo, or a login that runs no sh; "
        "`gopub host enroll` mends an enrolment",
    )
