"""Where gopub looks for its project and keeps a user's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub import paths
from gopub.errors import UsageError


def test_the_checkout_is_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOPUB_HOME", raising=False)
    assert (paths.project_root() / "flows").is_dir()
    assert (paths.project_root() / "gopub" / "paths.py").samefile(paths.__file__)


def test_gopub_home_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("name: other\n")
    monkeypatch.setenv("GOPUB_HOME", str(tmp_path))
    assert paths.project_root() == tmp_path.resolve()


def test_a_gopub_home_without_a_project_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOPUB_HOME", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        paths.project_root()
    assert str(caught.value) == (
        f"GP910 GOPUB_HOME is {str(tmp_path)!r}, and no prefect.yaml lies there\n"
        "hint: unset it, or name the checkout of gopub"
    )


def test_the_folders_of_a_user_follow_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GOPUB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert paths.state_dir() == tmp_path / "state" / "gopub"
    assert paths.cache_dir() == tmp_path / ".cache" / "gopub"
    monkeypatch.setenv("GOPUB_CACHE", str(tmp_path / "elsewhere"))
    assert paths.cache_dir() == tmp_path / "elsewhere"
    assert paths.config_dir() == tmp_path / ".config" / "gopub"
