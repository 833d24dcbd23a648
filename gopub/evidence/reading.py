"""Sigstore bundles v0.3 as others write them: every field of the format, in frozen types; nothing is believed. Pure.

A bundle is the JSON of a protocol buffer: a 64-bit number may stand as text, a field that is null is not there, Base64
may be the URL's, and without padding. What the format has and gopub does not act on (another version, a chain instead
of one certificate, another digest) is refused by its own name, GP316; all else that is not of the format is GP310.
Source: the Sigstore bundle specification v0.3.2, and DSSE v1.0.2.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from gopub.canon import JsonError, read_json
from gopub.errors import RefusedError

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_SAME_TYPE = "application/vnd.dev.sigstore.bundle+json;version=0.3"
_OLDER = frozenset(f"application/vnd.dev.sigstore.bundle+json;version=0.{minor}" for minor in (1, 2))
LARGEST = 32 << 20
"""Bytes of a bundle, and of a payload."""
_MEMBERS = 1024
"""Members of a bundle: 32 log entries with proofs of 20 hashes each; that it has few is known before they are made."""
_MOST = 32
"""Log entries and timestamps; what checks them checks each."""
_SHA256 = 32
_OTHER_DIGESTS = frozenset({"SHA2_384", "SHA2_512", "SHA3_256", "SHA3_384"})
_INT64 = 1 << 63
_BASE64, _OF_URLS = re.compile(r"[A-Za-z0-9+/]*={0,2}"), re.compile(r"[A-Za-z0-9_-]*={0,2}")


@dataclass(frozen=True, slots=True)
class KeyHint:
    """Signed by a key that the reader must have; the hint says which, to people."""

    hint: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Signed by the key of this certificate, in DER."""

    der: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """A signature over a file; ``digest`` is the SHA-256 that the bundle names, empty where it names none."""

    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope with its one signature, over the payload and its type."""

    kind: str
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry is in a log: the path to the root of a signed checkpoint."""

    index: int
    root: bytes
    size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What the bundle tells of one entry of a transparency log; ``at`` are seconds since 1970, 0 for none."""

    log: bytes
    index: int
    kind: str
    version: str
    at: int
    promise: bytes
    proof: InclusionProof | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle: who is said to have signed what, in which logs it stands, and the timestamps (RFC 3161, DER)."""

    signer: KeyHint | Certificate
    content: Blob | Envelope
    entries: tuple[LogEntry, ...]
    stamps: tuple[bytes, ...]


def read_bundle(data: bytes) -> Bundle:
    """Read a bundle; whether anything in it is true is for others to find out.

    Raises:
        RefusedError: GP310 malformed; GP316 of the format, and not supported.
    """
    parts = {"verificationMaterial", "messageSignature", "dsseEnvelope"}
    outer = _told(_json(data, members=_MEMBERS), "bundle", {"mediaType"}, parts)
    _media_type(outer["mediaType"])
    if "verificationMaterial" not in outer:
        _malformed("bundle has no verificationMaterial")
    material = _told(
        outer["verificationMaterial"],
        "verificationMaterial",
        set(),
        {"publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData"},
    )
    return Bundle(
        signer=_signer(material),
        content=_content(outer),
        entries=tuple(_entry(one) for one in _list(material.get("tlogEntries"), "tlogEntries")),
        stamps=_stamps(material.get("timestampVerificationData")),
    )


def read_payload(payload: bytes) -> object:
    """The JSON of a payload whose signature was checked.

    Raises:
        RefusedError: GP310 it is none.
    """
    return _json(payload)


def malformed(problem: str) -> RefusedError:
    """What is not of the format."""
    return RefusedError("GP310", f"the bundle is malformed: {problem}", hint="only Sigstore bundles v0.3 are read")


def _media_type(value: object) -> None:
    said = _text(value, "mediaType")
    if said in _OLDER:
        _unsupported(f"version {said[-3:]}", "make it a v0.3 one: cosign bundle upgrade")
    if said not in (MEDIA_TYPE, _SAME_TYPE):
        _malformed(f"a media type that is not {MEDIA_TYPE}")


def _signer(material: Mapping[str, Any]) -> KeyHint | Certificate:
    if "x509CertificateChain" in material:
        _unsupported("a chain of certificates", "v0.3 holds the signer's certificate alone")
    if ("publicKey" in material) == ("certificate" in material):
        _malformed("verificationMaterial has not exactly one of publicKey and certificate")
    if "certificate" in material:
        return Certificate(_raw(_told(material["certificate"], "certificate", {"rawBytes"}), "rawBytes"))
    key = _told(material["publicKey"], "publicKey", set(), {"hint"})
    return KeyHint(_text(key.get("hint", ""), "hint"))


def _content(outer: Mapping[str, Any]) -> Blob | Envelope:
    if ("messageSignature" in outer) == ("dsseEnvelope" in outer):
        _malformed("bundle has not exactly one of messageSignature and dsseEnvelope")
    if "messageSignature" in outer:
        return _blob(_told(outer["messageSignature"], "messageSignature", {"signature"}, {"messageDigest"}))
    told = _told(outer["dsseEnvelope"], "dsseEnvelope", {"payload", "payloadType", "signatures"})
    signatures = _list(told["signatures"], "signatures")
    if len(signatures) != 1:
        _malformed("not exactly one signature")
    signed = _told(signatures[0], "signature", {"sig"}, {"keyid"})
    return Envelope(_text(told["payloadType"], "payloadType"), _raw(told, "payload"), _raw(signed, "sig"))


def _blob(told: Mapping[str, Any]) -> Blob:
    signature = _raw(told, "signature")
    if "messageDigest" not in told:
        return Blob(b"", signature)
    named = _told(told["messageDigest"], "messageDigest", {"algorithm", "digest"})
    algorithm, digest = _text(named["algorithm"], "algorithm"), _raw(named, "digest")
    if algorithm in _OTHER_DIGESTS:
        _unsupported(f"a digest algorithm that is not SHA2_256 ({algorithm})", "sign the SHA-256 of the file")
    if algorithm != "SHA2_256":
        _malformed("a digest algorithm that is not SHA2_256")
    if len(digest) != _SHA256:
        _malformed("a digest of another length than SHA2_256 has")
    return Blob(digest, signature)


def _entry(value: object) -> LogEntry:
    told = _told(
        value,
        "tlogEntry",
        {"kindVersion", "canonicalizedBody"},
        {"logIndex", "logId", "integratedTime", "inclusionPromise", "inclusionProof"},
    )
    kind = _told(told["kindVersion"], "kindVersion", {"kind", "version"})
    log = _told(told.get("logId", {}), "logId", set(), {"keyId"})
    promise = _told(told.get("inclusionPromise", {}), "inclusionPromise", set(), {"signedEntryTimestamp"})
    return LogEntry(
        log=_raw(log, "keyId", needed=False),
        index=_number(told.get("logIndex", 0), "logIndex"),
        kind=_text(kind["kind"], "kind"),
        version=_text(kind["version"], "version"),
        at=_number(told.get("integratedTime", 0), "integratedTime"),
        promise=_raw(promise, "signedEntryTimestamp", needed=False),
        proof=_proof(told["inclusionProof"]) if "inclusionProof" in told else None,
        body=_raw(told, "canonicalizedBody"),
    )


def _proof(value: object) -> InclusionProof:
    told = _told(value, "inclusionProof", {"rootHash", "treeSize", "checkpoint"}, {"logIndex", "hashes"})
    hashes = told.get("hashes", [])
    if not isinstance(hashes, list):
        _malformed("hashes is not a list")
    return InclusionProof(
        index=_number(told.get("logIndex", 0), "logIndex"),
        root=_raw(told, "rootHash"),
        size=_number(told["treeSize"], "treeSize"),
        hashes=tuple(_base64(one, "hashes") for one in hashes),
        checkpoint=_text(_told(told["checkpoint"], "checkpoint", {"envelope"})["envelope"], "envelope"),
    )


def _stamps(value: object) -> tuple[bytes, ...]:
    told = _told({} if value is None else value, "timestampVerificationData", set(), {"rfc3161Timestamps"})
    stamps = _list(told.get("rfc3161Timestamps"), "rfc3161Timestamps")
    return tuple(_raw(_told(one, "timestamp", {"signedTimestamp"}), "signedTimestamp") for one in stamps)


def _json(data: bytes, *, members: int | None = None) -> object:
    try:
        return read_json(data, limit=LARGEST, values=members)
    except JsonError as error:
        raise malformed(f"not JSON that is read here: {error}") from None


def _told(value: object, name: str, needed: set[str], optional: set[str] | frozenset[str] = frozenset()) -> Any:
    """The fields of a message that are there; null is a field that is not."""
    if not isinstance(value, dict):
        _malformed(f"{name} is not a mapping")
    there = {key: one for key, one in value.items() if one is not None}
    if needed - there.keys():
        _malformed(f"{name} has no {', '.join(sorted(needed - there.keys()))}")
    if value.keys() - needed - optional:
        _malformed(f"{name} has a key that is not known")
    return there


def _list(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        _malformed(f"{name} is not a list")
    if len(value) > _MOST:
        _malformed(f"{name} has more than {_MOST}")
    return value


def _raw(told: Mapping[str, Any], name: str, *, needed: bool = True) -> bytes:
    if name not in told and not needed:
        return b""
    return _base64(told[name], name)


def _base64(value: object, name: str) -> bytes:
    """Of one alphabet, padded whole or not at all."""
    if not isinstance(value, str) or not (_BASE64.fullmatch(value) or _OF_URLS.fullmatch(value)):
        _malformed(f"{name} is not base64")
    text = value.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text if "=" in text else text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise malformed(f"{name} is not base64") from None


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        _malformed(f"{name} is not text")
    return value


def _number(value: object, name: str) -> int:
    """A number of 64 bits that is not negative; JSON of protocol buffers has it as text, too."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(_INT64)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _INT64:
        _malformed(f"{name} is not a whole number of 64 bits")
    return value


def _malformed(problem: str) -> NoReturn:
    raise malformed(problem)


def _unsupported(what: str, hint: str) -> NoReturn:
    raise RefusedError("GP316", f"the bundle is of a kind that is not supported: {what}", hint=hint)
