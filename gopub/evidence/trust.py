"""Whose certificates, logs and timestamps are believed: a Sigstore trust config or a trusted root, in frozen types.

Read are the client trust config v0.1 (of which signing alone needs the other half) and the trusted root v0.1. A list
that is not there is empty, as in every JSON of protocol buffers: nobody is believed for it. A file in which anything is
wrong is refused whole, GP318: what is skipped in silence is found missing later.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import Certificate

from gopub.canon import JsonError, read_json
from gopub.errors import UsageError, Where
from gopub.evidence.der import certificate
from gopub.spec.kinds import SigstoreKind

LARGEST = 4 << 20
_MEMBERS = 20_000
_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_LISTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")
_SIGNING = tuple(f"application/vnd.dev.sigstore.signingconfig.v0.{minor}+json" for minor in (1, 2))
_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, both included; ``end`` is None while it goes on."""

    start: datetime | None
    end: datetime | None = None

    def holds(self, times: Iterable[datetime]) -> bool:
        """Whether all these times lie in it."""
        return all((not self.start or self.start <= at) and (not self.end or at <= self.end) for at in times)


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log, of Rekor's or of certificates: its id, its key (SPKI, DER) and when the key was in use."""

    log: bytes
    url: str
    key: bytes
    details: str
    window: Window

    @property
    def host(self) -> str:
        """The host by which its checkpoints name it."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority for certificates or timestamps: its chain (DER), from who signs to the root, and when it did."""

    uri: str
    chain: tuple[bytes, ...]
    window: Window

    def certificates(self) -> tuple[Certificate, ...]:
        """The chain, read."""
        return tuple(certificate(one) for one in self.chain)

    def valid(self, times: Iterable[datetime]) -> bool:
        """Whether it signed at these times, and each certificate of its chain was valid then."""
        asked = tuple(times)
        spans = (Window(one.not_valid_before_utc, one.not_valid_after_utc) for one in self.certificates())
        return self.window.holds(asked) and all(span.holds(asked) for span in spans)


@dataclass(frozen=True, slots=True)
class Trust:
    """All that is believed; ``name`` is what policies call it."""

    name: str
    authorities: tuple[Authority, ...]
    ctlogs: tuple[LogKey, ...]
    logs: tuple[LogKey, ...]
    stampers: tuple[Authority, ...]


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who one is for a Sigstore: an OIDC token, or the variables by which a CI gives one."""

    token: str = field(default="", repr=False)
    ambient: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SignsWith:
    """Where to sign and as whom: a client trust config (JSON), all that it trusts, and the ticket."""

    config: str = field(repr=False)
    trust: Trust
    ticket: Ticket


class SigstoreConnection(SigstoreKind):
    """A connection that says whose certificates, logs and times are believed, and where one gets them oneself."""

    @abstractmethod
    def open(self, name: str) -> Trust:
        """All that is believed, called by that name in policies.

        Raises:
            UsageError: GP318 it cannot be read.
        """

    def signs_with(self, name: str) -> SignsWith:
        """Where to sign and as whom.

        Raises:
            UsageError: GP142 there is no token; GP318 the trust config cannot be read; GP362 this kind cannot sign.
        """
        hint = "name a connection of kind sigstore"
        raise UsageError("GP362", f"{name} cannot sign: a connection of kind {self.kind} says only whom to believe",
                         hint=hint)  # fmt: skip


def public_config(*, staging: bool) -> bytes:
    """The client trust config of the instance at sigstore.dev, or of its staging, as the library brings it along."""
    from gopub.evidence.sigstore_python import embedded

    root, signing = (json.loads(one) for one in embedded(staging=staging))
    return json.dumps({"mediaType": _CONFIG, "trustedRoot": root, "signingConfig": signing}).encode()


def read_trust(data: bytes, *, file: str, name: str = "") -> Trust:
    """Read a trust config or a trusted root.

    Raises:
        UsageError: GP318 with the file and what is wrong in it.
    """
    try:
        return _read(data, name)
    except _WrongError as error:
        raise UsageError(
            "GP318",
            f"the trust config is wrong: {error}",
            hint="take the file that comes with the Sigstore instance, or make one: cosign trusted-root create",
            where=Where(file),
        ) from None


class _WrongError(Exception):
    """What is wrong in the file."""


def _read(data: bytes, name: str) -> Trust:
    from gopub.evidence.sigstore_python import parsed_root

    try:
        found = read_json(data, limit=LARGEST, values=_MEMBERS)
    except JsonError as error:
        raise _WrongError(f"not JSON that is read here: {error}") from None
    try:
        root = parsed_root(json.dumps(_whole(_root_in(found))))
    except ValueError as error:
        raise _WrongError(str(error)) from None
    return Trust(
        name=name,
        authorities=tuple(_authority(one, "certificateAuthorities") for one in root.certificate_authorities),
        ctlogs=tuple(_log(one, "ctlogs") for one in root.ctlogs),
        logs=tuple(_log(one, "tlogs") for one in root.tlogs),
        stampers=tuple(_authority(one, "timestampAuthorities") for one in root.timestamp_authorities),
    )


def _whole(root: dict[str, Any]) -> dict[str, Any]:
    """With all that may be left out, and the model wants: empty lists, and names of authorities that nobody reads."""
    told = {name: [] for name in _LISTS} | {name: one for name, one in root.items() if one is not None}
    for name in ("certificateAuthorities", "timestampAuthorities"):
        for one in told[name] if isinstance(told[name], list) else ():
            if isinstance(one, dict) and isinstance(one.get("subject", {}), dict):
                one["subject"] = {"organization": "", "commonName": ""} | one.get("subject", {})
    return told


def _root_in(found: object) -> dict[str, Any]:
    kind = found.get("mediaType") if isinstance(found, dict) else None
    if isinstance(found, dict) and kind == _CONFIG:
        found, kind = found.get("trustedRoot"), None
        kind = found.get("mediaType") if isinstance(found, dict) else None
    if kind in _SIGNING:
        raise _WrongError("it is a signing config, which says where to sign and not who is believed")
    if not isinstance(found, dict) or kind != _ROOT:
        raise _WrongError(f"it has neither the media type {_CONFIG} nor {_ROOT}")
    return found


def _log(told: Any, where: str) -> LogKey:
    key, log = told.public_key, told.log_id.key_id
    if not log or not key.raw_bytes:
        raise _WrongError(f"a log in {where} has no id, or no key")
    try:
        serialization.load_der_public_key(key.raw_bytes)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _WrongError(f"the key of a log in {where} is not a public key in DER") from None
    if not _is_address(told.base_url):
        raise _WrongError(f"the address of a log in {where} has no host")
    details = key.key_details.value if key.key_details else ""
    return LogKey(log, told.base_url, key.raw_bytes, details, _window(key.valid_for, where))


def _is_address(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _authority(told: Any, where: str) -> Authority:
    chain = tuple(one.raw_bytes for one in told.cert_chain.certificates)
    made = Authority(told.uri or "", chain, _window(told.valid_for, where))
    if not chain:
        raise _WrongError(f"an authority in {where} has no certificates")
    try:
        certificates = made.certificates()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _WrongError(f"a certificate in {where} is none") from None
    for below, above in pairwise(certificates):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise _WrongError(f"a chain in {where} does not lead from who signs upwards") from None
    return made


def _window(told: Any, where: str) -> Window:
    window = Window(told.start, told.end) if told else Window(None)
    for at in (window.start, window.end):
        if at is not None and at.tzinfo is None:
            raise _WrongError(f"a time in {where} has no time zone")
    if window.start and window.end and window.end < window.start:
        raise _WrongError(f"a window in {where} ends before it starts")
    return window
