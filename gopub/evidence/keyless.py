"""Believes signatures with certificates of a trust config, whoever they name; who may sign is a policy's to say.

To verify a bundle, offline and in this order; the first step that fails is the refusal:

 1. it is of the format (:mod:`gopub.evidence.reading`), and signed with a certificate; what a bundle about a file
    names is that file;
 2. the certificate has a P-256 key and is for signing code, and the signature is that key's: over the file's SHA-256,
    or over the DSSE pre-authentication encoding of type and payload;
 3. the signature stands in exactly one log that is believed, with the body that certificate, digest and signature
    make (:mod:`gopub.evidence.logged`, steps 1 to 4);
 4. there is at least one verified time: a timestamp of an authority that was valid then, or the promise of a
    Rekor v1; Rekor v2 tells no time, so it needs a timestamp;
 5. an authority of the trust config gave the certificate; it signed within its window, and its whole chain and the
    certificate were valid, at every verified time;
 6. exactly one log of certificates signed that it has the certificate; it is one of the trust config by its exact
    id, and its key was in use when it said so and when the certificate began;
 7. the log's key was in use at every verified time;
 8. sigstore-python believes it, given nothing but what was found in steps 3 to 7: one authority, one log each, and the
    timestamps that count. It checks chain, log of certificates, path, checkpoint, promise and body in its own way;
 9. the certificate has one name, a URI or an email address, and one issuer;
10. of a statement: only now is the payload read; it is an in-toto statement v1 or v0.1, and the file is among its
    subjects.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from gopub.errors import RefusedError
from gopub.evidence.bundle import blob_of, envelope_of, named_key, names_file, pre_authentication, statement_about
from gopub.evidence.certificates import check_signature, claims_of, issuers, read_certificate, seen_by_log
from gopub.evidence.claims import SignedAt
from gopub.evidence.logged import CERTIFICATE, Writer, at_times, in_log, in_use
from gopub.evidence.reading import Bundle, Certificate, read_bundle
from gopub.evidence.statement import PAYLOAD_TYPE
from gopub.evidence.trust import Authority, LogKey, Trust, Window
from gopub.evidence.unbelieved import Step, unbelieved
from gopub.evidence.verifier import Said, Signed

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class KeylessVerifier:
    """Believes the certificates of a trust config; what it accepts has :attr:`Signed.claims`."""

    trust: Trust

    def blob(self, bundle: bytes, digest: str) -> Signed:
        """See :meth:`Verifier.blob`; beside its codes GP317."""
        read = read_bundle(bundle)
        names_file(blob_of(read), digest)
        return _signed(read, bytes.fromhex(digest), self.trust)

    def statement(self, bundle: bytes, digest: str) -> Said:
        """See :meth:`Verifier.statement`; beside its codes GP317."""
        by, payload = self.envelope(bundle)
        return Said(by, statement_about(payload, digest))

    def envelope(self, bundle: bytes) -> tuple[Signed, bytes]:
        """Steps 1 to 9 of a statement: who signed, and the bytes of the payload, of which nothing was read yet.

        Raises:
            RefusedError: GP310, GP311, GP316, GP317.
        """
        read = read_bundle(bundle)
        payload = envelope_of(read).payload
        encoded = pre_authentication(PAYLOAD_TYPE, payload)
        return _signed(read, hashlib.sha256(encoded).digest(), self.trust), payload


def _signed(read: Bundle, digest: bytes, trust: Trust) -> Signed:
    """Steps 2 to 9; ``digest`` is the SHA-256 of what is signed."""
    if not isinstance(read.signer, Certificate):
        raise RefusedError(
            "GP311",
            f"the signature was made with a key{named_key(read)}, and only certificates are accepted here",
            hint="whose key is it?",
        )
    certificate = read_certificate(read.signer.der)  # 2
    check_signature(certificate, read.content.signature, digest)
    writer = Writer(certificate.public_bytes(Encoding.PEM), read.signer.der, CERTIFICATE)
    entry, logs = in_log(read, writer, digest, trust)  # 3
    times, stamps = at_times(read, entry, trust)  # 4
    if not times:
        raise unbelieved(Step.TIME, "nobody who is believed says when it was signed")
    found = Trust(
        name=trust.name,
        authorities=_authorities(certificate, times, trust),  # 5
        ctlogs=_ctlogs(certificate, trust),  # 6
        logs=in_use(logs, times),  # 7
        stampers=trust.stampers,
    )
    _library(replace(read, stamps=stamps), digest, found)  # 8
    claims = claims_of(certificate, times, trust.name)  # 9
    return Signed(claims.signer, ("timestamp",) if len(stamps) < len(read.stamps) else (), claims)


def _authorities(certificate: x509.Certificate, times: tuple[SignedAt, ...], trust: Trust) -> tuple[Authority, ...]:
    gave = issuers(certificate, trust.authorities)
    if not gave:
        raise unbelieved(Step.AUTHORITY, "no authority of the trust config gave the certificate")
    asked = [one.at for one in times]
    if not Window(certificate.not_valid_before_utc, certificate.not_valid_after_utc).holds(asked):
        raise unbelieved(Step.AUTHORITY, "the certificate was not valid when it was signed")
    valid = tuple(one for one in gave if one.valid(asked))
    if not valid:
        raise unbelieved(Step.AUTHORITY, "the authority that gave the certificate was not valid when it was signed")
    return valid


def _ctlogs(certificate: x509.Certificate, trust: Trust) -> tuple[LogKey, ...]:
    log, at = seen_by_log(certificate)
    named = tuple(one for one in trust.ctlogs if one.log == log)
    if not named:
        raise unbelieved(Step.CT, "the certificate is in a log that the trust config does not have")
    asked = (at, certificate.not_valid_before_utc)
    used = tuple(one for one in named if one.window.holds(asked))
    if not used:
        raise unbelieved(Step.CT, "the log's key was not in use when the certificate was given")
    return used


def _library(read: Bundle, digest: bytes, trust: Trust) -> None:
    from gopub.evidence.sigstore_python import check_bundle

    try:
        check_bundle(read, digest, trust)
    except ValueError as error:
        raise unbelieved(Step.LIBRARY, str(error)) from None
