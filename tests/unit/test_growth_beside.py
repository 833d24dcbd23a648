"""Growth held against stable's own, by its interval: what leaks, what does not, and what may not raise a score."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from gopub.health.config import RULES, ScoreWeights, SloTarget
from gopub.health.runtime import RuntimeFacts, RuntimeTrail
from gopub.health.samples import Histogram, HostCounts, ProcessHealth, TrackWindow
from gopub.health.score import Score, ScoreInput, score
from gopub.health.trend import MIB, Slope

TRACK = TrackWindow("c", (HostCounts("h1", 1000, 8, 1000, 10),), Histogram((0.05, 0.2, 1.0), (900, 90, 10, 0)))
FLAT = Slope(-0.5, 0.0, 0.5)
BEFORE = 5
"""The rules that took the middle of stable's growth for sure."""


def scored(
    memory: Slope | None, stable: Slope | None, rules: int = RULES, profile: str = "default", **more: object
) -> Score:
    facts = RuntimeFacts(
        memory=memory, canary_growth=memory and max(0.0, memory.mid), heap_missing=False, heap_note="", intervals=True,
        stable_growth=stable and max(0.0, stable.mid), stable_memory=stable,
    )  # fmt: skip
    given = ScoreInput(TRACK, TRACK, replace(facts, **more))
    return score(given, SloTarget(0.2, 0.01), ScoreWeights(profile=profile), rules)


def growth(found: Score):
    return next(one for one in found.dimensions if one.name == "memory_growth")


def test_it_leaks_only_where_its_interval_lies_above_stables_upper_bound():
    wide = Slope(-2.0, 0.0, 19.0)
    assert growth(scored(Slope(18.0, 20.0, 22.0), FLAT)).value == 0
    doubt = growth(scored(Slope(18.0, 20.0, 22.0), wide))
    assert (doubt.value, doubt.early) == (1.0, False)
    assert doubt.note == "no surer than stable's own growth: 18 to 22 MiB a minute, stable's 0 to 19"
    assert growth(scored(Slope(19.5, 20.0, 22.0), wide)).value == 0
    assert growth(scored(Slope(18.0, 20.0, 22.0), wide, BEFORE)).value == 0, "a control: by the rules before it leaked"


def test_a_leak_on_both_tracks_is_nobodys():
    both = Slope(39.0, 40.0, 41.0)
    assert growth(scored(both, both)).value == 100
    assert growth(scored(both, None)).value == 0


@pytest.mark.parametrize("unsettled", ["canary", "stable", "both"])
def test_what_may_still_change_is_waited_for_and_counts_with_what_is_sure(unsettled):
    ours = Slope(16.0, 20.0, 40.0, settled=unsettled == "stable")
    theirs = Slope(-1.0, 0.0, 17.0, settled=unsettled == "canary")
    found = growth(scored(ours, theirs))
    assert (found.value, found.early) == (1.0, True)
    assert found.note.startswith("too early to say: 16 to 40 MiB a minute, stable's 0 to 17 so far")


@pytest.mark.parametrize("profile", ["default", "article"])
@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("stable", [None, FLAT, Slope(3.0, 5.0, 9.0), Slope(-1.0, 1.0, 30.0, settled=False)], ids=str)
def test_more_growth_is_never_a_higher_score(profile, settled, stable):
    """Also on its way from good to too early to say to a leak."""
    grown = [scored(Slope(low, low + 3, low + 8, settled), stable, profile=profile).value for low in range(-9, 60)]
    assert all(after <= before for before, after in pairwise(grown)), grown
    assert grown[0] > grown[-1]


def test_control_by_the_rules_before_a_score_rose_as_memory_did():
    grown = [scored(Slope(low, low + 3, low + 8, False), FLAT, BEFORE).value for low in range(-9, 60)]
    assert any(after > before for before, after in pairwise(grown))


def test_what_is_too_early_of_either_is_waited_for():
    files = Slope(0.0, 10.0, 90.0, settled=False)
    found = growth(scored(FLAT, FLAT, files=files, files_missing=False))
    assert found.early
    assert "too early to say: 0 to 90 open files a minute" in found.note
    near, theirs = Slope(0.0, 10.0, 64.0, settled=False), Slope(0.0, 5.0, 31.0)
    assert growth(scored(FLAT, FLAT, files=near, files_missing=False)).early
    beside = growth(scored(FLAT, FLAT, files=near, stable_files=theirs, files_missing=False))
    assert not beside.early, "at most 59 more than stable's"
    leak = Slope(80.0, 90.0, 100.0)
    assert growth(scored(FLAT, FLAT, files=leak, files_missing=False)).value == 0
    alike = growth(scored(FLAT, FLAT, files=leak, stable_files=leak, files_missing=False))
    assert alike.value == 100


def test_stables_slope_comes_with_its_interval():
    trail = RuntimeTrail()
    for second in range(0, 120, 2):
        jump = second * 7 % 20
        hosts = [ProcessHealth("c1", memory=50 * MIB), ProcessHealth("s1", memory=(50 + jump) * MIB, files=20.0)]
        trail.add_health(hosts, float(second))
    facts = trail.facts(["c1"], ["s1"])
    assert facts.stable_memory is not None
    assert facts.stable_memory.low < 0 < facts.stable_memory.high, "it goes up and down"
    assert facts.stable_growth == 0
    assert facts.stable_files == Slope(0.0, 0.0, 0.0)
    assert trail.facts(["c1"], []).stable_memory is None
