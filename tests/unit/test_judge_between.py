"""Looks between two records: kept as counts, folded again to the same digit, bounded, and judged by a backtest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gopub.canon import canonical
from gopub.errors import UsageError
from gopub.health.endpoints import GROUPS
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, Histogram, HostCounts, ProcessHealth, TrackWindow, Window
from gopub.health.wire import to_json
from gopub.judge.backtest import backtest
from gopub.judge.between import BYTES, MOST, OTHERS, Between, looks_from_json, unfolded
from gopub.judge.replay import judge
from gopub.judge.verdict import History, Policy, VerdictRecord
from gopub.spec.endpoints import MOST as MOST_ENDPOINTS
from gopub.spec.models import Judge
from tests.unit.test_health_observer import CANARY, CONFIG, STABLE, T0, World

EVERY = 15
"""So many looks lie between two records."""


class Rarely(World):
    """Scraped every twenty seconds: of the edges there is nothing newer at most looks."""

    newest: CounterSnapshot | None = None

    def snapshot(self, at: float) -> CounterSnapshot:
        if self.newest is None or not self.newest.series or at - self.newest.edges["e1"] >= 20:
            self.newest = replace(super().snapshot(at), interval=20.0)
        return replace(self.newest, at=at)


async def watched(
    bad: int = 0, world: World | None = None
) -> tuple[list[VerdictRecord], list[tuple[VerdictRecord, Any]]]:
    """All looks of a bake, and what a driver keeps of them; from the 33rd look on ``bad`` of 20 answers fail."""
    world, between = world or World(), Between()
    observer = Observer(world, None, CONFIG)
    await observer.start(T0)
    whole: list[VerdictRecord] = []
    kept: list[tuple[VerdictRecord, Any]] = []
    for number in range(1, 62):
        fails = bad if number > 32 else 0
        world.serve(STABLE, "s1", 58, 1 if number % 5 == 0 else 0)
        world.serve(STABLE, "s2", 60)
        world.serve(CANARY, "h1", 20 - fails, fails)
        at = T0 + 2.0 * number
        seen = await observer.look(at, (ProcessHealth("h1"),), 0)
        between.add(seen)
        history = History(at, T0, 300.0, T0 + 4000, observed=2.0 * number)
        record = judge(seen, Policy.of(CONFIG), history)
        whole.append(record)
        if number % EVERY == 1:
            kept.append((record, looks_from_json(between.taken(seen))))
    return whole, kept


@pytest.mark.parametrize("world", [World, Rarely])
async def test_counts_that_are_kept_give_every_look_again_to_the_digit(world: type[World]) -> None:
    whole, kept = await watched(bad=3, world=world())
    again = list(unfolded(kept))
    assert [one.observation.at for one in again] == [one.observation.at for one in whole]
    for before, after in zip(whole, again, strict=True):
        assert after.observation.before.errors == before.observation.before.errors
        assert after.observation.before.slow == before.observation.before.slow
        assert after.observation.step_totals == before.observation.step_totals
        assert after.history.observed == pytest.approx(before.history.observed)
    assert any(one.observation.before.errors != kept[0][0].observation.before.errors for one in again), "it moves"
    told = {window.gathered for one in again for window in one.observation.windows}
    assert told == ({None} if world is World else {None, 20.0})


async def test_a_backtest_says_the_look_at_which_it_would_have_ended() -> None:
    whole, kept = await watched(bad=8)
    strict = Judge.model_validate({"alpha": 0.05})
    exact = backtest(whole, strict, 1)
    seen = backtest(list(unfolded(kept)), strict, 1)
    assert (seen.what, seen.rule, seen.after) == (exact.what, exact.rule, exact.after)
    assert seen.what == "ROLLBACK"
    blind = backtest([record for record, _ in kept], strict, 1)
    assert blind.after > exact.after, "control: without them the next record is waited for"


async def test_records_of_before_are_what_they_were() -> None:
    _, kept = await watched()
    plain = [(record, None) for record, _ in kept]
    assert list(unfolded(plain)) == [record for record, _ in kept]


async def test_what_was_changed_is_no_look() -> None:
    _, kept = await watched()
    looks = to_json(kept[1][1])
    for bent in ({**looks, "more": 1}, {**looks, "bounds": [1.0]}, {**looks, "windows": [{"at": "x"}]}):
        with pytest.raises(UsageError, match="GP601"):
            looks_from_json(bent)


def crowd(hosts: int, at: float) -> Observation:
    """A look at a fleet with long names and large counts."""
    buckets = Histogram(tuple(float(n) for n in range(1, 16)), (999_999,) * 16)
    counts = tuple(HostCounts(f"{n:063d}", *[999_999] * 7) for n in range(hosts))
    canary, stable = (
        TrackWindow(release, counts, buckets, (((999_999,) * 4,) * groups,) * MOST_ENDPOINTS)
        for release, groups in ((CANARY, 1), (STABLE, GROUPS))
    )
    return Observation(CONFIG, 0, at, windows=(Window(at - 2, at, canary, stable),))


def test_what_is_kept_is_bounded_and_nothing_is_lost_from_the_sums() -> None:
    between = Between()
    for number in range(MOST + 30):
        between.add(crowd(500, T0 + number))
    last = crowd(500, T0 + 1000)
    between.add(last)
    looks: Any = between.taken(last)
    assert len(looks["windows"]) == MOST
    assert looks["left_out"] == 30
    size = max(len(canonical(window)) for window in looks["windows"])
    assert size <= BYTES, size
    hosts = looks["windows"][0]["canary"]["hosts"]
    assert hosts[-1][0] == OTHERS
    assert sum(numbers[0] for _, numbers in hosts) == 500 * 999_999
    assert between.taken(last) is None, "they are taken once"


def test_four_hosts_take_less_than_half_a_kilobyte_a_look() -> None:
    between, written = Between(), crowd(2, T0 + 2)
    small = crowd(2, T0)
    track = TrackWindow(CANARY, tuple(HostCounts(f"web{n}", 40, 1, 40, 2, 40, 2) for n in range(2)),
                        Histogram((0.05, 0.1, 0.2, 0.5, 1.0), (30, 5, 3, 1, 1, 0)))  # fmt: skip
    between.add(replace(small, windows=(Window(T0, T0 + 2, track, replace(track, release=STABLE)),)))
    between.add(written)
    assert len(canonical(between.taken(written))) < 512
