"""The SSH key by which orders reach enrolled hosts, as user gopub: made where there is none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gopub.errors import GopubError
from gopub.paths import private_folder

NAME = "gopub"


def make_login(folder: Path) -> Path:
    """The private key of a folder, made now if there is none; two processes at once agree on one."""
    private_folder(folder)
    file = folder / NAME
    if not file.exists():
        key = ed25519.Ed25519PrivateKey.generate()
        data = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        fresh = file.with_name(f".{NAME}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(fresh, file)  # unlike a rename it never replaces a key that somebody else just made
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    beside = file.with_name(f"{NAME}.pub")
    if not beside.exists():
        beside.write_text(public_half(file) + "\n")
    return file


def public_half(file: Path) -> str:
    """The public half, as a line of authorized_keys: of a private key without a passphrase, or of a public key.

    Raises:
        GopubError: GP481 it cannot be read, or is neither.
    """
    for one in (file.with_name(f"{file.name}.pub"), file):
        try:
            data = one.read_bytes()
        except OSError:
            continue
        try:
            if data.startswith(b"-----"):
                key = serialization.load_ssh_private_key(data, None).public_key()
            else:
                key = serialization.load_ssh_public_key(data)
            return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    raise GopubError("GP481", f"no SSH key of user gopub can be read in {str(file)!r}",
                     hint="name a private key without a passphrase, or one with its .pub beside it")  # fmt: skip
