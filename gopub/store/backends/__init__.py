"""The stores there are: one line each."""

from __future__ import annotations

from gopub.spec.kinds import S3, Directory
from gopub.store.backends.directory import DirectoryStore
from gopub.store.backends.s3 import S3Store
from gopub.store.protocol import ArtifactStore


def open_store(connection: Directory | S3) -> ArtifactStore:
    """The store behind a connection; nothing is contacted yet."""
    match connection:
        case Directory():
            return DirectoryStore(connection.path)
        case S3():
            return S3Store.open(connection)
