"""Reading a request safely: its body up to a limit and in time, its bearer token, its idempotency key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping

from fastapi import Request

from gopub.errors import GopubError, RefusedError, UsageError

_BODY_WITHIN = 10.0
_LONGEST_KEY = 255


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        UsageError: GP936 it is longer than ``limit`` bytes, or does not arrive in time.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise UsageError("GP936", f"the body is larger than {limit} bytes")
                parts.append(part)
    except TimeoutError:
        raise UsageError("GP936", f"the body did not arrive within {_BODY_WITHIN:g}s") from None
    return b"".join(parts)


def authenticate(request: Request, tokens: Mapping[str, str]) -> str:
    """The name of the token that the request carries; ``tokens`` maps names to SHA-256 digests.

    Every digest is compared, in constant time, whether or not an earlier one matched.

    Raises:
        RefusedError: GP930 no token, or one that nobody was given.
    """
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(presented.strip().encode(errors="surrogateescape")).hexdigest()
    found = [name for name, known in tokens.items() if hmac.compare_digest(digest, known)]
    if scheme.lower() != "bearer" or not found:
        raise RefusedError(
            "GP930",
            "no valid bearer token",
            hint="send Authorization: Bearer TOKEN",
        )
    return found[0]


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key header, with or without the quotes of a structured field; None when there is none.

    Raises:
        GopubError: GP933 it is empty, too long or not printable ASCII.
    """
    value = request.headers.get("idempotency-key")
    if value is None:
        return None
    key = value.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise GopubError("GP933", f"Idempotency-Key must be 1 to {_LONGEST_KEY} printable ASCII characters")
    return key
