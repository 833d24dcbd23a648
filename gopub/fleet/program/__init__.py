"""The host program: POSIX sh, in parts that are joined here (see base.sh for how it is called)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from gopub import __version__, tails

MODES = ("modes", "loose", "mode_socket", "mode_handover", "mode_reload", "mode_config", "mode_side", "memory")
"""The ways of switching: the table, and what each does."""
COMMON = ("base", "order", "facts", "script", "stage", "switch", *MODES, "verify", "runtime", "before", "hook", "job")
PARTS = (*COMMON, "host")
ENROLLED = (*COMMON, "signed", "admission", "heads", "away", "lists", "roles", "logs", "tables", "pinned")
ENROLMENT = ("away", "enroll_look", "enroll", "unenroll")
MOST_BYTES = 100_000  # Linux takes at most 128 KiB in one word of a command line
INSTALLED = "/usr/local/lib/gopub/order"
"""Where it lies on an enrolled host."""
ENROLMENT_FILE = "/etc/gopub/host"
"""What makes a host an enrolled one."""


@cache
def text() -> str:
    """The whole program; comment lines stay at home, for each order carries it."""
    return _joined(PARTS)


@cache
def enrolled() -> str:
    """The program that lies on an enrolled host, and obeys only what is signed; its second line says of which gopub."""
    return f"#!/bin/sh\ngopub={__version__}\n" + tails.functions() + _joined(ENROLLED)


@cache
def enrolment() -> str:
    """The program that enrols a host, and takes that away (see enroll_look.sh for how it is called)."""
    return _joined(ENROLMENT)


def _joined(parts: tuple[str, ...]) -> str:
    lines = "\n".join((files(__name__) / f"{part}.sh").read_text("utf-8") for part in parts).splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#")) + "\n"
