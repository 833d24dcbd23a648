"""What is wrong with a commit's gopub.yaml is told at its place, before a toolchain is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.errors import SpecError
from gopub.release import ReleaseConfig, plan
from gopub.source.tree import SourceTree


async def test_a_main_package_that_the_commit_does_not_have_is_told_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "gopub.yaml").write_text("app: orders\nbuild:\n  main: ./cmd/ordres\n")
    tree = SourceTree(tmp_path, "file:///orders", "0" * 40, "main", 1_700_000_000)
    config = ReleaseConfig("orders", "main", work=tmp_path / "work", cache=tmp_path / "cache")
    with pytest.raises(SpecError) as caught:
        await plan(config, tree, started=0.0)
    assert str(caught.value) == (
        "gopub.yaml:3:9: GP144 `build.main`: there is no Go file in './cmd/ordres'\nhint: name the main package"
    )


async def test_a_template_that_cannot_be_read_is_told_where_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "gopub.yaml").write_text(
        "app: orders\nenvironments:\n  prod:\n    inventory: hosts.ini\n    hosts: role=orders\n"
        "    health: http://127.0.0.1:8080/\n    service:\n      args: [--name, '{{.Name}}']\n"
        "    config: [{template: a.tmpl, to: a.yaml}]\n"
    )
    (tmp_path / "main.go").touch()
    (tmp_path / "a.tmpl").write_text("listen: 1\n{% if %}\n")
    tree = SourceTree(tmp_path, "file:///orders", "0" * 40, "main", 1_700_000_000)
    config = ReleaseConfig("orders", "main", work=tmp_path / "work", cache=tmp_path / "cache")
    with pytest.raises(SpecError) as caught:
        await plan(config, tree, started=0.0)
    assert str(caught.value) == (
        "a.tmpl:2: GP407 template: Expected an expression, got 'end of statement block'\n"
        "gopub.yaml:8:22: GP407 `environments.prod.service.args[1]`: template: unexpected '.'"
    )
