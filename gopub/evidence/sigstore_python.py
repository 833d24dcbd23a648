"""sigstore-python and what it brings, behind four functions of frozen types; nothing else imports them.

They take 0.6 s to import, so this module is imported where it is used; nothing in it opens a connection. What they
raise is made a ValueError here, whatever it is: pydantic's, the library's own, or that of code which trusted its input.
The library is handed what gopub read, written anew: its readers skip what is no Base64, and would read another thing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
from sigstore._internal.trust import KeyringPurpose
from sigstore._internal.tuf import DEFAULT_TUF_URL, STAGING_TUF_URL
from sigstore._utils import read_embedded
from sigstore.hashes import Hashed
from sigstore.models import Bundle as SigstoreBundle
from sigstore.models import TransparencyLogEntry, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import HashAlgorithm
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryModel
from sigstore_models.trustroot.v1 import TrustedRoot as RootModel

from gopub.canon import b64
from gopub.evidence.reading import MEDIA_TYPE, Blob, Bundle, Certificate, LogEntry

if TYPE_CHECKING:
    from gopub.evidence.trust import Authority, LogKey, Trust, Window

_LONGEST = 160
_STATEMENTS = {("dsse", "0.0.1"), ("hashedrekord", "0.0.2")}


def parsed_root(text: str) -> Any:
    """The library's model of a trusted root.

    Raises:
        ValueError: it is none, with the first thing that is wrong.
    """
    try:
        return RootModel.from_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(one) for one in first["loc"])
        raise ValueError(f"{_shown(where)}: {_shown(first['msg'])}") from None


def embedded(*, staging: bool) -> tuple[bytes, bytes]:
    """Trusted root and signing config of the public good instance, as this version of the library has them."""
    url = STAGING_TUF_URL if staging else DEFAULT_TUF_URL
    return read_embedded("trusted_root.json", url), read_embedded("signing_config.v0.2.json", url)


def check_entry(entry: LogEntry, log: LogKey) -> None:
    """An entry is in that log: its path, the signed checkpoint, and the promise where there is one.

    Raises:
        ValueError: it is not.
    """
    with _library():
        told = TransparencyLogEntry(EntryModel.from_json(json.dumps(_entry(entry))))
        root = TrustedRoot(parsed_root(json.dumps(_root((), (), (log,), ()))))
        told._verify(root.rekor_keyring(KeyringPurpose.VERIFY))  # noqa: SLF001 - for a key's bundle there is no other


def stamped_at(stamp: bytes, message: bytes, by: Authority) -> datetime | None:
    """When that authority stamped the message; None where it did not.

    Raises:
        ValueError: it is no timestamp.
    """
    certificates = by.certificates()
    with _library():
        told = decode_timestamp_response(stamp)
        builder = VerifierBuilder().tsa_certificate(certificates[0]).add_root_certificate(certificates[-1])
        for one in certificates[1:-1]:
            builder = builder.add_intermediate_certificate(one)
        try:
            builder.build().verify_message(told, message)
        except VerificationError:
            return None
        return told.tst_info.gen_time


def check_bundle(bundle: Bundle, digest: bytes, trust: Trust) -> None:
    """All that the library checks of a bundle with a certificate, about a file with that SHA-256 or a statement.

    Of entries that it does not know for a statement (a log's own kind in early Rekor v2, and what newer clients write
    to Rekor v1) it checks all but the body; :mod:`gopub.evidence.logged` did.

    Raises:
        ValueError: the library does not believe it.
    """
    with _library():
        root = _root(trust.authorities, trust.ctlogs, trust.logs, trust.stampers)
        verifier = Verifier(trusted_root=TrustedRoot(parsed_root(json.dumps(root))))
        told = SigstoreBundle.from_json(json.dumps(_bundle(bundle)))
        if isinstance(bundle.content, Blob):
            verifier.verify_artifact(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest), told, _Anybody())
        elif {(one.kind, one.version) for one in bundle.entries} <= _STATEMENTS:
            verifier.verify_dsse(told, _Anybody())
        else:
            verifier._verify_common_signing_cert(told, _Anybody())  # noqa: SLF001 - the part without the body


class _Anybody:
    """A policy that leaves to admission who may sign."""

    def verify(self, cert: object) -> None:
        """Accept."""


@contextmanager
def _library() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a bundle makes the library raise, it is not believed
        raise ValueError(_shown(f"{type(error).__name__}: {error}")) from None


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST])


def _bundle(bundle: Bundle) -> dict[str, Any]:
    if not isinstance(bundle.signer, Certificate):
        raise TypeError("only bundles with a certificate are the library's")
    told: dict[str, Any] = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "certificate": {"rawBytes": b64(bundle.signer.der)},
            "tlogEntries": [_entry(one) for one in bundle.entries],
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(s)} for s in bundle.stamps]},
        },
    }
    if isinstance(bundle.content, Blob):
        return told | {"messageSignature": {"signature": b64(bundle.content.signature)}}
    content = bundle.content
    signatures = [{"sig": b64(content.signature)}]
    envelope = {"payload": b64(content.payload), "payloadType": content.kind, "signatures": signatures}
    return told | {"dsseEnvelope": envelope}


def _entry(entry: LogEntry) -> dict[str, Any]:
    proof = entry.proof
    if proof is None:
        raise ValueError("no proof")
    told: dict[str, Any] = {
        "logIndex": str(entry.index),
        "logId": {"keyId": b64(entry.log)},
        "kindVersion": {"kind": entry.kind, "version": entry.version},
        "integratedTime": str(entry.at),
        "inclusionProof": {
            "logIndex": str(proof.index),
            "rootHash": b64(proof.root),
            "treeSize": str(proof.size),
            "hashes": [b64(one) for one in proof.hashes],
            "checkpoint": {"envelope": proof.checkpoint},
        },
        "canonicalizedBody": b64(entry.body),
    }
    return told | ({"inclusionPromise": {"signedEntryTimestamp": b64(entry.promise)}} if entry.promise else {})


def _root(
    authorities: tuple[Authority, ...],
    ctlogs: tuple[LogKey, ...],
    logs: tuple[LogKey, ...],
    stampers: tuple[Authority, ...],
) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "certificateAuthorities": [_authority(one) for one in authorities],
        "ctlogs": [_log(one) for one in ctlogs],
        "tlogs": [_log(one) for one in logs],
        "timestampAuthorities": [_authority(one) for one in stampers],
    }


def _authority(one: Authority) -> dict[str, Any]:
    return {
        "subject": {"organization": "", "commonName": ""},
        "uri": one.uri,
        "certChain": {"certificates": [{"rawBytes": b64(der)} for der in one.chain]},
        "validFor": _since(one.window),
    }


def _log(one: LogKey) -> dict[str, Any]:
    return {
        "baseUrl": one.url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": b64(one.key), "keyDetails": one.details, "validFor": _since(one.window)},
        "logId": {"keyId": b64(one.log)},
    }


def _since(window: Window) -> dict[str, str]:
    """The end is gopub's to check: the library excludes that of a timestamp authority, and asks no other's."""
    return {"start": window.start.isoformat() if window.start else "1970-01-01T00:00:00Z"}
