"""The keys of a store: every one names something that never changes. Pure.

blobs/sha256/<digest>                        a file by its digest
releases/<release id>/release.json           the manifest; its id is its digest
releases/<release id>/release.json.sigstore.json   the signature over it
apps/<app>/<version>                         the release id of a version, as text
"""

from __future__ import annotations

import re

from gopub.errors import UsageError

MANIFEST = "release.json"
BUNDLE = "release.json.sigstore.json"

_PART = r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,99}"
_KEY = re.compile(rf"{_PART}(?:/{_PART}){{0,7}}")
_ADDRESSED = re.compile(rf"(?:blobs/sha256/|releases/)([0-9a-f]{{64}})(?:/{re.escape(MANIFEST)})?")


def blob_key(digest: str) -> str:
    """Where the file with that hex SHA-256 lies."""
    return check_key(f"blobs/sha256/{digest}")


def manifest_key(release_id: str) -> str:
    """Where the manifest of a release lies."""
    return check_key(f"releases/{release_id}/{MANIFEST}")


def bundle_key(release_id: str) -> str:
    """Where the signature over the manifest lies."""
    return check_key(f"releases/{release_id}/{BUNDLE}")


def version_key(app: str, version: str) -> str:
    """Where the release id of a version lies."""
    return check_key(f"apps/{app}/{version}")


def check_key(key: str) -> str:
    """The key, if it is one: no empty part, none that begins with a dot, at most 8 parts.

    Raises:
        UsageError: GP344 when it is not.
    """
    if not is_key(key):
        raise UsageError("GP344", f"{key!r} cannot be a key of a store", hint="see docs/errors/GP344.md")
    return key


def is_key(text: str) -> bool:
    """Whether a store may hold this; a listing also shows what others put there."""
    return _KEY.fullmatch(text) is not None


def digest_in(key: str) -> str | None:
    """The digest that the content of this key must have; None where the key does not say."""
    match = _ADDRESSED.fullmatch(key)
    return match[1] if match else None
