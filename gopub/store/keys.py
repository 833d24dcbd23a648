"""The keys of a store: every one names something that never changes. Pure.

blobs/sha256/<digest>                        a file by its digest
releases/<release id>/release.json           the manifest; its id is its digest
releases/<release id>/release.json.sigstore.json   the signature over it
releases/<release id>/admissions/<env>/<target>/<when>-<digest>   that it was admitted there then, and by whom
releases/<release id>/countersigned/<digest>.sigstore.json   what others signed it with, by the bundle's digest
apps/<app>/<version>                         the release id of a version, as text
"""

from __future__ import annotations

import re

from gopub.errors import UsageError

MANIFEST = "release.json"
BUNDLE = "release.json.sigstore.json"
COUNTERSIGNED = "countersigned"

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


def admissions_prefix(release_id: str, env: str, target: str) -> str:
    """Before which all admissions of a release into an env lie, of hosts of that kind."""
    return f"releases/{release_id}/admissions/{env}/{target.replace('/', '-')}/"


def admission_key(release_id: str, env: str, target: str, verified: str, digest: str) -> str:
    """Where one admission lies, by its moment (as in ``2026-11-30T12:00:00Z``) and its digest.

    So the last name is the newest one, and none is ever in another's place.
    """
    when = verified.replace("-", "").replace(":", "")
    return check_key(f"{admissions_prefix(release_id, env, target)}{when}-{digest[:16]}")


def countersignatures(release_id: str) -> str:
    """What the keys of further signatures over the manifest begin with."""
    return f"releases/{release_id}/{COUNTERSIGNED}/"


def countersignature_key(release_id: str, digest: str) -> str:
    """Where a further signature over the manifest lies; ``digest`` is that of the bundle."""
    return check_key(f"{countersignatures(release_id)}{digest}.sigstore.json")


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
