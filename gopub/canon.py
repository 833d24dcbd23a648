"""Canonical JSON and digests: the same value always gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import TypeAliasType

# A named alias: pydantic cannot follow a recursive one without a name.
Json = TypeAliasType(
    "Json",
    "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None",
)


def canonical(value: Json) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8, and no NaN: what ids and hashes are taken over.

    Raises:
        ValueError: a float that JSON cannot carry.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """Hex digest, 64 characters."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Json) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return sha256(canonical(value))


def sha256_file(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
