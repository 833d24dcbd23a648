"""A release whose every part a CI identity signed: let in by the policy that names it, and by no other."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gopub.errors import GopubError, RefusedError
from gopub.evidence.keys import PUBLIC_NAME
from tests.releases import SPEC
from tests.support.admission_world import REPOSITORY
from tests.support.keyless_shop import BUILT, SIGNED, Keyless, policy
from tests.support.sigstore_world import IDENTITY, ISSUER, Wish, World


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def shop(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, world: World) -> Keyless:
    made = Keyless(tmp_path, monkeypatch)
    digest = made.signed.release.commit
    made.hosts_in_memory()
    made.resign(world, Wish(extensions={**BUILT, 13: digest}))
    made.trusting(world)
    return made


def test_what_the_named_identity_signed_is_let_in_and_its_build_is_the_certificates_word(shop: Keyless) -> None:
    shop.spec(policy(f'signed: [{{key: {shop.path}/keys/{PUBLIC_NAME}}}, {{{SIGNED}}}], provenance: "{REPOSITORY}"'))
    assert shop.complaint() == ""
    told = {check.name: check.reason for check in shop.rehearse().admission.checks}
    assert IDENTITY in told["signer"]
    assert "refs/heads/main" in told["source"]
    assert "certificate" in told


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("//", "//evil/", 1),
        lambda text: text.replace("@refs/**", "@refs/*"),
        lambda text: text.replace(ISSUER, f"{ISSUER}/other"),
    ],
    ids=["identity", "a star that would have to cross a slash", "issuer"],
)
def test_of_another_identity_of_the_same_authority_nothing_is_read(shop: Keyless, change: Callable[[str], str]) -> None:
    shop.spec(policy(f"signed: [{{{change(SIGNED)}}}]"))
    with pytest.raises(RefusedError) as caught:
        shop.rehearse()
    assert caught.value.code == "GP311"


def test_a_key_alone_lets_nobody_in_who_has_a_certificate(shop: Keyless) -> None:
    shop.spec(SPEC)
    with pytest.raises(RefusedError) as caught:
        shop.rehearse()
    assert caught.value.code in {"GP311", "GP316"}


def test_another_sigstore_of_the_same_names_is_not_believed(shop: Keyless) -> None:
    (shop.path / "root.json").write_text(json.dumps(World().trusted_root()))
    shop.spec(policy(f"signed: [{{{SIGNED}}}]"))
    with pytest.raises(RefusedError) as caught:
        shop.rehearse()
    assert caught.value.code == "GP317"


def test_a_certificate_of_a_fork_is_refused_although_the_provenance_names_the_repository(
    shop: Keyless, world: World
) -> None:
    shop.resign(world, Wish(extensions={**BUILT, 12: "https://git.example.org/fork", 13: shop.signed.release.commit}))
    shop.spec(policy(f'signed: [{{{SIGNED}}}], provenance: "{REPOSITORY}"'))
    complaint = shop.complaint()
    assert "source: built from 'https://git.example.org/fork'" in complaint
    assert "certificate: the certificate is of" in complaint


@pytest.mark.parametrize(
    ("entry", "code"), [("", "GP140"), ("corp: {kind: directory, path: /x}\n", "GP141"),
                        ("corp: {kind: sigstore, trust: /none/root.json}\n", "GP318")]
)  # fmt: skip
def test_a_trust_that_is_not_there_is_told(shop: Keyless, entry: str, code: str) -> None:
    file = shop.project / "connections.yaml"
    kept = [line for line in file.read_text().splitlines(keepends=True) if not line.startswith("corp:")]
    file.write_text("".join([*kept, entry]))
    shop.spec(policy(f"signed: [{{{SIGNED}}}]"))
    with pytest.raises(GopubError) as caught:
        shop.rehearse()
    assert caught.value.code == code


def test_the_verified_time_counts_for_its_age(shop: Keyless) -> None:
    shop.spec(policy(f"signed: [{{{SIGNED}}}], fresh: 1s, mode: warn"))
    told = shop.rehearse().admission
    assert told.accepted
    (warning,) = [one for one in told.warnings if one.startswith("fresh")]
    assert "by a timestamp authority" in warning
    assert replace(told, checks=tuple(replace(one, warned=False) for one in told.checks)).accepted is False
