"""The first seconds of a bake as somebody reads them who watches: what is known yet, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from gopub.errors import GopubError
from gopub.health.samples import CounterSnapshot, NoData
from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.judge.replay import record_from_json
from gopub.views.follow import line_printer
from tests.support.doubles import MemoryHost
from tests.support.rollout_world import NEW
from tests.unit.test_bake_clock import Served, bake_until_it_dies, world

__all__ = ["world"]


class LateCanary(Served):
    """The edges count the canary only ``late`` seconds after its step began; scraped each five seconds."""

    def __init__(self, clock, late: float) -> None:
        super().__init__(clock)
        self.first = clock.now() + late

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        answer = await super().counters(app, env, releases, at)
        assert isinstance(answer, CounterSnapshot)
        seen = tuple(one for one in answer.series if at >= self.first or one.release != NEW[:12])
        return replace(answer, series=seen, interval=5.0)


def watched(world, late: float, life: float) -> list[str]:
    """The sentences of the verdicts, as they are printed."""
    found = [line.partition("  ")[2] for line in printed(world, late, life)]
    return [line for line in found if line.startswith("step 1: ")]


def printed(world, late: float, life: float) -> list[str]:
    """All that is printed of a bake, figures too."""
    asyncio.run(bake_until_it_dies(world, LateCanary(world.clock, late), life))
    lines: list[str] = []
    show = line_printer(lines.append)
    for entry in world.journal.read(stream_of("r1")):
        show(entry)
    return lines


def test_before_the_first_scrape_nothing_is_wrong(world):
    first, second = lines = watched(world, late=8.0, life=20.0)
    assert first == "step 1: the edges' first counts of the canary are not in yet (due within 15s): waits"
    good = "step 1: nothing against the canary so far, none of its 20,160 answers failed: bakes for another 17s"
    assert second == good
    assert not [line for line in lines if "no edge" in line]


def test_the_figures_under_it_raise_no_alarm_either(world):
    lines = printed(world, late=8.0, life=20.0)
    at = next(number for number, line in enumerate(lines) if "are not in yet" in line)
    assert "no edge" not in lines[at + 1]
    because = f"no data: the edges have counted no answer of the canary release {NEW[:12]} so far"
    assert lines[at + 1].strip() == f"HOLD by rule 2, canary app1 (unpinned): {because}"


def test_after_it_something_is(world):
    first, second = watched(world, late=1000.0, life=40.0)
    assert first.endswith("(due within 15s): waits")
    assert second.startswith("step 1: no edge has counted an answer of the canary since its step began 20s ago: ")


def test_every_look_of_a_bake_is_in_the_journal_whole_or_as_counts(world):
    """What a driver keeps is every look that counted something, once, in order, up to its last entry."""
    printed(world, late=0.0, life=30.0)
    judged = [one.event for one in world.journal.read(stream_of("r1")) if isinstance(one.event, ev.Judged)]
    whole = [record_from_json(one.record["record"]).observation for one in judged]
    between = [one["at"] for event in judged for one in event.record.get("looks", {"windows": []})["windows"]]
    times = sorted({*between, *(seen.at for seen in whole if seen.windows)})
    assert len(between) > len(judged) > 1, "most looks are not written whole"
    assert not {seen.at for seen in whole} & set(between), "and none twice"
    gaps = {round(after - before, 3) for before, after in pairwise(times)}
    assert len(gaps) == 1, f"no look is missing: {times}"


class Telling(MemoryHost):
    """A host that tells what its process uses, and counts how often it is asked."""

    asked = 0
    silent = False

    def answer(self, order):
        self.asked += order.verb == "status"
        if self.silent and order.verb == "status":
            raise GopubError("GP415", f"{self.name} does not answer")
        record = super().answer(order)
        kills = "0" if self.name == "app1" else "3"
        return replace(record, values={**record.values, "unit.oom_kills": kills, "unit.memory": "1048576"})


def test_some_stable_hosts_are_asked_now_and_then_and_a_deaf_one_only_once(world):
    """The canary's figures are held against theirs; nobody waits at each look for one that is gone."""
    world.machines = {name: Telling(**vars(host)) for name, host in world.machines.items()}
    deaf = min(set(world.machines) - {"app1"})
    world.machines[deaf].silent = True
    printed(world, late=0.0, life=40.0)
    judged = [one.event for one in world.journal.read(stream_of("r1")) if isinstance(one.event, ev.Judged)]
    seen = record_from_json(judged[-1].record["record"]).observation
    asked = {name: host.asked for name, host in world.machines.items()}
    stable = {name for name in asked if name not in {"app1", deaf}}
    assert {host.host for host in seen.beside} == stable, asked
    assert all(host.use.killed == 0 for host in seen.beside), "kills of before the rollout are not its"
    assert all(host.exe_ok and host.active for host in seen.beside), "it runs another release, and rightly"
    assert all(1 < asked[name] < asked["app1"] / 2 for name in stable), asked
    assert asked[deaf] == 1
