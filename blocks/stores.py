"""Artifact stores."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr

from blocks.connection import DOCUMENTATION, ConnectionBlock
from gopub.spec.kinds import Connection
from gopub.store.backends import directory, s3


class DirectoryStore(ConnectionBlock):
    """An artifact store in a folder of the worker.

    Example:
        ```python
        from blocks import DirectoryStore

        store = DirectoryStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub directory store"
    _block_type_slug = "gopub-directory"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = directory.Directory

    path: str = Field(description="The folder, on each worker.")


class S3Store(ConnectionBlock):
    """An artifact store in an S3 bucket.

    Example:
        ```python
        from blocks import S3Store

        store = S3Store.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub S3 store"
    _block_type_slug = "gopub-s3"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = s3.S3

    endpoint: str = Field(description="Host, and port where it is not the usual one.")
    bucket: str = Field(description="The bucket.")
    access_key: SecretStr | None = Field(None, description="The access key; default: the worker's AWS_ACCESS_KEY_ID.")
    secret_key: SecretStr | None = Field(
        None, description="The secret key; default: the worker's AWS_SECRET_ACCESS_KEY."
    )
    region: str | None = Field(None, description="The region; asked of the server where it is left out.")
    secure: bool = Field(True, description="TLS.")
    ca: str | None = Field(None, description="The file of a private authority's certificate, on each worker.")
    public_endpoint: str | None = Field(
        None, description="The endpoint as the hosts see it, where that is another one."
    )
