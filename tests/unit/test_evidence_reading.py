"""Every field that a v0.3 bundle may hold is read; what gopub does not act on is said so, all else is malformed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gopub.errors import RefusedError
from gopub.evidence.bundle import claimed_signer, sign_blob, sign_statement, verify_blob, verify_dsse
from gopub.evidence.keys import KeySigner, generate
from gopub.evidence.reading import (
    Blob,
    Bundle,
    Certificate,
    Envelope,
    InclusionProof,
    KeyHint,
    LogEntry,
    read_bundle,
)
from gopub.evidence.statement import Subject, statement

DATA = b"release"
MATERIAL = "verificationMaterial"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


ENTRY = {
    "logIndex": "9223372036854775807",
    "logId": {"keyId": b64(b"\xfb\xff log")},
    "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
    "integratedTime": "1700000000",
    "inclusionPromise": {"signedEntryTimestamp": b64(b"promise")},
    "inclusionProof": {
        "logIndex": 7,
        "rootHash": b64(b"root"),
        "treeSize": "8",
        "hashes": [b64(b"one"), b64(b"two")],
        "checkpoint": {"envelope": "log\n8\nroot\n"},
    },
    "canonicalizedBody": b64(b"{}"),
}
READ = LogEntry(
    log=b"\xfb\xff log",
    index=9223372036854775807,
    kind="hashedrekord",
    version="0.0.1",
    at=1700000000,
    promise=b"promise",
    proof=InclusionProof(7, b"root", 8, (b"one", b"two"), "log\n8\nroot\n"),
    body=b"{}",
)


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "keys").signer()


@pytest.fixture
def blob(signer: KeySigner) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(sign_blob(signer, DATA))
    return made


def read(told: dict[str, Any]) -> Bundle:
    return read_bundle(json.dumps(told).encode())


def test_a_bundle_with_everything_that_the_format_has(blob: dict[str, Any], signer: KeySigner) -> None:
    blob[MATERIAL] |= {
        "tlogEntries": [ENTRY],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(b"stamp")}]},
    }
    found = read(blob)
    assert found.signer == KeyHint(signer.public.hint)
    assert (found.entries, found.stamps) == ((READ,), (b"stamp",))
    verify_blob(json.dumps(blob).encode(), DATA, signer.public)


def test_a_statement_with_a_log_entry_is_the_keys_all_the_same(signer: KeySigner) -> None:
    said = statement([Subject("a", "0" * 64)], "https://example.com/x", {"x": 1})
    made = json.loads(sign_statement(signer, said))
    made[MATERIAL]["tlogEntries"] = [ENTRY]
    made["dsseEnvelope"]["signatures"][0]["keyid"] = ""
    assert isinstance(read(made).content, Envelope)
    assert verify_dsse(json.dumps(made).encode(), signer.public, "0" * 64) == said


def test_a_keyless_bundle_is_read_and_is_no_keys(blob: dict[str, Any], signer: KeySigner) -> None:
    del blob[MATERIAL]["publicKey"]
    blob[MATERIAL]["certificate"] = {"rawBytes": b64(b"DER")}
    assert read(blob).signer == Certificate(b"DER")
    assert len(claimed_signer(json.dumps(blob).encode())) == 64
    with pytest.raises(RefusedError, match=r"GP311 .*with a certificate"):
        verify_blob(json.dumps(blob).encode(), DATA, signer.public)


def test_json_of_protocol_buffers_may_leave_out_what_is_zero_and_null_is_not_there(blob: dict[str, Any]) -> None:
    entry = {"kindVersion": {"kind": "dsse", "version": "0.0.2"}, "canonicalizedBody": "", "inclusionProof": None}
    blob[MATERIAL] |= {"tlogEntries": [entry], "timestampVerificationData": None, "certificate": None}
    blob["dsseEnvelope"] = None
    found = read(blob)
    assert found.entries == (LogEntry(b"", 0, "dsse", "0.0.2", 0, b"", None, b""),)
    assert found.stamps == ()


def test_a_digest_need_not_be_named(blob: dict[str, Any], signer: KeySigner) -> None:
    del blob["messageSignature"]["messageDigest"]
    content = read(blob).content
    assert isinstance(content, Blob)
    assert content.digest == b""
    verify_blob(json.dumps(blob).encode(), DATA, signer.public)
    with pytest.raises(RefusedError, match="GP311"):
        verify_blob(json.dumps(blob).encode(), b"other", signer.public)


def test_base64_may_be_the_urls(blob: dict[str, Any]) -> None:
    blob["messageSignature"]["signature"] = "-_8="
    content = read(blob).content
    assert isinstance(content, Blob)
    assert content.signature == b"\xfb\xff"


UNSUPPORTED: dict[str, Callable[[dict[str, Any]], object]] = {
    r"version 0\.1": lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"),
    r"version 0\.2": lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"),
    "a chain of certificates": lambda b: b[MATERIAL].update(x509CertificateChain={"certificates": []}),
    "a digest algorithm that is not SHA2_256": lambda b: b["messageSignature"]["messageDigest"].update(
        algorithm="SHA2_512"
    ),
}


@pytest.mark.parametrize("said", UNSUPPORTED)
def test_what_the_format_has_and_gopub_does_not_act_on_is_said_as_that(blob: dict[str, Any], said: str) -> None:
    UNSUPPORTED[said](blob)
    with pytest.raises(RefusedError, match=f"GP316 .*not supported: {said}"):
        read(blob)


def test_the_other_name_of_the_same_version_is_read(blob: dict[str, Any]) -> None:
    blob["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.3"
    assert isinstance(read(blob).content, Blob)


def entry(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda b: b[MATERIAL].update(tlogEntries=[ENTRY | changes])


def proof(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return entry(inclusionProof=ENTRY["inclusionProof"] | changes)  # type: ignore[operator]


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("mediaType is not text", lambda b: b.update(mediaType=[])),
    ("algorithm is not text", lambda b: b["messageSignature"]["messageDigest"].update(algorithm={})),
    ("a digest of another length", lambda b: b["messageSignature"]["messageDigest"].update(digest="AAAA")),
    ("hint is not text", lambda b: b[MATERIAL]["publicKey"].update(hint=1)),
    ("certificate has no rawBytes", lambda b: b[MATERIAL].update(publicKey=None, certificate={})),
    ("tlogEntries is not a list", lambda b: b[MATERIAL].update(tlogEntries={})),
    ("tlogEntry is not a mapping", lambda b: b[MATERIAL].update(tlogEntries=["x"])),
    ("tlogEntries has more than 32", lambda b: b[MATERIAL].update(tlogEntries=[{}] * 33)),
    ("tlogEntry has a key that is not known", entry(more=1)),
    ("tlogEntry has no canonicalizedBody", entry(canonicalizedBody=None)),
    ("kindVersion has no version", entry(kindVersion={"kind": "dsse"})),
    ("logIndex is not a whole number", entry(logIndex="-1")),
    ("logIndex is not a whole number", entry(logIndex=9223372036854775808)),
    ("logIndex is not a whole number", entry(logIndex="9223372036854775808")),
    ("logIndex is not a whole number", entry(logIndex="٣")),
    ("logIndex is not a whole number", entry(logIndex=True)),
    ("integratedTime is not a whole number", entry(integratedTime=1.5)),
    ("inclusionPromise is not a mapping", entry(inclusionPromise="x")),
    ("inclusionProof has no checkpoint", proof(checkpoint=None)),
    ("hashes is not a list", proof(hashes="x")),
    ("hashes is not base64", proof(hashes=[1])),
    ("envelope is not text", proof(checkpoint={"envelope": 1})),
    ("timestampVerificationData is not a mapping", lambda b: b[MATERIAL].update(timestampVerificationData=[])),
    (
        "timestamp has no signedTimestamp",
        lambda b: b[MATERIAL].update(timestampVerificationData={"rfc3161Timestamps": [{}]}),
    ),
    ("it has more than 1024 values", lambda b: b[MATERIAL].update(tlogEntries=[0] * 1025)),
]


@pytest.mark.parametrize(("said", "break_it"), BROKEN)
def test_what_is_not_of_the_format_is_malformed(
    blob: dict[str, Any], said: str, break_it: Callable[[dict[str, Any]], object]
) -> None:
    break_it(blob)
    with pytest.raises(RefusedError, match=f"GP310 .*{said}"):
        read(blob)
