"""Answers that clients left: held where the canary's are clearly more, told where not, and never a user's own doing.

Seeds are drawn at run time. One canary host with 20 requests a second, three stable ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gopub.health.evidence import MetricEvidence
from gopub.health.leaving import goes_on
from gopub.health.samples import CounterSnapshot, HostCounts, NoData, TrackWindow, Window
from gopub.judge.verdict import Kind, Verdict
from tests.support.chance import seed as chance_seed
from tests.unit.judge_world import CANARY, T0, Bake

CALM = {"errors": 0.0, "median": 0.001}
"""Nothing else that chance could turn against a canary."""
HOLDS = "clients leave the canary's answers before the end more often than stable's: "
TOLD = "left by clients before the end: "


@pytest.fixture(scope="module")
def seed() -> int:
    return chance_seed()


def held(told: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in told if HOLDS in verdict.reason]


# --- clients who leave everywhere


def by_a_threshold(bake: Bake) -> bool:
    """Whether a canary that is left half as often again as stable within one look would be held."""
    windows = [window for seen in bake.seen for window in seen.windows if window.canary and window.stable]
    return any(of(window.canary) > 1.5 * of(window.stable) for window in windows)


def of(track: TrackWindow) -> float:
    return track.left / max(1, track.attempts + track.left)


async def test_of_200_whose_clients_leave_alike_none_is_held_and_by_a_threshold_most_are(seed: int) -> None:
    found = plain = 0
    for i in range(200):
        bake = Bake(seed + i, leave=0.15 + 0.1 * (i % 2), bake=30.0)
        verdict, _ = await bake.verdict()
        found, plain = found + bool(held(bake.told)), plain + by_a_threshold(bake)
        if verdict.kind is Kind.PROMOTE:
            assert re.search(rf"{TOLD}canary \d+ of \d+ \([\d.]+%\), stable \d+ of \d+ \([\d.]+%\)", verdict.reason)
    assert found == 0
    assert plain >= 100, "control: the threshold sees chance"


@pytest.mark.parametrize("crowd", [1, 4, 10])
async def test_rarely_or_in_crowds_makes_no_difference(seed: int, crowd: int) -> None:
    bakes = [Bake(seed + i, leave=0.03, crowd=crowd, bake=30.0) for i in range(30)]
    ends = [(await bake.verdict())[0] for bake in bakes]
    assert sum(bool(held(bake.told)) for bake in bakes) <= 4, [verdict.reason for verdict in ends]


# --- a canary that stalls after the header


@pytest.mark.parametrize(
    ("leave", "extra", "seconds"),
    [(0.0, 0.15, 20), (0.0, 0.05, 50), (0.1, 0.3, 40), (0.0, 1.0, 24)],
    ids=["15 % against none", "5 % against none", "40 % against 10 %", "all of them"],
)
async def test_a_canary_that_is_left_more_often_is_held_and_withdrawn_at_the_deadline(
    seed: int, leave: float, extra: float, seconds: float
) -> None:
    for i in range(3):
        bake = Bake(seed + i, leave=leave, extra_leave=extra, deadline=120.0, **CALM)
        verdict, age = await bake.verdict()
        assert (verdict.kind, verdict.rule, age) == (Kind.WITHDRAW, 6, 120.0), verdict
        first, *_ = found = held(bake.told)
        assert first.at - T0 <= seconds, first
        assert {(one.kind, one.rule, one.alert) for one in found[:-1]} == {(Kind.HOLD, 6, True)}
        said = r"canary \d+ of \d+ \([\d.]+%\), stable \d+ of \d+ \([\d.]+%\); E = \S+, the mark is 500, φ = "
        assert re.search(f"^{HOLDS}{said}", verdict.reason), verdict.reason


async def test_control_by_earlier_rules_it_is_promoted_without_a_word(seed: int) -> None:
    verdict, age = await Bake(seed, extra_leave=0.15, rules=2, **CALM).verdict()
    assert (verdict.kind, age) == (Kind.PROMOTE, 60.0), verdict
    assert "clients" not in verdict.reason


# --- one user


async def test_what_happened_in_one_moment_holds_nobody_and_is_told(seed: int) -> None:
    bake = Bake(seed, reloads=lambda age: 200 if age == 20 else 0, **CALM)
    verdict, age = await bake.verdict()
    assert (verdict.kind, age, held(bake.told)) == (Kind.PROMOTE, 60.0, []), verdict
    assert f"{TOLD}canary 200 of " in verdict.reason


def reloading(age: float) -> int:
    """One user of the canary reloads for ten seconds."""
    return 10 if 20 <= age < 30 else 0


async def test_a_user_who_reloads_for_a_while_holds_it_for_a_minute_at_most(seed: int) -> None:
    bake = Bake(seed, reloads=reloading, **CALM)
    verdict, age = await bake.verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert age <= 90, verdict
    assert all(20 <= one.at - T0 <= 90 for one in held(bake.told))
    assert f"{TOLD}canary 50 of " in verdict.reason
    assert "it was more than chance, and is no more" in verdict.reason


class Failing(Bake):
    """What would be left fails instead."""

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        found = await super().counters(app, env, releases, at)
        return replace(found, series=tuple(failed(one) for one in found.series))


def failed(one):
    return replace(one, classes=one.classes | {"5xx": one.classes["5xx"] + one.classes["left"], "left": 0.0})


async def test_control_errors_of_one_user_take_it_back(seed: int) -> None:
    verdict, _ = await Failing(seed, reloads=reloading, **CALM).verdict()
    assert verdict.kind is Kind.ROLLBACK, verdict


# --- nobody to compare with, and nobody who left


class Alone(Bake):
    """Stable has no request during the rollout."""

    def serve(self, seconds, hosts):
        super().serve(seconds, [host for host in hosts if host[0] == CANARY] if len(hosts) > 3 else hosts)


async def test_without_stable_traffic_it_is_told_and_holds_nobody(seed: int) -> None:
    bake = Alone(seed, extra_leave=0.15, **CALM)
    verdict, _ = await bake.verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert not held(bake.told)
    said = rf"; {TOLD}canary [1-9]\d* of \d+ \([\d.]+%\), stable 0 of 0 \(0.0%\); not compared with stable now"
    assert re.search(said, verdict.reason), verdict.reason


async def test_where_nobody_left_nothing_is_said_and_nothing_is_otherwise(seed: int) -> None:
    now, before = Bake(seed, rules=3), Bake(seed, rules=2)
    ends = await now.verdict(), await before.verdict()
    assert ends[0] == ends[1]
    assert [seen.evidence for seen in now.seen] == [seen.evidence for seen in before.seen]
    assert now.seen[-1].evidence.left is None
    assert TOLD not in ends[0][0].reason


# --- what has to go on


def minute(ours: tuple[int, int], theirs: tuple[int, int]) -> Window:
    """The last minute: attempts, and answers that were left."""
    canary, stable = (TrackWindow(name, (HostCounts(name, n, 0, left=left),)) for name, (n, left) in (
        ("c", ours), ("s", theirs)))  # fmt: skip
    return Window(0, 60, canary, stable)


@pytest.mark.parametrize(
    ("ours", "theirs", "on"),
    [
        ((900, 100), (3000, 0), True),
        ((1000, 5), (3000, 0), False),
        ((1000, 0), (3000, 0), False),
        ((20, 0), (60, 0), True),
        ((900, 100), (2700, 300), False),
        ((840, 160), (2700, 300), True),
        ((900, 100), (0, 0), True),
        ((0, 0), (0, 0), True),
    ],
    ids=["is left", "hardly", "no more", "too few to say", "alike", "half as often again", "alone", "nothing"],
)
def test_it_goes_on_until_a_minute_shows_that_it_does_not(ours, theirs, on) -> None:
    since = MetricEvidence("left", 30.0, 100, 1000, 0, 3000, 1.5)
    assert goes_on(since, minute(ours, theirs)) is on
    assert goes_on(since, None)
