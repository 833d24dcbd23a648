"""What a release is made with: where it works, which key signs. Names of secrets, never secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gopub.build.sandbox import Sandbox
from gopub.errors import GopubError
from gopub.evidence.keyless_signing import keyless_signing
from gopub.evidence.keys import KeySigner, PublicKey, Signer, SignerConnection, generate, private_key_in
from gopub.evidence.roles import Role
from gopub.evidence.signing import KeySigning, Signing
from gopub.evidence.trust import SigstoreConnection
from gopub.paths import state_dir
from gopub.spec.connections import Connections
from gopub.spec.models import SignSpec


@dataclass(frozen=True, slots=True)
class Keyless:
    """A Sigstore whose certificates sign, and its name."""

    name: str
    connection: SigstoreConnection


SigningKey: TypeAlias = Path | SignerConnection | Keyless
"""A private key file, a connection behind which something signs, or a Sigstore."""


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


def signing_key(sign: SignSpec, connections: Connections, *, keys: Path) -> SigningKey:
    """What ``evidence.sign`` means: a Sigstore, a connection or path of a key, or the key pair in the folder ``keys``.

    The pair in ``keys`` is made at the first use.

    Raises:
        SpecError: GP140, GP141 a name that is neither.
    """
    if sign.keyless is not None:
        return Keyless(sign.keyless, connections.get(sign.keyless, SigstoreConnection))
    return _key(sign.key, connections, keys)


def admission_keys() -> Path:
    """The folder of the pair that signs admissions where nothing else was chosen: another than the release's."""
    return local_keys() / Role.ADMISSION


def admission_signer(chosen: str | None, connections: Connections) -> Signer:
    """Whoever signs admissions: a connection, a path, or the local pair of that role, which is made at the first use.

    Raises:
        SpecError: GP140, GP141 a name that is neither.
        GopubError: GP300, GP301, GP142 the key cannot be used.
    """
    try:
        return _opened(_key(chosen, connections, admission_keys()))
    except OSError as error:
        why = (error.strerror or "").lower()
        raise GopubError("GP300", f"the key of admissions in {str(admission_keys())!r} cannot be made: {why}",
                         hint="mend the folder, or name a key in admit.statement.key") from error  # fmt: skip


def admission_public(chosen: str | None, connections: Connections) -> PublicKey | None:
    """By which key admissions are signed here; None where that is the local pair, and there is none yet.

    Raises:
        GopubError: as :func:`admission_signer`.
    """
    if chosen is None and not private_key_in(admission_keys()).private.exists():
        return None
    return admission_signer(chosen, connections).public


def _key(chosen: str | None, connections: Connections, keys: Path) -> Path | SignerConnection:
    if chosen is None:
        return generate(keys).private
    path = connections.project / chosen
    if not connections.has(chosen) and path.is_file():
        return path
    return connections.get(chosen, SignerConnection)


def _opened(key: Path | SignerConnection) -> Signer:
    return KeySigner.load(key) if isinstance(key, Path) else key.open()


@asynccontextmanager
async def open_signing(key: SigningKey, sandbox: Sandbox, scratch: Path) -> AsyncIterator[Signing]:
    """Whoever signs a release, until this ends; called where it signs, so that no task carries a key or a token.

    Raises:
        GopubError: GP300, GP301 the key cannot be used; GP142, GP318, GP362 there is no token, or nowhere to sign.
    """
    if isinstance(key, Keyless):
        async with keyless_signing(key.connection.signs_with(key.name), sandbox, scratch) as signing:
            yield signing
    else:
        yield KeySigning(_opened(key))
