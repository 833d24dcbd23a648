"""A plan says what will happen, or is refused with the figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.errors import UsageError
from gopub.plan.capacity import WantedStep, fits, largest_batch, load, share_while_going_back, steps
from gopub.plan.model import FULL
from gopub.units import Amount

DEFAULT = [WantedStep(hosts=Amount.parse(text)) for text in (1, "10%", "50%", "100%")]


def names(count: int) -> list[str]:
    return [f"app{n}" for n in range(1, count + 1)]


def test_traffic_follows_the_hosts_where_no_weight_is_given():
    plan = steps(DEFAULT, names(4), 1.5)
    assert [(len(s.hosts), s.weight) for s in plan] == [(1, 2500), (2, 5000), (4, 10_000)]


def test_a_step_that_changes_nothing_is_left_out_but_an_approval_is_kept():
    plan = steps([WantedStep(hosts=Amount(1)), WantedStep(hosts=Amount(1), approve="oncall")], names(4), 1.5)
    assert [s.approve for s in plan] == ["", "oncall"]


@pytest.mark.parametrize(
    ("count", "hosts", "weight", "figures"),
    [
        (1000, 1, 0.01, "10.00×"),
        (4, 1, 0.50, "2.00×"),
        (4, 2, 0.10, "1.80×"),
    ],
)
def test_a_step_that_overloads_a_track_is_refused_with_the_figures(count, hosts, weight, figures):
    with pytest.raises(UsageError) as caught:
        steps([WantedStep(hosts=Amount(hosts), weight=weight)], names(count), 1.5)
    assert caught.value.code == "GP712"
    assert figures in str(caught.value)


def test_a_share_on_all_hosts_is_refused_for_it_leaves_nobody_on_stable():
    with pytest.raises(UsageError, match="GP712 step 1: 25% of the traffic on 1 of 1 hosts leaves 75% without a host"):
        steps([WantedStep(weight=0.25)], names(1), 1.5)


def test_the_default_number_of_canary_hosts_is_the_fewest_that_carry_the_share():
    plan = steps([WantedStep(weight=0.01), WantedStep(weight=0.25)], names(1000), 1.5)
    assert [len(s.hosts) for s in plan] == [7, 167]


def test_steps_must_not_shrink():
    with pytest.raises(UsageError, match="GP711"):
        steps([WantedStep(hosts=Amount(3)), WantedStep(hosts=Amount(1))], names(4), 1.5)


def test_a_header_step_sends_no_share_of_the_traffic():
    (step,) = steps([WantedStep(hosts=Amount(1), header=("x-canary", "true"))], names(4), 1.5)
    assert (step.weight, step.says) == (0, "1 host, header x-canary: true")


def test_two_hosts_can_still_be_released_one_after_the_other():
    assert [s.weight for s in steps(DEFAULT, names(2), 1.5)] == [5000, 10_000]


def test_one_host_in_transition_is_always_allowed_more_only_with_capacity():
    assert fits(2, 1, 1.5)
    assert not fits(4, 2, 1.5)
    assert largest_batch(20, 10, 1.5) == 6


def test_going_back_leaves_the_canary_only_what_stable_cannot_carry():
    assert share_while_going_back(4, 1, 1.5) == 0
    assert share_while_going_back(4, 2, 1.5) == 2500
    assert share_while_going_back(4, 4, 1.5) == FULL


@given(st.integers(1, 60), st.floats(1.0, 4.0), st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_every_accepted_plan_grows_and_respects_the_load(total, max_load, shares):
    wanted = [WantedStep(hosts=Amount(share=s / 100)) for s in sorted(shares)]
    plan = steps(wanted, names(total), max_load)
    counts = [len(s.hosts) for s in plan]
    assert counts == sorted(counts)
    for step in plan:
        assert load(total, len(step.hosts), step.weight / FULL).worst <= max_load + 0.5 * total / FULL + 1e-9
