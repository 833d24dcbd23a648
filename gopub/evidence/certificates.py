"""A signer's certificate, read: its key, who gave it, which log saw it, and what it says of the signer.

Whether the authority and the log are believed is for :mod:`gopub.evidence.keyless` to find out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID

from gopub.errors import RefusedError
from gopub.evidence.claims import Build, Claims, Naming, SignedAt
from gopub.evidence.der import whole_certificate
from gopub.evidence.origin import shown
from gopub.evidence.trust import Authority
from gopub.evidence.unbelieved import Step, unbelieved

_FULCIO = "1.3.6.1.4.1.57264.1"
_BUILD = {
    9: "build_signer_uri",
    10: "build_signer_digest",
    11: "runner_environment",
    12: "source_repository_uri",
    13: "source_repository_digest",
    14: "source_repository_ref",
    15: "source_repository_identifier",
    16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier",
    18: "build_config_uri",
    19: "build_config_digest",
    20: "build_trigger",
    21: "run_invocation_uri",
    22: "source_repository_visibility",
}
_ISSUER, _OLD_ISSUER = 8, 1
_NOTHING = ("<nil>", "<no value>")
"""What a template of Fulcio's writes for a claim that a token does not have."""
_LONGEST = 2048
_NAME = re.compile(r"[!-~]+")
"""Printable ASCII without a space."""


_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def read_certificate(der: bytes) -> x509.Certificate:
    """The certificate, with a key that signs here, for signing code.

    Raises:
        RefusedError: GP317 it is none.
    """
    try:
        found = whole_certificate(der)
        key, extensions = found.public_key(), found.extensions
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except _UNREADABLE:
        raise unbelieved(Step.CERTIFICATE, "it cannot be read, or is not one for signing") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise unbelieved(Step.CERTIFICATE, "its key is not ECDSA on P-256, the only kind that is supported")
    if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise unbelieved(Step.CERTIFICATE, "it is not one for signing code")
    return found


def check_signature(certificate: x509.Certificate, signature: bytes, digest: bytes) -> None:
    """The signature is the certificate's key's over what has that SHA-256.

    Raises:
        RefusedError: GP317 it is not.
    """
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise unbelieved(Step.CERTIFICATE, "its key is not ECDSA")
    try:
        key.verify(signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        raise unbelieved(Step.SIGNATURE, "it is not one of the certificate's key over this") from None


def issuers(certificate: x509.Certificate, authorities: Sequence[Authority]) -> tuple[Authority, ...]:
    """The authorities whose key signed the certificate."""
    return tuple(one for one in authorities if _issued(certificate, one))


def seen_by_log(certificate: x509.Certificate) -> tuple[bytes, datetime]:
    """Which log says that it has the certificate, and when it said so.

    Raises:
        RefusedError: GP317 not exactly one does.
    """
    try:
        told = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    except x509.ExtensionNotFound:
        raise unbelieved(Step.CT, "no log has signed that it has the certificate") from None
    stamps = list(told)
    if len(stamps) != 1:
        raise unbelieved(Step.CT, f"{len(stamps)} logs are said to have the certificate, and one is supported")
    try:
        return stamps[0].log_id, stamps[0].timestamp.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise unbelieved(Step.CT, "the time at which a log is said to have seen the certificate is none") from None


def claims_of(certificate: x509.Certificate, times: tuple[SignedAt, ...], trust: str) -> Claims:
    """What the certificate says of who signed.

    Raises:
        RefusedError: GP317 it does not say who, or not by whom that was found.
    """
    naming, identity = _identity(certificate)
    said = {one.oid.dotted_string: one.value for one in certificate.extensions}
    build = {name: _text(said.get(f"{_FULCIO}.{number}")) for number, name in _BUILD.items()}
    return Claims(identity, naming, _issuer(said), times, trust, Build(**build))


def names_in(der: bytes) -> str:
    """Whom a certificate names, and by whose word, to show to people: nothing of it was checked. Empty: nobody."""
    try:
        found = whole_certificate(der)
        _, identity = _identity(found)
        issuer = _issuer({one.oid.dotted_string: one.value for one in found.extensions})
    except (RefusedError, *_UNREADABLE):
        return ""
    return f"{shown(identity)} of {shown(issuer)}"


def _issued(certificate: x509.Certificate, authority: Authority) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificates()[0])
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _identity(certificate: x509.Certificate) -> tuple[Naming, str]:
    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    if len(names) != 1:
        raise unbelieved(Step.IDENTITY, f"the certificate has {len(names)} names, and one is supported")
    kinds = {x509.UniformResourceIdentifier: Naming.URI, x509.RFC822Name: Naming.EMAIL}
    naming, value = kinds.get(type(names[0])), names[0].value
    if naming is None or not isinstance(value, str):
        raise unbelieved(Step.IDENTITY, "the certificate names neither a URI nor an email address")
    return naming, _name(value, "identity")


def _issuer(said: dict[str, x509.ExtensionType]) -> str:
    new, old = said.get(f"{_FULCIO}.{_ISSUER}"), said.get(f"{_FULCIO}.{_OLD_ISSUER}")
    texts = {_text(new)} if new is not None else set()
    if isinstance(old, x509.UnrecognizedExtension):
        texts.add(old.value.decode("utf-8", "replace"))
    if len(texts) != 1:
        raise unbelieved(Step.IDENTITY, "the certificate names no issuer" if not texts else "it names two issuers")
    return _name(texts.pop(), "issuer")


def _name(value: str, what: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > _LONGEST or any(one in value for one in _NOTHING):
        raise unbelieved(Step.IDENTITY, f"its {what} is empty, too long, or has characters that no name has")
    return value


def _text(extension: x509.ExtensionType | None) -> str:
    """The UTF8String of an extension; empty where there is none, or the template that wrote it had nothing to say."""
    if not isinstance(extension, x509.UnrecognizedExtension):
        return ""
    text = _utf8(extension.value)
    if text is None or len(text) > _LONGEST or not text.isprintable():
        raise unbelieved(Step.CERTIFICATE, "an extension of it is not text")
    return "" if any(one in text for one in _NOTHING) else text


def _utf8(der: bytes) -> str | None:
    """DER: tag 12, the length in one byte, or in the one or two that the first announces, shortest form."""
    if len(der) < 2 or der[0] != 12:
        return None
    more = der[1] & 0x7F if der[1] & 0x80 else 0
    if more > 2 or (der[1] & 0x80 and not more):
        return None
    length = int.from_bytes(der[2 : 2 + more], "big") if more else der[1]
    shortest = 0 if length < 0x80 else 1 if length < 0x100 else 2
    body = der[2 + more :]
    if len(body) != length or more != shortest:
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None
