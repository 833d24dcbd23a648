"""``gopub verify`` as a user calls it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gopub.cli.verify import verify
from gopub.errors import Exit, GopubError, RefusedError, UsageError
from gopub.evidence import generate
from gopub.release import SignedRelease, publish
from gopub.store import blob_key
from gopub.store.backends.directory import DirectoryStore
from tests.releases import a_plan, prepare


@pytest.fixture
async def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedRelease:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    return await publish(DirectoryStore(tmp_path / "store"), await prepare(tmp_path, a_plan(tmp_path)))


def called(*, key: str = "keys/gopub.pub", store: str = "store", as_json: bool = False) -> None:
    verify("1.0.0", app="", store=store, key=key, as_json=as_json)


@pytest.mark.usefixtures("signed")
def test_a_good_release_is_told_check_by_check(capsys: pytest.CaptureFixture[str]) -> None:
    called()
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("hello 1.0.0  ")
    assert all(line.startswith("  ok    ") for line in out[1:])
    assert len(out) == 10
    assert next(line for line in out if " signer " in line).endswith(" is accepted"), "no env is asked of"


@pytest.mark.usefixtures("signed")
def test_a_version_that_is_not_there_is_a_mistake_of_the_command_and_a_v_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verify("v1.0.0", app="", store="store", key="keys/gopub.pub", as_json=False)
    assert capsys.readouterr().out.startswith("hello 1.0.0  ")
    for name in ("9.9.9", "v9.9.9", "vv1.0.0"):
        with pytest.raises(UsageError, match=f"GP321 the store has no release {name} of any app") as caught:
            verify(name, app="", store="store", key="keys/gopub.pub", as_json=False)
        assert caught.value.exit is Exit.USAGE


def test_json_is_one_document(signed: SignedRelease, capsys: pytest.CaptureFixture[str]) -> None:
    called(as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["schema_version"], said["accepted"], said["release"]) == (1, True, signed.release_id)


def test_damage_is_refused_with_the_reason(
    signed: SignedRelease, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store" / blob_key(signed.release.targets["linux/amd64"].archive.digest)).write_bytes(b"evil")
    with pytest.raises(RefusedError, match=r"GP350 hello 1\.0\.0 is not what it says: files") as caught:
        called()
    assert caught.value.exit == 3
    assert "FAIL  files       hello-1.0.0-linux-amd64.tar.gz: GP341" in capsys.readouterr().out


@pytest.mark.usefixtures("signed")
def test_another_key_and_no_key_are_refused(tmp_path: Path) -> None:
    generate(tmp_path / "stranger")
    with pytest.raises(RefusedError, match="GP350"):
        called(key="stranger/gopub.pub")
    with pytest.raises(GopubError, match="GP729"):
        called(key="")


@pytest.mark.usefixtures("signed")
def test_an_unknown_store_is_told() -> None:
    with pytest.raises(GopubError, match="GP140"):
        called(store="nowhere")


def test_help_names_the_arguments() -> None:
    import typer

    app = typer.Typer()
    app.command()(verify)
    assert (
        "--store" in CliRunner().invoke(app, ["--help"], env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}).output
    )
