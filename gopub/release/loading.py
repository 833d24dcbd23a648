"""Out of the store: a release by its version or its id, not yet verified."""

from __future__ import annotations

import re

from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.release.model import Release, SignedRelease
from gopub.store.keys import bundle_key, manifest_key, version_key
from gopub.store.protocol import MAX_BUNDLE, MAX_MANIFEST, MAX_POINTER, ArtifactStore, damaged, find

_ID = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[0-9a-f]{8,63}")


async def load_release(store: ArtifactStore, app: str | None, version_or_id: str) -> SignedRelease:
    """The release of that version, or with that id (at least 8 hex digits of it).

    Without ``app`` a version must belong to one app alone.

    Raises:
        GopubError: GP321 there is none; GP340 a part of it is missing.
        UsageError: GP321 the name fits several releases.
        RefusedError: GP322 the manifest is malformed; GP324 it is of another app or version; GP341 it is damaged.
    """
    if _ID.fullmatch(version_or_id):
        return await load_by_id(store, version_or_id)
    app = app or await _only_app(store, version_or_id)
    pointer = await find(store, version_key(app, version_or_id), limit=MAX_POINTER) if app else None
    if pointer is None:
        return await _by_short_id(store, app, version_or_id)
    signed = await load_by_id(store, pointer.decode(errors="replace"))
    if (signed.release.app, signed.release.version) != (app, version_or_id):
        raise RefusedError(
            "GP324",
            f"the store gives {signed.release.app} {signed.release.version} for {app} {version_or_id}",
            hint="somebody changed the store: the version key names another release",
        )
    return signed


async def load_by_id(store: ArtifactStore, release_id: str) -> SignedRelease:
    """The release with that full id.

    Raises:
        RefusedError: GP322, GP341 as :func:`load_release`.
        GopubError: GP340 a part of it is missing.
    """
    if not _ID.fullmatch(release_id):
        raise RefusedError("GP322", "what the store holds for this version is not a release id",
                           hint="somebody changed the store")  # fmt: skip
    manifest = await store.get(manifest_key(release_id), limit=MAX_MANIFEST)
    if sha256(manifest) != release_id:
        raise damaged(f"release {release_id[:12]}", f"sha256 {sha256(manifest)}", release_id)
    return SignedRelease(Release.parse(manifest), manifest, await store.get(bundle_key(release_id), limit=MAX_BUNDLE))


async def _only_app(store: ArtifactStore, version: str) -> str | None:
    keys = [key for key in await store.list("apps/") if key.split("/")[2:] == [version]]
    if len(keys) > 1:
        apps = ", ".join(key.split("/")[1] for key in keys)
        raise UsageError("GP321", f"several apps have a version {version}: {apps}", hint="say which one with --app")
    return keys[0].split("/")[1] if keys else None


async def _by_short_id(store: ArtifactStore, app: str | None, name: str) -> SignedRelease:
    found: set[str] = set()
    if _SHORT_ID.fullmatch(name):
        found = {key.split("/")[1] for key in await store.list(f"releases/{name}")}
    if len(found) == 1:
        return await load_by_id(store, found.pop())
    if found:
        raise UsageError("GP321", f"{name} is the beginning of several release ids", hint="give more digits")
    known = sorted(key.rpartition("/")[2] for key in await store.list(f"apps/{app}/")) if app else []
    hint = f"versions there: {', '.join(known[-8:])}" if known else "was it published to this store?"
    raise GopubError("GP321", f"the store has no release {name} of {app or 'any app'}", hint=hint)
