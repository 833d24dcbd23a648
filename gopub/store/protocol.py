"""What every store can do; nothing that only one of them can."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gopub.build.artifact import FileRef
from gopub.canon import sha256, sha256_file
from gopub.errors import GopubError, RefusedError
from gopub.store.keys import blob_key, digest_in

MISSING = "GP340"


class ArtifactStore(Protocol):
    """Objects under keys (see :mod:`gopub.store.keys`); what a key holds never changes."""

    async def put(self, key: str, data: bytes | Path, *, digest: str) -> None:
        """Keep the data, whose hex SHA-256 is ``digest``, under a key; nothing happens if it is there already.

        What was written is read back and compared before this returns. An object that is damaged, under a key
        that holds its digest, is replaced.

        Raises:
            GopubError: GP341 the data is not what ``digest`` says; GP342 the store does not answer or refuses;
                GP343 what was read back is not what was written.
            RefusedError: GP323 the key holds something else.
        """

    async def get(self, key: str) -> bytes:
        """The object under a key.

        Raises:
            GopubError: GP340 there is none; GP342 the store does not answer or refuses.
            RefusedError: GP341 its key holds a digest, and that is not its own.
        """

    async def url(self, key: str, *, expires: float) -> str | None:
        """An address from which a host can fetch the object for ``expires`` seconds; None: there are no such."""

    async def list(self, prefix: str) -> list[str]:
        """All keys that begin with ``prefix``, sorted."""


async def fetch(store: ArtifactStore, ref: FileRef) -> bytes:
    """A file of a release, checked against its digest and size.

    Raises:
        GopubError: as :meth:`ArtifactStore.get`; a wrong size is GP341 too.
    """
    data = await store.get(blob_key(ref.digest))
    if len(data) != ref.size:
        raise damaged(ref.name, f"{len(data)} bytes", f"{ref.size} bytes")
    return data


async def find(store: ArtifactStore, key: str) -> bytes | None:
    """The object under a key, None where there is none."""
    try:
        return await store.get(key)
    except GopubError as error:
        if error.code == MISSING:
            return None
        raise


def checked(key: str, data: bytes) -> bytes:
    """The data read from a key, if it is what the key says.

    Raises:
        RefusedError: GP341 when it is not.
    """
    wanted = digest_in(key)
    if wanted is not None and sha256(data) != wanted:
        raise damaged(key, f"sha256 {sha256(data)}", wanted)
    return data


def check_given(key: str, data: bytes | Path, digest: str) -> None:
    """Refuse data that is not what its caller says.

    Raises:
        RefusedError: GP341.
    """
    found = sha256(data) if isinstance(data, bytes) else sha256_file(data)
    if found != digest or digest_in(key) not in {None, digest}:
        raise damaged(key, f"sha256 {found}", digest)


def missing(key: str) -> GopubError:
    """The error for a key that holds nothing."""
    return GopubError(MISSING, f"the store has no {key}", hint="was it published to this store?")


def taken(key: str) -> RefusedError:
    """The error for a key that holds something else."""
    return RefusedError("GP323", f"{key} is there already and holds something else", hint="keys are written once")


def damaged(name: str, found: str, wanted: str) -> RefusedError:
    """The error for content that is not what its name says."""
    return RefusedError(
        "GP341",
        f"{name} is damaged: it has {found}, not {wanted}",
        hint="restore it from a copy of the store, or publish the commit under a new version",
    )


def unlike(key: str) -> GopubError:
    """The error for a store that does not give back what it was given."""
    return GopubError("GP343", f"the store gave back other bytes for {key}", hint="look after the store's disks")
