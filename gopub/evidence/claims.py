"""What a signer's certificate says of them, as a policy reads it: who, told by whom, of which build, and when. Pure.

Nothing here is believed for being here: a verifier fills it in from a certificate whose chain, log and times it
checked. A field that the certificate does not have is the empty string; a policy that asks for it refuses.
Source: Fulcio's OID information, 1.3.6.1.4.1.57264.1.8 to .22.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Naming(StrEnum):
    """Of which kind an identity is: the form of the certificate's one subject alternative name."""

    URI = "uri"
    """A workflow or a service: ``https://gitlab.corp/trade/orders//.gitlab-ci.yml@refs/tags/v1.0.0``."""
    EMAIL = "email"
    """A person, or a cloud's service account."""


class Clock(StrEnum):
    """Who told when the signature was there."""

    TSA = "tsa"
    """A timestamp authority's signature (RFC 3161)."""
    LOG = "log"
    """A transparency log's signed promise (Rekor v1)."""


@dataclass(frozen=True, slots=True)
class SignedAt:
    """A time at which the signature was there for certain; ``at`` has a time zone."""

    at: datetime
    told_by: Clock


@dataclass(frozen=True, slots=True)
class Build:
    """The build that a certificate was given to; every text may be empty."""

    source_repository_uri: str = ""
    source_repository_digest: str = ""
    source_repository_ref: str = ""
    source_repository_identifier: str = ""
    source_repository_owner_uri: str = ""
    source_repository_owner_identifier: str = ""
    source_repository_visibility: str = ""
    build_signer_uri: str = ""
    build_signer_digest: str = ""
    build_config_uri: str = ""
    build_config_digest: str = ""
    build_trigger: str = ""
    runner_environment: str = ""
    run_invocation_uri: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who signed, of which build, and when.

    ``trust`` is the name of the trust config whose authorities gave the certificate: the same identity and issuer
    of another one is somebody else. ``times`` has at least one.
    """

    identity: str
    naming: Naming
    issuer: str
    times: tuple[SignedAt, ...]
    trust: str = ""
    build: Build = Build()

    @property
    def signer(self) -> str:
        """One name for all that makes them who they are, for people and to compare; none of its parts has a space."""
        return f"{self.identity} of {self.issuer}" + (f" in {self.trust}" if self.trust else "")

    @property
    def first(self) -> datetime:
        """The earliest time at which the signature was there."""
        return min(one.at for one in self.times)
