"""What a trail makes of processes that say less than a live heap and a histogram."""

from __future__ import annotations

import pytest

from gopub.cli.judge import score as show
from gopub.health.config import ScoreWeights, SloTarget
from gopub.health.runtime import RuntimeTrail, longer_on_average
from gopub.health.samples import PausesSpent, ProcessHealth, RuntimeSample, RuntimeSnapshot
from gopub.health.score import ScoreInput, score
from gopub.health.trend import MIB


def trail(*samples: RuntimeSample) -> RuntimeTrail:
    made = RuntimeTrail()
    for one in samples:
        made.add(RuntimeSnapshot(one.at, (one,)))
    return made


def sawtooth(at: int, leak: float) -> float:
    """Heap of a JVM that is collected every 20 seconds, bytes; ``leak`` MiB a minute stay."""
    return (100 + leak * at / 60 + (at % 20) * 8 + at * 7 % 11 / 10) * MIB


@pytest.mark.parametrize(("leak", "low", "high"), [(0.0, 0.0, 1.0), (30.0, 27.0, 33.0)])
def test_of_a_heap_with_garbage_what_a_collection_leaves_is_alive(leak, low, high):
    facts = trail(*(RuntimeSample("h1", at, used=sawtooth(at, leak)) for at in range(0, 300, 5))).facts(["h1"], [])
    assert facts.canary_growth is not None
    assert low <= facts.canary_growth <= high
    assert (facts.heap_missing, facts.heap_note) == (False, "")


def test_before_the_first_collection_it_is_too_early_and_not_unexposed():
    facts = trail(*(RuntimeSample("h1", at, used=1e6 * at) for at in range(1, 20))).facts(["h1"], [])
    assert (facts.heap_missing, facts.canary_growth, facts.heap_note) == (False, None, "too little data for a slope")
    grown = trail(*(RuntimeSample("h1", at, used=1e6 * at, resident=5e8) for at in range(1, 200, 5))).facts(["h1"], [])
    assert grown.heap_note == "resident memory, for no collection was seen yet"


def test_what_the_host_says_goes_before_what_the_process_says():
    made = RuntimeTrail()
    for at in range(0, 200, 5):
        made.add(RuntimeSnapshot(at, (RuntimeSample("h1", at, resident=at * MIB, files=at),)))
        if at >= 100:
            made.add_health([ProcessHealth("h1", memory=50 * MIB, files=9)], at)
    facts = made.facts(["h1"], [])
    assert facts.canary_growth == 0.0, "the two are other measures, and lie on no one line"
    assert facts.files
    assert facts.files.mid == 0.0
    alone = trail(*(RuntimeSample("h1", at, resident=at * MIB, files=at) for at in range(0, 200, 5))).facts(["h1"], [])
    assert alone.canary_growth == pytest.approx(60), "control: where the host says neither"
    assert alone.files
    assert alone.files.mid == pytest.approx(60)


def test_another_process_is_known_by_when_it_began():
    """Not by counters that fell: they do also where another server answers, that is behind."""
    long = {0.01: 0.0, float("inf"): 100.0}
    behind = {0.01: 0.0, float("inf"): 98.0}
    same = trail(*(RuntimeSample("h1", at, 1e6, pauses, born=5.0) for at, pauses in enumerate([long, behind, long])))
    assert same.facts(["h1"], []).canary_pauses == 0.0, "never a hundred"
    new = trail(RuntimeSample("h1", 0, 1e6, long, born=5.0), RuntimeSample("h1", 0.01, 1e6, behind, born=9.0))
    assert new.facts(["h1"], []).canary_pauses == pytest.approx(98, rel=0.01), "control: all of a new one are new"


@pytest.mark.parametrize(
    ("before", "after", "long"),
    [
        (PausesSpent(1, 0.001), PausesSpent(4, 0.151), 3.0),
        (PausesSpent(1, 0.001), PausesSpent(101, 0.101), 0.0),  # a hundred of 1 ms
        (PausesSpent(1, 0.001), PausesSpent(21, 0.121, 0.1), 1.0),  # 20 ms and one of 100 ms
        (PausesSpent(1, 0.001), PausesSpent(21, 0.051, 0.1), 0.0),  # the longest is of before
        (PausesSpent(9, 0.5), PausesSpent(9, 0.5, 0.4), 0.0),
    ],
)
def test_long_pauses_where_only_their_sum_is_known(before, after, long):
    assert longer_on_average(before, after, 0.010) == long


def test_the_score_says_by_what_pauses_were_counted():
    made = trail(RuntimeSample("h1", 0, spent=PausesSpent(0, 0.0)), RuntimeSample("h1", 1, spent=PausesSpent(2, 0.1)))
    found = score(ScoreInput(None, None, made.facts(["h1"], [])), SloTarget(), ScoreWeights())
    [pauses] = [one for one in found.dimensions if one.name == "gc_pause"]
    assert pauses.note == "pauses over 10 ms, by their mean, for there is no histogram"
    assert pauses.measured == 2.0


@pytest.mark.parametrize("growth", [5.0, None])
def test_a_figure_that_is_given_is_not_called_unexposed(growth, capsys):
    rest = {"errors": "0%", "stable_p95": None, "stable_errors": "0%", "pauses": None, "slo_errors": None}
    show(p95="100ms", slo_p95="200ms", growth=growth, profile="default", as_json=False, **rest)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory_growth")]
    assert ("not exposed" in line) is (growth is None)
