"""A policy that wants several to have signed, and how the second signature comes under a release."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from gopub.canon import sha256
from gopub.evidence import generate, sign_blob
from gopub.evidence.admission import AdmissionFacts, AdmissionPolicy, ProvenanceFacts
from gopub.evidence.claims import Claims, Clock, Naming, SignedAt
from gopub.evidence.signers import IdentityRule
from gopub.evidence.stating import policy_digest, unfit
from gopub.evidence.together import Signatory, lacking
from gopub.store.keys import bundle_key, countersignature_key, countersignatures, manifest_key, version_key
from tests.releases import SPEC
from tests.support.command import Ended, everything, gopub
from tests.support.keyless_shop import BUILT, SIGNED, Keyless
from tests.support.sigstore_world import IDENTITY, ISSUER, NOW, Wish, World

QA = "{key: ../qa/gopub.pub}"
BOSS = f'{{identity: boss@example.com, issuer: "{ISSUER}", trust: corp}}'


class Shared(Keyless):
    """A release that the CI signed, and a key of QA's."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(path, monkeypatch)
        self.world = World()
        self.hosts_in_memory()
        self.trusting(self.world)
        self.certified = Wish(extensions={**BUILT, 13: self.signed.release.commit})
        self.id = self.resign(self.world, self.certified)
        self.qa = generate(path / "qa").signer()

    def asks(self, *members: str) -> None:
        self.spec(f'{SPEC}    admit: {{signed: [{{all: [{", ".join(members)}]}}], provenance: {{repository: "**"}}}}\n')

    def manifest(self) -> bytes:
        return (self.store.root / manifest_key(self.id)).read_bytes()

    def beside(self, bundle: bytes) -> None:
        """Whoever can write the store adds a signature."""
        self.put(countersignature_key(self.id, sha256(bundle)), bundle)

    def there(self) -> int:
        return len(list((self.store.root / countersignatures(self.id)).glob("*")))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    made = Shared(tmp_path, monkeypatch)
    monkeypatch.chdir(made.project)
    made.asks(f"{{{SIGNED}}}", QA)
    return made


def held() -> Ended:
    return gopub("verify", "1.0.0", "--env", "lab")


def test_one_of_two_is_not_enough_and_the_second_signs_with_a_key(shop: Shared) -> None:
    ended = held()
    assert ended.code == 3
    assert f"FAIL  signer       not signed by key {shop.qa.public.fingerprint[:16]} as well" in ended.out
    ended = gopub("countersign", "1.0.0", "--env", "lab", "--key", "../qa/gopub.key")
    assert ended.code == 0, ended.told
    assert f"signed by {IDENTITY} of {ISSUER} in corp, and by {shop.qa.public.fingerprint}" in ended.out
    ended = held()
    assert ended.code == 0, ended.told
    assert "ok    signer       signed by all of " in ended.out and shop.qa.public.fingerprint[:16] in ended.out
    assert shop.complaint() == ""


def test_the_second_may_be_an_identity_whose_bundle_was_made_elsewhere(shop: Shared) -> None:
    shop.asks(f"{{{SIGNED}}}", BOSS)
    from cryptography.x509 import RFC822Name

    made = shop.world.blob(
        bytes.fromhex(shop.id), Wish(names=(RFC822Name("boss@example.com"),), extensions={8: ISSUER})
    )
    (shop.path / "boss.json").write_text(json.dumps(made))
    assert held().code == 3
    assert gopub("countersign", shop.id, "-e", "lab", "--bundle", "../boss.json").code == 0
    assert held().code == 0


@pytest.mark.parametrize(
    ("who", "code"), [("stranger", "GP311"), ("another release", "GP312"), ("none", "GP310"), ("large", "GP346")]
)
def test_a_signature_that_would_not_count_is_not_kept(shop: Shared, who: str, code: str) -> None:
    made = {
        "stranger": lambda: sign_blob(shop.stranger, shop.manifest()),
        "another release": lambda: sign_blob(shop.qa, b"another"),
        "none": lambda: b"{}",
        "large": lambda: b"[" * ((1 << 20) + 1),
    }[who]()
    (shop.path / "made.json").write_bytes(made)
    before = everything(shop.store.root)
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--bundle", "../made.json")
    assert ended.code == 3 and f"error: {code}" in ended.err
    assert everything(shop.store.root) == before
    shop.beside(made)  # past the command: it does not count, and is told
    ended = held()
    assert ended.code == 3 and f"a signature beside it does not count: {code}" in ended.out
    shop.beside(sign_blob(shop.qa, shop.manifest()))
    assert held().code == 0, "junk in the store keeps nobody out"


def test_more_signatures_than_anybody_needs_are_not_looked_at(shop: Shared) -> None:
    for number in range(17):
        shop.beside(sign_blob(shop.stranger, b"%d" % number))
    ended = held()
    assert ended.code == 3 and "does not count" in ended.out


def test_nobody_counts_for_two(shop: Shared) -> None:
    """Two patterns that one identity fits, and a key that signs twice."""
    shop.asks(f"{{{SIGNED}}}", f'{{identity: "{IDENTITY}", issuer: "{ISSUER}", trust: corp}}')
    assert held().code == 3
    again = shop.world.blob(bytes.fromhex(shop.id), shop.certified)
    shop.beside(json.dumps(again).encode())
    assert held().code == 3
    shop.asks("{key: ../keys/gopub.pub}", QA)
    shop.put(version_key("hello", "1.0.0"), shop.signed.release_id.encode())
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--key", "../keys/gopub.key")
    assert ended.code == 3 and "signed it already, and does not count twice" in ended.err


def test_whoever_signed_all_parts_must_be_one_of_them(shop: Shared) -> None:
    """Else the word of somebody who is not asked would stand behind the provenance."""
    shop.spec(
        f"{SPEC}    admit: {{signed: [{{all: [{QA}, {BOSS}]}},"
        f" {{all: [{{{SIGNED}}}, {{key: ../stranger/gopub.pub}}]}}],"
        ' provenance: {repository: "**"}}\n'
    )
    from cryptography.x509 import RFC822Name

    boss = shop.world.blob(
        bytes.fromhex(shop.id), Wish(names=(RFC822Name("boss@example.com"),), extensions={8: ISSUER})
    )
    shop.beside(json.dumps(boss).encode())
    shop.beside(sign_blob(shop.qa, shop.manifest()))
    assert held().code == 3
    shop.beside(sign_blob(shop.stranger, shop.manifest()))
    assert held().code == 0


def test_nothing_is_signed_that_is_not_what_it_says(shop: Shared) -> None:
    target = shop.signed.release.targets["linux/amd64"]
    (shop.store.root / f"blobs/sha256/{target.archive.digest}").write_bytes(b"evil")
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--key", "../qa/gopub.key")
    assert ended.code == 3 and "error: GP350 hello 1.0.0 is not what it says: files" in ended.err
    shop.put(bundle_key(shop.id), sign_blob(shop.stranger, shop.manifest()))
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--key", "../qa/gopub.key")
    assert ended.code == 3 and "error: GP311" in ended.err
    assert shop.there() == 0


def test_a_mistake_in_the_command_is_told(shop: Shared) -> None:
    assert gopub("countersign", "1.0.0", "-e", "lab").code == 2
    assert gopub("countersign", "1.0.0", "-e", "lab", "--bundle", "nowhere.json").code == 2
    assert "GP140" in gopub("countersign", "1.0.0", "-e", "lab", "--key", "nowhere").err
    shop.spec(f"{SPEC}    admit: {{signed: [{{{SIGNED}}}]}}\n")
    ended = gopub("countersign", "1.0.0", "-e", "lab", "--key", "../qa/gopub.key")
    assert ended.code == 2 and "GP327 nothing in admit.signed of lab asks for several" in ended.err


def person(name: str) -> Signatory:
    claims = Claims(name, Naming.EMAIL, ISSUER, (SignedAt(NOW, Clock.TSA),), "corp")
    return Signatory(claims.signer, claims)


def rule(pattern: str) -> IdentityRule:
    return IdentityRule(pattern, ISSUER, "corp")


def test_each_has_a_signature_of_its_own_whatever_the_order() -> None:
    members = ("k" * 64, rule("*@a.test"), rule("ann@a.test"))
    signed = (Signatory("k" * 64), person("ann@a.test"), person("bob@a.test"))
    for asked in permutations(members):
        for first, *others in permutations(signed):
            assert lacking(asked, first, others) == ()
            assert len(lacking(asked, first, others[:1])) == 1
            assert len(lacking(asked, first, ())) == 2
    assert len(lacking(members, person("eve@b.test"), signed)) == 3
    assert lacking(members[:1], Signatory("k" * 64), ()) == ()
    assert lacking((rule("*@a.test"),), Signatory("ann@a.test of https://gitlab.test in corp"), ()) != ()


def test_who_must_all_have_signed_is_part_of_the_policy_and_signs_no_admissions(tmp_path: Path) -> None:
    def policy(*groups: tuple[str, ...]) -> AdmissionPolicy:
        return AdmissionPolicy(("a" * 64,), together=groups)

    asked = [policy(), policy(("b" * 64, "c" * 64)), policy(("b" * 64, "d" * 64))]
    assert len({policy_digest(one) for one in asked}) == 3
    key = generate(tmp_path).signer().public
    said = ProvenanceFacts()
    facts = AdmissionFacts("hello", "1.0.0", "f" * 64, "", "lab", "", "a" * 64, (), said, ("lab",))
    assert unfit(key, facts, policy()) == ""
    assert "signs releases" in unfit(key, facts, policy(("b" * 64, key.fingerprint)))
