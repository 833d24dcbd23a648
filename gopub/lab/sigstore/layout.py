"""A stack on paper: its folder, the files in it, and which of its ports is whose. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
SERVICES = ("oidc", "ctlog", "fulcio", "rekor", "timestamp")
"""By the names that logs, errors and ``status`` use, in the order in which they need each other."""
TRUST = "trust.json"
PORTS = (*SERVICES, "fulcio-grpc", "rekor-grpc")
"""All that is listened at, in the order of the ports."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack on paper: ``folder`` holds all that it keeps, ``first`` is the lowest of its ports."""

    folder: Path
    first: int

    def port(self, name: str) -> int:
        """Where a service listens; Fulcio and Rekor have a second port, such as ``fulcio-grpc``."""
        return self.first + PORTS.index(name)

    def ports(self, service: str) -> tuple[int, ...]:
        """All ports of a service."""
        return tuple(self.port(name) for name in PORTS if name.removesuffix("-grpc") == service)

    def url(self, service: str) -> str:
        """A service's address."""
        return f"http://{ADDRESS}:{self.port(service)}"

    @property
    def issuer(self) -> str:
        """Who issues tokens, as certificates say it."""
        return self.url("oidc")

    @property
    def trust(self) -> Path:
        """The client trust config: what to trust, and where to sign."""
        return self.folder / TRUST

    @property
    def trusted_root(self) -> Path:
        """The trusted root alone, as cosign wants it."""
        return self.folder / "trusted-root.json"

    @property
    def signing_config(self) -> Path:
        """Where to sign alone, for cosign."""
        return self.folder / "signing-config.json"

    @property
    def connections(self) -> Path:
        """The connection ``sigstore-lab``, for a gopub.yaml that is used without a lab of hosts."""
        return self.folder / "connections.yaml"

    def key(self, name: str) -> Path:
        """The private key of a service."""
        return self.folder / "keys" / f"{name}.pem"

    def chain(self, name: str) -> Path:
        """The certificates of ``fulcio`` or ``timestamp``, the one that signs first."""
        return self.folder / "keys" / f"{name}-chain.pem"

    def log(self, service: str) -> Path:
        """What a service says."""
        return self.folder / f"{service}.log"
