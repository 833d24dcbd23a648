"""Sigstore bundles v0.3 signed with a key: made and checked here, accepted by stock cosign.

To verify a bundle:

 1. it is of the format (:mod:`gopub.evidence.reading`), and signed with a key;
 2. for a blob: the digest it names, if any, is that of the file; the signature is the key's over the file's digest;
 3. for a statement: the signature is the key's over the DSSE pre-authentication encoding; only then is the
    payload read; it is an in-toto statement v1 or v0.1, and the file in question is among its subjects.

The hint is a courtesy to people: which key is believed is decided by the caller alone. Entries of logs and timestamps
that a bundle may hold beside are read, and neither checked nor believed here.
See notes of the Sigstore specs: bundle v0.3, DSSE v1.0.2, in-toto Statement v1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, NoReturn

from gopub.canon import Json, b64, canonical
from gopub.errors import RefusedError
from gopub.evidence.certificates import names_in
from gopub.evidence.keys import PublicKey, Signer
from gopub.evidence.reading import (
    MEDIA_TYPE,
    Blob,
    Bundle,
    Certificate,
    Envelope,
    KeyHint,
    malformed,
    read_bundle,
    read_payload,
)
from gopub.evidence.statement import PAYLOAD_TYPE, STATEMENT_V01, STATEMENT_V1, subject_digests

SUFFIX = ".sigstore.json"
_TYPES = (STATEMENT_V1, STATEMENT_V01)


def sign_blob(signer: Signer, data: bytes) -> bytes:
    """The bundle that says: this key signed exactly these bytes."""
    digest = hashlib.sha256(data).digest()
    signature: dict[str, Json] = {
        "messageDigest": {"algorithm": "SHA2_256", "digest": b64(digest)},
        "signature": b64(signer.sign(data)),
    }
    return canonical(_frame(signer.public) | {"messageSignature": signature})


def sign_statement(signer: Signer, said: Mapping[str, Json]) -> bytes:
    """The bundle (a DSSE envelope) that says: this key made this in-toto statement."""
    payload = canonical(said)
    return bundle_around(signer.public, payload, signer.sign(pre_authentication(PAYLOAD_TYPE, payload)))


def bundle_around(key: PublicKey, payload: bytes, signature: bytes) -> bytes:
    """The bundle of a statement that a key signed already: its bytes and the DER signature."""
    envelope: dict[str, Json] = {
        "payload": b64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": b64(signature)}],
    }
    return canonical(_frame(key) | {"dsseEnvelope": envelope})


def verify_blob(bundle: bytes, data: bytes, key: PublicKey) -> None:
    """Accept the bundle as the key's signature over these bytes.

    Raises:
        RefusedError: GP310 malformed; GP311 not this key's signature; GP312 about other bytes.
    """
    verify_digest(bundle, hashlib.sha256(data).hexdigest(), key)


def verify_digest(bundle: bytes, digest: str, key: PublicKey) -> None:
    """Like :func:`verify_blob` for a file of which only the hex SHA-256 is at hand."""
    read = read_bundle(bundle)
    named = blob_of(read)
    names_file(named, digest)
    if isinstance(read.signer, Certificate) or not key.accepts(named.signature, digest=bytes.fromhex(digest)):
        _not_by(key, read)


def verify_dsse(bundle: bytes, key: PublicKey, expected_subject_digest: str) -> Mapping[str, Any]:
    """Accept the bundle as the key's statement about the file with that hex SHA-256; gives the statement.

    Raises:
        RefusedError: GP310 malformed; GP311 not this key's signature; GP313 about other files; GP316 not supported.
    """
    read = read_bundle(bundle)
    envelope = envelope_of(read)
    signed = hashlib.sha256(pre_authentication(PAYLOAD_TYPE, envelope.payload)).digest()
    if isinstance(read.signer, Certificate) or not key.accepts(envelope.signature, digest=signed):
        _not_by(key, read)
    return statement_about(envelope.payload, expected_subject_digest)


def blob_of(bundle: Bundle) -> Blob:
    """The signature over a file.

    Raises:
        RefusedError: GP310 it is a bundle about a statement.
    """
    if not isinstance(bundle.content, Blob):
        _malformed("bundle has no messageSignature")
    return bundle.content


def names_file(named: Blob, digest: str) -> None:
    """The digest that a signature names, if any, is that of the file with that hex SHA-256.

    Raises:
        RefusedError: GP312 it is another file's.
    """
    if named.digest not in (b"", bytes.fromhex(digest)):
        raise RefusedError(
            "GP312",
            f"the signature is about another file than the one with sha256 {digest}",
            hint="the file was changed, or the bundle belongs to another file",
        )


def envelope_of(bundle: Bundle) -> Envelope:
    """The envelope of an in-toto statement.

    Raises:
        RefusedError: GP310 there is none, or one of another type.
    """
    if not isinstance(bundle.content, Envelope):
        _malformed("bundle has no dsseEnvelope")
    if bundle.content.kind != PAYLOAD_TYPE:
        _malformed(f"a payload that is not of type {PAYLOAD_TYPE}")
    return bundle.content


def statement_about(payload: bytes, digest: str) -> Mapping[str, Any]:
    """The in-toto statement in a payload whose signature was checked; the file with that hex SHA-256 is in it.

    Raises:
        RefusedError: GP310 no statement; GP313 about other files.
    """
    said = _statement(payload)
    if digest not in subject_digests(said):
        raise RefusedError(
            "GP313",
            f"the statement is about other files, not about the one with sha256 {digest}",
            hint="the bundle belongs to another file",
        )
    return said


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is taken over: type and payload, each with its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def claimed_signer(bundle: bytes) -> str:
    """The fingerprint (64 hex digits) of the key or certificate that a bundle says it is signed by, to show to people.

    Raises:
        RefusedError: GP310 the bundle is malformed; GP316 it is not supported.
    """
    read = read_bundle(bundle)
    blob_of(read)
    if isinstance(read.signer, Certificate):
        return hashlib.sha256(read.signer.der).hexdigest()
    try:
        return base64.b64decode(read.signer.hint, validate=True).hex()
    except ValueError:
        _malformed("a hint of its key that is not Base64")


def claimed_name(bundle: bytes) -> str:
    """Whom the certificate of a bundle names, and by whose word, to show to people; empty where a key signed it.

    Raises:
        RefusedError: GP310 the bundle is malformed; GP316 it is not supported.
    """
    read = read_bundle(bundle)
    return names_in(read.signer.der) if isinstance(read.signer, Certificate) else ""


def named_key(bundle: Bundle) -> str:
    """The beginning of the key that a bundle names, to show to people after the word key; empty where it names none."""
    try:
        named = base64.b64decode(bundle.signer.hint, validate=True) if isinstance(bundle.signer, KeyHint) else b""
    except ValueError:
        return ""
    return f" ({named.hex()[:16]})" if named else ""


def _frame(key: PublicKey) -> dict[str, Json]:
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.hint}},
    }


def _statement(payload: bytes) -> Mapping[str, Any]:
    said = read_payload(payload)
    if not isinstance(said, dict):
        _malformed("statement is not a mapping")
    known = {"_type", "subject", "predicateType", "predicate"}
    if known - said.keys():
        _malformed(f"statement has no {', '.join(sorted(known - said.keys()))}")
    if said.keys() - known:
        _malformed("statement has a key that is not known")
    if said["_type"] not in _TYPES:
        _malformed(f"a statement that is not of type {STATEMENT_V1}")
    subjects = said["subject"]
    if not isinstance(subjects, list) or not subjects:
        _malformed("a statement without subjects")
    for subject in subjects:
        if not isinstance(subject, dict) or not isinstance(subject.get("digest"), dict):
            _malformed("a subject without digest")
        if not all(isinstance(one, str) for one in subject["digest"].values()):
            _malformed("a digest that is no text")
    if not isinstance(said["predicateType"], str) or not isinstance(said["predicate"], dict):
        _malformed("a predicate that is no mapping with a type")
    return said


def _malformed(problem: str) -> NoReturn:
    raise malformed(problem)


def _not_by(key: PublicKey, bundle: Bundle) -> NoReturn:
    raise RefusedError(
        "GP311",
        f"the signature is not one of key {key.fingerprint[:16]}: {_why_not(key, bundle.signer)}",
        hint="which key signs releases here?",
    )


def _why_not(key: PublicKey, signer: KeyHint | Certificate) -> str:
    if isinstance(signer, Certificate):
        named = names_in(signer.der)
        return "it was made with a certificate" + (f" that says {named}, which nobody checked" if named else "")
    return "it was changed" if signer.hint == key.hint else "the bundle names another key"
