"""What of a release is signed, and whoever signs it: one protocol, whether they have a key or a certificate.

A key service is a :class:`gopub.evidence.keys.Signer`, which knows nothing of bundles; :class:`KeySigning` makes them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from gopub.canon import Json, canonical
from gopub.evidence.bundle import bundle_around, pre_authentication, sign_blob
from gopub.evidence.keys import Signer
from gopub.evidence.statement import PAYLOAD_TYPE


@dataclass(frozen=True, slots=True)
class ToSign:
    """The bytes of a file, or those of an in-toto statement."""

    data: bytes
    is_statement: bool = False

    @classmethod
    def stating(cls, said: Mapping[str, Json]) -> Self:
        """An in-toto statement, as its one canonical form."""
        return cls(canonical(said), is_statement=True)

    @property
    def signed(self) -> bytes:
        """Over what the signature is taken."""
        return pre_authentication(PAYLOAD_TYPE, self.data) if self.is_statement else self.data

    @property
    def digest(self) -> str:
        """Hex SHA-256 of that."""
        return hashlib.sha256(self.signed).hexdigest()


class Signing(Protocol):
    """Whoever makes the bundles of one release, with one key or one certificate."""

    async def ready(self) -> None:
        """See whether it could sign, as far as that can be known without a signature.

        Raises:
            GopubError: it could not.
        """

    async def bundles(self, asked: Sequence[ToSign]) -> tuple[bytes, ...]:
        """The bundle of each, in their order; all or none.

        Raises:
            GopubError: it cannot be signed.
        """

    def disagrees(self, repository: str, ref: str, commit: str) -> str:
        """In what whoever signed until now is of another build than this; empty in nothing that is known."""


@dataclass(frozen=True, slots=True)
class KeySigning:
    """Signs with a key, wherever that lies."""

    signer: Signer

    async def ready(self) -> None:
        """The key was opened."""

    async def bundles(self, asked: Sequence[ToSign]) -> tuple[bytes, ...]:
        """See :meth:`Signing.bundles`."""
        return tuple([await asyncio.to_thread(self._bundle, one) for one in asked])

    def disagrees(self, repository: str, ref: str, commit: str) -> str:
        """A key says nothing of a build."""
        del repository, ref, commit
        return ""

    def _bundle(self, one: ToSign) -> bytes:
        if one.is_statement:
            return bundle_around(self.signer.public, one.data, self.signer.sign(one.signed))
        return sign_blob(self.signer, one.data)
