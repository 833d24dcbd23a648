"""The programs that read the end of a log on a host: one text each, however it gets there.

Where nothing is installed they are sent with each reading; an enrolled host has them within its host program.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

Tail = Literal["journal", "logfile"]
TAILS: tuple[Tail, ...] = ("journal", "logfile")


@cache
def text(tail: Tail) -> str:
    """The program, which ``sh -c`` takes; its first comments say its arguments and its answer. Comments stay here."""
    lines = (files(__name__) / f"{tail}.sh").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#")) + "\n"


def functions() -> str:
    """The same texts as functions of a larger program, ``journal_text`` and ``logfile_text``, which print them."""
    return "".join(f"{tail}_text() {{\n    cat <<'END_OF_TEXT'\n{text(tail)}END_OF_TEXT\n}}\n" for tail in TAILS)
