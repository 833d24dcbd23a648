"""A driver that dies at any journal append, or whose hosts fail, leaves a rollout that another driver ends whole.

The core's own functions run against doubles that fence like the real hosts and edges. Each seed is printed; the
whole chart is killed before and after every append in turn, and at random ones.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gopub.clock import ManualClock, new_token
from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.rollout import back, stages
from gopub.rollout import events as ev
from gopub.rollout.boxes import box, turn_around
from gopub.rollout.closing import close
from gopub.rollout.journal import Journal, Seat, open_journal
from gopub.rollout.machine import fold_env, next_action
from gopub.rollout.model import FULL, Outcome, Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.rollout.run import LEASE, Ports, Run, env_stream, stream_of
from gopub.spec.loader import parse_spec
from tests.support.doubles import MemoryFleet, MemoryHost, MemoryRouter

OLD, NEW = "a" * 64, "b" * 64
SPEC = """
app: hello
environments:
  lab: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz", traffic: edge}
"""


class Killed(BaseException):
    """The driver's process is gone: no handler of ours may run after it."""


class MortalJournal(Journal):
    """Dies before or after the append whose number it is given."""

    def __init__(self, journal: Journal, at: int, *, after: bool) -> None:
        super().__init__(journal._engine, journal._clock)
        self._left, self._after = at, after

    def append_all(self, *args, **kwargs):
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        versions = super().append_all(*args, **kwargs)
        if self._left == 0:
            raise Killed
        return versions


class World:
    """Hosts, an edge and a journal that outlive drivers."""

    def __init__(self, path, count: int = 4) -> None:
        self.clock = ManualClock()
        self.journal = open_journal(str(path / "journal.db"), self.clock)
        self.names = [f"app{n}" for n in range(1, count + 1)]
        self.old, self.new = f"{OLD[:12]}-{'1' * 12}", f"{NEW[:12]}-{'2' * 12}"
        self.machines = {
            n: MemoryHost(n, f"id-{n}", folders={self.old: "0" * 64}, current=self.old, epoch=7) for n in self.names
        }
        self.router = MemoryRouter()
        self.environment = parse_spec(SPEC, "gopub.yaml").spec.environments["lab"]
        self.kits = path / "kits"

    def ports(self, journal: Journal | None = None) -> Ports:
        hosts = tuple(Host(name, f"198.18.0.{n}") for n, name in enumerate(self.names))
        return Ports(journal or self.journal, self.clock, MemoryFleet(self.machines), hosts, self.environment,
                     None, self.kits, router=self.router)  # fmt: skip

    def plan(self) -> Plan:
        hosts = tuple(
            PlannedHost(n, f"{n}:8080", f"id-{n}", "linux/amd64", "2" * 64, self.old, "0" * 64) for n in self.names
        )
        steps = (PlannedStep(0, ("app1",), 2500, 1.0), PlannedStep(1, ("app1", "app2"), 5000, 1.0))
        return Plan("r1", "hello", "lab", "hello", ReleaseRef(NEW, "2"), ReleaseRef(OLD, "1"), hosts, steps, 1, 1.5,
                    3600.0, 5.0, "judged", upstream="hello", binaries=(("linux/amd64", "9" * 64),))  # fmt: skip

    def driver(self, journal: Journal | None = None) -> Run:
        """Take the seat; begin the rollout if it has not begun."""
        ports = self.ports(journal)
        seen = max(m.epoch for m in self.machines.values())
        seat = ports.journal.take_seat(
            Seat("hello", "lab", seen, new_token(), "driver"), rollout="r1", lease=LEASE, force=True
        )
        env = fold_env(e.event for e in ports.journal.read(env_stream("hello", "lab")))
        if not env.active:
            ports.journal.append(env_stream("hello", "lab"), env.version, [ev.EnvOpened("r1", NEW)], actor="t")
        run = Run(ports, seat, "r1", actor="t", trace="t" * 32)
        if not run.state.rollout:
            run.record(ev.Opened("r1", "hello", "lab", NEW, "2"))
        run.record(ev.SeatTaken(seat.epoch, "driver"))
        if not run.state.admitted:
            run.record(ev.Admitted())
        if run.state.plan is None:
            run.record(ev.Planned(self.plan()))
        return run

    def running(self) -> dict[str, str]:
        return {name: machine.current for name, machine in self.machines.items()}


@pytest.fixture(autouse=True)
def _no_cargo(monkeypatch):
    """What is carried to a host is the business of other tests; this world has no files."""
    from gopub.rollout import hosts
    from gopub.rollout.payload import Cargo

    async def cargo(run, name):
        return Cargo({"archive": "8" * 64, "binary": "9" * 64, "files": "7" * 64}, {}, ())

    monkeypatch.setattr(hosts, "cargo_for", cargo)


@box
async def judge(run: Run, step: PlannedStep, verdict: str) -> None:
    """A bake whose verdict the test gives."""
    if step.index in run.state.passed:
        return
    if verdict == "bad" and step.index == 1:
        turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
        return
    run.record(ev.StepPassed(step.index))


async def chart(run: Run, verdict: str) -> None:
    """The chart of flows/rollout.py with a judge of ours."""
    await run.claim_edges()
    for batch in stages.stage_batches(run):
        await stages.stage(run, batch)
    for step in run.plan.steps:
        for batch in stages.switch_batches(run, step):
            await stages.switch(run, step, batch)
        await stages.reach(run, step)
        await judge(run, step, verdict)
        if run.state.back:
            break
    await stages.settle(run)
    if run.state.settling and not run.state.back:
        close(run, Outcome.PROMOTED, "")
    await back.go_back(run)


def drive(world: World, verdict: str, journal: Journal | None = None) -> Run:
    run = world.driver(journal)
    asyncio.run(chart(run, verdict))
    return run


def check_whole(world: World, verdict: str) -> None:
    """Every host is on one and the same whole release, the edges agree, and so does the journal."""
    wanted = world.old if verdict == "bad" else world.new
    assert set(world.running().values()) == {wanted}
    table = world.router.table
    assert table is not None and table.canary is None and table.stable is not None
    assert sorted(peer.host for peer in table.stable.peers) == world.names
    assert table.stable.release == (OLD if verdict == "bad" else NEW)
    env = fold_env(e.event for e in world.journal.read(env_stream("hello", "lab")))
    assert env.active == ""
    assert env.stable == (OLD if verdict == "bad" else NEW)
    assert (NEW in env.quarantine) == (verdict == "bad")
    world.journal.verify()


def appends(tmp_path, verdict: str) -> int:
    world = World(tmp_path)
    drive(world, verdict)
    return len(world.journal.read(stream_of("r1")))


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_an_undisturbed_rollout_ends_whole(tmp_path, verdict):
    world = World(tmp_path)
    run = drive(world, verdict)
    check_whole(world, verdict)
    assert run.state.closed and run.state.closed.outcome is (
        Outcome.ROLLED_BACK if verdict == "bad" else Outcome.PROMOTED
    )


@pytest.mark.parametrize("verdict", ["good", "bad"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_append_another_driver_ends_it_whole(tmp_path, verdict, after):
    (tmp_path / "count").mkdir()
    for at in range(1, appends(tmp_path / "count", verdict) + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = World(folder)
        with pytest.raises(Killed):
            drive(world, verdict, MortalJournal(world.journal, at, after=after))
        for name in world.running().values():
            assert name in (world.old, world.new)
        drive(world, verdict)
        check_whole(world, verdict)


def test_killed_again_and_again_it_still_ends(tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        world, verdict = World(folder), chance.choice(["good", "bad"])
        for _ in range(chance.randrange(1, 6)):
            journal = MortalJournal(world.journal, chance.randrange(1, 12), after=chance.random() < 0.5)
            try:
                drive(world, verdict, journal)
            except Killed:
                continue
            break
        else:
            drive(world, verdict)
        check_whole(world, verdict)


def test_the_old_driver_can_order_nothing_once_the_seat_is_taken(tmp_path):
    world = World(tmp_path)
    first = world.driver()
    second = world.driver()
    with pytest.raises(GopubError, match="GP705"):
        first.record(ev.Settling())
    asyncio.run(chart(second, "good"))
    check_whole(world, "good")


def test_a_release_that_does_not_answer_goes_back_and_is_quarantined(tmp_path):
    world = World(tmp_path)
    world.machines["app1"].bad = frozenset({world.new})
    run = drive(world, "good")
    check_whole(world, "bad")
    assert run.state.back and "GP446" in run.state.back.reason


def test_a_host_that_cannot_be_reached_on_the_way_back_is_owed_and_out_of_the_pool(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    asyncio.run(_to_second_step(run))
    world.machines["app2"].reachable = False
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(run))
    assert run.state.owed == ("app2",)
    assert world.router.table is not None and world.router.table.stable is not None
    assert [peer.host for peer in world.router.table.stable.peers] == ["app1", "app3", "app4"]


def test_an_edge_that_does_not_answer_stops_growth_and_a_rollback_goes_on(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    world.router.down = True
    asyncio.run(chart(run, "good"))
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    assert set(world.running().values()) == {world.old}
    assert any("edge" in alarm for alarm in run.alarms)


def test_the_canary_never_shrinks_while_it_goes_forward(tmp_path):
    world = World(tmp_path)
    drive(world, "good")
    weights = [table.weight for table in world.router.tables if table.canary]
    assert weights == sorted(weights)
    assert max(weights) <= FULL


def test_nothing_is_left_to_do_when_it_is_over(tmp_path):
    world = World(tmp_path)
    run = drive(world, "good")
    assert next_action(run.state).value == "nothing"


async def _to_second_step(run: Run) -> None:
    await run.claim_edges()
    for batch in stages.stage_batches(run):
        await stages.stage(run, batch)
    for step in run.plan.steps:
        for batch in stages.switch_batches(run, step):
            await stages.switch(run, step, batch)
        await stages.reach(run, step)
        run.record(ev.StepPassed(step.index))


async def test_a_look_does_not_wait_for_a_host_that_cannot_be_connected(tmp_path, monkeypatch):
    """The others are judged meanwhile: the error is that of a host without an answer, not that of a bad release."""
    from gopub.rollout import hosts

    class Deaf(MemoryFleet):
        async def channel(self, host):
            await asyncio.Event().wait()

    monkeypatch.setattr(hosts, "REACH", 0.05)
    run = World(tmp_path).driver()
    run.ports = replace(run.ports, fleet=Deaf({}))
    with pytest.raises(GopubError, match="GP415 app1: no connection within"):
        await hosts.process_health(run, "app1")
    assert await hosts.log_targets(run) == ()
