"""`--file other.yaml` means that file for the release and for the rollout, whatever lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.cli import start
from gopub.wiring.project import open_project

SPEC = """\
app: {app}
build: ./cmd/x
environments:
  prod: {{inventory: hosts.ini, hosts: all, health: "http://127.0.0.1:8080/healthz"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gopub.yaml").write_text(SPEC.format(app="orders"))
    (tmp_path / "other.yaml").write_text(SPEC.format(app="billing"))
    return tmp_path


async def published(*_given: object) -> str:
    """Instead of a look into a store that has the version."""
    return "some release"


@pytest.mark.parametrize(("name", "app"), [("gopub.yaml", "orders"), ("other.yaml", "billing")])
def test_the_rollout_reads_the_file_that_was_named(folder: Path, monkeypatch, name: str, app: str) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(start, "drive", lambda _flow, _app, _env, given, **_: asked.append(given))
    monkeypatch.setattr("gopub.usecases.refuse.released", published)
    monkeypatch.setenv("GOPUB_JOURNAL", str(folder / "journal.db"))
    start.deploy(file=folder / name)
    start.rollout("1.0.0", file=folder / name)
    assert [one["app"] for one in asked] == [app, app]
    assert [open_project(str(one["project"])).spec.app for one in asked] == [app, app]
    assert asked[0]["repository"] == str(folder)
    assert asked[0]["spec_file"] == name
    assert open_project(folder).spec.app == "orders"  # control: the folder means gopub.yaml
