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


@dataclass(frozen=True, slots=True)
class TrustChanged:
    """The roots' word for enrolled hosts; ``what`` is ``rotate``, ``revoke``, ``roles`` or ``upgrade``.

    ``intended`` says what will be brought, before it is; without it ``hosts`` are those that took it and ``owed`` those
    that did not. ``serial`` is the list of roles and ``controllers`` are its fingerprints, or ``program`` the SHA-256
    of the new host program.
    """

    what: str
    hosts: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    intended: bool = False
    serial: int = 0
    controllers: tuple[str, ...] = ()
    program: str = ""
