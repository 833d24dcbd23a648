"""Forged and broken bundles and trust configs through the command: each a typed refusal beside a good neighbour."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from gopub.build.artifact import FileRef
from gopub.canon import canonical, sha256
from gopub.evidence import sign_blob
from gopub.store import blob_key, bundle_key, manifest_key, version_key
from gopub.store.protocol import MAX_BUNDLE
from tests.support.broken import KEYS, changed, other_digest, wished, written
from tests.support.command import Ended, everything, gopub
from tests.support.keyless_shop import BUILT, Keyless
from tests.support.sigstore_world import IDENTITY, ISSUER, NOW, Ca, Wish, World, b64, key_signer, new_key, spki, stamp

ROOT = Path(__file__).parents[2]
CASES: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/cases/evidence/bundles.bad.yaml").read_text("utf-8"))
TAGS = f"{IDENTITY.partition('@')[0]}@refs/tags/v*"
CERTIFIED = ("--identity", TAGS, "--issuer", ISSUER, "--trust", "corp")
CONFIGS: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/cases/evidence/trust.bad.yaml").read_text("utf-8"))
PEM, SECOND = Encoding.PEM, timedelta(seconds=1)
MADE_OF_KEYS = {"entry beside", "entries beside"}


class Store(Keyless):
    """A shop whose release is signed both ways: by a certificate as 1.0.0, by the key as 1.0.1."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
        super().__init__(path, monkeypatch)
        self.world = world
        self.trusting(world)
        self.extensions = {**BUILT, 13: self.signed.release.commit}
        self.certified = self.resign(world, Wish(extensions=self.extensions))
        self.certified = self._certify(self._one_target(json.loads(self.manifest(self.certified))))
        self.keyed = self.forge(lambda told: self._one_target(told).update(version="1.0.1"), self.signer, "1.0.1")
        (path / "policy.yaml").write_text(
            f'signed: [{{identity: "{TAGS}", issuer: "{ISSUER}", trust: corp}}]\nprovenance: {{repository: "**"}}\n'
        )

    def manifest(self, release: str) -> bytes:
        return (self.store.root / manifest_key(release)).read_bytes()

    def bundle(self, case: dict[str, Any]) -> bytes:
        """The bundle that a case describes, in the place where it stands."""
        wish = wished(case.get("wish", {}), self.extensions)
        if case.get("by") == "key":
            told = json.loads(sign_blob(self.signer, self.manifest(self.keyed)))
            if case.get("file") in MADE_OF_KEYS:
                told["verificationMaterial"]["tlogEntries"] = self._beside(
                    told, 2 if case["file"] == "entries beside" else 1
                )
            return written(changed(told, case, other=dict), case)
        digest = self._digest(case)
        if case.get("part") == "provenance" or case.get("file") == "statement":
            told = self.world.statement(self._stated(case.get("stated", {})), wish)
        else:
            told = self.world.blob(digest, wish)
        return written(changed(told, case, other=lambda: self.world.blob(digest, wish)), case)

    def put_in_place(self, case: dict[str, Any]) -> None:
        """Let the release have that bundle; what it had before comes back with :meth:`restore`."""
        made = self.bundle(case)
        if case.get("by") == "key":
            self.put(bundle_key(self.keyed), made)
        elif "part" not in case:
            self.put(bundle_key(self.certified), made)
        else:
            manifest = json.loads(self.manifest(self.certified))
            for files in manifest["targets"].values():
                files["evidence"][case["part"]] = FileRef.of("x.sigstore.json", made).to_json()
            self.put(blob_key(sha256(made)), made)
            self._certify(manifest)

    def _certify(self, manifest: dict[str, Any]) -> str:
        """Let that be 1.0.0, signed by the certificate; gives its id."""
        data = canonical(manifest)
        whole = self.world.blob(bytes.fromhex(sha256(data)), Wish(extensions=self.extensions))
        self.put(manifest_key(sha256(data)), data)
        self.put(bundle_key(sha256(data)), json.dumps(whole).encode())
        self.put(version_key("hello", "1.0.0"), sha256(data).encode())
        return sha256(data)

    @staticmethod
    def _one_target(manifest: dict[str, Any]) -> dict[str, Any]:
        """With that one alone: each more is as many signatures again, in every case."""
        manifest["targets"] = {"linux/amd64": manifest["targets"]["linux/amd64"]}
        return manifest

    def _digest(self, case: dict[str, Any]) -> bytes:
        if case.get("part") == "archive":
            digest = bytes.fromhex(self.signed.release.targets["linux/amd64"].archive.digest)
            return other_digest(digest) if case.get("file") == "other file" else digest
        return bytes.fromhex(self.certified)

    def _stated(self, case: dict[str, Any]) -> Any:
        said = self.payload(self.signed.release.targets["linux/amd64"].evidence["provenance"])
        if case.get("upper"):
            for one in said["subject"]:
                one["digest"]["sha256"] = one["digest"]["sha256"].upper()
        return changed(said, case, other=dict)

    def _beside(self, told: Any, count: int) -> list[Any]:
        """Entries about another signature of the same key, which the log has."""
        by = key_signer(self.signer.public.pem, self.signer.public.spki)
        digest = bytes.fromhex(self.keyed)
        return [self.world.entry(Wish(), by, b"another", digest, None)] * count


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        made = Store(tmp_path_factory.mktemp("broken"), patch, World())
        patch.chdir(made.project)
        yield made


@pytest.fixture(autouse=True)
def _restored(shop: Store) -> Iterator[None]:
    """Each case begins with the same store."""
    yield
    shop.put(version_key("hello", "1.0.0"), shop.certified.encode())
    shop.put_in_place({})
    shop.put_in_place({"by": "key"})


def verified(case: dict[str, Any]) -> Ended:
    version = "1.0.1" if case.get("by") == "key" else "1.0.0"
    asked = case.get("as", "key" if case.get("by") == "key" else "identity")
    beside = ("--key", "../keys/gopub.pub", "--trust", "corp") if case.get("with") == "trust" else ()
    return gopub("verify", version, *(CERTIFIED if asked == "identity" else beside))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_broken_bundle_is_refused_and_a_good_neighbour_accepted(shop: Store, case: dict[str, Any]) -> None:
    shop.put_in_place(case)
    before = everything(shop.path)
    ended = verified(case)
    check = {"provenance": "provenance", "archive": "artifacts"}.get(case.get("part", ""), "signature")
    assert re.search(rf"FAIL  {check} +.*{case['code']} .*{case['says']}", ended.told), ended.told
    assert ended.code == 3 and "error: GP350" in ended.err
    assert (ROOT / f"docs/errors/{case['code']}.md").is_file()
    tried = gopub("admit", "test", "../policy.yaml", "1.0.0") if not {"by", "as"} & case.keys() else ended
    assert tried.code == 3
    assert re.search(rf"{case['code']} .*{case['says']}", tried.told), tried.told
    assert "Traceback" not in ended.told + tried.told
    assert everything(shop.path) == before
    good = {"part": case["part"]} if "part" in case else {"by": case["by"]} if "by" in case else {}
    shop.put_in_place(case.get("good", good))
    ended = verified(case.get("good", good) | ({"with": "trust"} if "with" in case and "good" not in case else {}))
    assert ended.code == 0, ended.told


def test_a_bundle_that_is_larger_than_one_may_be_is_not_read(shop: Store) -> None:
    """One byte; and what just fits is read, and found to be none."""
    for more, code, said in ((1, "GP346", "larger than the 33554432 bytes"), (0, "GP350", "")):
        shop.put(bundle_key(shop.certified), b"[" * (MAX_BUNDLE + more))
        ended = verified({})
        assert ended.code == 3 and f"error: {code}" in ended.err and said in ended.err, ended.told


def test_there_are_many_of_every_kind() -> None:
    assert len(CASES) > 140 and len({case["name"] for case in CASES}) == len(CASES)
    assert {case["code"] for case in CASES} >= {"GP310", "GP311", "GP312", "GP313", "GP314", "GP316", "GP317"}


def test_what_stands_beside_a_keys_signature_is_believed_where_it_is_its_own(shop: Store) -> None:
    """The control of the cases above with an entry of another."""
    told = json.loads(sign_blob(shop.signer, shop.manifest(shop.keyed)))
    signature = base64.b64decode(told["messageSignature"]["signature"])
    by = key_signer(shop.signer.public.pem, shop.signer.public.spki)
    told["verificationMaterial"] |= {
        "tlogEntries": [shop.world.entry(Wish(), by, signature, bytes.fromhex(shop.keyed), None)],
        "timestampVerificationData": {
            "rfc3161Timestamps": [{"signedTimestamp": b64(stamp(shop.world.tsa, signature, NOW))}]
        },
    }
    shop.put(bundle_key(shop.keyed), json.dumps(told).encode())
    ended = verified({"by": "key", "with": "trust"})
    assert ended.code == 0 and "not checked" not in ended.out, ended.told


@cache
def other_keys() -> dict[str, str]:
    """Made once: an RSA key takes its time."""
    keys = {"OTHER": new_key(), "P384": KEYS["p384"](), "RSA": KEYS["rsa"](), "X25519": X25519PrivateKey.generate()}
    return {name: b64(spki(key)) for name, key in keys.items()}


def trusted(shop: Store, case: dict[str, Any]) -> Path:
    """The trusted root as a case changes it."""
    root = shop.world.trusted_root()
    decoys = {"DECOY": Ca(), "STAMPER": Ca(stamps=True, name="tsa"), "AUTHORITY": shop.world.ca}
    chains = {name: ca.chain for name, ca in decoys.items()} | {"REVERSED": shop.world.ca.chain[::-1], "EMPTY": []}
    words: dict[str, Any] = {
        name: {"certificates": [{"rawBytes": b64(one)} for one in chain]} for name, chain in chains.items()
    }
    for name, at in (("BEFORE", NOW - SECOND), ("AT", NOW), ("LATER", NOW + SECOND)):
        words[name] = at.isoformat()
    words |= other_keys()
    told = json.loads(json.dumps(case), object_hook=lambda found: {
        key: words.get(one, one) if isinstance(one, str) else one for key, one in found.items()
    })  # fmt: skip
    made = changed(root, told, other=dict)
    for name, chain in told.get("add", {}).items():
        made[name].insert(0, made[name][0] | {"certChain": chain, "validFor": {"start": (NOW - SECOND).isoformat()}})
    if case.get("file") == "client":
        made = {"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json", "trustedRoot": made}
    path = shop.path / "tried.json"
    path.write_bytes(shop.world.ca.root.public_bytes(PEM) if case.get("file") == "pem" else written(made, case))
    return path


@pytest.mark.parametrize("case", CONFIGS, ids=[case["name"] for case in CONFIGS])
def test_a_broken_trust_config_is_refused_and_a_good_neighbour_believes(shop: Store, case: dict[str, Any]) -> None:
    path = trusted(shop, case)
    before = everything(shop.path)
    ended = gopub("verify", "1.0.0", *CERTIFIED[:-1], str(path))
    assert ended.code == (2 if case["code"] == "GP318" else 3), ended.told
    assert re.search(rf"{case['code']} .*{case['says']}", ended.told), ended.told
    assert "Traceback" not in ended.told and everything(shop.path) == before
    ended = gopub("verify", "1.0.0", *CERTIFIED[:-1], str(trusted(shop, case.get("good", {}))))
    assert ended.code == 0, ended.told
