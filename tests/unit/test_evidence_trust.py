"""Whom a trust config makes gopub believe, and what is wrong with one that it cannot use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gopub.canon import sha256
from gopub.errors import RefusedError, UsageError
from gopub.evidence.bundle import sign_blob, sign_statement
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keys import KeySigner, generate
from gopub.evidence.statement import Subject, statement
from gopub.evidence.trust import LARGEST, Trust, read_trust
from gopub.evidence.verifier import KeyVerifier
from tests.support.sigstore_world import HOUR, NOW, Ca, Wish, World, b64, key_signer, raw, stamp

DATA = b"release"
DIGEST = sha256(DATA)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "keys").signer()


def read(root: object) -> Trust:
    return read_trust(json.dumps(root).encode(), file="corp.json", name="corp")


def test_a_trusted_root_and_a_client_trust_config_say_the_same(world: World) -> None:
    root = world.trusted_root()
    config = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": root,
        "signingConfig": {"mediaType": "of those who sign"},
    }
    assert read(config) == read(root)
    found = read(root)
    assert (found.name, len(found.authorities), len(found.ctlogs)) == ("corp", 1, 1)
    assert [one.host for one in found.logs] == ["rekor.test", "rekor.test"] and found.logs[0].log == world.log
    assert found.stampers[0].chain == tuple(world.tsa.chain)


def test_what_is_left_out_is_nobody(world: World, signer: KeySigner) -> None:
    """The bare root of sigstore-conformance's key bundles; and authorities that Go's clients write without a name."""
    root = {"mediaType": world.trusted_root()["mediaType"], "ctlogs": None}
    found = read(root)
    assert (found.authorities, found.ctlogs, found.logs, found.stampers) == ((), (), (), ())
    signed = KeyVerifier(signer.public, found).blob(sign_blob(signer, DATA), DIGEST)
    assert (signed.signer, signed.unchecked) == (signer.public.fingerprint, ())
    with pytest.raises(RefusedError, match="GP317"):
        KeyVerifier(signer.public, found).blob(raw(logged(world, signer, Wish())), DIGEST)
    with pytest.raises(RefusedError, match="GP317"):
        KeylessVerifier(found).blob(raw(world.blob(bytes.fromhex(DIGEST))), DIGEST)
    named = world.trusted_root()
    for part in ("certificateAuthorities", "timestampAuthorities"):
        del named[part][0]["subject"]
    assert read(named) == read(world.trusted_root())


def test_a_chain_may_end_below_a_root(world: World) -> None:
    """A house that believes its intermediate alone, whoever signed it."""
    root = world.trusted_root()
    del root["certificateAuthorities"][0]["certChain"]["certificates"][1]
    assert KeylessVerifier(read(root)).blob(raw(world.blob(bytes.fromhex(DIGEST))), DIGEST).claims


def test_the_public_good_instance_is_read() -> None:
    import sigstore

    folder = Path(str(sigstore.__file__)).parent / "_store"
    roots = sorted(folder.glob("*/trusted_root.json"))
    assert len(roots) == 2
    for one in roots:
        found = read_trust(one.read_bytes(), file=one.name)
        assert found.authorities and found.ctlogs and found.logs and all("sig" in log.host for log in found.logs)


Spoil = Callable[[dict[str, Any]], object]


def first(part: str, **changes: Any) -> Spoil:
    return lambda root: root[part][0].update(changes)


def key(part: str, **changes: Any) -> Spoil:
    return lambda root: root[part][0]["publicKey"].update(changes)


def reversed_chain(root: dict[str, Any]) -> None:
    root["certificateAuthorities"][0]["certChain"]["certificates"].reverse()


def no_certificate(root: dict[str, Any]) -> None:
    root["timestampAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = b64(b"x")


WRONG: dict[str, tuple[Spoil, str]] = {
    "another media type": (lambda r: r.update(mediaType="x"), "neither the media type"),
    "no media type": (lambda r: r.pop("mediaType"), "neither the media type"),
    "authorities that are no list": (lambda r: r.update(certificateAuthorities={}), "certificateAuthorities: "),
    "an authority that is none": (lambda r: r.update(timestampAuthorities=[1]), "timestampAuthorities"),
    "a name that is none": (first("certificateAuthorities", subject=1), "certificateAuthorities.*subject"),
    "a key that is not known": (lambda r: r.update(more=[]), "more: "),
    "logs that are no list": (lambda r: r.update(tlogs={}), "tlogs: "),
    "a key that is none": (key("tlogs", rawBytes=b64(b"x")), "key of a log in tlogs"),
    "no key": (key("ctlogs", rawBytes=""), "a log in ctlogs has no id, or no key"),
    "a kind of key that is none": (key("ctlogs", keyDetails="x"), "keyDetails"),
    "a log without address": (first("tlogs", baseUrl="rekor.test"), "address of a log in tlogs"),
    "a log with an address that is none": (first("ctlogs", baseUrl="https://["), "address of a log in ctlogs"),
    "no id": (first("tlogs", logId={"keyId": ""}), "a log in tlogs has no id"),
    "no certificates": (first("certificateAuthorities", certChain={"certificates": []}), "has no certificates"),
    "a certificate that is none": (no_certificate, "a certificate in timestampAuthorities is none"),
    "a chain upside down": (reversed_chain, "a chain in certificateAuthorities does not lead"),
    "a window that ends first": (
        first("certificateAuthorities", validFor={"start": NOW.isoformat(), "end": (NOW - HOUR).isoformat()}),
        "ends before it starts",
    ),
    "a window without a start": (key("tlogs", validFor={"end": NOW.isoformat()}), "tlogs.*start: Field required"),
    "an empty window": (first("timestampAuthorities", validFor={}), "timestampAuthorities.*start: Field required"),
    "where to sign": (
        lambda r: r.update(mediaType="application/vnd.dev.sigstore.signingconfig.v0.2+json"),
        "it is a signing config",
    ),
    "a time without zone": (
        first("certificateAuthorities", validFor={"start": "2026-01-01T00:00:00"}),
        "has no time zone",
    ),
    "a time that is none": (first("certificateAuthorities", validFor={"start": "soon"}), "start: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_trust_config_is_told(world: World, name: str) -> None:
    spoil, said = WRONG[name]
    root = world.trusted_root()
    spoil(root)
    with pytest.raises(UsageError, match=rf"^corp\.json: GP318 the trust config is wrong: .*{said}"):
        read(root)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[" * 999, b"[]", b"{" * 9, b" " * (LARGEST + 1), b"[1,1]", b'{"a":1,"a":2}']
)
def test_what_is_no_trust_config_at_all(data: bytes) -> None:
    with pytest.raises(UsageError, match="GP318"):
        read_trust(data, file="corp.json")


def logged(world: World, signer: KeySigner, wish: Wish, *, said: bool = False) -> dict[str, Any]:
    """A key's bundle with an entry and a stamp beside, as cosign makes it."""
    import base64
    import hashlib

    from gopub.evidence.bundle import pre_authentication
    from gopub.evidence.statement import PAYLOAD_TYPE

    stated = statement([Subject("a", DIGEST)], "https://example.com/x", {"x": 1})
    made: dict[str, Any] = json.loads(sign_statement(signer, stated) if said else sign_blob(signer, DATA))
    if said:
        payload = base64.b64decode(made["dsseEnvelope"]["payload"])
        signature = base64.b64decode(made["dsseEnvelope"]["signatures"][0]["sig"])
        digest = hashlib.sha256(pre_authentication(PAYLOAD_TYPE, payload)).digest()
    else:
        payload, signature = None, base64.b64decode(made["messageSignature"]["signature"])
        digest = bytes.fromhex(DIGEST)
    by = key_signer(signer.public.pem, signer.public.spki)
    stamps = [stamp(wish.tsa or world.tsa, signature, wish.at) for _ in range(wish.stamps)]
    made["verificationMaterial"] |= {
        "tlogEntries": [world.entry(wish, by, signature, digest, payload)],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(one)} for one in stamps]},
    }
    return made


@pytest.mark.parametrize("wish", [Wish(), Wish(rekor=1), Wish(rekor=1, stamps=0), Wish(stamps=0)])
@pytest.mark.parametrize("said", [False, True])
def test_what_stands_beside_a_keys_signature_is_checked(
    world: World, signer: KeySigner, wish: Wish, *, said: bool
) -> None:
    by, bundle = KeyVerifier(signer.public, read(world.trusted_root())), raw(logged(world, signer, wish, said=said))
    signed = by.statement(bundle, DIGEST).by if said else by.blob(bundle, DIGEST)
    assert (signed.signer, signed.unchecked, signed.claims) == (signer.public.fingerprint, (), None)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(body=lambda told: told | {"spec": {}}), "log body"),
        (Wish(log=b"x" * 32), "log entry"),
        (Wish(log_key=Ca().key), "log entry"),
        (Wish(at=NOW - timedelta(days=400)), "log window"),
    ],
)
def test_a_forged_entry_beside_a_keys_signature_is_refused(
    world: World, signer: KeySigner, wish: Wish, said: str
) -> None:
    root = world.trusted_root()
    root["timestampAuthorities"][0]["validFor"]["start"] = (NOW - timedelta(days=800)).isoformat()
    old = Ca(stamps=True, start=NOW - timedelta(days=800))
    root["timestampAuthorities"][0]["certChain"]["certificates"] = [{"rawBytes": b64(one)} for one in old.chain]
    wish.tsa = old
    with pytest.raises(RefusedError, match=rf"GP317 .*: {said}: "):
        KeyVerifier(signer.public, read(root)).blob(raw(logged(world, signer, wish)), DIGEST)


def unlike(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def done(told: dict[str, Any]) -> dict[str, Any]:
        change(told["spec"]["content"])
        return told

    return done


INTOTO: dict[str, Callable[[dict[str, Any]], object]] = {
    "another payload": lambda c: c["payloadHash"].update(value="7" * 64),
    "another signature": lambda c: c["envelope"]["signatures"][0].update(sig=b64(b64(b"x").encode())),
    "another key": lambda c: c["envelope"]["signatures"][0].update(publicKey=b64(b"x")),
    "no key": lambda c: c["envelope"]["signatures"][0].update(publicKey=1),
    "a key that is no Base64": lambda c: c["envelope"]["signatures"][0].update(publicKey="\u00e9"),
    "two signatures": lambda c: c["envelope"]["signatures"].append(dict(c["envelope"]["signatures"][0])),
    "no signature": lambda c: c["envelope"].update(signatures=[]),
    "another type": lambda c: c["envelope"].update(payloadType="text/plain"),
    "more than that": lambda c: c.update(more=1),
    "no envelope": lambda c: c.pop("envelope"),
}


@pytest.mark.parametrize("name", INTOTO)
def test_an_entry_of_kind_intoto_is_that_of_this_statement(world: World, signer: KeySigner, name: str) -> None:
    by = KeyVerifier(signer.public, read(world.trusted_root()))
    good = logged(world, signer, Wish(rekor=1, kind="intoto"), said=True)
    assert by.statement(raw(good), DIGEST).by.unchecked == ()
    forged = logged(world, signer, Wish(rekor=1, kind="intoto", body=unlike(INTOTO[name])), said=True)
    with pytest.raises(RefusedError, match=r"GP317 .*: log body: "):
        by.statement(raw(forged), DIGEST)


def test_a_key_bundle_without_time_needs_a_log_that_goes_on(world: World, signer: KeySigner) -> None:
    root = world.trusted_root()
    root["tlogs"][0]["publicKey"]["validFor"]["end"] = (NOW + HOUR).isoformat()
    with pytest.raises(RefusedError, match=r"GP317 .*: log window: "):
        KeyVerifier(signer.public, read(root)).blob(raw(logged(world, signer, Wish(stamps=0))), DIGEST)


def test_a_strangers_stamp_beside_a_key_is_told(world: World, signer: KeySigner) -> None:
    wish = Wish(tsa=Ca(stamps=True, name="other"))
    signed = KeyVerifier(signer.public, read(world.trusted_root())).blob(raw(logged(world, signer, wish)), DIGEST)
    assert signed.unchecked == ("timestamp",)


def test_the_library_is_loaded_by_the_first_who_needs_it() -> None:
    """It takes 0.6 s: whoever checks keys alone does not wait for it."""
    asked = "import sys, gopub.evidence.keyless, gopub.evidence.verifier; print('sigstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
