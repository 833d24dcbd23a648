"""What admission asks of a list of roles: whether it holds, and whether it names the release's key. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gopub.evidence.checks import Check


@dataclass(frozen=True, slots=True)
class Holders:
    """A list that a believed root signed, and which keys (fingerprints) may sign releases and admissions by it.

    ``until`` is its end in seconds since 1970, ``expires`` the same as it is written.
    """

    serial: int
    expires: str
    until: float
    release: tuple[str, ...]
    admission: tuple[str, ...]


def holder(holders: Holders, signer: str | None, now: float) -> Check:
    """Whether whoever signed the release may: by the key's fingerprint, None where a certificate did."""
    name = f"the list of roles {holders.serial}"
    if now >= holders.until:
        return Check("roles", passed=False, reason=f"{name} has expired: it held until {holders.expires}")
    if signer is None:
        return Check("roles", passed=True, reason=f"{name} holds until {holders.expires}; a certificate signed")
    if signer not in holders.release:
        return Check("roles", passed=False, reason=f"key {signer[:16]} does not hold the role release in {name}")
    return Check("roles", passed=True, reason=f"key {signer[:16]} holds the role release in {name}")
