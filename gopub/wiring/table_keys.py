"""The keys that sign route tables: opened, told from those of other roles, and the ones that edges are to believe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gopub.errors import GopubError, RefusedError
from gopub.evidence.keys import KeySigner, PublicKey, Signer
from gopub.traffic.door import RouterConnection, TableSigning
from gopub.traffic.signed import TableKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def open_table_key(signing: TableSigning) -> TableKey:
    """The key that signs tables.

    Raises:
        GopubError: GP300, GP301 it cannot be used; GP142 its passphrase is not where it is said to be.
    """
    passphrase = signing.passphrase.reveal() if signing.passphrase else None
    signer: Signer = KeySigner.load(signing.private, passphrase=passphrase)
    return TableKey(signer.public.fingerprint, signer.public.pem, signer.sign)


def believed_keys(connection: RouterConnection) -> tuple[PublicKey, ...]:
    """The public keys that the edges of a connection are to believe: of the one that signs, and those beside it.

    Raises:
        GopubError: as :func:`open_table_key`.
    """
    signing = connection.signing()
    if signing is None:
        return ()
    own = PublicKey.parse(open_table_key(signing).pem)
    return tuple(dict.fromkeys([own, *map(_public, signing.also)]))


def insist_on_role(key: str, others: Mapping[str, Iterable[str]]) -> None:
    """Insist that the key of tables (its fingerprint) does nothing else; ``others`` are those of each other role.

    Raises:
        RefusedError: GP521 it does.
    """
    role = next((role for role, keys in others.items() if key in keys), None)
    if role:
        raise RefusedError(
            "GP521",
            f"key {key[:16]}, which is to sign route tables, {role}",
            hint="name another in `sign` of the nginx connection; gopub keys make makes one for each role: controller",
        )


def _public(path: Path) -> PublicKey:
    try:
        return PublicKey.parse(path.read_bytes(), name=str(path))
    except OSError as error:
        why = (error.strerror or "").lower()
        raise GopubError("GP300", f"the public key {str(path)!r} cannot be read: {why}",
                         hint="correct `keys` of the nginx connection") from error  # fmt: skip
