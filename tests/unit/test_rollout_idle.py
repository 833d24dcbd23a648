"""A host that is not on stable and gets no traffic (it was down, or came late) goes first, and never back to bad."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.plan.model import Outcome, Plan, ReleaseRef
from gopub.plan.steps import plan_rollout
from gopub.rollout import back
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from tests.releases import SPEC, a_plan, prepare
from tests.support.rollout_world import NEW, OLD, World, chart, drive, in_memory

BAD = "c" * 64
STABLE = ReleaseRef(OLD, "1.0.0")
NAMES = ("app1", "app2", "app3", "app4")


def folder(release: str) -> str:
    return f"{release[:12]}-{'1' * 12}"


def facts(name: str, runs: str = "", *holds: str, previous: str = "") -> HostFacts:
    current = ReleaseDir(runs, "1" * 64, "9" * 64) if runs else None
    held = tuple(folder(release) for release in (runs, *holds) if release)
    return HostFacts(name, f"id-{name}", arch="amd64", current=current, releases=held, previous=previous)


@pytest.fixture
def plan(tmp_path):
    """Plan a release over these facts; all that are on stable serve unless told otherwise."""
    spec = f"{SPEC}    traffic: edge\n"
    source = a_plan(tmp_path, spec=spec)
    release = asyncio.run(prepare(tmp_path, source)).release

    def made(*hosts: HostFacts, serving: tuple[str, ...] | None = None, stable: ReleaseRef | None = STABLE) -> Plan:
        environment = source.spec.environments["lab"]
        known = {host.host: host for host in hosts}
        inventory = [Host(name, f"198.18.0.{number}") for number, name in enumerate(known, 1)]
        on_it = tuple(name for name, fact in known.items() if fact.current and fact.current.release == OLD)
        return plan_rollout("r1", release, "lab", environment, inventory, known, dict.fromkeys(known, "2" * 64), stable,
                            counted=True, serving=on_it if serving is None else serving)  # fmt: skip

    return made


def test_a_host_that_came_late_is_the_first_canary(plan):
    made = plan(facts("app1", OLD), facts("app2", OLD), facts("app3"))
    assert [(host.name, host.idle) for host in made.hosts] == [("app3", True), ("app1", False), ("app2", False)]
    assert made.steps[0].hosts == ("app3",)
    assert any("without traffic, so they go first: app3" in note for note in made.notes)


def test_without_such_a_host_the_order_is_the_inventorys(plan):
    made = plan(*(facts(name, OLD) for name in NAMES))
    assert [host.name for host in made.hosts] == list(NAMES)
    assert not any(host.idle for host in made.hosts)


def test_a_host_on_a_bad_release_goes_back_to_stable_not_to_the_bad_one(plan):
    made = plan(facts("app1", BAD, OLD), facts("app2", OLD))
    assert (made.host("app1").before, made.host("app1").idle) == (folder(OLD), True)


def test_of_several_renders_of_stable_the_one_it_had_last_comes_back(plan):
    other = f"{OLD[:12]}-{'7' * 12}"
    host = facts("app1", BAD, OLD, previous=other)
    made = plan(replace(host, releases=(*host.releases, other)), facts("app2", OLD))
    assert made.host("app1").before == other


def test_a_host_that_never_held_stable_goes_back_to_what_it_had(plan):
    made = plan(facts("app1", BAD), facts("app2"), facts("app3", OLD))
    assert [made.host(name).before for name in ("app1", "app2")] == [folder(BAD), ""]


def test_a_host_that_edges_send_traffic_to_keeps_it_whatever_it_runs(plan):
    """Somebody changed it by hand: to take it out would cost capacity that nobody planned for."""
    made = plan(facts("app1", BAD, OLD), facts("app2", OLD), serving=("app1", "app2"))
    assert [(host.name, host.idle) for host in made.hosts] == [("app1", False), ("app2", False)]
    assert any("and serving: app1" in note for note in made.notes)


def test_a_lost_journal_takes_what_most_hosts_run_as_stable(plan):
    known = plan(facts("app1", OLD), facts("app2", OLD), facts("app3", BAD), stable=None)
    assert known.stable is not None and known.stable.release == OLD
    assert plan(facts("app1", OLD), facts("app2", BAD), stable=None).stable is None


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


class Stray(World):
    """app4 was down when the bad release was taken back: it runs it still, and no edge sends it anything."""

    def __init__(self, path, *, held: bool = True) -> None:
        super().__init__(path)
        self.bad = folder(BAD)
        machine = self.machines["app4"]
        machine.folders = {self.bad: "b" * 64} | ({self.old: "0" * 64} if held else {})
        machine.current = self.bad
        self.held = held
        self.ask_for_admissions()

    def plan(self) -> Plan:
        made = super().plan()
        *others, last = made.hosts
        last = replace(last, idle=True, before=self.old if self.held else self.bad, before_digest="")
        steps = (replace(made.steps[0], hosts=("app4",)), replace(made.steps[1], hosts=("app4", "app1")))
        return replace(made, hosts=(last, *others), steps=steps)


def peers(world: World) -> list[list[str]]:
    """Of every table that was put: the hosts that may get traffic, stable's after the canary's."""
    tracks = [(table.canary, table.stable) for table in world.router.tables]
    return [[peer.host for track in pair if track for peer in track.peers] for pair in tracks]


def test_it_serves_nobody_until_it_runs_the_new_release(tmp_path):
    world = Stray(tmp_path)
    drive(world, "good")
    assert "app4" not in peers(world)[0]
    assert set(world.running().values()) == {world.new}
    assert sorted(peers(world)[-1]) == list(NAMES)


def test_no_request_lacks_a_stable_host_while_it_comes_in(tmp_path):
    world = Stray(tmp_path)
    drive(world, "good")
    first = world.router.tables[0]
    assert first.stable is not None and [peer.host for peer in first.stable.peers] == ["app1", "app2", "app3"]


def test_taken_back_it_runs_stable_and_serves_it(tmp_path):
    world = Stray(tmp_path)
    drive(world, "bad")
    assert world.running()["app4"] == world.old
    assert world.router.table is not None and world.router.table.stable is not None
    assert sorted(peers(world)[-1]) == list(NAMES)


def test_taken_back_without_stable_at_hand_it_stays_out_of_the_pool(tmp_path):
    world = Stray(tmp_path, held=False)
    drive(world, "bad")
    assert world.running()["app4"] == world.bad
    assert sorted(peers(world)[-1]) == ["app1", "app2", "app3"]


def test_not_touched_yet_it_stays_as_it_is_and_out_of_the_pool(tmp_path):
    world = Stray(tmp_path)
    run = world.driver()
    asyncio.run(_aborted_at_once(run))
    assert world.running()["app4"] == world.bad
    assert "app4" not in peers(world)[-1]


async def _aborted_at_once(run: Run) -> None:
    run.record(ev.SwitchIntended((), "", "canary"))
    turn_around(run, Outcome.WITHDRAWN, 0, "aborted")
    await back.go_back(run)


def test_control_a_host_on_stable_serves_from_the_first_table_on(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    asyncio.run(chart(run, "bad"))
    assert sorted(peers(world)[-1]) == list(NAMES)
    assert NEW not in {table.stable.release for table in world.router.tables if table.stable}


def test_the_stable_release_with_other_files_is_judged_under_a_name_of_its_own(plan):
    """What is counted is counted by releases, and both tracks are of one."""
    other = plan(facts("app1", OLD), facts("app2", OLD))
    assert (other.mode, other.revision, other.counted) == ("judged", "", other.release.release), "the control"
    again = other.release
    made = plan(*(facts(name, again.release) for name in NAMES), stable=again)
    assert made.mode == "judged"
    assert made.counted == made.revision == plan(*(facts(name, again.release) for name in NAMES), stable=again).revision
    assert made.counted[:12] != again.short
    assert any(f"revision {made.counted[:12]}" in note for note in made.notes)
    assert all(host.before != host.folder(again.release) for host in made.hosts), "the files of before are gone back to"


def test_hosts_that_get_no_other_files_show_nothing_and_come_last(plan):
    again = plan(facts("app1", OLD)).release
    same = [
        replace(facts(name, again.release), current=ReleaseDir(again.release, "2" * 64, "9" * 64))
        for name in ("app1", "app3")
    ]
    made = plan(same[0], facts("app2", again.release), same[1], facts("app4", again.release), stable=again)
    assert [host.name for host in made.hosts] == ["app2", "app4", "app1", "app3"]
    assert "2 of 4 hosts get no other files and come last" in made.notes
