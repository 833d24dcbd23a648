r"""A command line that every login shell takes: sshd hands it to the user's shell, which need not be a POSIX one. Pure.

csh ends a quoted word at a line end and sees history in ``!``; fish reads ``\\`` inside single quotes. So a command
with any of these goes as letters and digits (gzip, base64), and sh on the host makes the command of them again.
"""

from __future__ import annotations

import base64
import gzip
import shlex
from collections.abc import Sequence
from functools import lru_cache

_PIECE = 900  # old csh take no longer words
_UNSAFE = "\n\r\\!"
_UNPACK = 'set -e; p=$(printf %s "$@" | base64 -d | gzip -dc); eval "exec $p"'


_MARK = "gopub-begins=1"
_MARKED = 'echo "$1"; shift; exec "$@"'


def marked(argv: Sequence[str]) -> tuple[str, ...]:
    """The words for a program that first says that it begins: what came before are words of the login shell's files."""
    return ("sh", "-c", _MARKED, "sh", _MARK, *argv)


def after_mark(out: bytes) -> bytes | None:
    """What the program itself printed; None where it was never begun."""
    _, mark, rest = out.partition(f"{_MARK}\n".encode())
    return rest if mark else None


@lru_cache(maxsize=64)
def command_line(argv: tuple[str, ...]) -> str:
    """The words as one line that sh, bash, zsh, csh, tcsh and fish take for the same."""
    text = shlex.join(argv)
    if not any(char in text for char in _UNSAFE):
        return text
    packed = base64.b64encode(gzip.compress(text.encode("utf-8", "surrogateescape"), mtime=0)).decode()
    pieces = [packed[at : at + _PIECE] for at in range(0, len(packed), _PIECE)]
    return shlex.join(("sh", "-c", _UNPACK, "sh", *pieces))


def unpacked(line: str) -> Sequence[str]:
    """The words of such a line again; for whoever looks at what was sent."""
    words = shlex.split(line)
    if words[:3] != ["sh", "-c", _UNPACK]:
        return words
    return shlex.split(gzip.decompress(base64.b64decode("".join(words[4:]))).decode("utf-8", "surrogateescape"))
