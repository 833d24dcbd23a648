"""Which floor counts where the journal is away, and that it stays until another release names one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import RefusedError
from gopub.journal import events as ev
from gopub.journal.kit import kit_path, read_kit, write_kit
from gopub.journal.state import fold_env
from gopub.plan.floor import Before, refusal_of_start, told_unknown
from gopub.plan.model import Outcome, ReleaseRef
from gopub.release import SignedRelease
from gopub.rollout.seat import before_of
from gopub.spec.compat import Compat
from gopub.wiring import settings
from gopub.wiring.backends import BACKENDS
from tests.releases import SPEC
from tests.support.admission_world import Shop
from tests.support.rollout_world import NEW, OLD
from tests.unit.test_floor import Floored, made, take_back
from tests.unit.test_rollback import garbage


def promoted(rollout: str, version: str, floor: str = "") -> list[ev.Event]:
    return [ev.EnvOpened(rollout, NEW), ev.EnvClosed(rollout, Outcome.PROMOTED, NEW, version, floor=floor)]


def test_a_floor_stays_when_a_release_is_promoted_that_names_none_and_goes_where_it_names_another() -> None:
    events = promoted("r1", "2.0.0", "1.5.0") + promoted("r2", "2.0.0")
    assert before_of(fold_env(events)) == Before(ReleaseRef(NEW, "2.0.0"), "1.5.0")
    assert fold_env(events + promoted("r3", "2.2.0", "2.0.0")).floor == "2.0.0"
    assert fold_env(events + promoted("r3", "2.2.0", "0.0.0")).floor == "0.0.0", "whoever says that all may follow"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(tmp_path, monkeypatch)
    shop.hosts_in_memory()
    return shop


def runs(shop: Shop, signed: SignedRelease) -> None:
    """The host runs it, and the journal knows nothing of that."""
    folder = f"{signed.release_id[:12]}-{'1' * 12}"
    shop.machines["h1"].folders, shop.machines["h1"].current = {folder: "0" * 64}, folder


def with_floor(floor: str) -> str:
    return f"{SPEC}    compat: {{floor: {floor}}}\n"


def refused(shop: Shop, version: str) -> str:
    """Why the dry run, and the rollout, refuse it."""
    trouble = shop.rehearse(version).trouble
    if trouble is None:
        shop.begin(shop.wish(version))
        return ""
    with pytest.raises(RefusedError) as caught:
        shop.begin(shop.wish(version))
    assert (trouble.code, trouble.problem) == (caught.value.code, caught.value.problem)
    return f"{trouble.code} {trouble.problem}"


@pytest.mark.parametrize(("floor", "code"), [("1.5.0", "GP585"), ("1.0.0", "")], ids=["below", "control"])
def test_without_a_journal_the_version_that_runs_is_that_of_its_signed_release(
    shop: Shop, floor: str, code: str
) -> None:
    runs(shop, shop.signed)
    shop.publish("2.0.0", with_floor(floor))
    said = refused(shop, "2.0.0")
    assert said[:5] == code
    assert not code or "1.0.0 is stable in lab" in said


@pytest.mark.parametrize(("version", "code"), [("1.4.0", "GP586"), ("1.6.0", "")], ids=["below", "control"])
def test_without_a_journal_the_floor_is_that_of_the_signed_release_that_runs(
    shop: Shop, version: str, code: str
) -> None:
    runs(shop, shop.publish("2.0.0", with_floor("1.5.0")))
    shop.publish(version)
    assert refused(shop, version)[:5] == code
    if not code:
        kit = read_kit(settings.kits_folder(), "hello", "lab", BACKENDS)
        assert (kit.floor, kit.plan.floor) == ("1.5.0", "1.5.0"), "it stays, for the release names none"
        assert kit.plan.stable is not None
        assert kit.plan.stable.version == "2.0.0"
        assert ("2.0.0", kit.plan.stable.release) in kit.known


def test_what_neither_journal_nor_store_knows_lets_no_release_in_that_has_a_floor(shop: Shop) -> None:
    gone = shop.publish("1.9.0")
    runs(shop, gone)
    shutil.rmtree(next(path for path in shop.store.root.rglob(gone.release_id) if path.is_dir()))
    shop.publish("2.0.0", with_floor("1.5.0"))
    said = refused(shop, "2.0.0")
    assert said == (
        f"GP593 hello 2.0.0 has the floor 1.5.0, and lab runs a release of which only the id is known, "
        f"{gone.release_id[:12]}: whether it reads the data could not be checked"
    )
    shop.publish("2.1.0")
    assert refused(shop, "2.1.0") == "", "control: a release without a floor comes in"
    plan = shop.rehearse("2.1.0").plan
    assert plan is not None
    assert any("which floor counts could not be checked" in note for note in plan.notes)


def test_somebody_may_say_that_what_nobody_knows_reads_it() -> None:
    before = Before(ReleaseRef(OLD[:12], OLD[:12]), None)
    assert told_unknown(before)
    assert refusal_of_start("2.0.0", Compat(floor="1.5.0", below_floor="allow"), before, app="a", env="e") is None
    assert refusal_of_start("2.0.0", Compat(floor="1.5.0"), before, app="a", env="e")


class Later(Floored):
    """The last rollout promoted a release without a floor of its own: its plan holds the one that stands."""


def changed(world: Floored, **fields: object) -> None:
    kit = read_kit(world.kits, "hello", "lab", BACKENDS)
    write_kit(world.kits, replace(kit, **fields))  # type: ignore[arg-type]


def test_a_kit_that_knows_no_floor_lets_nothing_go_back_unless_somebody_approves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(Later, tmp_path, monkeypatch)
    kit = read_kit(world.kits, "hello", "lab", BACKENDS)
    changed(world, floor=None, plan=replace(kit.plan, floor=""))
    garbage(tmp_path / "journal.db")
    with pytest.raises(RefusedError) as caught:
        take_back()
    assert caught.value.code == "GP593"
    assert "neither the journal nor the rollback kit knows which floor counts for hello in lab" in caught.value.problem
    assert "--below-floor" in (caught.value.hint or "")
    assert set(world.running().values()) == {world.new}
    assert take_back(below_floor=True, reason="it reads both")["outcome"] == "rolled back"


def test_a_release_whose_version_nobody_knows_is_not_taken_for_one_above_the_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(Later, tmp_path, monkeypatch)
    for machine in world.machines.values():
        machine.folders[f"{'c' * 12}-{'1' * 12}"] = "0" * 64
    garbage(tmp_path / "journal.db")
    with pytest.raises(RefusedError) as caught:
        take_back(to="c" * 12)
    assert caught.value.code == "GP593"
    assert f"only the id is known, {'c' * 12}" in caught.value.problem
    assert set(world.running().values()) == {world.new}


def test_a_kit_without_the_key_is_one_of_before_and_says_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(Later, tmp_path, monkeypatch)
    path = kit_path(world.kits, "hello", "lab")
    path.write_text(path.read_text().replace('"floor": ""', '"elder": ""', 1))
    assert read_kit(world.kits, "hello", "lab", BACKENDS).floor == ""


def test_what_went_back_has_set_no_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = made(Floored, tmp_path, monkeypatch)
    for machine in world.machines.values():
        machine.current = world.old
        machine.folders = {world.old: "0" * 64, f"{'c' * 12}-{'1' * 12}": "0" * 64}
    kit = read_kit(world.kits, "hello", "lab", BACKENDS)
    changed(world, floor="0.9.5", plan=replace(kit.plan, floor="0.9.0"), known=(("0.9.2", "c" * 64), *kit.known))
    garbage(tmp_path / "journal.db")
    with pytest.raises(RefusedError) as caught:
        take_back(to="0.9.2")
    assert caught.value.code == "GP586"
    assert "older than 0.9.5, the floor of 1.0.0" in caught.value.problem
