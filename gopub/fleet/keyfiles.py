"""What a private key's file tells without its passphrase. Pure."""

from __future__ import annotations

import base64
import binascii
import re

_BODY = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----\s(.*?)-----END", re.DOTALL)
_MAGIC = b"openssh-key-v1\0"
_MARKS = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


def openssh_parts(data: bytes) -> tuple[bytes | None, bytes | None]:
    """The cipher and the public half of a key in OpenSSH's format; None for what cannot be read."""
    found = _BODY.search(data)
    try:
        body = base64.b64decode(found[1]) if found else b""
    except binascii.Error:
        body = b""
    if not body.startswith(_MAGIC):
        return None, None
    cipher, rest = _string(body[len(_MAGIC) :])
    for _ in ("the derivation", "its options"):
        _, rest = _string(rest)
    public, _ = _string(rest[4:])  # after the number of keys
    return cipher, public or None


def seems_locked(data: bytes) -> bool:
    """Whether a passphrase is needed."""
    cipher, _ = openssh_parts(data)
    return cipher not in {None, b"none", b""} or any(mark in data for mark in _MARKS)


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4], "big")
    return data[4 : 4 + length], data[4 + length :]
