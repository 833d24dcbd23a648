"""Keys and certificates of a stack: made once, in its folder, for its owner alone to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gopub.errors import GopubError
from gopub.lab.sigstore.layout import Stack
from gopub.lab.state import write

_BEFORE, _LASTING = timedelta(minutes=5), timedelta(days=3650)
P256 = ec.EllipticCurvePrivateKey
Ed25519 = ed25519.Ed25519PrivateKey
Rsa = rsa.RSAPrivateKey
K = TypeVar("K", P256, Ed25519, Rsa)


def ensure(stack: Stack) -> None:
    """Make what is missing. A chain and its key are made together: one without the other is worth nothing."""
    for name, make in (("ctlog", _p256), ("rekor", ed25519.Ed25519PrivateKey.generate), ("oidc", _rsa)):
        if not stack.key(name).exists():
            _keep(stack, name, make())
    for name, chain in (("fulcio", _fulcio), ("timestamp", _timestamp)):
        if not (stack.key(name).exists() and stack.chain(name).exists()):
            key = _p256()
            _keep(stack, name, key)
            certificates = chain(key)
            write(stack.chain(name), b"".join(c.public_bytes(Encoding.PEM) for c in certificates).decode())


def read(stack: Stack, name: str, kind: type[K]) -> K:
    """The private key of a service, which is of this kind.

    Raises:
        GopubError: GP812 it is not, or is damaged.
    """
    try:
        key = load_pem_private_key(stack.key(name).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(stack.key(name)) from error
    if not isinstance(key, kind):
        raise _damaged(stack.key(name))
    return key


def chain_of(stack: Stack, name: str) -> list[x509.Certificate]:
    """The certificates of a service, the one that signs first.

    Raises:
        GopubError: GP812 they are damaged.
    """
    try:
        return x509.load_pem_x509_certificates(stack.chain(name).read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(stack.chain(name)) from error


def _damaged(path: Path) -> GopubError:
    return GopubError("GP812", f"{path} is not what the Sigstore stack wrote there", hint="take it down and up again")


def _keep(stack: Stack, name: str, key: P256 | Ed25519 | Rsa) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write(stack.key(name), pem.decode(), 0o600)


def _p256() -> P256:
    return ec.generate_private_key(ec.SECP256R1())


def _rsa() -> Rsa:
    return rsa.generate_private_key(65537, 2048)


def _fulcio(key: P256) -> Sequence[x509.Certificate]:
    root_key, root = _p256(), _name("gopub lab Fulcio root")
    top = _certificate(root, root, root_key, root_key, path=1)
    below = _certificate(_name("gopub lab Fulcio"), root, key, root_key, path=0, use=ExtendedKeyUsageOID.CODE_SIGNING)
    return below, top


def _timestamp(key: P256) -> Sequence[x509.Certificate]:
    root_key, root = _p256(), _name("gopub lab timestamp root")
    top = _certificate(root, root, root_key, root_key, path=0)
    subject = _name("gopub lab timestamp")
    return _certificate(subject, root, key, root_key, use=ExtendedKeyUsageOID.TIME_STAMPING), top


def _name(common: str) -> x509.Name:
    """Clients want an organization beside the common name."""
    pairs = ((NameOID.ORGANIZATION_NAME, "gopub lab"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: P256,
    by: P256,
    *,
    path: int | None = None,
    use: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    """One that may sign others ``path`` deep, or with None none."""
    start = datetime.now(UTC).replace(microsecond=0) - _BEFORE
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LASTING)
        .add_extension(x509.BasicConstraints(ca=path is not None, path_length=path), critical=True)
        .add_extension(usage(ca=path is not None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if use is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=use == ExtendedKeyUsageOID.TIME_STAMPING)
    return builder.sign(by, hashes.SHA256())


def usage(*, ca: bool) -> x509.KeyUsage:
    """For signing certificates and nothing else, or for signatures and nothing else."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
