"""`gopub deploy --config-only`: the stable release again, with other rendered files; going back blames no release."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gopub.cli import lazy
from gopub.cli.main import app as command
from gopub.errors import GopubError
from gopub.plan.model import Outcome
from tests.support.admission_world import Shop
from tests.support.rollout_world import NEW, World, drive


def called(*words: str) -> Result:
    lazy.register(command, list(words))
    return CliRunner().invoke(command, list(words))


@pytest.mark.parametrize("stable", [NEW, ""], ids=["the stable one", "control: another one"])
def test_files_that_do_not_get_well_go_back_and_leave_the_release_stable(tmp_path: Path, stable: str) -> None:
    world = World(tmp_path, **({"stable": stable} if stable else {}))
    run = drive(world, "bad")
    assert run.state.closed is not None
    assert run.state.closed.outcome is Outcome.ROLLED_BACK
    assert set(world.running().values()) == {world.old}
    assert world.env().stable == world.stable
    assert list(world.env().quarantine) == ([] if stable else [NEW])


@pytest.mark.parametrize(
    ("words", "code"),
    [([], "GP555"), (["main"], "GP561"), (["--version", "1.0.0"], "GP561"), (["--downgrade"], "GP561")],
)
def test_it_builds_nothing_and_needs_a_stable_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: str
) -> None:
    shop = Shop(tmp_path, monkeypatch)
    shop.hosts_in_memory()
    monkeypatch.chdir(shop.project)
    said = called("deploy", "--config-only", *words)
    assert isinstance(said.exception, GopubError), said.output
    assert said.exception.code == code
