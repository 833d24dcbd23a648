"""Times are told in one way: what is measured or left in whole seconds, what an answer took in three digits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.health.slo import SloCheck
from gopub.judge.words import say_break
from gopub.units import say_about, say_took
from gopub.views.amounts import took
from tests.unit.verdicts import drawn


@pytest.mark.parametrize(
    ("value", "said"),
    [(16.699, "17s"), (0.3, "1s"), (0.0, "0s"), (-2.5, "0s"), (59.7, "1m"), (60.5, "1m"), (5025.2, "1h23m45s")],
)
def test_a_measured_duration_is_whole_seconds_and_never_nothing(value: float, said: str) -> None:
    assert say_about(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.147, "147 ms"), (0.0004, "0.4 ms"), (0.9994, "999 ms"), (0.9996, "1 s"), (1.0, "1 s"), (1.234, "1.23 s")],
)
def test_what_an_answer_took_is_said_in_one_way(value: float, said: str) -> None:
    assert say_took(value) == took(value) == said


@pytest.mark.parametrize(("rules", "said"), [(6, "p95 over 147 ms"), (5, "p95 over 0.147s")])
def test_figures_and_sentences_of_a_verdict_agree_and_older_records_stay_as_they_were(rules: int, said: str) -> None:
    seen = drawn().observation
    check = SloCheck(p95=0.147, above=("latency_p95",), broken=("latency_p95",), saturated=True)
    seen = replace(seen, config=replace(seen.config, rules=rules), slo_canary=check)
    assert say_break(seen) == said
