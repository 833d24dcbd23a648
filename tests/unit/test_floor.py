"""The floor of a release: which versions may serve beside it or after it, because they read what it writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gopub.errors import GopubError, RefusedError
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.journal.kit import Kit, write_kit
from gopub.journal.streams import env_stream
from gopub.plan.floor import Before, refusal_of_start, refusal_of_way_back
from gopub.plan.model import Outcome, Plan, ReleaseRef
from gopub.rollout.seat import start
from gopub.rollout.wish import Wish
from gopub.spec.compat import Compat
from gopub.usecases import rollback
from tests.support.rollout_world import NEW, OLD, World, chart, in_memory
from tests.unit.test_rollback import Canary, garbage


def started(version: str, *, floor: str = "", stable: str = "", stable_floor: str = "", allow: bool = False) -> str:
    compat = Compat(floor=floor or None, below_floor="allow" if allow else "refuse")
    before = Before(ReleaseRef(OLD, stable) if stable else None, stable_floor)
    error = refusal_of_start(version, compat, before, app="hello", env="lab")
    return error.code if error else ""


@pytest.mark.parametrize(
    ("floor", "stable", "code"),
    [
        ("1.9.0", "1.8.9", "GP585"),
        ("1.9.0", "1.9.0-rc.1", "GP585"),  # comes before 1.9.0
        ("v1.9.0", "1.8.0", "GP585"),
        ("1.9.0", "1.9.0", ""),
        ("1.9.0", "1.10.0", ""),  # numbers, not text
        ("1.9.0", "", ""),  # nothing runs there
        ("1.9.0", "2024-blue", ""),  # no semantic version: nobody can compare it
        ("1.9.0", "0.0.0-20240102030405-0123456789ab", ""),
        ("", "0.1.0", ""),
    ],
)
def test_a_release_does_not_come_in_over_a_version_that_cannot_read_what_it_writes(floor, stable, code):
    assert started("2.0.0", floor=floor, stable=stable) == code
    assert started("2.0.0", floor=floor, stable=stable, allow=True) == ""


@pytest.mark.parametrize("floor", ["١.٩.٠", "1.9", "1.9.0+build", "latest", "1.9.0 "])
def test_a_floor_that_nothing_is_compared_with_is_none(floor):
    with pytest.raises(ValidationError, match="is not a version"):
        Compat(floor=floor)


def test_a_version_below_the_floor_of_what_runs_does_not_come_in_either():
    assert started("1.8.0", stable="2.0.0", stable_floor="1.9.0") == "GP586"
    assert started("1.9.0", stable="2.0.0", stable_floor="1.9.0") == ""


@pytest.mark.parametrize(
    ("wanted", "floor", "code"), [("1.8.0", "1.9.0", "GP586"), ("1.9.1", "1.9.0", ""), ("1.8.0", "", "")]
)
def test_a_way_back_ends_at_the_floor(wanted, floor, code):
    error = refusal_of_way_back(ReleaseRef(OLD, wanted), floor, "2.0.0", app="hello", env="lab")
    assert (error.code if error else "") == code


def floored(plan: Plan, floor: str) -> Plan:
    """That plan, from 1.0.0 to 2.0.0."""
    return replace(plan, release=replace(plan.release, version="2.0.0"), stable=ReleaseRef(OLD, "1.0.0"), floor=floor)


class Floored(World):
    """1.0.0 is stable, and 2.0.0 was promoted over it, which wants 1.5.0 of whoever follows."""

    floor = "1.5.0"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        run = self.driver()
        asyncio.run(chart(run, "good"))
        assert self.env().floor == run.plan.floor == self.floor
        edges = (Host("edge1", "198.18.0.100"),)
        known, hosts = (("1.0.0", OLD), ("2.0.0", NEW)), self.ports().hosts
        write_kit(self.kits, Kit(run.seat.epoch, run.plan, hosts, self.environment, edges, self.edges_known, known,
                                 fleet=self.way))  # fmt: skip
        self.journal.close()

    def plan(self) -> Plan:
        return floored(super().plan(), self.floor)


class Unfloored(Floored):
    floor = ""


def made(world: type[Floored], path: Path, monkeypatch: pytest.MonkeyPatch) -> Floored:
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(path / "journal.db"))
    monkeypatch.setattr(rollback, "LOCKED", 0.1)
    return world(path)


def take_back(**options: Any) -> dict[str, Any]:
    return asyncio.run(rollback.take_back("hello", "lab", **options))


@pytest.mark.parametrize(
    "options",
    [{}, {"to": "1.0.0"}, {"below_floor": True}, {"below_floor": True, "reason": " "}],
    ids=["before", "named", "no reason", "a blank"],
)
def test_a_rollback_below_the_floor_changes_nothing(tmp_path, monkeypatch, options):
    world = made(Floored, tmp_path, monkeypatch)
    with pytest.raises(RefusedError) as caught:
        take_back(**options)
    assert caught.value.code == "GP586"
    assert "1.0.0 is older than 1.5.0, the floor of 2" in caught.value.problem
    assert set(world.running().values()) == {world.new}


def test_it_is_refused_with_the_journal_gone_too(tmp_path, monkeypatch):
    world = made(Floored, tmp_path, monkeypatch)
    garbage(tmp_path / "journal.db")
    with pytest.raises(RefusedError) as caught:
        take_back()
    assert (caught.value.code, set(world.running().values())) == ("GP586", {world.new})


def test_a_person_who_says_why_goes_below_it_and_the_reason_is_kept(tmp_path, monkeypatch):
    world = made(Floored, tmp_path, monkeypatch)
    result = take_back(below_floor=True, reason="the migration was undone")
    assert (result["outcome"], result["reason"]) == ("rolled back", "the migration was undone")
    assert set(world.running().values()) == {world.old}
    assert world.env().floor == "1.5.0", "a way back changes no data: the floor counts on"


def test_control_without_a_floor_the_same_rollback_goes(tmp_path, monkeypatch):
    world = made(Unfloored, tmp_path, monkeypatch)
    assert take_back()["outcome"] == "rolled back"
    assert set(world.running().values()) == {world.old}


class FlooredCanary(Canary):
    """A canary of such a release: it was let in, for somebody allowed it."""

    def plan(self) -> Plan:
        return floored(super().plan(), "1.5.0")


def test_a_canary_under_way_is_taken_back_whatever_the_floor(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    world = FlooredCanary(tmp_path)
    assert take_back()["outcome"] == "rolled back"
    assert set(world.running().values()) == {world.old}


@pytest.mark.parametrize(
    ("version", "floor", "refused"), [("2.1.0", "2.0.1", "GP585"), ("1.4.0", None, "GP586"), ("2.1.0", "1.9.0", "")]
)
def test_a_rollout_takes_no_seat_where_one_version_could_not_read_what_the_other_writes(
    tmp_path, version, floor, refused
):
    world = World(tmp_path)
    opened, closed = ev.EnvOpened("r0", OLD), ev.EnvClosed("r0", Outcome.PROMOTED, OLD, "2.0.0", floor="1.5.0")
    world.journal.append(env_stream("hello", "lab"), 0, [opened, closed], actor="me", trace="1")
    environment = world.environment.model_copy(update={"compat": Compat(floor=floor)})
    ports = replace(world.ports(), environment=environment)
    code = ""
    try:
        start(ports, Wish(app="hello", env="lab", release=NEW, version=version), {}, 0)
    except GopubError as error:
        code = error.code
    taken = world.journal.seated("hello", "lab") is not None
    assert (code, world.env().active != "", taken) == (refused, not refused, not refused)
