"""How errors reach the terminal: one `error:` for each mistake, and one exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.cli.main import run


def complaint(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(tmp_path)
    Path("gopub.yaml").write_text(text, "utf-8")
    monkeypatch.setattr("sys.argv", ["gopub", "check"])
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 2
    return capsys.readouterr().err


def test_every_mistake_of_a_group_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = complaint("app: Orders\nbuilt: {}\nenvironments: {}\n", tmp_path, monkeypatch, capsys)
    starts = [line.partition(" ")[0] for line in told.splitlines()]
    assert starts.count("error:") >= 2
    assert set(starts) <= {"error:", "hint:"}


def test_a_single_mistake_is_marked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = complaint("app: [\n", tmp_path, monkeypatch, capsys)
    assert told.count("error: ") == 1
