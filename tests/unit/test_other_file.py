"""`--file other.yaml` means that file for the release and for the rollout, whatever lies beside it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gopub.release import publish
from gopub.release.config import local_keys
from gopub.store.backends.directory import DirectoryStore
from gopub.wiring.project import open_project
from tests.releases import a_plan, prepare
from tests.support.engine_home import EngineHome

SPEC = """\
app: {app}
build: {{main: ./cmd/x, targets: [linux/amd64]}}
publish: {{store: artifacts}}
environments:
  prod: {{inventory: hosts.ini, hosts: all, health: "http://127.0.0.1:8080/healthz"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two specs beside each other, and both apps in the store."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    store = DirectoryStore(tmp_path / "store")
    (tmp_path / "connections.yaml").write_text("artifacts: {kind: directory, path: store}\n")
    for name, app in (("gopub.yaml", "orders"), ("other.yaml", "billing")):
        (tmp_path / name).write_text(SPEC.format(app=app))
        plan = a_plan(tmp_path / "work", spec=SPEC.format(app=app))
        asyncio.run(publish(store, asyncio.run(prepare(tmp_path / "work", plan))))
    shutil.copytree(tmp_path / "work" / "keys", local_keys())
    return tmp_path


@pytest.mark.parametrize(("name", "app"), [("gopub.yaml", "orders"), ("other.yaml", "billing")])
def test_the_rollout_reads_the_file_that_was_named(folder: Path, name: str, app: str) -> None:
    engine = EngineHome(folder / "engine")
    env = {"GOPUB_JOURNAL": str(folder / "journal.db"), "XDG_STATE_HOME": str(folder / "state")}
    for words in (("deploy",), ("rollout", "1.0.0")):
        said = asyncio.run(engine.gopub(*words, "--file", str(folder / name), cwd=folder, env=env))
        assert said.code == 0, said
    flows, asked = zip(*engine.told, strict=True)
    assert flows == ("deploy", "rollout")
    assert [one["app"] for one in asked] == [app, app]
    assert [open_project(str(one["project"])).spec.app for one in asked] == [app, app]
    assert asked[0]["repository"] == str(folder)
    assert asked[0]["spec_file"] == name
    assert open_project(folder).spec.app == "orders"  # control: the folder means gopub.yaml
