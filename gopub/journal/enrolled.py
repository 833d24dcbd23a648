"""What the journal of an env keeps of enrolled hosts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostsEnrolled:
    """These hosts carry out only what is signed from now on, under these roots (fingerprints); ``undone``: no more."""

    hosts: tuple[str, ...]
    reason: str = ""
    undone: bool = False
    roots: tuple[str, ...] = ()
