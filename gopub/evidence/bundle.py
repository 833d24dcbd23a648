"""Sigstore bundles v0.3 signed with a key: made and checked here, accepted by stock cosign.

To verify a bundle:

 1. it is JSON without duplicate or unknown keys, of media type v0.3, with a public-key hint and one signature;
 2. for a blob: the digest it names is that of the file; the signature is the key's over that digest;
 3. for a statement: the signature is the key's over the DSSE pre-authentication encoding; only then is the
    payload read; it is an in-toto statement v1, and the file in question is among its subjects.

The hint is a courtesy to people: which key is believed is decided by the caller alone.
See notes of the Sigstore specs: bundle v0.3, DSSE v1.0.2, in-toto Statement v1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, NoReturn

from gopub.canon import Json, JsonError, canonical, read_json
from gopub.errors import RefusedError
from gopub.evidence.keys import PublicKey, Signer
from gopub.evidence.statement import PAYLOAD_TYPE, STATEMENT_V1, subject_digests

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SUFFIX = ".sigstore.json"
LARGEST = 32 << 20
"""Bytes of a bundle, and of a payload."""
_MEMBERS = 64
"""Members of a bundle; that it has few is known before anybody's signature is."""


def sign_blob(signer: Signer, data: bytes) -> bytes:
    """The bundle that says: this key signed exactly these bytes."""
    digest = hashlib.sha256(data).digest()
    signature: dict[str, Json] = {
        "messageDigest": {"algorithm": "SHA2_256", "digest": _b64(digest)},
        "signature": _b64(signer.sign(data)),
    }
    return canonical(_frame(signer) | {"messageSignature": signature})


def sign_statement(signer: Signer, said: Mapping[str, Json]) -> bytes:
    """The bundle (a DSSE envelope) that says: this key made this in-toto statement."""
    payload = canonical(said)
    envelope: dict[str, Json] = {
        "payload": _b64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": _b64(signer.sign(pre_authentication(PAYLOAD_TYPE, payload)))}],
    }
    return canonical(_frame(signer) | {"dsseEnvelope": envelope})


def verify_blob(bundle: bytes, data: bytes, key: PublicKey) -> None:
    """Accept the bundle as the key's signature over these bytes.

    Raises:
        RefusedError: GP310 malformed; GP311 not this key's signature; GP312 about other bytes.
    """
    verify_digest(bundle, hashlib.sha256(data).hexdigest(), key)


def verify_digest(bundle: bytes, digest: str, key: PublicKey) -> None:
    """Like :func:`verify_blob` for a file of which only the hex SHA-256 is at hand."""
    signed = _content(bundle, "messageSignature", {"messageDigest", "signature"})
    named = _mapping(signed["messageDigest"], "messageDigest", {"algorithm", "digest"})
    if named["algorithm"] != "SHA2_256":
        _malformed("a digest algorithm that is not SHA2_256")
    raw, signature = _bytes(named["digest"], "digest"), _bytes(signed["signature"], "signature")
    if raw.hex() != digest:
        raise RefusedError(
            "GP312",
            f"the signature is about another file than the one with sha256 {digest}",
            hint="the file was changed, or the bundle belongs to another file",
        )
    if not key.accepts(signature, digest=raw):
        _not_by(key, bundle)


def verify_dsse(bundle: bytes, key: PublicKey, expected_subject_digest: str) -> Mapping[str, Any]:
    """Accept the bundle as the key's statement about the file with that hex SHA-256; gives the statement.

    Raises:
        RefusedError: GP310 malformed; GP311 not this key's signature; GP313 about other files.
    """
    envelope = _content(bundle, "dsseEnvelope", {"payload", "payloadType", "signatures"})
    if envelope["payloadType"] != PAYLOAD_TYPE:
        _malformed(f"a payload that is not of type {PAYLOAD_TYPE}")
    payload, signature = _bytes(envelope["payload"], "payload"), _only_signature(envelope["signatures"])
    signed = hashlib.sha256(pre_authentication(PAYLOAD_TYPE, payload)).digest()
    if not key.accepts(signature, digest=signed):
        _not_by(key, bundle)
    said = _statement(payload)
    if expected_subject_digest not in subject_digests(said):
        raise RefusedError(
            "GP313",
            f"the statement is about other files, not about the one with sha256 {expected_subject_digest}",
            hint="the bundle belongs to another file",
        )
    return said


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is taken over: type and payload, each with its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _frame(signer: Signer) -> dict[str, Json]:
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signer.public.hint}},
    }


def _content(bundle: bytes, kind: str, keys: set[str]) -> Mapping[str, Any]:
    outer = _mapping(_json(bundle, members=_MEMBERS), "bundle", {"mediaType", "verificationMaterial", kind})
    if outer["mediaType"] != MEDIA_TYPE:
        _malformed(f"a media type that is not {MEDIA_TYPE}")
    material = _mapping(outer["verificationMaterial"], "verificationMaterial", {"publicKey"})
    _mapping(material["publicKey"], "publicKey", {"hint"})
    return _mapping(outer[kind], kind, keys)


def _statement(payload: bytes) -> Mapping[str, Any]:
    said = _mapping(_json(payload), "statement", {"_type", "subject", "predicateType", "predicate"})
    if said["_type"] != STATEMENT_V1:
        _malformed(f"a statement that is not of type {STATEMENT_V1}")
    subjects = said["subject"]
    if not isinstance(subjects, list) or not subjects:
        _malformed("a statement without subjects")
    for subject in subjects:
        if not isinstance(subject, dict) or not isinstance(subject.get("digest"), dict):
            _malformed("a subject without digest")
    if not isinstance(said["predicateType"], str) or not isinstance(said["predicate"], dict):
        _malformed("a predicate that is no mapping with a type")
    return said


def _only_signature(signatures: object) -> bytes:
    if not isinstance(signatures, list) or len(signatures) != 1:
        _malformed("not exactly one signature")
    return _bytes(_mapping(signatures[0], "signature", {"sig"}, optional={"keyid"})["sig"], "sig")


def _json(data: bytes, *, members: int | None = None) -> object:
    try:
        return read_json(data, limit=LARGEST, values=members)
    except JsonError as error:
        raise _malformed_error(f"not JSON that is read here: {error}") from None


def _mapping(
    value: object, name: str, keys: set[str], *, optional: set[str] | frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _malformed(f"{name} is not a mapping")
    if keys - value.keys():
        _malformed(f"{name} has no {', '.join(sorted(keys - value.keys()))}")
    if value.keys() - keys - optional:
        _malformed(f"{name} has a key that is not known")
    return value


def _bytes(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        _malformed(f"{name} is not base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed_error(f"{name} is not base64") from None


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _malformed_error(problem: str) -> RefusedError:
    return RefusedError(
        "GP310", f"the bundle is malformed: {problem}", hint="only Sigstore bundles v0.3 signed with a key are read"
    )


def _malformed(problem: str) -> NoReturn:
    raise _malformed_error(problem)


def _not_by(key: PublicKey, bundle: bytes) -> NoReturn:
    outer: Any = _json(bundle, members=_MEMBERS)
    same = outer["verificationMaterial"]["publicKey"]["hint"] == key.hint
    raise RefusedError(
        "GP311",
        f"the signature is not one of key {key.fingerprint[:16]}: "
        f"{'it was changed' if same else 'the bundle names another key'}",
        hint="which key signs releases here?",
    )
