"""`gopub deploy --config-only`: the stable release again, with other rendered files; going back blames no release."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gopub.cli import lazy
from gopub.cli.main import app as command
from gopub.errors import GopubError
from gopub.fleet.orders import Order, Record
from gopub.health.wire import to_json
from gopub.journal.reading import read_state, starts_of_stable
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome, Plan
from gopub.rollout.judging import config_of
from gopub.views.rollout import Driver, rollout_view
from tests.support.admission_world import Shop
from tests.support.doubles import MemoryHost, MemoryRouter
from tests.support.rollout_world import NEW, Killed, MortalJournal, World, drive, in_memory
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


def whole_again(world: World, verdict: str) -> None:
    """Every host has the files that the journal says, edges count one release, and no host got an order twice."""
    closed = read_state(world.journal, "r1").closed
    assert closed is not None
    promoted = closed.outcome is Outcome.PROMOTED
    assert promoted is (verdict == "good")
    assert set(world.running().values()) == {world.new if promoted else world.old}
    assert labels(world)[-1] == ("b", "")
    assert {pair for pair in labels(world) if pair[1]} <= {("b", "e"), ("", "e")}
    assert (world.env().stable, world.env().active, world.env().quarantine) == (NEW, "", frozenset())
    for machine in world.machines.values():
        told = [line for line in machine.history if line == f"switch {world.new}"]
        assert len(told) <= 2, "one driver's and, where its answer was lost, that of the next"
    world.journal.verify()


def times(world: World, verdict: str, at: int, *, after: bool) -> int:
    """Die at that append, and let another driver go on; gives how many appends are left over."""
    journal = MortalJournal(world.journal, at, after=after)
    with suppress(Killed):
        drive(world, verdict, journal)
    assert set(world.running().values()) <= {world.old, world.new}
    if world.env().active or not world.journal.read(stream_of("r1")):
        drive(world, verdict)
    whole_again(world, verdict)
    return journal.left


@pytest.mark.parametrize(("verdict", "after"), [("good", False), ("good", True), ("bad", True)])
def test_a_driver_that_dies_at_any_append_of_it_leaves_what_the_next_one_ends_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, after: bool
) -> None:
    in_memory(monkeypatch)
    at, left = 0, 0
    while left <= 0:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        left = times(Again(folder), verdict, at, after=after)
    assert at > 10, "control: it was killed at more than a few"


@pytest.mark.parametrize("verb", ["stage", "switch", "verify", "rollback"])
def test_a_driver_that_dies_once_a_host_has_done_it_is_followed_by_one_that_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    in_memory(monkeypatch)
    world = Again(tmp_path)
    verdict = "bad" if verb == "rollback" else "good"
    real, left = MemoryHost.answer, [1]

    def answer(machine: MemoryHost, order: Order) -> Record:
        record = real(machine, order)
        if order.verb == verb and left[0]:
            left[0] = 0
            raise Killed
        return record

    monkeypatch.setattr(MemoryHost, "answer", answer)
    with pytest.raises(Killed):
        drive(world, verdict)
    assert not left[0], "control: it came that far"
    drive(world, verdict)
    whole_again(world, verdict)


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
