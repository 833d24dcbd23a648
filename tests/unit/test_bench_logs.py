"""Small versions of the log bench: what is committed is what its maker makes, and its figures hold."""

from __future__ import annotations

import json

import pytest

from gopub.health import logsurge
from tests.bench.bench_logs import LABELLED, alarms, false_alarms, labelled, quality, surge_delay
from tests.bench.log_maker import labelled as made


def test_the_labelled_set_is_what_its_maker_makes():
    assert LABELLED.read_text() == "".join(json.dumps(event) + "\n" for event in made())
    assert len(labelled()) > 500


def test_every_error_of_the_set_is_found_once_and_nothing_else_is():
    found = quality()
    assert (found["errors: precision"], found["errors: recall"], found["counted once"]) == (1.0, 1.0, 1.0)
    assert min(found["classes: precision"], found["classes: recall"]) > 0.95


def test_planted_faults_are_found_and_nothing_innocent_is_blamed():
    for name, guilty, found, rollouts in alarms(1, each=1):
        if guilty and name != "many ways":  # rare each: the bench says how many of these
            assert found == rollouts, name
        if not guilty:
            assert found == 0, name


@pytest.mark.parametrize("base", [3.0, 10.0])
def test_a_surge_to_three_times_is_found_within_a_minute(base):
    delays = [surge_delay(base, seed) for seed in range(10)]
    assert all(held < 20 and condemned < 60 for held, condemned in delays), delays


def test_an_innocent_canary_is_not_condemned_where_the_article_s_rule_fires_all_day():
    found, rollouts = false_alarms(0.03, 1)
    assert (found["condemned"], found[f"held at {logsurge.MARK:g}"], rollouts) == (0, 0, 10)
    assert found["article"] > rollouts
