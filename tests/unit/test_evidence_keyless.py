"""Signatures with certificates, of a whole Sigstore made in the test: what is believed, and what each forgery meets."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sigstore
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from gopub.errors import RefusedError
from gopub.evidence.claims import Clock, Naming
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.statement import Subject, statement
from gopub.evidence.trust import Trust, read_trust
from gopub.evidence.verifier import SameSigner
from tests.support.sigstore_world import (
    EXTENSIONS,
    HOUR,
    IDENTITY,
    ISSUER,
    NOW,
    YEAR,
    Ca,
    Wish,
    World,
    b64,
    new_key,
    raw,
    spki,
    stamp,
)

DIGEST = hashlib.sha256(b"release").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
SAID = statement([Subject("a", DIGEST)], "https://example.com/x", {"x": 1})
MATERIAL = "verificationMaterial"
RECORDED = Path(__file__).parents[1] / "cases" / "evidence" / "staging-rekor-v2.sigstore.json"
STORE = Path(str(sigstore.__file__)).parent / "_store"
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def trust(world: World) -> Trust:
    return trusting(world.trusted_root())


def trusting(root: Any) -> Trust:
    return read_trust(json.dumps(root).encode(), file="trusted_root.json", name="corp")


def blob(world: World, wish: Wish | None = None) -> dict[str, Any]:
    return world.blob(bytes.fromhex(DIGEST), wish)


GOOD = [Wish(), Wish(rekor=1), Wish(rekor=1, stamps=0), Wish(stamps=3), Wish(rekor=1, integrated_at=NOW + MINUTE)]


@pytest.mark.parametrize("wish", GOOD, ids=["v2", "v1", "v1 without stamp", "three stamps", "two times"])
def test_what_is_signed_is_believed(world: World, trust: Trust, wish: Wish) -> None:
    by = KeylessVerifier(trust)
    signed = by.blob(raw(blob(world, wish)), DIGEST)
    said = by.statement(raw(world.statement(SAID, wish)), DIGEST)
    assert said.statement == SAID and said.by.claims == signed.claims
    assert signed.unchecked == () and signed.claims and signed.claims.first == NOW
    clocks = {one.told_by for one in signed.claims.times}
    assert clocks == ({Clock.TSA} if wish.stamps else set()) | ({Clock.LOG} if wish.rekor == 1 else set())


@pytest.mark.parametrize("wish", [Wish(kind="dsse"), Wish(rekor=1, kind="hashedrekord"), Wish(rekor=1, stamps=0)])
def test_a_statement_may_be_logged_as_others_do(world: World, trust: Trust, wish: Wish) -> None:
    """Newer clients log a statement's encoding like a file; the first ones of Rekor v2 had an entry for it."""
    assert KeylessVerifier(trust).statement(raw(world.statement(SAID, wish)), DIGEST).statement == SAID


def test_a_recorded_bundle_of_the_public_staging_instance_is_believed() -> None:
    """And the log's body is what gopub makes of it; the trusted roots come with sigstore-python."""
    digest, recorded = "15f67246115921bb7c1de0e7e9e9275c8016dc254a0c009888944b7ed3644aaa", RECORDED.read_bytes()
    staging, public = (
        read_trust((STORE / f"https%3A%2F%2Ftuf-repo-cdn.{host}" / "trusted_root.json").read_bytes(), file=host)
        for host in ("sigstage.dev", "sigstore.dev")
    )
    claims = KeylessVerifier(staging).blob(recorded, digest).claims
    assert claims and (claims.naming, claims.issuer) == (Naming.EMAIL, "https://github.com/login/oauth")
    assert claims.first.isoformat() == "2025-06-09T11:57:38+00:00"
    with pytest.raises(RefusedError, match=r"GP317 .*a log that the trust config does not have"):
        KeylessVerifier(public).blob(recorded, digest)
    with pytest.raises(RefusedError, match="GP312"):
        KeylessVerifier(staging).blob(recorded, DIGEST)


def test_a_policy_reads_who_signed_and_what_was_built(world: World, trust: Trust) -> None:
    signed = KeylessVerifier(trust).blob(raw(blob(world)), DIGEST)
    claims = signed.claims
    assert claims and (claims.identity, claims.naming, claims.issuer) == (IDENTITY, Naming.URI, ISSUER)
    assert claims.trust == "corp" and signed.signer == claims.signer == f"{IDENTITY} of {ISSUER} in corp"
    build = claims.build
    assert (build.source_repository_uri, build.source_repository_digest) == (EXTENSIONS[12], EXTENSIONS[13])
    assert (build.source_repository_ref, build.source_repository_visibility) == ("refs/tags/v1.0.0", "private")
    assert (build.build_signer_uri, build.build_signer_digest) == (IDENTITY, "")
    assert (build.build_config_uri, build.build_config_digest) == (IDENTITY, EXTENSIONS[19])
    assert (build.build_trigger, build.runner_environment) == ("push", "gitlab-hosted")
    assert build.run_invocation_uri == EXTENSIONS[21]


def test_a_person_and_the_older_way_to_name_an_issuer(world: World, trust: Trust) -> None:
    wish = Wish(names=(x509.RFC822Name("ann@example.com"),), extensions={}, old_issuer=ISSUER)
    claims = KeylessVerifier(trust).blob(raw(blob(world, wish)), DIGEST).claims
    assert claims and (claims.naming, claims.identity, claims.issuer) == (Naming.EMAIL, "ann@example.com", ISSUER)


def test_what_a_template_had_nothing_for_is_not_there(world: World, trust: Trust) -> None:
    wish = Wish(extensions={8: ISSUER, 12: "https://gitlab.test/<nil>", 13: "x" * 200})
    claims = KeylessVerifier(trust).blob(raw(blob(world, wish)), DIGEST).claims
    assert claims and claims.build.source_repository_uri == "" and claims.build.source_repository_digest == "x" * 200


def test_a_stamp_of_somebody_else_counts_for_nothing_and_is_told(world: World, trust: Trust) -> None:
    made = blob(world)
    signature = made["messageSignature"]["signature"]
    other = stamp(Ca(stamps=True, name="other"), base64_of(signature), NOW - HOUR)
    made[MATERIAL]["timestampVerificationData"]["rfc3161Timestamps"].append({"signedTimestamp": b64(other)})
    signed = KeylessVerifier(trust).blob(raw(made), DIGEST)
    assert signed.unchecked == ("timestamp",) and signed.claims and signed.claims.first == NOW


def base64_of(text: str) -> bytes:
    import base64

    return base64.b64decode(text)


def test_another_identity_did_not_sign_the_same_release(world: World, trust: Trust) -> None:
    by = KeylessVerifier(trust)
    first = by.blob(raw(blob(world)), DIGEST)
    second = blob(world, Wish(extensions={**EXTENSIONS, 8: "https://other.test"}))
    with pytest.raises(RefusedError, match="GP311"):
        SameSigner(by, first.signer).blob(raw(second), DIGEST)


def test_no_connection_is_opened(world: World, trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_args: object, **_named: object) -> NoReturn:
        raise AssertionError("a verifier opened a socket")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    by = KeylessVerifier(trust)
    for wish in GOOD:
        assert by.blob(raw(blob(world, wish)), DIGEST).claims
        assert by.statement(raw(world.statement(SAID, wish)), DIGEST).by.claims


Forge = Callable[[World], Any]


def entry(change: Callable[[dict[str, Any]], object], **wish: Any) -> Forge:
    """A bundle whose log entry was changed after it was made."""

    def made(world: World) -> Any:
        bundle = blob(world, Wish(**wish))
        change(bundle[MATERIAL]["tlogEntries"][0])
        return bundle

    return made


def material(change: Callable[[dict[str, Any]], object], **wish: Any) -> Forge:
    def made(world: World) -> Any:
        bundle = blob(world, Wish(**wish))
        change(bundle[MATERIAL])
        return bundle

    return made


def wished(**wish: Any) -> Forge:
    return lambda world: blob(world, Wish(**wish))


def swapped(*, part: str) -> Forge:
    """A bundle with a part of another one that is as good."""

    def made(world: World) -> Any:
        bundle = blob(world)
        bundle[MATERIAL][part] = blob(world)[MATERIAL][part]
        return bundle

    return made


def body(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda told: told | changes


def other_file(told: dict[str, Any]) -> dict[str, Any]:
    told["spec"]["hashedRekordV002"]["data"]["digest"] = b64(bytes.fromhex(OTHER))
    return told


def other_signer(told: dict[str, Any]) -> dict[str, Any]:
    told["spec"]["hashedRekordV002"]["signature"]["verifier"] = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "publicKey": {"rawBytes": b64(spki(new_key()))},
    }
    return told


def other_signature(told: dict[str, Any]) -> dict[str, Any]:
    told["spec"]["hashedRekordV002"]["signature"]["content"] = b64(b"another")
    return told


def proof(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda told: told["inclusionProof"].update(changes)


def checkpoint(change: Callable[[str], str]) -> Callable[[dict[str, Any]], object]:
    def done(told: dict[str, Any]) -> None:
        of = told["inclusionProof"]["checkpoint"]
        of["envelope"] = change(of["envelope"])

    return done


def no_stamps(told: dict[str, Any]) -> None:
    told["timestampVerificationData"] = {}


def stamps(*made: bytes) -> Callable[[dict[str, Any]], object]:
    listed = [{"signedTimestamp": b64(one)} for one in made]
    return lambda told: told.update(timestampVerificationData={"rfc3161Timestamps": listed})


def twice(told: dict[str, Any]) -> None:
    told["timestampVerificationData"]["rfc3161Timestamps"] *= 2


def other_ca() -> Ca:
    return Ca()


FORGED: dict[str, tuple[Forge, str]] = {
    # the certificate and the signature
    "no certificate": (material(lambda m: m.update(certificate={"rawBytes": b64(b"x")})), "GP317 .*: certificate: "),
    "an empty certificate": (material(lambda m: m.update(certificate={"rawBytes": ""})), "GP317 .*: certificate: "),
    "a key instead": (
        material(lambda m: (m.pop("certificate"), m.update(publicKey={"hint": "x"}))),
        "GP311 .*with a key",
    ),
    "of another key": (swapped(part="certificate"), "GP317 .*: signature: "),
    "of another file": (lambda w: w.blob(bytes.fromhex(OTHER)), "GP312 "),
    "not for signing code": (wished(eku=(ExtendedKeyUsageOID.CLIENT_AUTH,)), "GP317 .*: certificate: "),
    "for nothing": (wished(eku=()), "GP317 .*: certificate: "),
    "with a curve that is not supported": (wished(key=ec.generate_private_key(ec.SECP384R1())), "GP317 .*on P-256"),
    "with another kind of key": (wished(key=ed25519.Ed25519PrivateKey.generate()), "GP317 .*on P-256"),
    "with a certificate that may give others": (wished(leaf_ca=True), "GP317 .*: sigstore: "),
    # its entry in a log
    "no entry": (material(lambda m: m.update(tlogEntries=[])), "GP317 .*: log entry: .* 0 entries"),
    "two entries": (material(lambda m: m.update(tlogEntries=m["tlogEntries"] * 2)), "GP317 .*: log entry: .* 2 entr"),
    "a stranger's log id": (entry(lambda e: e.update(logId={"keyId": b64(b"x" * 32)})), "GP317 .*does not have"),
    "the start of a log id": (entry(lambda e: e["logId"].update(keyId=e["logId"]["keyId"][:8])), "GP317 .*not have"),
    "no log id": (entry(lambda e: e.pop("logId")), "GP317 .*does not have"),
    "no proof": (entry(lambda e: e.pop("inclusionProof")), "GP317 .*has no proof"),
    "another log's key": (wished(log_key=ed25519.Ed25519PrivateKey.generate()), "GP317 .*: log entry: its path"),
    "another log's host": (wished(origin="other.test"), "GP317 .*checkpoint is of another log"),
    "a shard of Rekor v2": (wished(origin="rekor.test - 7"), "GP317 .*checkpoint is of another log"),
    "a log with a longer name": (wished(origin="rekor.test.evil", rekor=1), "GP317 .*checkpoint is of another log"),
    "another tree's size": (entry(proof(treeSize="6")), "GP317 .*of another tree"),
    "an index outside": (entry(proof(logIndex="5")), "GP317 .*of another tree"),
    "another index": (entry(proof(logIndex="3")), "GP317 .*: log entry: its path"),
    "another root": (entry(proof(rootHash=b64(b"r" * 32))), "GP317 .*: log entry: its path"),
    "no path": (entry(proof(hashes=[])), "GP317 .*: log entry: its path"),
    "a changed body": (entry(lambda e: e.update(canonicalizedBody=b64(b"{}"))), "GP317 .*: log entry: its path"),
    "a checkpoint without signature": (
        entry(checkpoint(lambda told: told.split("\n\n")[0] + "\n\n")),
        "GP317 .*: log entry: its path",
    ),
    "a checkpoint that is none": (entry(checkpoint(lambda _: "")), "GP317 .*checkpoint is of another log"),
    "a broken promise": (
        entry(lambda e: e.update(inclusionPromise={"signedEntryTimestamp": b64(b"x")}), rekor=1),
        "GP317 .*: log entry: its path",
    ),
    "another time than promised": (
        entry(lambda e: e.update(integratedTime=str(int(NOW.timestamp()) + 1)), rekor=1),
        "GP317 .*: log entry: its path",
    ),
    "an entry of another kind": (entry(lambda e: e["kindVersion"].update(kind="intoto")), "GP316 .*log entry"),
    "the entry of another signature": (swapped(part="tlogEntries"), "GP317 .*: log body: "),
    "logged for another file": (wished(body=other_file), "GP317 .*: log body: "),
    "logged for another signer": (wished(body=other_signer), "GP317 .*: log body: "),
    "logged with another signature": (wished(body=other_signature), "GP317 .*: log body: "),
    "logged as another kind": (wished(body=body(kind="dsse")), "GP317 .*: log body: "),
    "logged with more than that": (wished(body=body(more=1)), "GP317 .*: log body: "),
    "logged as no mapping": (wished(body=lambda _: [1]), "GP317 .*: log body: "),
    # when it was signed
    "no time": (material(no_stamps), "GP317 .*: time: nobody"),
    "a time that nobody promised": (wished(rekor=1, stamps=0, promise=False), "GP317 .*: time: nobody"),
    "another authority's stamp": (wished(tsa=Ca(stamps=True, name="tsa")), "GP317 .*: time: nobody"),
    "a stamp that is none": (material(stamps(b"x")), "GP317 .*: time: a timestamp is none"),
    "an empty stamp": (material(stamps(b"")), "GP317 .*: time: a timestamp is none"),
    "a stamp twice": (material(twice), "GP317 .*stands there twice"),
    "the stamp of another signature": (swapped(part="timestampVerificationData"), "GP317 .*: time: nobody"),
    "stamped after it ended": (wished(stamped_at=NOW + HOUR), "GP317 .*: authority: .*not valid"),
    "stamped before it began": (wished(stamped_at=NOW - HOUR), "GP317 .*: authority: .*not valid"),
    "promised after it ended": (wished(rekor=1, integrated_at=NOW + HOUR), "GP317 .*: authority: .*not valid"),
    # who gave the certificate, and which log saw it
    "another authority of the same name": (wished(by=other_ca()), "GP317 .*: authority: no authority"),
    "in no log of certificates": (wished(scts=0), "GP317 .*: certificate log: no log"),
    "in two": (wished(scts=2), "GP317 .*: certificate log: 2 logs"),
    "in a stranger's": (wished(sct_id=b"x" * 32), "GP317 .*: certificate log: .*does not have"),
    "seen by another key": (wished(sct_key=new_key()), "GP317 .*: sigstore: "),
    # whom it names
    "nobody": (wished(names=()), "GP317 .*: (sigstore|identity): "),
    "two": (wished(names=(*Wish().names, x509.RFC822Name("a@b.test"))), "GP317 .*: identity: .* 2 names"),
    "a host": (wished(names=(x509.DNSName("gitlab.test"),)), "GP317 .*: (sigstore|identity): "),
    "a template's nothing": (
        wished(names=(x509.UniformResourceIdentifier("https://gitlab.test/<nil>"),)),
        "GP317 .*: (sigstore|identity): ",
    ),
    "no issuer": (wished(extensions={}), "GP317 .*: identity: .*no issuer"),
    "two issuers": (wished(old_issuer="https://other.test"), "GP317 .*: identity: .*two issuers"),
    "an issuer with a space": (wished(extensions={8: "https://a in b"}), "GP317 .*: identity: its issuer"),
    "an extension with a new line": (wished(extensions={8: ISSUER, 14: "refs/\nx"}), "GP317 .*: certificate: .*text"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_bundle_is_refused_where_it_is_wrong(world: World, trust: Trust, name: str) -> None:
    forge, said = FORGED[name]
    with pytest.raises(RefusedError, match=said):
        KeylessVerifier(trust).blob(raw(forge(world)), DIGEST)


STATED: dict[str, tuple[Callable[[World], Any], str]] = {
    "about another file": (
        lambda w: w.statement(statement([Subject("a", OTHER)], "https://example.com/x", {"x": 1})),
        "GP313 ",
    ),
    "not a statement": (lambda w: w.statement({"x": 1}), "GP310 "),
    "changed": (
        lambda w: w.statement(SAID) | {"dsseEnvelope": w.statement(SAID)["dsseEnvelope"]},
        "GP317 .*signature:",
    ),
    "the signature of a file": (blob, "GP310 "),
    "logged by nobody, in Rekor v2": (
        lambda w: w.statement(SAID, Wish(kind="dsse", body=lambda b: b | {"spec": {"dsseV002": {}}})),
        "GP317 .*: log body: ",
    ),
    "logged as a file, with nothing": (
        lambda w: w.statement(SAID, Wish(rekor=1, kind="hashedrekord", body=lambda b: b | {"spec": {}})),
        "GP317 .*: log body: ",
    ),
    "logged as another kind than it is": (
        lambda w: w.statement(SAID, Wish(rekor=1, kind="hashedrekord", body=lambda b: b | {"kind": "dsse"})),
        "GP317 .*: log body: ",
    ),
    "stamped by a stranger": (
        lambda w: w.statement(SAID, Wish(tsa=Ca(stamps=True, name="tsa"))),
        "GP317 .*: time: nobody",
    ),
    "logged with another payload": (
        lambda w: w.statement(SAID, Wish(rekor=1, body=lambda b: b | {"spec": b["spec"] | {"payloadHash": {}}})),
        "GP317 .*: log body: ",
    ),
    "logged by another": (
        lambda w: w.statement(SAID, Wish(rekor=1, body=lambda b: b | {"spec": b["spec"] | {"signatures": []}})),
        "GP317 .*: log body: ",
    ),
}


@pytest.mark.parametrize("name", STATED)
def test_a_forged_statement_is_refused(world: World, trust: Trust, name: str) -> None:
    forge, said = STATED[name]
    with pytest.raises(RefusedError, match=said):
        KeylessVerifier(trust).statement(raw(forge(world)), DIGEST)


def ended(part: str, at: int = 0) -> Callable[[dict[str, Any]], None]:
    """That service was no longer believed an hour before the signature."""

    def done(root: dict[str, Any]) -> None:
        one = root[part][at]
        one.get("publicKey", one)["validFor"]["end"] = (NOW - HOUR).isoformat()

    return done


def not_yet(part: str, at: int = 0) -> Callable[[dict[str, Any]], None]:
    def done(root: dict[str, Any]) -> None:
        one = root[part][at]
        one.get("publicKey", one)["validFor"]["start"] = (NOW + HOUR).isoformat()

    return done


WINDOWS = {
    "certificateAuthorities": "authority: the authority that gave",
    "ctlogs": "certificate log: the log's key was not in use",
    "tlogs": "log window: ",
    "timestampAuthorities": "time: nobody",
}


@pytest.mark.parametrize("moved", [ended, not_yet])
@pytest.mark.parametrize("part", WINDOWS)
def test_what_was_not_in_use_when_it_was_signed_is_not_believed(
    world: World, part: str, moved: Callable[[str], Callable[[dict[str, Any]], None]]
) -> None:
    """The library looks at the window of a timestamp authority alone."""
    root = world.trusted_root()
    moved(part)(root)
    with pytest.raises(RefusedError, match=f"GP317 .*: {WINDOWS[part]}"):
        KeylessVerifier(trusting(root)).blob(raw(blob(world)), DIGEST)


@pytest.mark.parametrize(
    ("end", "seen"),
    [(NOW - HOUR, NOW - 2 * HOUR), (NOW + HOUR, NOW + 2 * HOUR)],
    ids=["seen before it was given", "seen when the key was over"],
)
def test_the_log_of_certificates_must_have_been_in_use_at_both_its_times(
    world: World, end: datetime, seen: datetime
) -> None:
    """Whoever stole an old key writes any time; the certificate's own begin is the authority's word."""
    root = world.trusted_root()
    root["ctlogs"][0]["publicKey"]["validFor"]["end"] = end.isoformat()
    with pytest.raises(RefusedError, match=r"GP317 .*: certificate log: the log's key was not in use"):
        KeylessVerifier(trusting(root)).blob(raw(blob(world, Wish(sct_at=seen))), DIGEST)


@pytest.mark.parametrize("part", WINDOWS)
def test_the_last_moment_of_a_window_is_in_it(world: World, part: str) -> None:
    root = world.trusted_root()
    one = root[part][0]
    one.get("publicKey", one)["validFor"]["end"] = NOW.isoformat()
    assert KeylessVerifier(trusting(root)).blob(raw(blob(world)), DIGEST).claims


def test_a_key_that_was_replaced_is_believed_for_what_it_signed(world: World) -> None:
    """Two keys under way, each in its time; the one that is in use now signed nothing then."""
    root = world.trusted_root()
    for part in ("certificateAuthorities", "ctlogs", "tlogs"):
        newer = json.loads(json.dumps(root[part][0]))
        newer.get("publicKey", newer)["validFor"] = {"start": (NOW + HOUR).isoformat()}
        root[part].insert(0, newer)
    assert KeylessVerifier(trusting(root)).blob(raw(blob(world)), DIGEST).claims


def test_a_chain_that_was_over_gives_no_certificate(world: World) -> None:
    old = Ca(start=NOW - YEAR, end=NOW - HOUR)
    root = world.trusted_root()
    root["certificateAuthorities"][0]["certChain"]["certificates"] = [{"rawBytes": b64(one)} for one in old.chain]
    with pytest.raises(RefusedError, match=r"GP317 .*authority that gave .* was not valid"):
        KeylessVerifier(trusting(root)).blob(raw(blob(world, Wish(by=old))), DIGEST)


@pytest.mark.parametrize("part", ["authorities", "ctlogs", "logs", "stampers"])
def test_who_believes_nobody_refuses_everything(world: World, trust: Trust, part: str) -> None:
    with pytest.raises(RefusedError, match="GP317"):
        KeylessVerifier(replace(trust, **_nobody(part))).blob(raw(blob(world)), DIGEST)


def _nobody(part: str) -> dict[str, Any]:
    return {part: ()}
