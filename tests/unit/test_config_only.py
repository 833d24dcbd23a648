"""`gopub deploy --config-only`: the stable release again, with other rendered files; going back blames no release."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gopub.cli import lazy
from gopub.cli.main import app as command
from gopub.errors import GopubError
from gopub.health.wire import to_json
from gopub.journal.reading import starts_of_stable
from gopub.plan.model import Outcome, Plan
from gopub.rollout.judging import config_of
from gopub.views.rollout import Driver, rollout_view
from tests.support.admission_world import Shop
from tests.support.doubles import MemoryRouter
from tests.support.rollout_world import NEW, World, drive, in_memory
from tests.unit.test_starts import rolled_out, seen


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


class Again(World):
    """The stable release rolled out again, with other files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, stable=NEW)

    def plan(self) -> Plan:
        """Counted under a name of its own."""
        return replace(super().plan(), revision="e" * 64)


def labels(world: World) -> list[tuple[str, str]]:
    tables = world.router.tables if isinstance(world.router, MemoryRouter) else []
    return [tuple(one.release[:1] if one else "" for one in (table.stable, table.canary)) for table in tables]  # type: ignore[misc]


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_edges_count_its_canary_under_another_name_than_stable_and_in_the_end_all_under_one(
    tmp_path: Path, verdict: str
) -> None:
    world = Again(tmp_path)
    run = drive(world, verdict)
    assert {("b", "e"), ("b", "")} >= {pair for pair in labels(world) if pair != ("", "e")}, labels(world)
    assert ("b", "e") in labels(world)
    assert labels(world)[-1] == ("b", ""), "what serves between two rollouts is the release"
    assert config_of(run).canary == "e" * 12
    assert rollout_view("r1", run.state, (), Driver(), 0.0).to_json()["revision"] == "e" * 12
    assert set(world.running().values()) == {world.new if verdict == "good" else world.old}


def test_what_processes_that_were_not_started_show_is_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    real, other = (to_json(seen(random.Random(7), 0.5, 0.0, end)) for end in (14.0, 2.0))
    world = World(tmp_path)
    rolled_out(world.driver(), {"starts": real})
    again = Again(tmp_path)
    rolled_out(again.driver(rollout="r2"), {"starts": other})
    starts = starts_of_stable(world.journal, "hello", "lab")
    assert to_json(starts) == real
    assert to_json(starts) != other


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
