"""What every store can do; nothing that only one of them can."""

from __future__ import annotations

import hashlib
import io
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from gopub.build.artifact import FileRef
from gopub.canon import sha256, sha256_file
from gopub.errors import GopubError, RefusedError
from gopub.spec.kinds import StoreKind
from gopub.store.keys import blob_key, digest_in

MISSING = "GP340"
TOO_LARGE = "GP346"

MAX_MANIFEST = 4 << 20
"""Bytes of a release.json; one with 500 environments and their templates has a tenth of it."""
MAX_POINTER = 64
"""Bytes of what a version key holds: one release id."""
MAX_BUNDLE = 32 << 20
"""Bytes of a bundle: a signed SBOM is the largest."""
MAX_DOCUMENT = 16 << 20
"""Bytes of an SBOM: that of a program with 2,000 modules has about 4 MB."""
MAX_FILE = 2 << 30
"""Bytes of an archive or a binary, whatever a manifest says."""
MAX_KEYS = 100_000
"""Keys of one listing."""


class Sink(Protocol):
    """Whatever takes bytes: a file, a buffer, or nothing at all."""

    def write(self, data: bytes, /) -> object:
        """Take these bytes."""


class Nowhere:
    """Takes bytes that are only to be checked."""

    def write(self, data: bytes, /) -> None:
        """Forget them."""


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

    async def get(self, key: str, *, limit: int) -> bytes:
        """The object under a key, of at most ``limit`` bytes; of one that is larger, no more than a block is read.

        Raises:
            GopubError: GP340 there is none; GP342 the store does not answer or refuses.
            RefusedError: GP341 its key holds a digest, and that is not its own; GP345 it is no regular file;
                GP346 it is larger than ``limit``.
        """

    async def copy(self, key: str, into: Sink, *, limit: int) -> int:
        """Write the object into a file, block by block, and give its size; after an error the file holds a part of it.

        Raises:
            GopubError, RefusedError: as :meth:`get`.
        """

    async def url(self, key: str, *, expires: float) -> str | None:
        """An address from which a host can fetch the object for ``expires`` seconds; None: there are no such."""

    async def list(self, prefix: str) -> list[str]:
        """All keys that begin with ``prefix``, sorted; what is no key is left out.

        Raises:
            RefusedError: GP347 there are more than ``MAX_KEYS``.
        """


class StoreConnection(StoreKind):
    """A connection behind which a store is."""

    @abstractmethod
    def open(self) -> ArtifactStore:
        """The store; nothing is contacted yet."""


async def fetch(store: ArtifactStore, ref: FileRef, *, most: int = MAX_FILE) -> bytes:
    """A file of a release, checked against its digest and size; reads no more than the size that was signed.

    Raises:
        GopubError: as :meth:`ArtifactStore.get`; a wrong size is GP341 too, a size over ``most`` is GP346.
    """
    data = io.BytesIO()
    await save(store, ref, data, most=most)
    return data.getvalue()


async def save(store: ArtifactStore, ref: FileRef, into: Sink, *, most: int = MAX_FILE) -> None:
    """Like :func:`fetch`, but into a file: an archive does not have to fit into memory.

    Raises:
        GopubError: as :func:`fetch`.
    """
    if ref.size > most:
        raise too_large(ref.name, most)
    try:
        size = await store.copy(blob_key(ref.digest), into, limit=ref.size)
    except RefusedError as error:
        if error.code == TOO_LARGE:
            raise damaged(ref.name, f"more than {ref.size} bytes", f"{ref.size} bytes") from None
        raise
    if size != ref.size:
        raise damaged(ref.name, f"{size} bytes", f"{ref.size} bytes")


async def find(store: ArtifactStore, key: str, *, limit: int) -> bytes | None:
    """The object under a key, None where there is none."""
    try:
        return await store.get(key, limit=limit)
    except GopubError as error:
        if error.code == MISSING:
            return None
        raise


def drain(key: str, blocks: Iterable[bytes], into: Sink, limit: int) -> int:
    """Write what comes from a key, as far as ``limit``, and check that it is what the key says; gives its size.

    Raises:
        RefusedError: GP341, GP346.
    """
    total, left = hashlib.sha256(), limit
    for block in blocks:
        left -= len(block)
        if left < 0:
            raise too_large(key, limit)
        total.update(block)
        into.write(block)
    wanted = digest_in(key)
    if wanted is not None and total.hexdigest() != wanted:
        raise damaged(key, f"sha256 {total.hexdigest()}", wanted)
    return limit - left


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


def too_large(name: str, limit: int) -> RefusedError:
    """The error for what is larger than it may be; what it holds was not read."""
    return RefusedError(
        TOO_LARGE, f"{name} is larger than the {limit} bytes that it may have", hint="who put it into the store?"
    )


def too_many(prefix: str) -> RefusedError:
    """The error for a listing without end."""
    return RefusedError(
        "GP347",
        f"the store has more than {MAX_KEYS} keys that begin with {prefix!r}",
        hint="name the release by its app and version, or by its whole id; remove what nobody needs",
    )


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
