"""Out of the store: a release by its version or its id; its size is bounded, its signature checked, then it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gopub.canon import sha256
from gopub.errors import RefusedError, UsageError
from gopub.evidence.verifier import Verifier
from gopub.release.model import Release, SignedRelease
from gopub.source.versions import without_v
from gopub.store.keys import bundle_key, manifest_key, version_key
from gopub.store.protocol import MAX_BUNDLE, MAX_MANIFEST, MAX_POINTER, ArtifactStore, damaged, find

_ID = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[0-9a-f]{8,63}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A release as it lies in a store: bytes of a stranger, of which only the size and the digest are known.

    ``app`` and ``version`` are what was asked for: empty where any app would do, and where it was named by its id.
    """

    app: str
    version: str
    release_id: str
    manifest: bytes
    bundle: bytes

    def signed_by(self, by: Verifier) -> SignedRelease:
        """The release, if somebody who is believed signed these bytes: only then are they parsed.

        Raises:
            RefusedError: GP310, GP311, GP312, GP316, GP317 the signature; GP322 the manifest is malformed; GP324 it is
                of another app or version than the one that was asked for.
        """
        by.blob(self.bundle, sha256(self.manifest))
        release = Release.parse(self.manifest)
        if (self.app or release.app, self.version or release.version) != (release.app, release.version):
            raise self._other(release)
        return SignedRelease(release, self.manifest, self.bundle)

    def _other(self, release: Release) -> RefusedError:
        found = f"{release.app} {release.version}"
        if self.version:
            return RefusedError("GP324", f"the store gives {found} for {self.app} {self.version}",
                                hint="somebody changed the store: the version key names another release")  # fmt: skip
        return RefusedError("GP324", f"release {self.release_id[:12]} is {found}, and no release of {self.app}",
                            hint="name a version of this app")  # fmt: skip


async def load_release(store: ArtifactStore, app: str | None, version_or_id: str, by: Verifier) -> SignedRelease:
    """The release of that version, or with that id (at least 8 hex digits of it), signed by who is believed.

    Without ``app`` a version must belong to one app alone; a ``v`` before it does not count.

    Raises:
        GopubError, UsageError, RefusedError: as :func:`read_stored` and :meth:`Stored.signed_by`.
    """
    return (await read_stored(store, app, version_or_id)).signed_by(by)


async def read_stored(store: ArtifactStore, app: str | None, version_or_id: str) -> Stored:
    """The bytes of a release; nothing of them is read as anything yet.

    Raises:
        GopubError: GP340 a part of it is missing.
        UsageError: GP321 there is none, or the name fits several releases.
        RefusedError: GP322 the version key holds no release id; GP341 the manifest is damaged.
    """
    if _ID.fullmatch(version_or_id):
        return await _stored(store, app, version_or_id)
    version = without_v(version_or_id)
    app = app or await _only_app(store, version)
    pointer = await find(store, version_key(app, version), limit=MAX_POINTER) if app else None
    if pointer is None:
        return await _stored(store, app, await _by_short_id(store, app, version_or_id))
    return replace(await _stored(store, app, _id_in(pointer)), version=version)


async def load_by_id(store: ArtifactStore, release_id: str) -> SignedRelease:
    """The release with that full id, whoever signed it: only to see as what a commit was published already.

    Nothing may act on it; see :mod:`gopub.release.admitting`.

    Raises:
        RefusedError: GP322 it is malformed; GP341 it is damaged.
        GopubError: GP340 a part of it is missing.
    """
    stored = await _stored(store, None, _id_in(release_id.encode()))
    return SignedRelease(Release.parse(stored.manifest), stored.manifest, stored.bundle)


def _id_in(pointer: bytes) -> str:
    text = pointer.decode("ascii", errors="replace")
    if not _ID.fullmatch(text):
        raise RefusedError("GP322", "what the store holds for this version is not a release id",
                           hint="somebody changed the store")  # fmt: skip
    return text


async def _stored(store: ArtifactStore, app: str | None, release_id: str) -> Stored:
    manifest = await store.get(manifest_key(release_id), limit=MAX_MANIFEST)
    if sha256(manifest) != release_id:
        raise damaged(f"release {release_id[:12]}", f"sha256 {sha256(manifest)}", release_id)
    return Stored(app or "", "", release_id, manifest, await store.get(bundle_key(release_id), limit=MAX_BUNDLE))


async def _only_app(store: ArtifactStore, version: str) -> str | None:
    keys = [key for key in await store.list("apps/") if key.split("/")[2:] == [version]]
    if len(keys) > 1:
        apps = ", ".join(key.split("/")[1] for key in keys)
        raise UsageError("GP321", f"several apps have a version {version}: {apps}", hint="say which one with --app")
    return keys[0].split("/")[1] if keys else None


async def _by_short_id(store: ArtifactStore, app: str | None, name: str) -> str:
    found: set[str] = set()
    if _SHORT_ID.fullmatch(name):
        found = {key.split("/")[1] for key in await store.list(f"releases/{name}")}
    if len(found) == 1:
        return found.pop()
    if found:
        raise UsageError("GP321", f"{name} is the beginning of several release ids", hint="give more digits")
    known = sorted(key.rpartition("/")[2] for key in await store.list(f"apps/{app}/")) if app else []
    hint = f"versions there: {', '.join(known[-8:])}" if known else "was it published to this store?"
    raise UsageError("GP321", f"the store has no release {name} of {app or 'any app'}", hint=hint)
