"""What clients of a stack are told: whom to trust, where to sign. As ``cosign trusted-root create`` writes it. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from gopub.canon import Json
from gopub.lab.sigstore.layout import ADDRESS, Stack

ORIGIN = ADDRESS
"""What Rekor signs its checkpoints as: the host name of its address, from which cosign takes it."""
STAMP = "/api/v1/timestamp"
_TYPE = "application/vnd.dev.sigstore."
_OPERATOR = "gopub lab"


def trusted_root(
    stack: Stack,
    *,
    fulcio: Sequence[x509.Certificate],
    timestamp: Sequence[x509.Certificate],
    rekor: ed25519.Ed25519PublicKey,
    ctlog: ec.EllipticCurvePublicKey,
) -> dict[str, Json]:
    """Whose signatures count, from the moment at which the stack was made."""
    start = _valid(fulcio[0].not_valid_before_utc)
    raw = rekor.public_bytes(Encoding.Raw, PublicFormat.Raw)
    rekor_id = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + raw).digest()
    spki = _spki(ctlog)
    return {
        "mediaType": _TYPE + "trustedroot+json;version=0.1",
        "tlogs": [_log(stack.url("rekor"), _spki(rekor), "PKIX_ED25519", rekor_id, start)],
        "certificateAuthorities": [_authority(stack.url("fulcio"), fulcio, start)],
        "ctlogs": [
            _log(stack.url("ctlog"), spki, "PKIX_ECDSA_P256_SHA_256", hashlib.sha256(spki).digest(), start),
        ],
        "timestampAuthorities": [_authority(stack.url("timestamp") + STAMP, timestamp, start)],
    }


def signing_config(stack: Stack, since: datetime) -> dict[str, Json]:
    """Where to get a certificate, a time stamp and a place in the log."""
    return {
        "mediaType": _TYPE + "signingconfig.v0.2+json",
        "caUrls": [_service(stack.url("fulcio"), 1, since)],
        "oidcUrls": [_service(stack.issuer, 1, since)],
        "rekorTlogUrls": [_service(stack.url("rekor"), 2, since)],
        "tsaUrls": [_service(stack.url("timestamp") + STAMP, 1, since)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaConfig": {"selector": "ANY"},
    }


def client_config(root: Json, signing: Json) -> dict[str, Json]:
    """Both in one file, as clients for a private Sigstore read it."""
    return {"mediaType": _TYPE + "clienttrustconfig.v0.1+json", "trustedRoot": root, "signingConfig": signing}


def connections(trust: Path) -> str:
    """The stack with this client trust config by its name in ``connections.yaml``."""
    return f"sigstore-lab: {{kind: sigstore, trust: {json.dumps(str(trust))}, token: {{env: SIGSTORE_ID_TOKEN}}}}\n"


def _service(url: str, version: int, since: datetime) -> dict[str, Json]:
    return {"url": url, "majorApiVersion": version, "validFor": _valid(since), "operator": _OPERATOR}


def _log(url: str, spki: bytes, details: str, name: bytes, valid: Json) -> dict[str, Json]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _text(spki), "keyDetails": details, "validFor": valid},
        "logId": {"keyId": _text(name)},
    }


def _authority(url: str, chain: Sequence[x509.Certificate], valid: Json) -> dict[str, Json]:
    subject = {part: _said(chain[-1], kind) for part, kind in _NAMES.items()}
    listed: list[Json] = [{"rawBytes": _text(c.public_bytes(Encoding.DER))} for c in chain]
    return {"subject": dict(subject), "uri": url, "certChain": {"certificates": listed}, "validFor": valid}


_NAMES = {"organization": NameOID.ORGANIZATION_NAME, "commonName": NameOID.COMMON_NAME}


def _said(certificate: x509.Certificate, kind: x509.ObjectIdentifier) -> str:
    return str(certificate.subject.get_attributes_for_oid(kind)[0].value)


def _valid(since: datetime) -> dict[str, Json]:
    return {"start": since.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _spki(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
