"""Signing keys: ECDSA on P-256 with SHA-256, PEM files, the private one readable by its owner alone."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from gopub.errors import GopubError, RefusedError
from gopub.paths import private_folder
from gopub.spec.kinds import SignerKind

PRIVATE_NAME, PUBLIC_NAME = "gopub.key", "gopub.pub"
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 public key, as its SubjectPublicKeyInfo in DER."""

    spki: bytes

    @classmethod
    def parse(cls, pem: bytes, *, name: str = "the public key") -> Self:
        """Read a PEM public key.

        Raises:
            GopubError: GP300 when it is malformed, or of another kind.
        """
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _bad_key(name, "is not a PEM public key") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _bad_key(name, "is not an ECDSA key on P-256")
        return cls(_spki(key))

    @property
    def pem(self) -> bytes:
        """The key as openssl and cosign read it."""
        body = base64.encodebytes(self.spki).replace(b"\n", b"")
        lines = [body[at : at + 64] for at in range(0, len(body), 64)]
        return b"\n".join([b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""])

    @property
    def hint(self) -> str:
        """Base64 of the SHA-256 of the key: what a bundle says of its signer."""
        return base64.b64encode(hashlib.sha256(self.spki).digest()).decode()

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the key: how people and policies name it."""
        return hashlib.sha256(self.spki).hexdigest()

    def accepts(self, signature: bytes, *, digest: bytes) -> bool:
        """Whether the DER signature is this key's over the data with that SHA-256 (32 bytes)."""
        key = serialization.load_der_public_key(self.spki)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        try:
            key.verify(signature, digest, _PREHASHED)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(Protocol):
    """Whoever holds a key that signs: a file, or a key service. Who signs with a certificate has none of their own."""

    @property
    def public(self) -> PublicKey:
        """The key that checks what this signer signs."""

    def sign(self, data: bytes) -> bytes:
        """The DER signature over the SHA-256 of ``data``."""


class SignerConnection(SignerKind):
    """A connection behind which something signs."""

    @abstractmethod
    def open(self) -> Signer:
        """Whoever signs, ready to.

        Raises:
            GopubError: it cannot be used.
        """


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key in memory."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, path: Path, *, passphrase: str | None = None) -> Self:
        """Read a PEM private key.

        Raises:
            GopubError: GP300 when it is missing, malformed, of another kind, or does not open with that passphrase.
            RefusedError: GP301 when others may read it.
        """
        try:
            pem, mode = path.read_bytes(), path.stat().st_mode
        except OSError as error:
            raise _bad_key(str(path), f"cannot be read: {error.strerror}", _LOOK) from error
        if mode & 0o077:
            raise RefusedError("GP301", f"the private key {path} is open to other users", hint=f"run chmod 600 {path}")
        return cls.parse(pem, name=str(path), passphrase=passphrase)

    @classmethod
    def parse(cls, pem: bytes, *, name: str = "the private key", passphrase: str | None = None) -> Self:
        """Read a PEM private key from memory.

        Raises:
            GopubError: GP300 when it is malformed, of another kind, or does not open with that passphrase.
        """
        shut = is_shut(pem)
        if shut and passphrase is None:
            raise _bad_key(name, "has a passphrase, which was not given", "name it: passphrase: {env: NAME}")
        try:
            key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase and shut else None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            if shut:
                raise _bad_key(name, "does not open with its passphrase", "is it that of another key?") from error
            raise _bad_key(name, "is not a PEM private key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _bad_key(name, "is not an ECDSA key on P-256")
        return cls(key)

    @property
    def public(self) -> PublicKey:
        """The key that checks what this signer signs."""
        return PublicKey(_spki(self.private.public_key()))

    def sign(self, data: bytes) -> bytes:
        """The DER signature over the SHA-256 of ``data``."""
        return self.private.sign(data, _ALGORITHM)


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where a key pair lies."""

    private: Path
    public: Path

    def signer(self, passphrase: str | None = None) -> KeySigner:
        """Load the private key (see :meth:`KeySigner.load`)."""
        return KeySigner.load(self.private, passphrase=passphrase)

    def public_key(self) -> PublicKey:
        """Load the public key (see :meth:`PublicKey.parse`)."""
        return PublicKey.parse(self.public.read_bytes(), name=str(self.public))


def private_key_in(folder: Path) -> KeyFiles:
    """The names of the key pair of a folder, there or not."""
    return KeyFiles(folder / PRIVATE_NAME, folder / PUBLIC_NAME)


def generate(folder: Path, passphrase: str | None = None) -> KeyFiles:
    """The key pair of a folder, made now if there is none; two processes at once agree on one.

    Raises:
        GopubError: GP300 there is one that does not open with that passphrase.
        RefusedError: GP301 others may read it.
    """
    files = private_key_in(folder)
    private_folder(folder)
    if not files.private.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        lock = (
            serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
        )
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        _write_once(files.private, pem, mode=0o600)
    public = files.signer(passphrase).public.pem
    if not files.public.exists() or files.public.read_bytes() != public:
        _replace(files.public, public)
    return files


def _write_once(path: Path, data: bytes, *, mode: int) -> None:
    fresh = _fresh(path, data, mode)
    try:
        os.link(fresh, path)  # unlike a rename it never replaces a key that somebody else just made
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _replace(path: Path, data: bytes) -> None:
    _fresh(path, data, 0o644).replace(path)


def _fresh(path: Path, data: bytes, mode: int) -> Path:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


_LOOK = "look at the path and its rights; gopub keys make FOLDER makes a pair for each role"
_MAKE = "make one with: openssl ecparam -name prime256v1 -genkey -noout"


def is_shut(pem: bytes) -> bool:
    """Whether a private key (PEM, of PKCS #8 or the older form of openssl) has a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem or b"Proc-Type: 4,ENCRYPTED" in pem


def _bad_key(name: str, problem: str, hint: str = _MAKE) -> GopubError:
    return GopubError("GP300", f"{name} {problem}", hint=hint)
