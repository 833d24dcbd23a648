"""Signing with sigstore-python: a certificate for a token, then bundles with its key, each logged and timestamped.

Only the process that signs imports it. Its clients keep their sessions in private fields, for which there is no other
way in; pyproject.toml holds the library to the versions that this was written for.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import jwt
from rfc3161_client import TimeStampResponse
from sigstore._internal.timestamp import TimestampAuthorityClient, TimestampError
from sigstore.dsse import Statement
from sigstore.errors import Error as SigstoreError
from sigstore.errors import VerificationError
from sigstore.hashes import Hashed
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityError, IdentityToken, detect_credential
from sigstore.sign import Signer, SigningContext
from sigstore_models.common.v1 import HashAlgorithm

from gopub.clock import SystemClock
from gopub.evidence.signing_frames import Limits
from gopub.evidence.signing_http import Caller, Failure, shown

__all__ = ["Desk", "Failure"]

_AT_ONCE = 16
_LEFT = 120.0
"""Seconds for which a certificate must be valid still to sign with it."""
_LOGGED_BEFORE = 409
_GARBAGE = "its answer is not what a service of this kind answers"
_OTHER = "is it that service, and not a proxy in between or another server?"
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_STAMP = {"Content-Type": "application/timestamp-query"}


class Desk:
    """Signs what it is asked to; ``told`` is the trust config, the token and the limits."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        """Read all of it; nobody is asked yet.

        Raises:
            Failure: the config cannot sign, or there is no token that can be used.
        """
        self._limits = Limits(**told["limits"])
        self._authorities = str(told["authorities"])
        self._context = self._read(told["config"])
        self._token = _identity(told["token"], told["ambient"])
        self._signer: Signer | None = None
        self._until = 0.0

    def bundles(self, asked: Sequence[Mapping[str, str]]) -> list[str]:
        """The bundles, in their order: all are signed at once, with one certificate.

        Raises:
            Failure: the first that failed, and why.
        """
        signer = self._certified()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda one: self._bundle(signer, one), asked))

    def _read(self, config: str) -> SigningContext:
        try:
            trust = ClientTrustConfig.from_json(config)
            signing = trust.signing_config
            fulcio: Any = signing.get_fulcio()
            rekor: Any = signing.get_tlogs()[0]
            stampers = [_Stamper(one.url, self._caller("tsa", _STAMP)) for one in signing.get_tsas()]
        except (ValueError, SigstoreError) as error:
            raise Failure("config", f"its signing config cannot be used: {shown(str(error))}") from error
        for url in (fulcio.url, rekor.url, *(one.url for one in stampers)):
            _insist_private(url)
        fulcio.session = self._caller("fulcio", {})
        rekor._thread_local = SimpleNamespace(session=self._caller("rekor", _JSON))  # noqa: SLF001 - as its session
        self._fulcio, self._rekor = fulcio, rekor.url
        root = trust.trusted_root
        return SigningContext(fulcio=fulcio, rekor=rekor, trusted_root=root, tsa_clients=list(stampers))

    def _caller(self, service: str, headers: Mapping[str, str]) -> Caller:
        return Caller(service, self._limits, headers, self._authorities)

    def _certified(self) -> Signer:
        if self._signer is None or SystemClock().now() + _LEFT > self._until:
            self._signer = _certificate(self._context, self._fulcio, self._token)
            self._until = self._signer._signing_cert().not_valid_after_utc.timestamp()  # noqa: SLF001 - its one certificate
        return self._signer

    def _bundle(self, signer: Signer, one: Mapping[str, str]) -> str:
        try:
            return self._logged(signer, one)
        except Failure as error:
            if error.status != _LOGGED_BEFORE:
                raise
        return self._logged(signer, one)  # Rekor v1 took it, and the answer was lost: another is another entry

    def _logged(self, signer: Signer, one: Mapping[str, str]) -> str:
        said = Statement(base64.b64decode(one["statement"])) if "statement" in one else None
        try:
            if said is not None:
                return signer.sign_dsse(said).to_json()
            digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(one["digest"]))
            return signer.sign_artifact(digest).to_json()
        except Failure:
            raise
        except Exception as error:
            rekor = self._caller("rekor", {})
            raise rekor.failure(self._rekor, "answer", f"{_GARBAGE} ({type(error).__name__})", _OTHER) from error


def _certificate(context: SigningContext, fulcio: Any, token: IdentityToken) -> Signer:
    caller: Any = fulcio.session
    try:
        return Signer(token, context, cache=True)
    except Failure as error:
        if error.kind != "refused":
            raise
        why = f"{error.why}; the token is one of {shown(token.issuer)} for {shown(token.identity)}"
        raise caller.failure(fulcio.url, "refused", why, "does it know that issuer, and is the token for it?") from None
    except VerificationError as error:
        why = "its certificate is in no log of certificates that the trust config has"
        hint = "is the trust config that of this instance?"
        raise caller.failure(fulcio.url, "answer", why, hint) from error
    except Exception as error:
        why = f"{_GARBAGE} ({type(error).__name__})"
        raise caller.failure(fulcio.url, "answer", why, _OTHER) from error


class _Stamper(TimestampAuthorityClient):
    """Raises where sigstore-python goes on without a timestamp: Rekor v2 tells no time, so it would prove nothing."""

    def __init__(self, url: str, caller: Caller) -> None:
        super().__init__(url)
        self._caller = caller
        self._thread_local: Any = SimpleNamespace(session=caller)

    def request_timestamp(self, signature: bytes) -> TimeStampResponse:
        """See there."""
        try:
            return super().request_timestamp(signature)
        except TimestampError as error:
            raise self._caller.failure(self.url, "answer", "its answer is no timestamp", _OTHER) from error


def _insist_private(url: str) -> None:
    place = urlsplit(url)
    if place.scheme == "https" or (place.scheme == "http" and _is_here(place.hostname or "")):
        return
    hint = "write https:// in the signing config"
    raise Failure("config", f"{shown(url)} is not asked: what is sent there could be read on the way", hint=hint)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _identity(token: str, ambient: Mapping[str, str]) -> IdentityToken:
    if not token:
        token = _detected(ambient)
    try:
        return IdentityToken(token)
    except IdentityError as error:
        raise Failure("token", _why_not(error.__cause__), hint=_ASK) from error


_ASK = "in GitLab: id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}"


def _detected(ambient: Mapping[str, str]) -> str:
    os.environ.update(ambient)  # of this process, after its start: /proc shows the environment that it began with
    try:
        found = detect_credential()
    except IdentityError as error:
        why = f"the CI gives none: {shown(str(error))}"
        raise Failure("token", why, service="oidc", hint="in GitHub: permissions: {id-token: write}") from error
    except Exception as error:
        why = f"the CI was asked for one, and {type(error).__name__} came of it"
        raise Failure("token", why, service="oidc") from error
    if not found:
        raise Failure("token", "this is no CI that gives one", hint="write token: {env: NAME} or {file: PATH}")
    return str(found)


_WHY = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet: is the clock of this machine right?",
    jwt.InvalidAudienceError: "it is not for the audience sigstore",
    jwt.MissingRequiredClaimError: "it lacks one of aud, sub, iat, exp and iss",
}


def _why_not(error: BaseException | None) -> str:
    found = next((said for kind, said in _WHY.items() if isinstance(error, kind)), "")
    return found or ("it is no OIDC token" if error else "it is not valid now, or has no subject")
