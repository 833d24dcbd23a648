"""Who can say that somebody signed something, whatever they signed with: one protocol for keys and for certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gopub.errors import RefusedError
from gopub.evidence.bundle import envelope_of, pre_authentication, verify_digest, verify_dsse
from gopub.evidence.checks import few
from gopub.evidence.claims import Claims
from gopub.evidence.keys import PublicKey
from gopub.evidence.reading import read_bundle
from gopub.evidence.statement import PAYLOAD_TYPE

if TYPE_CHECKING:
    from gopub.evidence.trust import Trust

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed, as far as it was checked, and what was not.

    ``signer`` is one name for them, to show and to compare: a key's fingerprint (64 hex digits), or
    :attr:`Claims.signer`. ``claims`` is what a policy reads of a certificate; a key has none. ``unchecked`` names what
    the bundle holds beside, such as a log's entry that nobody could check.
    """

    signer: str
    unchecked: tuple[str, ...] = ()
    claims: Claims | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An in-toto statement and who signed it."""

    by: Signed
    statement: Mapping[str, Any]


class Verifier(Protocol):
    """Checks bundles against what it believes: a key, or certificates of somebody."""

    def blob(self, bundle: bytes, digest: str) -> Signed:
        """Accept the bundle as a signature over the file with that hex SHA-256.

        Raises:
            RefusedError: GP310 malformed, GP311 not signed by them, GP312 about another file, GP316 not supported.
        """

    def statement(self, bundle: bytes, digest: str) -> Said:
        """Accept the bundle as a statement about the file with that hex SHA-256.

        Raises:
            RefusedError: GP310 malformed, GP311 not signed by them, GP313 about other files, GP316 not supported.
        """


@dataclass(frozen=True, slots=True)
class KeyVerifier:
    """Believes one key; a log's entry and timestamps beside its signature are checked where there is a trust config.

    Without one they are told as unchecked, and with one GP317 is among the refusals.
    """

    key: PublicKey
    trust: Trust | None = None

    def blob(self, bundle: bytes, digest: str) -> Signed:
        """See :meth:`Verifier.blob`."""
        verify_digest(bundle, digest, self.key)
        return self._signed(bundle, bytes.fromhex(digest))

    def statement(self, bundle: bytes, digest: str) -> Said:
        """See :meth:`Verifier.statement`."""
        said = verify_dsse(bundle, self.key, digest)
        encoded = pre_authentication(PAYLOAD_TYPE, envelope_of(read_bundle(bundle)).payload)
        return Said(self._signed(bundle, hashlib.sha256(encoded).digest()), said)

    def _signed(self, bundle: bytes, signed: bytes) -> Signed:
        read = read_bundle(bundle)
        if self.trust is not None and (read.entries or read.stamps):
            from gopub.evidence.logged import KEY, Writer, checked_beside

            writer = Writer(self.key.pem, self.key.spki, KEY)
            return Signed(self.key.fingerprint, checked_beside(read, writer, signed, self.trust))
        beside = (("log entry", read.entries), ("timestamp", read.stamps))
        return Signed(self.key.fingerprint, tuple(name for name, there in beside if there))


@dataclass(frozen=True, slots=True)
class AnyVerifier:
    """Believes whom one of several does; the first that accepts answers, else each says why not."""

    verifiers: Sequence[Verifier]

    def blob(self, bundle: bytes, digest: str) -> Signed:
        """See :meth:`Verifier.blob`."""
        return self._first(lambda one: one.blob(bundle, digest))

    def statement(self, bundle: bytes, digest: str) -> Said:
        """See :meth:`Verifier.statement`."""
        return self._first(lambda one: one.statement(bundle, digest))

    def _first(self, ask: Callable[[Verifier], _T]) -> _T:
        refusals: list[RefusedError] = []
        for one in self.verifiers:
            try:
                return ask(one)
            except RefusedError as error:
                refusals.append(error)
        raise _together(refusals)


def _together(refusals: Sequence[RefusedError]) -> RefusedError:
    """What each of them says, once: first of those who would believe the signer, by whose code it is refused."""
    nearest = sorted(refusals, key=lambda one: one.code == "GP311")
    if not nearest:
        return RefusedError("GP311", "nobody's signature is accepted here", hint="say in admit whose is")
    said = dict.fromkeys(one.problem for one in nearest)
    return RefusedError(nearest[0].code, few(said), hint=nearest[0].hint)


@dataclass(frozen=True, slots=True)
class SameSigner:
    """Believes a verifier, and of all whom it believes only the one who signed already."""

    verifier: Verifier
    signer: str

    def blob(self, bundle: bytes, digest: str) -> Signed:
        """See :meth:`Verifier.blob`."""
        return self._same(self.verifier.blob(bundle, digest))

    def statement(self, bundle: bytes, digest: str) -> Said:
        """See :meth:`Verifier.statement`."""
        said = self.verifier.statement(bundle, digest)
        self._same(said.by)
        return said

    def _same(self, signed: Signed) -> Signed:
        if signed.signer != self.signer:
            raise RefusedError(
                "GP311",
                f"the signature is one of {signed.signer[:80]}, and release.json has one of {self.signer[:80]}",
                hint="all parts of a release are signed by the same",
            )
        return signed
