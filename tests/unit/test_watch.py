"""After the last step: the promoted release is watched, and brought back with what is on the hosts, or left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gopub.cli.stopping import stop
from gopub.errors import GopubError, LockedError, RefusedError
from gopub.health.samples import CounterSnapshot, NoData, RawSeries, RuntimeSnapshot
from gopub.journal import events as ev
from gopub.journal.reading import asked, read_state
from gopub.journal.state import Action, next_action
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome
from gopub.rollout import back, settle, stage, switch
from gopub.rollout import reach as reach_box
from gopub.rollout import watch as watch_box
from gopub.rollout.close import close_promoted
from gopub.rollout.holding import guard
from gopub.rollout.run import Run
from gopub.rollout.seat import refuse_start
from gopub.rollout.turn import turn_around
from gopub.rollout.wish import Wish
from gopub.usecases.ask import ask_abort, ask_hold, ask_promote, ask_resume
from gopub.usecases.give_way import give_way, watched
from gopub.usecases.recover import orphans
from gopub.views.follow import Follower
from gopub.views.messages import message
from gopub.views.news import Newsroom
from gopub.views.reading import read_envs
from gopub.wiring.nostore import NoStore
from gopub.wiring.ports import Ports
from tests.support.rollout_world import NEW, OLD, Killed, MortalJournal, World, in_memory, judge

MINUTES, RATE = 20, 100.0


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)


class Counting:
    """An edge's counters as of the clock: ``failing(host, seconds of the watch)`` is the share that fails then."""

    def __init__(self, world: Watched) -> None:
        self.since: float | None = None
        self.world, self.failing = world, lambda host, seconds: 0.0
        self.silent, self.counted, self.last = "", {name: [0.0, 0.0] for name in world.names}, 0.0

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        assert (app, env, releases) == ("hello", "lab", (OLD[:12], NEW[:12]))
        if self.silent:
            return NoData(self.silent)
        if self.since is None and (begun := read_state(self.world.journal, "r1").watch):
            self.since = begun.at
        for host, counted in self.counted.items():
            came = RATE * max(0.0, at - (self.last or at))
            bad = came * self.failing(host, at - (self.since or at))
            counted[0], counted[1] = counted[0] + came - bad, counted[1] + bad
        self.last = at
        series = tuple(
            RawSeries("e1", NEW[:12], host, {"2xx": float(round(good)), "5xx": float(round(bad))})
            for host, (good, bad) in self.counted.items()
        )
        return CounterSnapshot(at, series, {"e1": at}, 0.0)

    async def history(self, *_: Any) -> NoData:
        return NoData("none")

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot:
        return RuntimeSnapshot(at)


class Watched(World):
    """A world whose release is watched; the store is gone, and with it whatever could be built or fetched."""

    def __init__(self, path: Path, then: str = "rollback") -> None:
        super().__init__(path)
        self.metrics = Counting(self)
        rollout = self.environment.rollout
        spec = type(rollout).model_validate({"watch": {"for": f"{MINUTES}m", "then": then}})
        self.environment = self.environment.model_copy(update={"rollout": spec})
        self.at_hand = True

    def ports(self, journal: Journal | None = None) -> Ports:
        ports = replace(super().ports(journal), metrics=self.metrics)
        return ports if self.at_hand else replace(ports, store=NoStore())

    @property
    def state(self) -> Any:
        return read_state(self.journal, "r1")

    def looks(self) -> list[ev.Watched]:
        return [e.event for e in self.journal.read(stream_of("r1")) if isinstance(e.event, ev.Watched)]


async def to_the_watch(run: Run) -> None:
    """As far as the end of its last step."""
    await reach_box.take_over(run)
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)
    for step in run.plan.steps:
        for batch in switch.switch_batches(run, step):
            await switch.switch(run, step, batch)
        await reach_box.reach(run, step)
        await judge(run, step, "good")
    await settle.settle(run)
    watch_box.begin(run)
    await close_promoted(run)


async def whole(run: Run) -> None:
    """The chart."""
    await to_the_watch(run)
    await watch_box.watch(run)
    await back.go_back(run)


def driven(world: Watched, journal: Journal | None = None) -> Run:
    """To its end; from the watch on there is no store any more."""
    run = world.driver(journal)

    async def work() -> None:
        await to_the_watch(run)
        assert run.state.phase in (Phase.WATCHING, Phase.CLOSED, Phase.GOING_BACK)
        world.at_hand, run.ports = False, world.ports(journal)
        await watch_box.watch(run)
        await back.go_back(run)

    asyncio.run(work())
    return run


def test_a_good_release_is_watched_for_its_time_and_then_stable(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    begun = world.clock.now()
    driven(world)
    assert (world.state.closed.outcome, world.state.closed.reason) == (Outcome.PROMOTED, "")
    assert world.env().stable == NEW
    assert set(world.running().values()) == {world.new}
    assert world.clock.now() - begun >= MINUTES * 60
    assert {one.finding for one in world.looks()} == {"too few requests", "good"}
    assert MINUTES <= len(world.looks()) <= 2 * MINUTES, "about one a minute is kept, not each look"


def test_a_breach_brings_the_release_before_back_without_a_store(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    world.metrics.failing = lambda host, seconds: 0.3
    run = driven(world)
    closed = world.state.closed
    assert (closed.outcome, closed.owed, run.state.back.rule) == (Outcome.ROLLED_BACK, (), watch_box.RULE)
    assert set(world.running().values()) == {world.old}
    assert world.router.table.stable.release == OLD
    assert (world.env().stable, world.env().quarantine, world.env().automatic_rollbacks) == (OLD, {NEW}, 1)
    assert closed.reason.startswith("the error budget burns too fast, 30 times over ")
    assert "of 1200 failed" not in closed.reason
    assert "while the promoted release was watched" in closed.reason
    assert [one.finding for one in world.looks()][-1] == "breach"
    order = [verb for host in world.machines.values() for verb in host.history]
    assert not any(verb.startswith("stage") and world.old in verb for verb in order), "nothing was brought again"


def test_control_a_breach_that_only_alarms_leaves_it(tmp_path: Path) -> None:
    world = Watched(tmp_path, then="alarm")
    world.metrics.failing = lambda host, seconds: 0.3
    run = driven(world)
    assert world.state.closed.outcome is Outcome.PROMOTED
    assert set(world.running().values()) == {world.new}
    assert any("the error budget burns too fast" in alarm for alarm in run.alarms)
    assert world.state.closed.reason.startswith("watched for 20m; at its end: the error budget burns")


@pytest.mark.parametrize("why", ["silent", "raises"])
def test_without_data_it_says_so_and_stays(tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Watched(tmp_path)
    world.metrics.silent = "no answer of e1"
    if why == "raises":
        monkeypatch.setattr(world.metrics, "counters", broken)
    driven(world)
    assert world.state.closed.outcome is Outcome.PROMOTED
    assert "no data: " in world.state.closed.reason
    assert {one.finding for one in world.looks()} == {"no data"}
    assert set(world.running().values()) == {world.new}


async def broken(*_: Any) -> CounterSnapshot:
    raise RuntimeError("a fault of ours")


def test_what_comes_on_all_hosts_at_once_after_a_calm_is_not_taken_back(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    world.metrics.failing = lambda host, seconds: 0.3 if seconds > 900 else 0.0
    run = driven(world)
    assert world.state.closed.outcome is Outcome.PROMOTED
    outside = [one for one in world.looks() if one.finding == "not the release"]
    assert outside
    assert "it came on all 4 hosts within 30s" in outside[0].says
    assert any("it is not taken back for that" in alarm for alarm in run.alarms)


def test_what_comes_host_by_host_is_the_releases(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    world.metrics.failing = lambda host, seconds: 0.3 if seconds > 600 + 90 * int(host[3:]) else 0.0
    driven(world)
    assert world.state.closed.outcome is Outcome.ROLLED_BACK


def test_dead_processes_bring_it_back_whatever_the_counters_say(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    world.machines["app3"].bad = frozenset({world.new})
    world.metrics.silent = "Prometheus is down"
    asyncio.run(watch_box.watch(run))
    assert run.state.back.outcome is Outcome.ROLLED_BACK
    assert run.state.back.reason.startswith("1 of 4 hosts are not well (app3: the health probe fails")


def test_a_host_that_somebody_else_switched_brings_nothing_back_and_is_told(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    world.machines["app3"].current = world.old
    asyncio.run(watch_box.watch(run))
    assert world.state.closed.outcome is Outcome.PROMOTED
    assert any("somebody else switched what this rollout had switched" in alarm for alarm in run.alarms)


def test_hosts_that_do_not_answer_bring_nothing_back(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    for name in ("app2", "app3", "app4"):
        world.machines[name].reachable = False
    asyncio.run(watch_box.watch(run))
    assert world.state.closed.outcome is Outcome.PROMOTED


def test_a_person_takes_it_back_ends_the_watch_or_prolongs_it(tmp_path: Path) -> None:
    for what in ("abort", "promote", "hold"):
        world = Watched(tmp_path / what) if (tmp_path / what).mkdir() is None else None
        assert world is not None
        run = world.driver()
        asyncio.run(to_the_watch(run))
        begun = world.clock.now()
        if what == "abort":
            ask_abort(world.journal, "r1", "too warm")
        elif what == "promote":
            ask_promote(world.journal, "r1", "seen enough", world.clock)
        else:
            ask_hold(world.journal, "r1", "look at it", actor="ann", clock=world.clock)
        asyncio.run(watch_box.watch(run))
        asyncio.run(back.go_back(run))
        closed, took = world.state.closed, world.clock.now() - begun
        if what == "abort":
            assert (closed.outcome, set(world.running().values())) == (Outcome.WITHDRAWN, {world.old})
            assert world.env().quarantine == frozenset()
        else:
            assert (closed.outcome, set(world.running().values())) == (Outcome.PROMOTED, {world.new})
        assert (took < 60, took > MINUTES * 60) == ((True, False) if what != "hold" else (False, True))


def ends(world: Watched) -> str:
    """When the watch that begins now is over."""
    return datetime.fromtimestamp(world.clock.now() + MINUTES * 60, UTC).strftime("%H:%M:%S UTC")


def test_it_stands_as_watched_and_a_hold_that_ended_keeps_nobody(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    assert (next_action(world.state), world.env().stable) == (Action.WATCH, "")
    (row,) = read_envs(world.journal, world.clock.now())
    assert row.active is not None
    assert row.active.waiting == f"promoted, and watched until {ends(world)}: 0s of 20m"
    ask_hold(world.journal, "r1", "look", actor="ann", clock=world.clock)
    with pytest.raises(RefusedError, match="GP745"):
        ask_promote(world.journal, "r1", "I have seen enough", world.clock)
    ask_resume(world.journal, "r1", "seen", actor="ann", clock=world.clock)
    asyncio.run(watch_box.watch(run))
    assert world.state.closed.outcome is Outcome.PROMOTED


def test_a_driver_that_dies_anywhere_leaves_a_watch_that_goes_on(tmp_path: Path) -> None:
    """Killed before and after each entry; who comes next goes on, and what was watched is not watched again."""
    for after in (False, True):
        for at in (1, 2, 7, 31):
            folder = tmp_path / f"{at}{after}"
            folder.mkdir()
            world = Watched(folder)
            mortal = MortalJournal(world.journal, 10_000, after=after)
            run = world.driver(mortal)
            asyncio.run(to_the_watch(run))
            mortal.left = at
            with suppress(Killed):  # or it was over before
                asyncio.run(watch_box.watch(run))
            if world.state.closed:
                continue
            assert [one.rollout for one in orphans(world.journal)] == ["r1"], "recover finds it"
            before = world.state.watched.seconds if world.state.watched else 0.0
            begun = world.clock.now()
            asyncio.run(whole(world.driver()))
            assert (world.state.closed.outcome, world.env().stable) == (Outcome.PROMOTED, NEW)
            assert world.clock.now() - begun >= MINUTES * 60 - before - 120
            assert world.clock.now() - begun <= MINUTES * 60 - before + 120
            assert set(world.running().values()) == {world.new}
            assert world.router.table.stable.release == NEW


def test_who_takes_it_over_brings_back_a_breach_as_well(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    asyncio.run(to_the_watch(world.driver()))
    world.metrics.failing = lambda host, seconds: 0.3
    world.at_hand = False
    asyncio.run(whole(world.driver()))
    assert (world.state.closed.outcome, set(world.running().values())) == (Outcome.ROLLED_BACK, {world.old})


def test_an_edge_that_is_silent_when_it_is_taken_over_brings_nothing_back(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    asyncio.run(to_the_watch(world.driver()))
    world.router.down = True  # type: ignore[union-attr]
    asyncio.run(whole(world.driver()))
    assert world.state.closed.outcome is Outcome.PROMOTED


def test_a_rollout_that_begins_is_not_kept_out_and_ends_the_watch(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    wish = Wish(app="hello", env="lab", release="d" * 64, version="3", actor="bob")
    refuse_start(world.journal, wish)
    run.renew_lease()

    async def beside() -> None:
        watching = asyncio.create_task(watch_box.watch(run))
        await give_way(world.ports(), wish, {}, 0)
        await watching

    asyncio.run(beside())
    assert watched(world.journal, "hello", "lab") is None
    assert (world.env().active, world.env().stable) == ("", NEW)
    assert world.state.closed.reason == "the watch was ended by bob: 3 is rolled out"
    assert [one.what for one in asked(world.journal, "r1")] == ["unwatch"]


@pytest.mark.parametrize("alive", [True, False], ids=["driven", "nobody drives it"])
def test_a_held_watch_keeps_other_rollouts_out_until_it_is_resumed(tmp_path: Path, alive: bool) -> None:
    world = Watched(tmp_path)
    asyncio.run(to_the_watch(world.driver()))
    if not alive:
        world.journal.renew_seat(_seat(world), 0)
    wish = Wish(app="hello", env="lab", release="d" * 64, version="3", actor="bob")
    ask_hold(world.journal, "r1", "the pager rang", actor="ann", clock=world.clock)
    with pytest.raises(LockedError, match=r"GP708 rollout r1 of hello in lab is watched and held by ann since .*: the"):
        refuse_start(world.journal, wish)
    with pytest.raises(LockedError, match="GP708"):
        asyncio.run(give_way(world.ports(), wish, {}, 0))
    assert [one.what for one in asked(world.journal, "r1")] == ["hold"], "the watch was not ended"
    refuse_start(world.journal, replace(wish, release=NEW))  # control: the same one has nothing to do
    ask_resume(world.journal, "r1", "it was the network", actor="ann", clock=world.clock)
    refuse_start(world.journal, wish)


def test_a_watch_whose_driver_is_dead_ends_where_another_rollout_begins(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    asyncio.run(to_the_watch(world.driver()))
    world.journal.renew_seat(_seat(world), 0)
    asyncio.run(give_way(world.ports(), Wish(app="hello", env="lab", version="3", actor="bob"), {}, 0))
    assert (world.env().active, world.env().stable) == ("", NEW)
    seated = world.journal.seated("hello", "lab")
    assert seated is not None
    assert not seated[1], "the seat is free"


def test_control_what_is_not_watched_keeps_others_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch_of(run))
    with pytest.raises(LockedError, match="GP708"):
        refuse_start(world.journal, Wish(app="hello", env="lab", release="d" * 64, version="3"))


async def to_the_watch_of(run: Run) -> None:
    """Into its first step."""
    await reach_box.take_over(run)
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)


def _seat(world: Watched) -> Any:
    found = world.journal.seated("hello", "lab")
    assert found is not None
    return found[0]


def test_a_journal_that_is_away_for_a_while_brings_nothing_back(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    begun = world.clock.now()
    record = run.record

    def recorded(*events: ev.Event, must: bool = True) -> None:
        if 300 < world.clock.now() - begun < 900:
            raise GopubError("GP701", "the journal cannot be written")
        record(*events, must=must)

    run.record = recorded  # type: ignore[method-assign]
    asyncio.run(watch_box.watch(run))
    assert world.state.closed.outcome is Outcome.PROMOTED
    assert any("could not be written" in alarm for alarm in run.alarms)


@pytest.mark.parametrize("lost", ["the end of the rollout", "the end of the env"])
def test_an_end_that_cannot_be_written_is_waited_for(tmp_path: Path, lost: str) -> None:
    """The first of the two entries of the end is not taken at all, or the second one is not."""
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    begun, writes = world.clock.now(), run.ports.journal.append_all

    def away(parts: Any, **more: Any) -> list[int]:
        late = MINUTES * 60 <= world.clock.now() - begun < 2 * MINUTES * 60
        if late and (lost == "the end of the rollout" or parts[0][0].startswith("env/")):
            raise GopubError("GP701", "the journal cannot be written")
        return writes(parts, **more)

    run.ports.journal.append_all = away  # type: ignore[method-assign]
    asyncio.run(watch_box.watch(run))
    assert (world.state.closed.outcome, world.env().stable, world.env().active) == (Outcome.PROMOTED, NEW, "")
    assert world.clock.now() - begun >= 2 * MINUTES * 60, "control: it was away"
    assert any("could not be written yet" in alarm for alarm in run.alarms)


def test_a_driver_that_only_guards_watches_a_held_release_on_and_hands_it_over(tmp_path: Path) -> None:
    """As one whose run was suspended: what is promoted has no canary that a verdict could be about."""
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    ask_hold(world.journal, "r1", "look at it", actor="ann", clock=world.clock)
    begun = world.clock.now()

    async def resumed() -> None:
        guarding = asyncio.create_task(guard(run))
        while world.clock.now() - begun < 60:  # noqa: ASYNC110 - the clock is turned by who guards
            await asyncio.sleep(0)
        ask_resume(world.journal, "r1", "seen", actor="ann", clock=world.clock)
        await guarding

    asyncio.run(resumed())
    kinds = [type(entry.event) for entry in world.journal.read(stream_of("r1"))]
    assert (kinds.count(ev.Held), kinds.count(ev.Resumed)) == (1, 1), "it is written: people are told of it"
    assert (run.state.phase, run.state.back) == (Phase.WATCHING, None), "whoever resumed it goes on"
    assert world.looks()
    world.metrics.failing = lambda host, seconds: 0.3
    ask_hold(world.journal, "r1", "again", actor="ann", clock=world.clock)
    asyncio.run(guard(run))
    assert run.state.back.outcome is Outcome.ROLLED_BACK, "control: a breach is one while it is held, too"


def test_a_rollback_in_the_watch_is_one_as_from_any_step(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    run = world.driver()
    asyncio.run(to_the_watch(run))
    world.at_hand = False
    again = world.driver()  # `gopub rollback` takes the seat from a live driver
    turn_around(again, Outcome.ROLLED_BACK, 0, "users complain")
    asyncio.run(back.go_back(again))
    assert (world.state.closed.outcome, set(world.running().values())) == (Outcome.ROLLED_BACK, {world.old})
    assert (world.env().quarantine, world.env().automatic_rollbacks) == ({NEW}, 0)
    with pytest.raises(LockedError):
        asyncio.run(watch_box.watch(run))


def test_ctrl_c_ends_the_watch_and_leaves_the_release(tmp_path: Path) -> None:
    world, said = Watched(tmp_path), list[str]()
    follower = Follower(world.journal, "hello", "lab", lambda *_: None, own=True)
    run = world.driver()
    asyncio.run(to_the_watch(run))

    async def pressed() -> None:
        await stop(world.journal, follower, lambda: None, said.append)
        await watch_box.watch(run)

    asyncio.run(pressed())
    assert world.state.closed.outcome is Outcome.PROMOTED
    (told,) = said
    assert told.startswith("stopping: the watch of r1 ends, and its release stays; Ctrl-C again")
    assert world.state.closed.reason.endswith(": Ctrl-C")


def told(world: Watched) -> list[str]:
    """Of what people are told, and how it begins in both languages."""
    room, found = Newsroom(), list[str]()
    for entry in world.journal.read(stream_of("r1")):
        for news in room.after(entry):
            lines = [message(news, lang).body.partition("\n")[0] for lang in ("en", "zh")]
            found += [news.key, *(line[:60] for line in lines)] if news.key != "ended" else [news.key]
    return found


def test_people_are_told_once_of_a_breach_that_is_left(tmp_path: Path) -> None:
    world = Watched(tmp_path, then="alarm")
    world.metrics.failing = lambda host, seconds: 0.3 if int(seconds) % 600 < 500 else 0.0
    driven(world)
    key, english, chinese, end = told(world)
    assert (key, end) == ("stuck/watch", "ended")
    assert english.startswith("hello 2 is promoted in lab, watched, and left there: the err")
    assert chinese.startswith("hello 2 已在 lab 全量上线，观察中，保持不动：the error budget")


def test_control_of_one_that_is_taken_back_its_end_is_told(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    world.metrics.failing = lambda host, seconds: 0.3
    driven(world)
    assert told(world) == ["ended"]


def test_a_first_release_is_not_taken_back_to_nothing(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    world.metrics.failing = lambda host, seconds: 0.3
    run = world.driver()
    first = replace(run.plan, stable=None)
    run.recorder.state = replace(run.state, plan=first, phase=Phase.SETTLING)
    watch_box.begin(run)
    assert run.state.watch == ev.WatchBegun(world.clock.now(), MINUTES * 60.0, "alarm")
