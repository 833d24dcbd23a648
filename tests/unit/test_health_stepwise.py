"""Rules from 6 on: steps have a share of the coin, hosts a past, and long windows more room than one moment."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from gopub.health.config import JudgeConfig, SloTarget
from gopub.health.dispersion import SURE, Dispersion, Tally, changed
from gopub.health.eprocess import BURST, BURSTS, EVEN, GRID, Process, against_stable, log_sum, most
from gopub.health.observation import Observation
from gopub.health.samples import HostCounts, ProcessHealth, TrackWindow, Window
from gopub.health.sequential import STAKES, WEIGHTS, EvidenceState, evidence, fold, learn
from gopub.health.uses import ProcessUse
from gopub.judge.words import say_worse

SLO = SloTarget(0.2, 0.01)
NONE = [0.0] * len(GRID)


def windows(counts, *, begins=0.0, length=5.0):
    """Of (canary's attempts, errors, stable's attempts, errors), one after the other."""
    for i, (n, x, m, y) in enumerate(counts):
        start = begins + length * i
        tracks = (TrackWindow(name, (HostCounts(name, a, b, a, 0),)) for name, a, b in (("c", n, x), ("s", m, y)))
        yield Window(start, start + length, *tracks)


def log_e(steps, rules=6, *, length=5.0):
    """E after steps of so many windows each, all at one go."""
    state, at = EvidenceState(slow_above=0.2), 0.0
    for step, counts in enumerate(steps):
        new = list(windows(counts, begins=at, length=length))
        state = fold(state, new, SLO, compare=True, stable_broken=False, rules=rules, step=step)
        at = new[-1].end
    return evidence(state, SLO, rules=rules).log_e


# --- one coin


@pytest.mark.parametrize("metric", WEIGHTS)
def test_the_coin_is_one_however_many_minutes_and_steps_begin(metric):
    process = Process()
    for second in range(0, 7200, 20):
        process = process.step_on(NONE, 1.0, (second, second + 20.0), second // 900, WEIGHTS[metric])
        assert process.log_e == pytest.approx(0.0, abs=1e-9)
    assert (process.blocks, process.steps, process.at_step) == (119, 7, 7)
    assert sum(WEIGHTS[metric]) == pytest.approx(len(GRID)), "its alternatives share what is bet, no more"


def test_control_a_coin_that_is_bet_twice_is_more_than_one():
    process = Process().step_on(NONE, 1.0, (0.0, 20.0), 0, EVEN)
    assert replace(process, started=tuple(a + math.log(1.5) for a in process.started)).log_e > 0.1


def test_over_all_ways_in_which_events_fall_its_mean_is_one():
    """Exactly: three windows of one bad event each, across a step and a minute; at the edge of the null."""
    n, m, delta = 100, 300, 0.25
    p = (1 + delta) * n / ((1 + delta) * n + m)
    total = 0.0
    for ways in range(8):
        process, chance = Process(), 1.0
        for i in range(3):
            x = ways >> i & 1
            chance *= p if x else 1 - p
            span = (70.0 * i, 70.0 * i + 5)
            process = process.step_on(against_stable(x, n, 1 - x, m, delta), 1.0, span, i // 2, WEIGHTS["errors"])
        total += chance * math.exp(process.log_e)
    assert total == pytest.approx(1.0)


def test_what_began_without_steps_goes_on_without():
    """A driver of now that takes over from one of before: the coin was split otherwise."""
    old = Process()
    for second in range(0, 600, 20):
        old = old.step(NONE, 1.0, float(second))
    now = old.step_on(NONE, 1.0, (600.0, 620.0), 3, WEIGHTS["errors"])
    assert now.at_step is None
    assert now.log_e == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("steps", "gain"), [(1, 1.0), (3, 1.8)])
def test_a_regression_that_shows_with_a_step_is_found_by_the_coin_of_that_step(steps, gain):
    """Ten minutes each; 2 % fail everywhere, then 5 % on the canary."""
    good = [[(500, 10, 1500, 30)] * 120 for _ in range(steps)]
    bad = [(500, 25, 1500, 30)] * 6
    assert log_e([*good, bad]) > log_e([*good, bad], rules=5) + gain


@pytest.mark.parametrize(("minutes", "gain"), [(5, 0.2), (15, 0.8), (30, 1.2)])
def test_a_regression_that_begins_late_in_a_step_costs_less_than_before(minutes, gain):
    good = [(500, 10, 1500, 30)] * (12 * minutes)
    bad = [(500, 25, 1500, 30)] * 6
    assert log_e([[*good, *bad]]) > log_e([[*good, *bad]], rules=5) + gain


def test_a_step_fed_by_a_header_and_one_by_weight_bet_the_same_coin():
    """Before, a fifth of it lay on the SLO alone, and was lost where the canary is held against stable."""
    bad = [(500, 60, 1500, 3)] * 3
    now, before = log_e([bad]), log_e([bad], rules=5)
    assert now > before + math.log(1 / 0.8) - 0.05
    state = EvidenceState(slow_above=0.2)
    header = list(windows([(100, 10, 300, 0)] * 10))
    state = fold(state, header, SLO, compare=False, stable_broken=False, step=0)
    assert evidence(state, SLO).log_e > math.log(100)
    assert state.errors.versus_slo == Process()


def test_late_answers_have_a_share_that_finds_them_at_little_traffic():
    """One request a second on the canary, nine on stable: of 8 % of the answers that are late 28 % are so now."""
    state, found = EvidenceState(slow_above=0.2, late_above=0.1), {}
    for i in range(16):
        tracks = (TrackWindow(h, (HostCounts(h, n, 0, n, 0, n, late),)) for h, n, late in (("c", 10, 3), ("s", 90, 7)))
        state = fold(state, [Window(10.0 * i, 10.0 * i + 10, *tracks)], SLO, compare=True, stable_broken=False)
        for rules in (5, 6):  # the same state: what differs is the share
            if evidence(state, SLO, late=True, rules=rules).log_e_all >= math.log(100):
                found.setdefault(rules, i)
    assert found[6] < found[5]
    assert sum(STAKES.values()) == pytest.approx(1.0)
    told = evidence(state, SLO, late=True)
    assert told.log_e < math.log(100) < told.log_e_all, "to be late blames by its stake at most"


# --- long windows


@pytest.mark.parametrize(("seconds", "times"), [(0.5, 100), (2, 100), (5, 100), (15, 300), (60, 1000), (3600, 1000)])
def test_a_window_multiplies_by_so_much_at_most(seconds, times):
    assert most(seconds) == pytest.approx(times)
    huge = Process().step_on([1e9] * len(GRID), 1.0, (0.0, seconds), 0, EVEN)
    assert huge.log_e == pytest.approx(math.log(0.5 * times + 0.5))
    assert Process().step([1e9] * len(GRID), 1.0, 0.0).log_e == pytest.approx(math.log(0.5 * BURST + 0.5)), "before 6"


def after(length):
    """Seconds until a canary of which every fifth answer fails goes back, as scrapes come; 20 requests a second."""
    n = round(20 * length)
    for k in range(1, 100):
        if log_e([[(n, n // 5, 3 * n, 0)] * k], length=length) >= math.log(10_000):
            return k * length
    return math.inf


def test_a_verdict_is_at_most_one_scrape_later_than_the_quickest_could_be():
    took = {length: after(length) for length in (5.0, 10.0, 15.0, 30.0, 60.0)}
    quickest = took[5.0]
    for length, seconds in took.items():
        assert seconds <= math.ceil(quickest / length) * length + length, took


def test_one_window_alone_never_takes_back():
    for length in (5.0, 60.0, 600.0):
        assert log_e([[(100_000, 100_000, 300_000, 0)]], length=length) < math.log(10_000)
    assert log_sum([math.log(BURSTS), 0.0]) < math.log(10_000)


# --- a start


def said(*ages, metric="slow", **config):
    bad = 200 if metric == "errors" else 0
    slow = 200 - bad
    canary, stable = (
        TrackWindow(name, (HostCounts(name, 500, b, 500, s),)) for name, b, s in (("c", bad, slow), ("s", 2, 2))
    )
    state = fold(
        EvidenceState(slow_above=0.2), [Window(0.0, 5.0, canary, stable)], SLO, compare=True, stable_broken=False
    )
    hosts = tuple(ProcessHealth(f"h{i}", use=ProcessUse(age=age)) for i, age in enumerate(ages))
    seen = Observation(JudgeConfig("a", "e", "r", "c", "s", SLO, **config), 0, 5.0, hosts=hosts)
    return say_worse(replace(seen, evidence=evidence(state, SLO)))


def test_slow_answers_of_processes_that_have_just_begun_are_told_as_such():
    """Nobody declared a warm-up: users do wait, so the release is blamed, and whoever reads it knows of what."""
    assert said(20.0, 44.6).endswith(
        ", 45s after its start at most (`judge.warmup` leaves out a start that is always slow)"
    )
    for others in (said(20.0, 400.0), said(20.0, None), said(), said(20.0, warmup=30.0), said(20.0, rules=5)):
        assert "start" not in others
    assert "start" not in said(20.0, metric="errors"), "errors count from the first request"


# --- a host's own past


def known(rates, n=20_000, *, bins=30, seed=5):
    """The past of hosts whose answers fail at so many times 0.5 %, in bins of a minute."""
    rng, spread = random.Random(seed), Dispersion()
    for minute in range(bins):
        tallies = {}
        for index, rate in enumerate(rates):
            mean = n / bins * 0.005 * rate
            bad = max(0, round(rng.gauss(mean, math.sqrt(mean))))
            tallies[f"h{index}"] = Tally(bad, n // bins)
        spread = spread.add(tallies, 60.0 * minute).close()
    return spread.settle()


def test_hosts_that_differ_as_chance_has_it_have_no_offset():
    even = Dispersion(past={f"h{i}": Tally(100 + (i % 3) * 8, 20_000) for i in range(10)})
    assert even.allowed(["h0"], 0.25) == even.allowed(["h2"], 0.25) == 1.25


def test_a_host_that_was_always_worse_may_be_as_bad_as_it_was():
    spread = known([1.6, *[1.0, 0.8, 1.1, 0.9, 1.2, 1.0, 0.85, 1.15, 1.0]])
    assert spread.allowed(["h0"], 0.25) > 1.6
    assert 1.25 <= spread.allowed(["h2"], 0.25) < 1.3, "one that was better has the margin"
    assert spread.allowed(["h0", "h2", "h4"], 0.25) < spread.allowed(["h0"], 0.25), "of several the mean counts"
    assert spread.allowed(["h0", "new"], 0.25) == 1.25, "nothing is known of a host that was not there"
    assert Dispersion().allowed(["h0"], 0.25) == 1.25
    assert SURE > 2


def test_hosts_that_differ_as_they_always_did_make_nothing_unsure():
    rates = [1.6, 1.0, 0.6, 1.3, 0.7, 1.0]
    spread = known(rates)
    for minute in range(20):
        tallies = {f"h{i}": Tally(round(50 * rate), 10_000) for i, rate in enumerate(rates) if i}
        spread = spread.add(tallies, 3600.0 + 30 * minute)
    assert spread.phi > 5, "control: held against each other they differ far more than chance"
    assert spread.phi_since < spread.phi / 2, "bins of half a minute still see it"
    assert changed(spread.past, spread.totals)[0] < 10


def test_a_host_that_became_another_makes_the_judge_unsure():
    spread = known([1.0] * 6)
    for minute in range(20):
        tallies = {f"h{i}": Tally(150 if i == 3 else 50, 10_000) for i in range(1, 6)}
        spread = spread.add(tallies, 3600.0 + 30 * minute)
    assert spread.phi_since > 10


def test_a_change_of_all_is_no_change_of_one():
    before = {f"h{i}": Tally(100, 20_000) for i in range(5)}
    assert changed(before, {f"h{i}": Tally(400, 20_000) for i in range(1, 5)}) == (pytest.approx(0.0), 3)
    assert changed(before, {"h9": Tally(5, 100)}) == (0.0, 0)
    one = {f"h{i}": Tally(200 if i == 1 else 100, 20_000) for i in range(5)}
    assert changed(before, one)[0] == pytest.approx(28, abs=8)


def tracks(canary, stable):
    return Window(
        0.0,
        60.0,
        TrackWindow("c", (HostCounts("h0", 20_000, canary),)) if canary is not None else None,
        TrackWindow("s", tuple(HostCounts(f"h{i}", 20_000, bad) for i, bad in stable.items())),
    )


def test_a_canary_on_the_host_that_was_always_worse_is_not_blamed():
    """It fails 1.6 times as often as the others, as before the rollout; others differ as well."""
    usual = {0: 160, 1: 100, 2: 70, 3: 120, 4: 90, 5: 110}
    past = [replace(tracks(None, usual), start=60.0 * i, end=60.0 * i + 60) for i in range(30)]
    others = {host: bad for host, bad in usual.items() if host}
    now = [replace(tracks(160, others), start=3600.0 + 60 * i, end=3660.0 + 60 * i) for i in range(60)]
    state = learn(EvidenceState(), past)
    told = evidence(fold(state, now, SLO, compare=True, stable_broken=False), SLO)
    assert told.log_e < math.log(100)
    even = learn(EvidenceState(), [replace(one, stable=tracks(None, dict.fromkeys(usual, 100)).stable) for one in past])
    blamed = evidence(fold(even, now, SLO, compare=True, stable_broken=False), SLO)
    assert blamed.log_e > math.log(100), "control: where it was as good as the others, the release is worse"
