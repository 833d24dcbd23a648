"""Where releases are kept: objects under keys, written once, compared after every write."""

from gopub.store.keys import blob_key, bundle_key, manifest_key, version_key
from gopub.store.protocol import ArtifactStore, fetch, find, save

__all__ = [
    "ArtifactStore",
    "blob_key",
    "bundle_key",
    "fetch",
    "find",
    "manifest_key",
    "save",
    "version_key",
]
