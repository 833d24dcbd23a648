"""Into the store: blobs first, then release.json, its bundle, and last of all the version that makes it visible."""

from __future__ import annotations

import asyncio

from gopub.build.artifact import LocalFile
from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError
from gopub.release.loading import load_by_id
from gopub.release.model import SignedRelease
from gopub.release.stages import PreparedRelease
from gopub.store.keys import blob_key, bundle_key, manifest_key, version_key
from gopub.store.protocol import MAX_BUNDLE, MAX_MANIFEST, MAX_POINTER, ArtifactStore, find

_AT_ONCE = 4


async def publish(store: ArtifactStore, prepared: PreparedRelease) -> SignedRelease:
    """Publish; running it again changes nothing, and a version never changes its release.

    Whoever sees the version sees everything that it needs. Where the same commit was published as this version
    before, that release is the one, and it is given back.

    Raises:
        RefusedError: GP320 the version belongs to another commit.
        GopubError: GP349 its release.json is larger than anybody will read; what :meth:`ArtifactStore.put` raises.
    """
    release = prepared.release
    if prepared.manifest.ref.size > MAX_MANIFEST:
        raise GopubError("GP349", f"release.json has {prepared.manifest.ref.size} bytes, {MAX_MANIFEST} are the most",
                         hint="it holds the templates of all environments: make them smaller")  # fmt: skip
    published = await already_published(store, release.app, release.version, release.commit)
    if published is not None:
        return published
    gate = asyncio.Semaphore(_AT_ONCE)
    await asyncio.gather(*(_put_blob(store, file, gate) for file in dict.fromkeys(prepared.files)))
    release_id, manifest = prepared.release_id, prepared.manifest
    await store.put(manifest_key(release_id), manifest.path, digest=manifest.ref.digest)
    # Signed anew after a crash: the first signature stays.
    if await find(store, bundle_key(release_id), limit=MAX_BUNDLE) is None:
        await store.put(bundle_key(release_id), prepared.bundle.path, digest=prepared.bundle.ref.digest)
    return await _point(store, prepared)


async def already_published(store: ArtifactStore, app: str, version: str, commit: str) -> SignedRelease | None:
    """The release that this commit was published as under this version; None where the version is free.

    Raises:
        RefusedError: GP320 the version belongs to another commit.
    """
    pointer = await find(store, version_key(app, version), limit=MAX_POINTER)
    if pointer is None:
        return None
    published = await load_by_id(store, pointer.decode(errors="replace"))
    if published.release.commit == commit:
        return published
    raise RefusedError(
        "GP320",
        f"{app} {version} is published from commit {published.release.commit[:12]}, this is {commit[:12]}",
        hint="a version never changes what it is, its environments in gopub.yaml included: give this commit a new "
        f"version (without that tag it has one of its own: gopub deploy {commit[:12]}); what the project decides "
        f"(inventory, hosts, connections) counts at once: gopub rollout {version}",
    )


async def _point(store: ArtifactStore, prepared: PreparedRelease) -> SignedRelease:
    release, pointer = prepared.release, prepared.release_id.encode()
    try:
        await store.put(version_key(release.app, release.version), pointer, digest=sha256(pointer))
    except RefusedError:  # somebody else was quicker: theirs is the release, if it is of this commit
        published = await already_published(store, release.app, release.version, release.commit)
        if published is None:
            raise
        return published
    return await load_by_id(store, prepared.release_id)


async def _put_blob(store: ArtifactStore, file: LocalFile, gate: asyncio.Semaphore) -> None:
    async with gate:
        await store.put(blob_key(file.ref.digest), file.path, digest=file.ref.digest)
