"""The host program: POSIX sh, in parts that are joined here (see base.sh for how it is called)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

PARTS = ("base", "order", "facts", "stage", "switch", "verify", "before", "host")
MOST_BYTES = 100_000  # Linux takes at most 128 KiB in one word of a command line


@cache
def text() -> str:
    """The whole program; comment lines stay at home, for each order carries it."""
    lines = "\n".join((files(__name__) / f"{part}.sh").read_text("utf-8") for part in PARTS).splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#")) + "\n"
