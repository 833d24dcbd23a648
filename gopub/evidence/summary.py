"""An admission as a statement that others can check: a SLSA verification summary (VSA) v1, and the lines it travels as.

Only gopub decides whether a release may enter; whoever acts on that later (a host, an auditor) must not need gopub
for it. What is signed is an in-toto statement in canonical JSON, so that stock cosign accepts it as a bundle. A host
has no JSON parser, so the statement has one shape, and travels as its values and a signature:

    app=orders
    …
    serial=84
    …
    verifier=gopub:admission
    (an empty line)
    MEUCIQ… (the DER signature over the DSSE pre-authentication encoding, in Base64)

``summary.sh`` beside this module puts the same statement together from the lines with ``sh`` and ``openssl``.
It says no more than the lines do: a changed value is another statement, and the signature does not fit it.
``serial`` alone may be missing: older versions stated none, and what they stated is as true as it was.
Source: SLSA verification summary v1, in-toto Statement v1, DSSE v1.0.2.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from gopub.canon import Json, canonical
from gopub.errors import RefusedError
from gopub.evidence.bundle import bundle_around, pre_authentication
from gopub.evidence.frame import Frame, framed, seconds_of
from gopub.evidence.keys import PublicKey, Signer
from gopub.evidence.statement import PAYLOAD_TYPE, STATEMENT_V1

PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "gopub:admission"
_VALUE = re.compile(r"[A-Za-z0-9._:/@+-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGESTS = ("release", "archive", "binary", "policy")
_MOMENTS = ("verified", "expires")
_SERIAL, _AFTER = "serial", "policy"
_WHOLE = re.compile(r"0|[1-9][0-9]{0,15}")
_MOST = 2 * 10**15 - 1  # a shell counts that far, and no reader of JSON rounds it
_FRAME = Frame("GP319", "the admission", "have it made anew by gopub")


@dataclass(frozen=True, slots=True)
class Summary:
    """That a release may enter an environment on one kind of host, until it expires.

    ``release``, ``archive``, ``binary`` and ``policy`` are hex SHA-256; ``verified`` and ``expires`` UTC, as in
    ``2026-11-30T12:00:00Z``; ``level`` a SLSA level, no higher than the policy grants the builder; ``verifier`` who
    decided. An expired one keeps a release from entering; it never keeps one from being brought back. ``serial`` grows
    with each admission into the environment: a host that saw a higher one takes this one no more.
    """

    app: str
    env: str
    target: str
    release: str
    archive: str
    binary: str
    policy: str
    verified: str
    expires: str
    level: str
    verifier: str = VERIFIER
    serial: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could not travel.

        Raises:
            RefusedError: GP319 a value is not of the letters that are allowed, no digest, or no moment.
        """
        for name, value in self._values():
            if not _VALUE.fullmatch(value):
                _FRAME.refuse(f"{name} is not of the letters A-Z a-z 0-9 . _ : / @ + -")
            if name in _DIGESTS and not _DIGEST.fullmatch(value):
                _FRAME.refuse(f"{name} is no SHA-256 in hex")
            if name in _MOMENTS:
                _moment(name, value)
        if self.serial is not None and not 0 <= self.serial <= _MOST:
            _FRAME.refuse(f"serial is not from 0 to {_MOST}")

    @property
    def lines(self) -> str:
        """The values in their order, a line each."""
        return "".join(f"{name}={value}\n" for name, value in self._values())

    @property
    def statement(self) -> Mapping[str, Json]:
        """The in-toto statement; in canonical JSON it is what is signed."""
        return {
            "_type": STATEMENT_V1,
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "expires": self.expires,
                "policy": {"digest": {"sha256": self.policy}},
                "resourceUri": f"gopub:{self.app}/{self.env}/{self.target}",
                **({} if self.serial is None else {_SERIAL: self.serial}),
                "timeVerified": self.verified,
                "verificationResult": "PASSED",
                "verifiedLevels": [self.level],
                "verifier": {"id": self.verifier},
            },
            "subject": [
                {"name": name, "digest": {"sha256": digest}}
                for name, digest in (("release.json", self.release), ("archive", self.archive), ("binary", self.binary))
            ],
        }

    @property
    def signed(self) -> bytes:
        """What a signature is taken over."""
        return pre_authentication(PAYLOAD_TYPE, canonical(self.statement))

    def expired(self, now: float) -> bool:
        """Whether it expired by ``now``, in seconds since 1970."""
        return now >= _moment("expires", self.expires)

    def _values(self) -> list[tuple[str, str]]:
        return [(name, str(getattr(self, name))) for name in _names(numbered=self.serial is not None)]


@dataclass(frozen=True, slots=True)
class SignedSummary:
    """A summary and a DER signature that nobody may have checked yet."""

    summary: Summary
    signature: bytes

    @property
    def text(self) -> str:
        """As it travels."""
        return framed(self.summary.lines, self.signature)

    def carried(self, key: str) -> Mapping[str, str]:
        """As an order brings it to a host: the values, the signature, and the fingerprint of the key to look under."""
        lines = (line.partition("=") for line in self.summary.lines.splitlines())
        return {
            "key": key,
            **{name: value for name, _, value in lines},
            "signature": base64.b64encode(self.signature).decode(),
        }

    def bundle(self, key: PublicKey) -> bytes:
        """The same bytes and the same signature as a Sigstore bundle v0.3, which stock cosign checks."""
        return bundle_around(key, canonical(self.summary.statement), self.signature)

    def by(self, key: PublicKey) -> Summary:
        """The summary, if that key signed it.

        Raises:
            RefusedError: GP311 it did not.
        """
        if not key.accepts(self.signature, digest=hashlib.sha256(self.summary.signed).digest()):
            raise RefusedError(
                "GP311",
                f"the admission of {self.summary.app} into {self.summary.env} is not signed by key "
                f"{key.fingerprint[:16]}",
                hint="it was changed, or another key signs admissions here",
            )
        return self.summary


def sign_summary(signer: Signer, summary: Summary) -> SignedSummary:
    """Sign it."""
    return SignedSummary(summary, signer.sign(summary.signed))


def read_summary(text: bytes) -> SignedSummary:
    """Read the lines; whether they are true is for :meth:`SignedSummary.by` to find out.

    Raises:
        RefusedError: GP319 they are not exactly the lines of a summary and its signature.
    """
    least = len(_names(numbered=False))
    content = f"{least} or {least + 1} lines, an empty one and a signature"
    lines, signature = _FRAME.open(text, least=least, content=content)
    names = _names(numbered=len(lines) != least)
    if len(lines) != len(names):
        _FRAME.refuse(f"it has not {content}")
    values = {name: _FRAME.value(line, name) for name, line in zip(names, lines, strict=True)}
    serial = values.pop(_SERIAL, None)
    return SignedSummary(Summary(**values, serial=None if serial is None else _whole(serial)), signature)


def _names(*, numbered: bool) -> list[str]:
    """The names of the lines in their order."""
    names = [one.name for one in fields(Summary) if one.name != _SERIAL]
    if numbered:
        names.insert(names.index(_AFTER) + 1, _SERIAL)
    return names


def _whole(value: str) -> int:
    if not _WHOLE.fullmatch(value):
        _FRAME.refuse("serial is no whole number of at most 16 digits")
    return int(value)


def _moment(name: str, value: str) -> float:
    at = seconds_of(value)
    if at is None:
        _FRAME.refuse(f"{name} is no moment such as 2026-11-30T12:00:00Z")
    return at
