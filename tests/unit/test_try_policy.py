"""`gopub verify --env` and `gopub admit test`: a table of the checks, accepted, told or refused; nothing is touched."""

import json
from pathlib import Path

import pytest
import typer

from gopub.cli.admit import try_out
from gopub.cli.verify import verify
from gopub.errors import ErrorGroup, GopubError, RefusedError, SpecError
from gopub.evidence.keys import PUBLIC_NAME
from gopub.spec.loader import load_admit
from tests.releases import SPEC
from tests.support.admission_world import Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path, monkeypatch)
    monkeypatch.chdir(made.project)
    return made


def tried(shop: Shop, text: str, *, env: str = "", as_json: bool = False) -> None:
    file = shop.path / "keys" / "policy.yaml"
    file.write_text(text)
    try_out(file, "1.0.0", env=env, project=shop.project, as_json=as_json)


def files(shop: Shop) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in shop.path.rglob("*") if path.is_file()}


def test_verify_with_an_environment_shows_a_table_of_its_policy(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.spec(SPEC + "    admit: {sbom: {formats: [spdx]}, fresh: 3650d}\n")
    verify("1.0.0", env="lab")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"hello 1.0.0  {shop.signed.release_id}"
    assert all(line.startswith("  ok    ") for line in out[1:-2])
    assert {"signer", "formats", "fresh", "archives", "environment"} <= {line.split()[1] for line in out[1:-2]}
    assert out[-2].startswith("  none  statement"), "no rollout has stated anything"
    assert out[-1] == "accepted"


def test_a_list_without_packages_proves_nothing(shop: Shop) -> None:
    """That of the shop's release is empty: what is in no list would pass every one."""
    with pytest.raises(RefusedError, match="no good SBOM of linux/amd64 lists a package"):
        tried(shop, 'sbom: {forbid: ["example.com/nowhere"]}\n')


def test_verify_with_an_environment_is_refused_with_every_reason(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.spec(SPEC + "    admit: {provenance: {ref: nowhere}, fresh: 1s}\n")
    with pytest.raises(RefusedError) as caught:
        verify("1.0.0", env="lab")
    assert caught.value.code == "GP315"
    out = capsys.readouterr().out
    assert "FAIL  source" in out and "FAIL  fresh" in out and out.endswith("refused\n")


def test_who_signs_is_the_projects_word_where_an_environment_is_asked(shop: Shop) -> None:
    shop.spec(SPEC)
    with pytest.raises(typer.BadParameter, match="--store and --key with --env"):
        verify("1.0.0", env="lab", store="x", key="y")


@pytest.mark.parametrize("head", ["", "admit:\n"], ids=["keys alone", "below admit"])
def test_a_policy_of_its_own_file_is_tried_and_nothing_is_touched(
    shop: Shop, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    indent = "  " if head else ""
    before = files(shop)
    tried(shop, f"{head}{indent}signed: [{{key: {PUBLIC_NAME}}}]\n{indent}mode: warn\n{indent}fresh: 1s\n")
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "accepted, 1 told and not refused (mode: warn)"
    assert any(line.startswith("  warn  fresh") for line in out)
    after = files(shop)
    del after[shop.path / "keys" / "policy.yaml"]
    assert before == after


def test_a_policy_that_refuses_says_so_also_as_json(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RefusedError, match="formats: linux/amd64 has no good cyclonedx SBOM"):
        tried(shop, "sbom: {formats: [cyclonedx]}\n", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["accepted"] is False
    assert [one["name"] for one in said["checks"] if not one["passed"]] == ["formats"]


def test_the_policy_of_a_gopub_yaml_is_that_of_its_environment(shop: Shop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "gopub.yaml").write_text(SPEC + "    admit: {fresh: 1s}\n")
    with pytest.raises(RefusedError, match="fresh: "):
        try_out(other / "gopub.yaml", "1.0.0", env="lab", project=shop.project)
    with pytest.raises(GopubError) as caught:
        try_out(other / "gopub.yaml", "1.0.0", env="nowhere", project=shop.project)
    assert caught.value.code == "GP942"


def test_a_key_of_somebody_else_lets_nothing_be_read(shop: Shop) -> None:
    with pytest.raises(RefusedError) as caught:
        tried(shop, f"key: {shop.path}/stranger/{PUBLIC_NAME}\n")
    assert caught.value.code == "GP311"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("admit: {signed: []}\n", ["GP329"]),
        ("signed: [{}]\nfresh: 30\n", ["GP101"]),
        ("admit: {mode: warn}\napp: hello\n", ["GP114"]),
        ("- key\n", ["GP116"]),
        ("admit: x\n", ["GP116"]),
        ("", ["GP116"]),
        ("admit: {signed: [{}], key: k}\n", ["GP327", "GP327"]),
    ],
)
def test_a_policy_file_that_is_wrong_is_told_at_its_place(tmp_path: Path, text: str, codes: list[str]) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_admit(tmp_path / "p.yaml")
    errors = caught.value.errors if isinstance(caught.value, ErrorGroup) else (caught.value,)
    assert [error.code for error in errors] == codes
    assert all(error.where and error.where.file.endswith("p.yaml") for error in errors)
