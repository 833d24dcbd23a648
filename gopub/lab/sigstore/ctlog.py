"""The CT log of a stack: it promises with a signature (an SCT) to log the certificates of the stack's Fulcio.

Clients check the promise, never the log itself, so it keeps no tree: who wants to see what was signed asks Rekor.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gopub.canon import Json

ADD = "/ct/v1/add-pre-chain"
_POISON = bytes.fromhex("060a2b06010401d679020403")  # the object identifier 1.3.6.1.4.1.11129.2.4.3 in DER
_SEQUENCE, _EXTENSIONS = 0x30, 0xA3
_ECDSA_SHA256 = b"\x04\x03"


def promise(
    chain: Sequence[bytes], *, key: ec.EllipticCurvePrivateKey, accepted: Sequence[x509.Certificate], now_ms: int
) -> dict[str, Json]:
    """The log's answer to a certificate that is about to be issued (RFC 6962, 4.2 and 3.2).

    Args:
        chain: DER, the certificate with its poison first and then who issues it.
        key: the log's own.
        accepted: whose certificates are logged.
        now_ms: milliseconds since 1970.

    Raises:
        ValueError: it is no such certificate, or of an issuer whose certificates are not logged.
    """
    if len(chain) < 2:
        raise ValueError("a certificate and who issues it are needed")
    leaf, issuer = (x509.load_der_x509_certificate(data) for data in chain[:2])
    if issuer not in accepted:
        raise ValueError("the issuer's certificates are not logged here")
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError) as error:
        raise ValueError("the certificate is not by its issuer") from error
    body = unpoisoned(leaf.tbs_certificate_bytes)
    head = struct.pack(">BBQH", 0, 0, now_ms, 1) + _digest(issuer.public_key().public_bytes(*_SPKI))
    signed = head + struct.pack(">I", len(body))[1:] + body + b"\0\0"
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return {
        "sct_version": 0,
        "id": _text(_digest(key.public_key().public_bytes(*_SPKI))),
        "timestamp": now_ms,
        "extensions": "",
        "signature": _text(_ECDSA_SHA256 + struct.pack(">H", len(signature)) + signature),
    }


_SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unpoisoned(tbs: bytes) -> bytes:
    """What is signed of a certificate without the extension that keeps it from being used before it is logged.

    Raises:
        ValueError: it has no such extension.
    """
    kept, found = b"", False
    for tag, whole, value in _parts(_only(tbs, _SEQUENCE)):
        if tag != _EXTENSIONS:
            kept += whole
            continue
        listed = [(part, inside) for _, part, inside in _parts(_only(value, _SEQUENCE))]
        rest = [part for part, inside in listed if not inside.startswith(_POISON)]
        found = len(rest) < len(listed)
        kept += _element(_EXTENSIONS, _element(_SEQUENCE, b"".join(rest)))
    if not found:
        raise ValueError("the certificate is not meant to be logged before it is issued")
    return _element(_SEQUENCE, kept)


def _only(data: bytes, tag: int) -> bytes:
    parts = list(_parts(data))
    if len(parts) != 1 or parts[0][0] != tag:
        raise ValueError("not the DER that was expected")
    return parts[0][2]


def _parts(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements that stand one after the other in ``data``: tag, the whole, the value."""
    at = 0
    while at < len(data):
        begin, tag = at, data[at]
        size, at = _size(data, at + 1)
        if at + size > len(data):
            raise ValueError("DER that ends early")
        yield tag, data[begin : at + size], data[at : at + size]
        at += size


def _size(data: bytes, at: int) -> tuple[int, int]:
    """The length that is written at ``at``, and where the value begins."""
    first = data[at] if at < len(data) else 0
    if first < 0x80:
        return first, at + 1
    wide = first & 0x7F
    return int.from_bytes(data[at + 1 : at + 1 + wide]), at + 1 + wide


def _element(tag: int, value: bytes) -> bytes:
    if len(value) < 0x80:
        return bytes((tag, len(value))) + value
    size = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(size))) + size + value
