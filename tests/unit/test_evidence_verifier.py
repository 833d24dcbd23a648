"""Whose signatures are believed: a key, one of several, and of these the one who signed already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gopub.canon import sha256
from gopub.errors import RefusedError
from gopub.evidence.bundle import sign_blob, sign_statement
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keys import KeySigner, generate
from gopub.evidence.named import NamedVerifier
from gopub.evidence.signers import IdentityRule
from gopub.evidence.statement import Subject, statement
from gopub.evidence.trust import read_trust
from gopub.evidence.verifier import AnyVerifier, KeyVerifier, SameSigner, Signed
from tests.support.sigstore_world import IDENTITY, ISSUER, World, raw

DATA = b"release"
DIGEST = sha256(DATA)
SAID = statement([Subject("a", DIGEST)], "https://example.com/x", {"x": 1})


@pytest.fixture
def ours(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "ours").signer()


@pytest.fixture
def theirs(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "theirs").signer()


def test_a_key_is_named_by_its_fingerprint(ours: KeySigner) -> None:
    by = KeyVerifier(ours.public)
    assert by.blob(sign_blob(ours, DATA), DIGEST) == Signed(ours.public.fingerprint)
    said = by.statement(sign_statement(ours, SAID), DIGEST)
    assert (said.by, said.statement) == (Signed(ours.public.fingerprint), SAID)


def test_what_nobody_checked_is_told(ours: KeySigner) -> None:
    bundle = json.loads(sign_blob(ours, DATA))
    entry = {"kindVersion": {"kind": "hashedrekord", "version": "0.0.1"}, "canonicalizedBody": ""}
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": ""}]}
    bundle["verificationMaterial"] |= {"tlogEntries": [entry], "timestampVerificationData": stamps}
    signed = KeyVerifier(ours.public).blob(json.dumps(bundle).encode(), DIGEST)
    assert signed.unchecked == ("log entry", "timestamp")


def test_one_of_several_is_enough_and_says_who_it_was(ours: KeySigner, theirs: KeySigner) -> None:
    both = AnyVerifier((KeyVerifier(ours.public), KeyVerifier(theirs.public)))
    assert both.blob(sign_blob(theirs, DATA), DIGEST).signer == theirs.public.fingerprint
    assert both.statement(sign_statement(ours, SAID), DIGEST).by.signer == ours.public.fingerprint


def test_nobody_of_several_is_refused_with_what_each_of_them_says(
    ours: KeySigner, theirs: KeySigner, tmp_path: Path
) -> None:
    third = generate(tmp_path / "third").signer()
    by = AnyVerifier((KeyVerifier(ours.public), KeyVerifier(third.public), KeyVerifier(ours.public)))
    with pytest.raises(RefusedError) as refused:
        by.blob(sign_blob(theirs, DATA), DIGEST)
    assert refused.value.code == "GP311"
    assert refused.value.problem.count(ours.public.fingerprint[:16]) == 1
    assert third.public.fingerprint[:16] in refused.value.problem
    with pytest.raises(RefusedError, match="GP312"):
        by.blob(sign_blob(third, b"another"), DIGEST)
    with pytest.raises(RefusedError, match="GP311 nobody's signature"):
        AnyVerifier(()).blob(sign_blob(theirs, DATA), DIGEST)


def test_all_parts_are_signed_by_the_same(ours: KeySigner, theirs: KeySigner) -> None:
    """Else whoever has one of two keys that are believed could swap a part of what the other signed."""
    both = AnyVerifier((KeyVerifier(ours.public), KeyVerifier(theirs.public)))
    same = SameSigner(both, ours.public.fingerprint)
    assert same.blob(sign_blob(ours, DATA), DIGEST).signer == ours.public.fingerprint
    assert same.statement(sign_statement(ours, SAID), DIGEST).statement == SAID
    for ask in (
        lambda: same.blob(sign_blob(theirs, DATA), DIGEST),
        lambda: same.statement(sign_statement(theirs, SAID), DIGEST),
    ):
        with pytest.raises(RefusedError, match=r"GP311 the signature is one of .*, and release\.json has one of "):
            ask()


def test_a_statement_as_cosign_writes_it_is_read(ours: KeySigner) -> None:
    """Stock cosign attests with the version before, whose fields are the same."""
    older = SAID | {"_type": "https://in-toto.io/Statement/v0.1"}
    assert KeyVerifier(ours.public).statement(sign_statement(ours, older), DIGEST).statement == older
    with pytest.raises(RefusedError, match="GP310"):
        KeyVerifier(ours.public).statement(
            sign_statement(ours, SAID | {"_type": "https://in-toto.io/Statement/v0.2"}), DIGEST
        )


def test_a_key_among_identities_is_told_apart_from_a_certificate_that_names_somebody_else(ours: KeySigner) -> None:
    world = World()
    bundle = raw(world.blob(bytes.fromhex(DIGEST)))
    trusts = [
        read_trust(json.dumps(one.trusted_root()).encode(), file="x", name=name)
        for one, name in ((world, "ours"), (World(), "other"))
    ]
    rules = [NamedVerifier(KeylessVerifier(one), (IdentityRule("a@b.test", ISSUER, one.name),)) for one in trusts]
    with pytest.raises(RefusedError) as refused:
        AnyVerifier((KeyVerifier(ours.public), *rules)).blob(bundle, DIGEST)
    said = refused.value.problem
    assert refused.value.code == "GP317", "the other instance may believe more once its config is whole"
    assert f"the identity '{IDENTITY}' is not a@b.test" in said
    assert f"it was made with a certificate that says '{IDENTITY}' of '{ISSUER}', which nobody checked" in said
    junk = raw(world.statement({"x": "not even a statement"}))
    with pytest.raises(RefusedError, match="GP310"):
        KeylessVerifier(trusts[0]).statement(junk, DIGEST)
    with pytest.raises(RefusedError, match=r"GP311 .*whoever signed is not accepted"):
        rules[0].statement(junk, DIGEST)  # of a stranger not even the form is looked at
    with pytest.raises(RefusedError, match=rf"GP311 .*made with a key \({ours.public.fingerprint[:16]}\)"):
        rules[0].blob(sign_blob(ours, DATA), DIGEST)
