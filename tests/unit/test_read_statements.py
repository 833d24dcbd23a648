"""`gopub verify --env` shows what was stated of a release, and tells forged and moved statements from true ones."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from gopub.canon import sha256
from gopub.cli.verify import verify
from gopub.errors import RefusedError, UsageError
from gopub.evidence.keys import KeySigner, generate
from gopub.evidence.roles import Role
from gopub.evidence.stating import summaries
from gopub.evidence.summary import SignedSummary, Summary, read_summary, sign_summary
from gopub.release.config import admission_keys
from gopub.store.keys import admission_key, admissions_prefix
from gopub.usecases.read_statements import Statement
from gopub.usecases.rehearse import rehearse
from gopub.usecases.try_policy import Tried, hold_against
from gopub.wiring.project import open_project
from tests.support.admission_world import Shop
from tests.support.stating_world import KNOWN, policy, roles

NOW = 1_796_040_000.0
TARGET = "linux/amd64"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path, monkeypatch)
    monkeypatch.chdir(made.project)
    return made


@pytest.fixture
def signer(shop: Shop) -> KeySigner:
    """The local pair of admission."""
    made = generate(admission_keys()).signer()
    assert made.public != shop.signer.public
    return made


def held(shop: Shop) -> Tried:
    return asyncio.run(hold_against(open_project(shop.project), "lab", "1.0.0"))


def summary(shop: Shop, at: float = NOW, lasts: float = 1e9) -> Summary:
    """What an admission says of the release."""
    considered = held(shop).considered
    return summaries(considered.facts, considered.policy, (TARGET,), now=at, lasts=lasts)[0]


def put(shop: Shop, signed: SignedSummary, name: str = "") -> str:
    """Whoever can write the store lays it where a rollout lays one, or under another name beside."""
    said, data = signed.summary, signed.text.encode()
    place = admission_key(shop.signed.release_id, "lab", TARGET, said.verified, sha256(data))
    place = f"{place.rpartition('/')[0]}/{name}" if name else place
    shop.put(place, data)
    return place


def found(shop: Shop) -> Statement:
    tried = held(shop)
    assert tried.stated is not None
    (one,) = tried.stated
    assert tried.refusal is one.error
    return one


def test_nothing_was_stated_before_a_rollout(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    verify("1.0.0", env="lab")
    out = capsys.readouterr().out.splitlines()
    assert (out[-2].split()[:2], out[-1]) == (["none", "statement"], "accepted")


def test_what_was_stated_is_shown_with_who_signed_it(
    shop: Shop, signer: KeySigner, capsys: pytest.CaptureFixture[str]
) -> None:
    said = summary(shop)
    put(shop, sign_summary(signer, said))
    verify("1.0.0", env="lab")
    line = capsys.readouterr().out.splitlines()[-2].split(maxsplit=2)
    assert line == [
        "ok",
        "statement",
        f"{TARGET} until {said.expires}, SLSA_BUILD_LEVEL_1, by key {signer.public.fingerprint[:16]}",
    ]
    verify("1.0.0", env="lab", as_json=True)
    (told,) = json.loads(capsys.readouterr().out)["statements"]
    assert (told["target"], told["found"]) == (TARGET, "ok")


def test_the_newest_counts(shop: Shop, signer: KeySigner) -> None:
    for at in (NOW, NOW - 86400 * 400, NOW + 60):
        put(shop, sign_summary(signer, summary(shop, at)))
    newest = found(shop).signed
    assert newest is not None
    assert newest.summary == summary(shop, NOW + 60)


def test_one_that_expired_is_told_and_no_reason_to_refuse_the_release(shop: Shop, signer: KeySigner) -> None:
    put(shop, sign_summary(signer, summary(shop, at=86400.0, lasts=60.0)))
    one = found(shop)
    assert (one.word, one.error) == ("over", None)
    assert one.reason.endswith("it has expired: a rollout admits it anew")


def test_another_policy_is_told(shop: Shop, signer: KeySigner) -> None:
    put(shop, sign_summary(signer, summary(shop)))
    assert "another policy" not in found(shop).reason
    policy(shop, "{provenance: {level: 2}}")
    assert found(shop).reason.endswith("; by another policy than that of now")


@pytest.mark.parametrize("named", [False, True], ids=["by default", "by name"])
def test_the_thief_of_the_release_key_admits_nothing(shop: Shop, signer: KeySigner, *, named: bool) -> None:
    if named:
        policy(shop, f"{{statement: {{key: {admission_keys() / 'gopub.key'}}}}}")
    put(shop, sign_summary(shop.signer, summary(shop)))
    one = found(shop)
    assert one.error is not None
    assert (one.word, one.error.code) == ("FAIL", "GP311")
    assert signer.public.fingerprint[:16] in one.reason


def test_where_the_release_key_is_named_for_both_nothing_is_believed(shop: Shop) -> None:
    policy(shop, f"{{statement: {{key: {shop.path / 'keys' / 'gopub.key'}}}}}")
    put(shop, sign_summary(shop.signer, summary(shop)))
    assert found(shop).word == "FAIL"


@pytest.mark.parametrize("named", [False, True], ids=["by default", "by name"])
def test_a_stranger_is_unknown_by_default_and_a_forger_where_the_project_names_a_key(
    shop: Shop, signer: KeySigner, *, named: bool
) -> None:
    """Without a word of the project it may be the pair of the machine that rolls out."""
    if named:
        policy(shop, f"{{statement: {{key: {admission_keys() / 'gopub.key'}}}}}")
    put(shop, sign_summary(shop.stranger, summary(shop)))
    one = found(shop)
    assert (one.word, one.error is None) == (("FAIL", False) if named else ("?", True))
    assert signer.public.fingerprint[:16] in one.reason


def test_whose_keys_count_is_the_lists_word(shop: Shop, signer: KeySigner) -> None:
    keys = roles(shop)
    policy(shop, f"{{{KNOWN}}}")
    signers = {role.value: generate(keys / role).signer() for role in Role} | {"the local pair": signer}
    words = {}
    for later, (name, one) in enumerate(signers.items()):
        put(shop, sign_summary(one, summary(shop, NOW + later)))
        words[name] = found(shop).word
    assert words == dict.fromkeys(signers, "FAIL") | {Role.ADMISSION.value: "ok"}


CHANGES = {
    "app": "other",
    "env": "prod",
    "target": "windows/amd64",
    "release": "5" * 64,
    "archive": "5" * 64,
    "binary": "5" * 64,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_true_statement_about_something_else_is_refused(shop: Shop, signer: KeySigner, name: str) -> None:
    """The right key signed it, and somebody laid it beside this release."""
    put(shop, sign_summary(signer, replace(summary(shop), **{name: CHANGES[name]})))
    one = found(shop)
    assert one.error is not None
    assert one.error.code == "GP312"


def test_an_old_statement_under_a_newer_name_is_refused(shop: Shop, signer: KeySigner) -> None:
    old = sign_summary(signer, summary(shop, NOW - 86400))
    put(shop, old)
    assert found(shop).word == "ok"
    put(shop, old, "20991130T120000Z-0123456789abcdef")
    one = found(shop)
    assert one.error is not None
    assert (one.error.code, "another name than its own" in one.reason) == ("GP312", True)


@pytest.mark.parametrize(
    ("text", "code"), [("", "GP319"), ("x" * 9000, "GP346"), ("app=\0", "GP319"), ('{"_type": 1}', "GP319")]
)
def test_junk_is_refused(shop: Shop, text: str, code: str) -> None:
    shop.put(f"{admissions_prefix(shop.signed.release_id, 'lab', TARGET)}20261130T120000Z-junk", text.encode())
    error = found(shop).error
    assert error is not None
    assert error.code == code


def test_the_command_ends_with_a_refusal_where_one_is_forged(
    shop: Shop, signer: KeySigner, capsys: pytest.CaptureFixture[str]
) -> None:
    put(shop, SignedSummary(replace(summary(shop), level="SLSA_BUILD_LEVEL_3"), signer.sign(summary(shop).signed)))
    policy(shop, f"{{statement: {{key: {admission_keys() / 'gopub.key'}}}}}")
    with pytest.raises(RefusedError, match="GP311"):
        verify("1.0.0", env="lab")
    out = capsys.readouterr().out.splitlines()
    assert (out[-2].split()[:2], out[-1]) == (["FAIL", "statement"], "refused")


def test_what_was_stated_is_saved_for_other_tools(shop: Shop, signer: KeySigner, tmp_path: Path) -> None:
    signed = sign_summary(signer, summary(shop))
    put(shop, signed)
    verify("1.0.0", env="lab", into=tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [
        "linux-amd64.admission",
        "linux-amd64.admission.pub",
        "linux-amd64.admission.sigstore.json",
    ]
    assert read_summary((tmp_path / "saved/linux-amd64.admission").read_bytes()) == signed
    with pytest.raises(UsageError, match="GP969"):
        verify("1.0.0", env="lab", into=shop.project / "gopub.yaml")
    with pytest.raises(typer.BadParameter, match="--save without --env"):
        verify("1.0.0", into=tmp_path)


def test_nothing_that_nobody_may_sign_is_saved(shop: Shop, signer: KeySigner, tmp_path: Path) -> None:
    put(shop, sign_summary(shop.stranger, summary(shop)))
    verify("1.0.0", env="lab", into=tmp_path / "saved")
    assert (list((tmp_path / "saved").iterdir()), found(shop).word) == ([], "?")
    assert signer.public != shop.stranger.public


@pytest.mark.parametrize("role", [Role.ADMISSION, Role.CONTROLLER])
def test_a_dry_run_tells_of_a_key_that_may_not_admit(shop: Shop, role: Role) -> None:
    roles(shop)
    shop.hosts_in_memory()
    policy(shop, f"{{{KNOWN}, statement: {{key: keys/{role}/gopub.key}}}}")
    told = asyncio.run(rehearse("hello", "lab", "1.0.0", str(shop.project))).refusal
    assert (told.code if told else "") == ("" if role is Role.ADMISSION else "GP354")
