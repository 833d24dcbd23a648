"""A whole Sigstore in the test, really signed: certificates, their log, Rekor and timestamps.

Nothing listens: each service is a key and the bytes that it would answer. Everything can be told to be wrong.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gopub.canon import b64, canonical
from gopub.evidence.bundle import pre_authentication
from gopub.evidence.reading import MEDIA_TYPE
from gopub.evidence.statement import PAYLOAD_TYPE
from gopub.lab.sigstore.keys import usage
from tests.support.der import integer, octets, oid, seq, tlv, utf8

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
IDENTITY = "https://gitlab.test/grp/proj//.gitlab-ci.yml@refs/tags/v1.0.0"
ISSUER = "https://gitlab.test"
EXTENSIONS = {
    8: ISSUER,
    9: IDENTITY,
    11: "gitlab-hosted",
    12: "https://gitlab.test/grp/proj",
    13: "4" * 40,
    14: "refs/tags/v1.0.0",
    18: IDENTITY,
    19: "5" * 40,
    20: "push",
    21: "https://gitlab.test/grp/proj/-/jobs/7",
    22: "private",
}
_FULCIO = "1.3.6.1.4.1.57264.1"
_SHA256 = seq(oid("2.16.840.1.101.3.4.2.1"))
_ECDSA = ec.ECDSA(hashes.SHA256())


def spki(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Ca:
    """A root and an intermediate below it; of the timestamp kind, the intermediate is the one who stamps."""

    stamps: bool = False
    start: datetime = NOW - YEAR
    end: datetime = NOW + YEAR
    name: str = "test"
    root_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def __post_init__(self) -> None:
        self.root = self._made(self.root_key, f"{self.name} root", self.root_key, f"{self.name} root", ca=1)
        self.below = self._made(
            self.key, f"{self.name} below", self.root_key, f"{self.name} root", ca=None if self.stamps else 0
        )

    @property
    def chain(self) -> list[bytes]:
        return [one.public_bytes(serialization.Encoding.DER) for one in (self.below, self.root)]

    def _made(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        by: ec.EllipticCurvePrivateKey,
        issuer: str,
        *,
        ca: int | None,
    ) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
            .add_extension(usage(ca=ca is not None), critical=True)
        )
        if ca is not None:
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=ca), critical=True)
        else:
            stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            made = made.add_extension(stamping, critical=True)
        return made.sign(by, hashes.SHA256())


def named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


@dataclass
class Wish:
    """How a signature is to be made: all that a forger could wish for."""

    at: datetime = NOW
    valid: tuple[timedelta, timedelta] = (timedelta(0), timedelta(minutes=10))
    names: tuple[x509.GeneralName, ...] = (x509.UniformResourceIdentifier(IDENTITY),)
    extensions: Mapping[int, str] = field(default_factory=lambda: EXTENSIONS)
    old_issuer: str = ""
    eku: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CODE_SIGNING,)
    key: Any = None
    leaf_ca: bool = False
    scts: int = 1
    sct_at: datetime | None = None
    sct_id: bytes = b""
    sct_key: Any = None
    rekor: int = 2
    kind: str = ""
    """Of an entry about a statement; what that Rekor takes today where it is empty."""
    stamps: int = 1
    stamped_at: datetime | None = None
    integrated_at: datetime | None = None
    promise: bool = True
    origin: str = "rekor.test"
    body: Any = None
    log: bytes = b""
    log_key: Any = None
    by: Ca | None = None
    tsa: Ca | None = None


class World:
    """One private Sigstore, and what it would have signed."""

    def __init__(self) -> None:
        self.ca, self.tsa = Ca(), Ca(stamps=True, name="tsa")
        self.ct, self.rekor = new_key(), ed25519.Ed25519PrivateKey.generate()
        self.rekor_v1 = new_key()
        raw = self.rekor.public_key().public_bytes_raw()
        self.log = hashlib.sha256(b"rekor.test\n\x01" + raw).digest()
        self.log_v1 = hashlib.sha256(spki(self.rekor_v1)).digest()

    def trusted_root(self) -> dict[str, Any]:
        since = {"start": (NOW - YEAR).isoformat()}

        def log(key: Any, of: bytes, details: str, url: str) -> dict[str, Any]:
            public = {"rawBytes": b64(spki(key)), "keyDetails": details, "validFor": dict(since)}
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": {"keyId": b64(of)}}

        def authority(ca: Ca) -> dict[str, Any]:
            return {
                "subject": {"organization": "test", "commonName": "test"},
                "uri": "https://ca.test",
                "certChain": {"certificates": [{"rawBytes": b64(one)} for one in ca.chain]},
                "validFor": dict(since),
            }

        p256 = "PKIX_ECDSA_P256_SHA_256"
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(self.rekor, self.log, "PKIX_ED25519", "https://rekor.test:3000"),
                log(self.rekor_v1, self.log_v1, p256, "https://rekor.test"),
            ],
            "certificateAuthorities": [authority(self.ca)],
            "ctlogs": [log(self.ct, hashlib.sha256(spki(self.ct)).digest(), p256, "https://ct.test")],
            "timestampAuthorities": [authority(self.tsa)],
        }

    def blob(self, digest: bytes, wish: Wish | None = None) -> dict[str, Any]:
        wish = wish or Wish()
        key = wish.key or new_key()
        signature = _sign(key, digest)
        content = {"messageDigest": {"algorithm": "SHA2_256", "digest": b64(digest)}, "signature": b64(signature)}
        return self._framed(wish, key, signature, digest, None) | {"messageSignature": content}

    def statement(self, said: Any, wish: Wish | None = None) -> dict[str, Any]:
        wish = wish or Wish()
        key, payload = wish.key or new_key(), canonical(said)
        digest = hashlib.sha256(pre_authentication(PAYLOAD_TYPE, payload)).digest()
        signature = _sign(key, digest)
        content = {"payload": b64(payload), "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": b64(signature)}]}
        return self._framed(wish, key, signature, digest, payload) | {"dsseEnvelope": content}

    def entry(self, wish: Wish, signer: _Signer, signature: bytes, digest: bytes, payload: bytes | None) -> Any:
        """The log's entry, in a tree of five leaves."""
        kind = _kind(wish, payload)
        version = "0.0.2" if kind == "intoto" else f"0.0.{wish.rekor}"
        body = wish.body(_body(wish, signer, signature, digest, payload)) if wish.body else None
        raw = canonical(body if body is not None else _body(wish, signer, signature, digest, payload))
        path, root = _path(raw)
        key = wish.log_key or (self.rekor if wish.rekor == 2 else self.rekor_v1)
        log = wish.log or (self.log if wish.rekor == 2 else self.log_v1)
        origin = wish.origin if wish.rekor == 2 else f"{wish.origin} - 77"
        made = {
            "logIndex": "2",
            "logId": {"keyId": b64(log)},
            "kindVersion": {"kind": kind, "version": version},
            "integratedTime": "0",
            "inclusionProof": {
                "logIndex": "2",
                "rootHash": b64(root),
                "treeSize": "5",
                "hashes": [b64(one) for one in path],
                "checkpoint": {"envelope": _checkpoint(origin, 5, root, key, log)},
            },
            "canonicalizedBody": b64(raw),
        }
        if wish.rekor == 1:
            at = int((wish.integrated_at or wish.at).timestamp())
            promised = {"body": b64(raw), "integratedTime": at, "logID": log.hex(), "logIndex": 2}
            made["integratedTime"] = str(at)
            if wish.promise:
                made["inclusionPromise"] = {"signedEntryTimestamp": b64(_signed(key, canonical(promised)))}
        return made

    def _framed(self, wish: Wish, key: Any, signature: bytes, digest: bytes, payload: bytes | None) -> dict[str, Any]:
        certificate = self.certificate(wish, key)
        signer = _Signer(
            certificate.public_bytes(serialization.Encoding.PEM),
            certificate.public_bytes(serialization.Encoding.DER),
            "x509Certificate",
        )
        at = wish.stamped_at or wish.at
        stamps = [stamp(wish.tsa or self.tsa, signature, at + n * timedelta(seconds=1)) for n in range(wish.stamps)]
        return {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(signer.der)},
                "tlogEntries": [self.entry(wish, signer, signature, digest, payload)],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(one)} for one in stamps]},
            },
        }

    def certificate(self, wish: Wish, key: Any) -> x509.Certificate:
        by = wish.by or self.ca
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(by.below.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(wish.at - wish.valid[0])
            .not_valid_after(wish.at + wish.valid[1])
            .add_extension(usage(ca=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
        )
        if wish.eku:
            made = made.add_extension(x509.ExtendedKeyUsage(wish.eku), critical=False)
        if wish.leaf_ca:
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        if wish.names:
            made = made.add_extension(x509.SubjectAlternativeName(wish.names), critical=True)
        for number, text in wish.extensions.items():
            made = made.add_extension(_unknown(f"{_FULCIO}.{number}", utf8(text)), critical=False)
        if wish.old_issuer:
            made = made.add_extension(_unknown(f"{_FULCIO}.1", wish.old_issuer.encode()), critical=False)
        if not wish.scts:
            return made.sign(by.key, hashes.SHA256())
        plain = made.sign(by.key, hashes.SHA256())
        return made.add_extension(self._scts(wish, by, plain), critical=False).sign(by.key, hashes.SHA256())

    def _scts(self, wish: Wish, by: Ca, plain: x509.Certificate) -> x509.UnrecognizedExtension:
        key = wish.sct_key or self.ct
        log = wish.sct_id or hashlib.sha256(spki(self.ct)).digest()
        tbs, at = plain.tbs_certificate_bytes, int((wish.sct_at or wish.at).timestamp() * 1000)
        issuer = hashlib.sha256(spki(by.key)).digest()
        head = struct.pack("!BBQH", 0, 0, at, 1)
        signature = _signed(key, head + issuer + len(tbs).to_bytes(3, "big") + tbs + b"\0\0")
        sct = struct.pack("!B32sQH", 0, log, at, 0) + b"\x04\x03" + len(signature).to_bytes(2, "big") + signature
        listed = (len(sct).to_bytes(2, "big") + sct) * wish.scts
        return _unknown("1.3.6.1.4.1.11129.2.4.2", octets(len(listed).to_bytes(2, "big") + listed))


@dataclass
class _Signer:
    pem: bytes
    der: bytes
    named: str


def key_signer(pem: bytes, der: bytes) -> _Signer:
    """A key, as logs write it."""
    return _Signer(pem, der, "publicKey")


def stamp(tsa: Ca, message: bytes, at: datetime) -> bytes:
    """A response of RFC 3161 with a CMS signature over its signed attributes."""
    imprint = seq(_SHA256, octets(hashlib.sha256(message).digest()))
    when = tlv(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())
    info = seq(integer(1), oid("1.3.6.1.4.1.57264.2"), imprint, integer(x509.random_serial_number()), when)
    content = oid("1.2.840.113549.1.9.16.1.4")
    attributes = sorted(
        (
            seq(oid("1.2.840.113549.1.9.3"), tlv(0x31, content)),
            seq(oid("1.2.840.113549.1.9.4"), tlv(0x31, octets(hashlib.sha256(info).digest()))),
        )
    )
    signature = tsa.key.sign(tlv(0x31, *attributes), _ECDSA)
    sid = seq(tsa.below.issuer.public_bytes(), integer(tsa.below.serial_number))
    signer = seq(integer(1), sid, _SHA256, tlv(0xA0, *attributes), seq(oid("1.2.840.10045.4.3.2")), octets(signature))
    signed = seq(
        integer(3),
        tlv(0x31, _SHA256),
        seq(content, tlv(0xA0, octets(info))),
        tlv(0xA0, tsa.chain[0]),
        tlv(0x31, signer),
    )
    return seq(seq(integer(0)), seq(oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed)))


def _unknown(dotted: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), value)


def _sign(key: Any, digest: bytes) -> bytes:
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return bytes(key.sign(digest))
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    return key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def _signed(key: Any, data: bytes) -> bytes:
    return bytes(key.sign(data, _ECDSA) if isinstance(key, ec.EllipticCurvePrivateKey) else key.sign(data))


def _kind(wish: Wish, payload: bytes | None) -> str:
    if payload is None:
        return "hashedrekord"
    return wish.kind or ("dsse" if wish.rekor == 1 else "hashedrekord")


def _body(wish: Wish, signer: _Signer, signature: bytes, digest: bytes, payload: bytes | None) -> dict[str, Any]:
    content = b64(signature)
    kind = _kind(wish, payload)
    if wish.rekor == 2:
        verifier = {"keyDetails": "PKIX_ECDSA_P256_SHA_256", signer.named: {"rawBytes": b64(signer.der)}}
        if kind == "dsse":
            hashed = {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(payload or b"").digest())}
            signed = [{"content": content, "verifier": verifier}]
            return {
                "apiVersion": "0.0.2",
                "kind": kind,
                "spec": {"dsseV002": {"payloadHash": hashed, "signatures": signed}},
            }
        data = {"algorithm": "SHA2_256", "digest": b64(digest)}
        spec: dict[str, Any] = {
            "hashedRekordV002": {"data": data, "signature": {"content": content, "verifier": verifier}}
        }
        return {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}
    if kind == "hashedrekord" or payload is None:
        hashed, public = {"algorithm": "sha256", "value": digest.hex()}, {"content": b64(signer.pem)}
        spec = {"data": {"hash": hashed}, "signature": {"content": content, "publicKey": public}}
        return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}
    if kind == "intoto":
        signed = {"publicKey": b64(signer.pem), "sig": b64(content.encode())}
        envelope = {"payloadType": PAYLOAD_TYPE, "signatures": [signed]}
        whole, hashed = {"algorithm": "sha256", "value": "6" * 64}, hashlib.sha256(payload).hexdigest()
        spec = {"envelope": envelope, "hash": whole, "payloadHash": {"algorithm": "sha256", "value": hashed}}
        return {"apiVersion": "0.0.2", "kind": kind, "spec": {"content": spec}}
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": "6" * 64},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": content, "verifier": b64(signer.pem)}],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


def _path(body: bytes) -> tuple[list[bytes], bytes]:
    """From leaf 2 of five to the root: leaf 3, the pair below, and the last leaf alone."""
    leaves = [hashlib.sha256(b"\0" + (body if n == 2 else b"other %d" % n)).digest() for n in range(5)]

    def pair(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    low, four = pair(leaves[0], leaves[1]), pair(pair(leaves[0], leaves[1]), pair(leaves[2], leaves[3]))
    return [leaves[3], low, leaves[4]], pair(four, leaves[4])


def _checkpoint(origin: str, size: int, root: bytes, key: Any, log: bytes) -> str:
    note = f"{origin}\n{size}\n{b64(root)}\n"
    name = origin.partition(" ")[0]
    return f"{note}\n\u2014 {name} {b64(log[:4] + _signed(key, note.encode()))}\n"


def raw(bundle: Mapping[str, Any]) -> bytes:
    return json.dumps(bundle).encode()
