"""What a release is made with: where it works, which key signs. Names of secrets, never secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gopub.evidence.keys import KeySigner, Signer, SignerConnection, generate
from gopub.paths import state_dir
from gopub.spec.connections import Connections

SigningKey: TypeAlias = Path | SignerConnection
"""A private key file, or a connection behind which something signs."""


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """The order for one release.

    ``repository`` is a path or an address, ``ref`` a branch, tag or commit, ``spec_file`` relative to the
    repository (or to the folder in it that ``repository`` names). ``work`` is a folder for this release alone,
    ``cache`` the one that all releases share. ``invocation`` names the run in the provenance, as a URI. ``refs`` are
    patterns of the branches and tags that may be released; none: whatever a person names. ``word`` is the project's
    gopub.yaml, which says what a commit may ask for; none: that of ``repository``, where it is a folder.
    """

    repository: str
    ref: str
    work: Path
    cache: Path
    version: str | None = None
    spec_file: str = "gopub.yaml"
    refs: tuple[str, ...] = ()
    word: Path | None = None
    invocation: str = "tag:gopub,2026:invocation/by-hand"


def local_keys() -> Path:
    """The folder of the key pair that signs where nothing else was chosen."""
    return state_dir() / "keys"


def signing_key(chosen: str | None, connections: Connections, *, keys: Path) -> SigningKey:
    """The key that ``evidence.sign.key`` means: a connection, a path, or the key pair in the folder ``keys``.

    The pair in ``keys`` is made at the first use.

    Raises:
        SpecError: GP140, GP141 a name that is neither.
    """
    if chosen is None:
        return generate(keys).private
    path = connections.project / chosen
    if not connections.has(chosen) and path.is_file():
        return path
    return connections.get(chosen, SignerConnection)


def open_signer(key: SigningKey) -> Signer:
    """Load the private key; called where it signs, so that no task carries it.

    Raises:
        GopubError: GP300, GP301 the key cannot be used.
    """
    if isinstance(key, Path):
        return KeySigner.load(key)
    return key.open()
