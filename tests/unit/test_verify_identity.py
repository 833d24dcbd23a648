"""`gopub verify` by an identity instead of a key: who signed is asked for, and told where it is another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import gopub
from tests.support.keyless_shop import BUILT, Keyless
from tests.support.sigstore_world import IDENTITY, ISSUER, Wish, World

TAGS = f"{IDENTITY.partition('@')[0]}@refs/tags/v*"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World) -> Keyless:
    made = Keyless(tmp_path, monkeypatch)
    made.trusting(world)
    made.resign(world, Wish(extensions={**BUILT, 13: made.signed.release.commit}))
    monkeypatch.chdir(made.project)
    return made


@pytest.mark.parametrize("trust", ["corp", "../root.json"], ids=["a connection", "a file"])
@pytest.mark.parametrize("identity", [IDENTITY, TAGS], ids=["exact", "a pattern"])
@pytest.mark.usefixtures("shop")
def test_an_identity_that_signed_is_told_check_by_check(identity: str, trust: str) -> None:
    ended = gopub("verify", "1.0.0", "--identity", identity, "--issuer", ISSUER, "--trust", trust)
    assert ended.code == 0, ended.told
    assert f"ok    signer       {IDENTITY} of {ISSUER} in {Path(trust).name} is accepted" in ended.out
    assert "FAIL" not in ended.out and "ok    certificate" in ended.out


@pytest.mark.parametrize(
    ("identity", "issuer", "said"),
    [
        (IDENTITY.replace("v1", "v2"), ISSUER, f"the identity '{IDENTITY}' is not"),
        (IDENTITY, f"{ISSUER}/other", f"the issuer '{ISSUER}' is not"),
        (IDENTITY.replace("tags/v1.0.0", "*"), ISSUER, f"the identity '{IDENTITY}' is not"),
    ],
    ids=["another identity", "another issuer", "a star does not cross a slash"],
)
@pytest.mark.usefixtures("shop")
def test_somebody_else_is_refused_and_it_says_who_signed(identity: str, issuer: str, said: str) -> None:
    ended = gopub("verify", "1.0.0", "--identity", identity, "--issuer", issuer, "--trust", "corp")
    assert ended.code == 3
    assert f"FAIL  signature  GP311 whoever signed is not accepted: {said}" in ended.out
    assert "error: GP350" in ended.err and "hint: say who may have signed it: --key FILE, or --identity" in ended.err


@pytest.mark.usefixtures("shop")
def test_a_key_did_not_sign_it_and_it_says_who_did() -> None:
    ended = gopub("verify", "1.0.0")
    assert ended.code == 3
    assert f"made with a certificate that says '{IDENTITY}' of '{ISSUER}', which nobody checked" in ended.out


def test_what_a_key_signed_is_no_identitys_and_it_says_which_key(shop: Keyless) -> None:
    shop.forge(lambda _: None, shop.signer)
    ended = gopub("verify", "1.0.0", "--identity", IDENTITY, "--issuer", ISSUER, "--trust", "corp")
    assert ended.code == 3
    assert f"GP311 the signature was made with a key ({shop.signer.public.fingerprint[:16]})" in ended.out
    assert gopub("verify", "1.0.0").code == 0
    assert gopub("verify", "1.0.0", "--trust", "corp", "--key", "../keys/gopub.pub").code == 0


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--identity", IDENTITY), "GP327", "`issuer` is missing"),
        (("--identity", IDENTITY, "--issuer", ISSUER), "GP327", "`trust` is missing"),
        (("--issuer", ISSUER, "--trust", "corp"), "GP327", "`identity` is missing"),
        (("--trust", "corp"), "GP327", "`identity` is missing"),
        (("--key", "k", "--identity", IDENTITY, "--issuer", ISSUER, "--trust", "corp"), "GP327", "beside identity"),
        (("--identity", "**", "--issuer", ISSUER, "--trust", "corp"), "GP328", "is everybody"),
        (("--identity", "a\nb", "--issuer", ISSUER, "--trust", "corp"), "GP1", "line"),
        (("--identity", IDENTITY, "--issuer", "gitlab.test", "--trust", "corp"), "GP328", "not the address"),
        (("--identity", IDENTITY, "--issuer", ISSUER, "--trust", "artifacts"), "GP141", "artifacts"),
        (("--identity", IDENTITY, "--issuer", ISSUER, "--trust", "nowhere.json"), "GP140", "nowhere.json"),
        (("--identity", IDENTITY, "--issuer", ISSUER, "--trust", "gopub.yaml"), "GP318", "gopub.yaml"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_mistake_in_who_is_asked_for_is_told(given: tuple[str, ...], code: str, said: str) -> None:
    ended = gopub("verify", "1.0.0", *given)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ") and code in ended.err.partition("\n")[0] and said in ended.err


@pytest.mark.usefixtures("shop")
def test_an_environment_says_itself_who_counts() -> None:
    ended = gopub("verify", "1.0.0", "--env", "lab", "--identity", IDENTITY)
    assert ended.code == 2 and "--identity with --env" in ended.err
