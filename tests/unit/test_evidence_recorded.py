"""What others signed, at instances that gopub never spoke to: believed offline, or refused as what it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sigstore

from gopub.errors import RefusedError
from gopub.evidence.claims import Clock
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keys import PublicKey
from gopub.evidence.named import NamedVerifier
from gopub.evidence.signers import IdentityRule
from gopub.evidence.trust import Trust, read_trust
from gopub.evidence.verifier import KeyVerifier

CASES = Path(__file__).parents[1] / "cases" / "evidence"
ROOT = Path(str(sigstore.__file__)).parent / "_store" / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev" / "trusted_root.json"
GITHUB = "https://token.actions.githubusercontent.com"
BEACON = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon"
SUBJECT = "70ed0277251d0cf2eb5eda8b574ce012de485e39a3de1fb4b1e0717e14b02d6a"
MATERIAL = "verificationMaterial"


@pytest.fixture(scope="module")
def public() -> Trust:
    """The public good instance."""
    return read_trust(ROOT.read_bytes(), file="trusted_root.json", name="public")


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CASES / name).read_text("utf-8"))
    return found


def raw(told: Any) -> bytes:
    return json.dumps(told).encode()


def test_a_workflow_of_github_signed_at_the_public_good_instance(public: Trust) -> None:
    rule = IdentityRule(f"{BEACON}/.github/workflows/*.yml@refs/heads/*", GITHUB, "public")
    said = NamedVerifier(KeylessVerifier(public), (rule,)).statement(raw(recorded("public-good-github.sigstore.json")),
                                                                     SUBJECT)  # fmt: skip
    claims = said.by.claims
    assert claims is not None and said.by.unchecked == ()
    assert {one.told_by for one in claims.times} == {Clock.TSA, Clock.LOG}
    assert (claims.build.source_repository_uri, claims.build.source_repository_ref) == (BEACON, "refs/heads/main")
    assert (claims.build.runner_environment, claims.build.build_trigger) == ("github-hosted", "workflow_dispatch")


def flipped(path: tuple[Any, ...]) -> Callable[[dict[str, Any]], None]:
    """With the last bit of the first byte of that Base64 changed."""

    def done(told: dict[str, Any]) -> None:
        at: Any = told
        for key in path[:-1]:
            at = at[key]
        data = bytearray(base64.b64decode(at[path[-1]]))
        data[-1] ^= 1
        at[path[-1]] = base64.b64encode(bytes(data)).decode()

    return done


ENTRY = (MATERIAL, "tlogEntries", 0)
SPOILT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "the payload": (flipped(("dsseEnvelope", "payload")), "signature"),
    "the signature": (flipped(("dsseEnvelope", "signatures", 0, "sig")), "signature"),
    "the promise": (flipped((*ENTRY, "inclusionPromise", "signedEntryTimestamp")), "log entry"),
    "the path": (flipped((*ENTRY, "inclusionProof", "hashes", 3)), "log entry"),
    "the root": (flipped((*ENTRY, "inclusionProof", "rootHash")), "log entry"),
    "the body": (flipped((*ENTRY, "canonicalizedBody")), "log entry"),
    "the log": (flipped((*ENTRY, "logId", "keyId")), "log entry"),
    "the timestamp": (flipped((MATERIAL, "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp")), ""),
    "the certificate": (flipped((MATERIAL, "certificate", "rawBytes")), "log body"),
    "the second": (lambda told: told[MATERIAL]["tlogEntries"][0].update(integratedTime="1778701654"), "log entry"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_one_bit_of_it_changed_is_refused_or_counts_for_nothing(public: Trust, name: str) -> None:
    spoil, step = SPOILT[name]
    told = recorded("public-good-github.sigstore.json")
    spoil(told)
    if step:
        with pytest.raises(RefusedError, match=rf"GP317 .*: {step}: "):
            KeylessVerifier(public).statement(raw(told), SUBJECT)
    else:
        assert KeylessVerifier(public).statement(raw(told), SUBJECT).by.unchecked == ("timestamp",)


def test_an_attestation_of_years_ago_is_refused_as_what_it_is(public: Trust) -> None:
    """What npm publishes: an older format; brought to v0.3 it still has an entry that nobody takes a time from."""
    told = recorded("public-good-npm.sigstore.json")
    with pytest.raises(RefusedError, match=r"GP316 .*version 0\.1"):
        KeylessVerifier(public).statement(raw(told), SUBJECT)
    told["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.3+json"
    told[MATERIAL]["certificate"] = told[MATERIAL].pop("x509CertificateChain")["certificates"][0]
    with pytest.raises(RefusedError, match=r"GP316 .*a log entry of kind intoto 0\.0\.2 beside a certificate"):
        KeylessVerifier(public).statement(raw(told), SUBJECT)


def by_key(change: Callable[[dict[str, Any]], object] = lambda _: None) -> object:
    told = recorded("key-intoto.json")
    change(told)
    trust = read_trust(raw(told["trustedRoot"]), file="trusted_root.json")
    by = KeyVerifier(PublicKey.parse(told["key"].encode(), name="key.pub"), trust)
    return by.statement(raw(told["bundle"]), told["sha256"]).by.unchecked


def entry(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told["bundle"][MATERIAL]["tlogEntries"][0]
    return found


def test_a_keys_statement_with_an_entry_of_kind_intoto_is_believed() -> None:
    assert by_key() == ()


def test_a_keys_signature_with_a_timestamp_is_believed_and_checked_where_somebody_is_named_for_it() -> None:
    told = recorded("key-timestamp.json")
    bundle, key = raw(told["bundle"]), PublicKey.parse(told["key"].encode(), name="key.pub")
    assert KeyVerifier(key).blob(bundle, told["sha256"]).unchecked == ("timestamp",)
    root = told["trustedRoot"]
    trust = read_trust(raw(root), file="trusted_root.json")
    assert KeyVerifier(key, trust).blob(bundle, told["sha256"]).unchecked == ()
    root["timestampAuthorities"][0]["validFor"]["end"] = root["timestampAuthorities"][0]["validFor"]["start"]
    retired = KeyVerifier(key, read_trust(raw(root), file="trusted_root.json"))
    assert retired.blob(bundle, told["sha256"]).unchecked == ("timestamp",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: entry(told)["kindVersion"].update(version="0.0.1"), "GP316"),
        (lambda told: entry(told)["kindVersion"].update(kind="helm"), "GP316 .*helm"),
        (lambda told: entry(told)["kindVersion"].update(kind="hashedrekord"), "GP317 .*: log body: "),
        (lambda told: told["trustedRoot"]["tlogs"][0]["publicKey"]["validFor"].update(end="2020-01-02T00:00:00Z"),
         "GP317 .*: log window: "),
        (lambda told: entry(told).update(inclusionPromise={"signedEntryTimestamp": "AAAA"}, integratedTime="1"),
         "GP317 .*: log entry: "),
    ],
)  # fmt: skip
def test_and_not_when_it_is_another_ones(change: Callable[[dict[str, Any]], object], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        by_key(change)


def test_the_clock_of_this_machine_has_no_say(public: Trust) -> None:
    """The certificate ended ten minutes after it began, and is believed for ever."""
    claims = KeylessVerifier(public).statement(raw(recorded("public-good-github.sigstore.json")), SUBJECT).by.claims
    assert claims is not None
    assert max(one.at for one in claims.times) - claims.first < timedelta(seconds=2)
