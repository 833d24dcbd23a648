"""Counters, ratios and gauges of the team's own: what counts, what is refused, and what E becomes of it."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from gopub.health.config import JudgeConfig, OwnTarget, SloTarget
from gopub.health.dispersion import Tally
from gopub.health.eprocess import GRID
from gopub.health.evidence import Evidence
from gopub.health.own import EDGES_SPAN, OWN_SHARE, OwnLook, OwnState, OwnTold, OwnWindow, fold_own, with_own
from gopub.health.ownread import Counters, Gauges, OwnAnswer, OwnSeries, malformed, tallies
from gopub.health.sequential import ON_COUNTS
from gopub.judge.decision import decide
from gopub.judge.own import is_worse
from gopub.judge.verdict import Cause, Kind
from gopub.views.advice import advice
from gopub.views.sentence import sentence
from tests.unit.verdicts import CONFIG, GOOD, HISTORY, POLICY, drawn

NAN, INF = math.nan, math.inf
RATIO = OwnTarget("lost", "ratio", "q", "p", margin=0.25)
PLAIN = OwnTarget("lost", "counter", "q", margin=0.25)
QUEUE = OwnTarget("queue", "gauge", "q", margin=0.5)


def window(
    canary: tuple[int, int], stable: tuple[int, int], start: float = 0.0, end: float = 5.0, step: int = 0
) -> Any:
    ours, theirs = {"h1": Tally(*canary)}, {"h2": Tally(*stable), "h3": Tally()}
    return OwnWindow("lost", step, start, end, ours, theirs if any(stable) else {})


def answer(*series: tuple[str, float] | tuple[str, str, float]) -> OwnAnswer:
    found = [OwnSeries(f"{one[0]} {one[1] if len(one) == 3 else ''}", one[0], float(one[-1])) for one in series]
    return OwnAnswer(tuple(found))


def worth(state: OwnState) -> float:
    return state.metrics["lost"].versus_stable.log_e


# --- one series on stable


def alone(canary: int, stable: int, number: int) -> OwnWindow:
    """The window of that number, a quarter of a minute long, with one host on stable."""
    start = 15.0 * number
    ours, theirs = {"h1": Tally(canary, 600)}, {"h2": Tally(stable, 600)}
    return OwnWindow("lost", 0, start, start + 15.0, ours, theirs)


def test_beside_one_series_the_first_windows_teach_and_are_no_evidence() -> None:
    """What comes by the dozen took innocents back: there was no spread to learn from, and none was assumed."""
    clumps = [0, 20, 0, 0, 20, 0, 0, 0]
    before = [alone(20, clump, number) for number, clump in enumerate(clumps)]
    state = fold_own(OwnState(), before, (RATIO,), compare=True)
    assert worth(state) == pytest.approx(0.0)
    assert state.metrics["lost"].spread.phi > 5.0, "it learnt that events come twenty at a time"
    assert state.metrics["lost"].canary.bad == 160, "they are told all the same"
    after = fold_own(state, [alone(60, 5, 8)], (RATIO,), compare=True)
    assert abs(worth(after)) > 0.01, "control: the ninth counts"


def test_beside_two_hosts_the_first_window_counts() -> None:
    one = alone(60, 5, 0)
    two = replace(one, stable={**one.stable, "h3": Tally(5, 600)})
    assert worth(fold_own(OwnState(), [two], (RATIO,), compare=True)) > 0.0


def test_events_that_come_one_by_one_teach_that_they_do() -> None:
    steady = [alone(6, 6, number) for number in range(16)]
    assert fold_own(OwnState(), steady, (RATIO,), compare=True).metrics["lost"].spread.phi < 1.2


def test_bursts_on_one_host_rarely_blame_and_a_bad_canary_is_found() -> None:
    """Five events at a time: 34 of 300 innocents reached 1/α before. A fixed draw, so that chance decides nothing."""
    draw = random.Random(7)

    def rollout(times: int) -> float:
        state = OwnState()
        for number in range(40):
            ours, theirs = (5 * sum(draw.random() < 0.1 for _ in range(12 * most)) for most in (times, 1))
            state = fold_own(state, [alone(ours, theirs, number)], (RATIO,), compare=True)
        return math.log(OWN_SHARE * ON_COUNTS) + worth(state)

    assert sum(rollout(1) >= math.log(100) for _ in range(60)) == 0
    assert sum(rollout(8) >= math.log(100) for _ in range(10)) == 10


# --- counting


def test_differences_are_taken_series_by_series() -> None:
    counters = Counters()
    assert counters.gained(answer(("h1", "a", 7), ("h1", "b", 100))) == {}, "what is seen first is a starting point"
    assert counters.gained(answer(("h1", "a", 9), ("h1", "b", 103))) == {"h1": 5.0}
    assert counters.gained(answer(("h1", "a", 9), ("h1", "b", 103))) == {"h1": 0.0}, "nothing is a figure, too"


def test_a_counter_that_fell_counts_nothing_and_is_a_new_start() -> None:
    counters = Counters()
    counters.gained(answer(("h1", "a", 1000), ("h1", "b", 5)))
    assert counters.gained(answer(("h1", "a", 700), ("h1", "b", 6))) == {"h1": 1.0}, "no 700 events of one process"
    assert counters.gained(answer(("h1", "a", 703), ("h1", "b", 6))) == {"h1": 3.0}


def test_a_series_that_was_gone_goes_on_from_where_it_was() -> None:
    counters = Counters()
    counters.gained(answer(("h1", 10), ("h2", 10)))
    assert counters.gained(answer(("h2", 11))) == {"h2": 1.0}
    assert counters.gained(answer(("h1", 14), ("h2", 11))) == {"h1": 4.0, "h2": 0.0}
    assert counters.gained(answer(("h3", 5000), ("h2", 11))) == {"h2": 0.0}, "a new one has a past that nobody saw"


def test_who_comes_back_into_a_sum_brings_no_past_with_him() -> None:
    counters, both = Counters(), ("h1", "h2")
    # h1 and h2 had 5000 each; the scrape of h1 fails, h2 begins anew meanwhile, and h1 is there again.
    sums = (10_000, 10_001, 5001, 5003, 0, 2, 5002, 5006)
    found = [counters.gained(answer(("", value)), both).get("") for value in sums]
    assert found == [None, 1.0, None, 2.0, None, 2.0, None, 4.0], "9 of the 5009 that the sums rose by"


def test_a_sum_over_other_hosts_is_another_sum() -> None:
    counters = Counters()
    asked: list[tuple[float, tuple[str, ...]]] = [
        (10, ("h1",)),
        (12, ("h1",)),
        (912, ("h1", "h2")),
        (913, ("h2", "h1")),
    ]
    found = [counters.gained(answer(("", value)), hosts).get("") for value, hosts in asked]
    assert found == [None, 2.0, None, 1.0], "h2 counted 900 before it was on this track"
    assert counters.gained(answer(("h1", 7)), ["h1"]) == {}
    assert counters.gained(answer(("h1", 9)), ["h1", "h2"]) == {"h1": 2.0}, "a host's own series stays what it was"


@pytest.mark.parametrize(
    ("kind", "series", "why"),
    [
        ("counter", (), "it gives no series"),
        ("counter", (("h1", NAN),), "it gives nan on h1, which is no value"),
        ("gauge", (("h1", INF),), "it gives inf on h1, which is no value"),
        ("counter", (("h1", -1),), "it gives -1 on h1, which is no count"),
        ("ratio", (("h1", 1e16),), "it gives 1e+16 on h1, which is no count"),
        (
            "gauge",
            (("h1", "a", 1), ("h1", "b", 2)),
            "on h1 it gives several values: write avg by (host) (…), max or sum",
        ),
        ("gauge", (("", "a", 1), ("", "b", 2)), "it gives several values: write avg by (host) (…), max or sum"),
        ("counter", (("h1", 1), ("", 2)), "some of its series have the label host and some have not"),
        ("counter", (("h1", "a", 1), ("h1", "b", 2)), ""),
        ("gauge", (("h1", -40.5),), ""),
        ("gauge", (("h1", -1e30),), "it gives -1e+30 on h1, which is no value"),
        ("counter", (("", 3),), ""),
    ],
)
def test_what_an_answer_may_be(kind: str, series: Any, why: str) -> None:
    assert malformed(answer(*series), kind) == why


def test_an_answer_of_a_hundred_thousand_series_is_none() -> None:
    few = answer(*((f"h{n}", 1.0) for n in range(3)))
    assert malformed(few, "counter") == ""
    many = replace(few, found=100_000)
    assert malformed(many, "counter") == "it gives 100000 series, 2000 at most: write sum by (host) (…)"


def test_events_come_whole_and_are_a_part_of_what_they_are_of() -> None:
    assert tallies({"h1": 3.0}, {"h1": 10.0, "h2": 5.0}, part=True) == {"h1": Tally(3, 10)}, "h2 is in one alone"
    assert tallies({"h1": 3.0}, {"": 10.0}, part=True) == {"": Tally(3, 10)}
    assert tallies({"h1": 0.37}, {"h1": 10.0}, part=False) == "it counted 0.37 on h1, and events come whole"
    assert tallies({"": 11.0}, {"": 10.0}, part=True) == "it counted 11 of 10: `query` must be a part of `per`"
    assert tallies({"": 11.0}, {"": 10.0}, part=False) == {"": Tally(11, 10)}, "a request can fail three times"


# --- evidence


def test_one_window_is_worth_what_the_formula_says() -> None:
    """4 of 100 against 2 of 300, φ = 1.5 for want of data, δ = 0.25; by hand for each alternative."""
    r = 1.25 * 100 / 300
    gains = []
    for g in GRID:
        p0, p1 = r / (1 + r), r * g / (1 + r * g)
        gains.append((4 * math.log(p1 / p0) + 2 * math.log((1 - p1) / (1 - p0))) / 1.5)
    started = 0.5 * sum(math.exp(gain) for gain in gains) / len(GRID)
    state = fold_own(OwnState(), [window((4, 100), (2, 300))], (RATIO,), compare=True)
    assert worth(state) == pytest.approx(math.log(started + 0.5))
    assert state.metrics["lost"].canary == Tally(4, 100)
    higher = replace(RATIO, direction="higher", margin=0.2)
    turned = fold_own(OwnState(), [window((2, 300), (4, 100))], (higher,), compare=True)
    assert worth(turned) == pytest.approx(worth(state)), "20 % fewer good ones is 25 % more on the other track"


def test_the_coin_is_split_and_without_own_metrics_nothing_changes() -> None:
    base = Evidence(math.log(7.0), log_e_all=math.log(9.0))
    state = fold_own(OwnState(), [window((9, 100), (2, 300))], (RATIO,), compare=True)
    assert with_own(base, state, (), late=True, whole=False) is base
    assert with_own(base, state, (QUEUE,), late=True, whole=False) is base, "a gauge takes no part of the coin"
    both = with_own(base, state, (RATIO, replace(RATIO, name="other")), late=True, whole=False)
    mean = (math.exp(worth(state)) + 1.0) / 2
    assert math.exp(both.log_e) == pytest.approx(0.8 * 7 + OWN_SHARE * ON_COUNTS * mean)
    assert math.exp(both.log_e_all) == pytest.approx(0.8 * 9 + OWN_SHARE * ON_COUNTS * mean)
    assert both.e_value == pytest.approx(math.exp(both.log_e))
    assert [one.name for one in both.metrics] == ["lost", "other"]
    fresh = with_own(Evidence(math.log(ON_COUNTS)), OwnState(), (RATIO,), late=False, whole=False)
    assert fresh.log_e == pytest.approx(math.log(ON_COUNTS)), "all stakes together are the coin"
    assert fresh.log_e_all == 0.0


def test_windows_without_events_are_joined_and_long_ones_begin_anew() -> None:
    quiet = [window((0, 10), (0, 10), n * 5.0, n * 5.0 + 5) for n in range(4)]
    late = window((3, 10), (1, 10), 20.0, 25.0)
    joined = fold_own(OwnState(), [*quiet, late], (RATIO,), compare=True)
    at_once = fold_own(OwnState(), [window((3, 50), (1, 50), 0.0, 25.0)], (RATIO,), compare=True)
    assert worth(joined) == worth(at_once), "the same whenever it was read: scrapes and looks change nothing"
    assert joined.metrics["lost"].canary == Tally(3, 50)
    long = [window((0, 1000), (0, 10), 0.0, 70.0), window((3, 10), (1, 10), 70.0, 75.0)]
    alone = fold_own(OwnState(), [window((3, 10), (1, 10), 70.0, 75.0)], (RATIO,), compare=True)
    assert worth(fold_own(OwnState(), long, (RATIO,), compare=True)) == worth(alone)


def test_shares_of_an_earlier_step_are_none_of_this_one() -> None:
    """A shared incident at the moment at which the canary's share grows from 1 to 50 % is no evidence."""
    before = window((0, 10), (0, 990), 0.0, 5.0, step=0)
    incident = window((50, 500), (50, 500), 5.0, 10.0, step=1)
    assert worth(fold_own(OwnState(), [before, incident], (RATIO,), compare=True)) < 0
    control = fold_own(OwnState(), [before, replace(incident, step=0)], (RATIO,), compare=True)
    assert worth(control) > math.log(10)


def test_events_of_the_edges_requests_want_a_longer_window() -> None:
    short = [window((3, 10), (0, 10), 0.0, 5.0)]
    assert fold_own(OwnState(), short, (PLAIN,), compare=True).waiting.keys() == {"lost"}
    assert not fold_own(OwnState(), short, (RATIO,), compare=True).waiting
    more = [*short, window((0, 10), (3, 10), 5.0, EDGES_SPAN)]
    assert not fold_own(OwnState(), more, (PLAIN,), compare=True).waiting


def test_users_who_chose_their_track_are_summed_and_not_compared() -> None:
    state = fold_own(OwnState(), [window((50, 100), (0, 100))], (RATIO,), compare=False)
    assert worth(state) == pytest.approx(0.0)
    assert state.metrics["lost"].canary == Tally(50, 100)
    assert worth(fold_own(OwnState(), [window((50, 100), (0, 100))], (RATIO,), compare=True)) > 3


def test_without_stable_nothing_is_bet() -> None:
    state = fold_own(OwnState(), [window((50, 100), (0, 0), 0, 100)], (RATIO,), compare=True)
    assert worth(state) == pytest.approx(0.0)
    assert state.metrics["lost"].canary == Tally(50, 100)


def test_phi_of_a_window_is_from_before_it() -> None:
    """Stable's hosts differ wildly in the second window; it tempers the third, not the second."""
    first, wild = window((1, 100), (1, 100)), window((5, 100), (1, 100), 5, 10)
    wild = replace(wild, stable={"h2": Tally(60, 100), "h3": Tally(0, 100), "h4": Tally(0, 100)})
    before = fold_own(OwnState(), [first], (RATIO,), compare=True)
    after = fold_own(before, [wild], (RATIO,), compare=True)
    assert before.metrics["lost"].spread.phi == 1.5
    assert after.metrics["lost"].spread.phi > 10


def test_an_innocent_canary_is_rarely_suspected_and_a_bad_one_is_found() -> None:
    """Three metrics share the coin over 120 windows: of 60 good canaries none reaches 1/α, of 10 bad ones all do."""
    draw = random.Random(17)

    def reached(factor: float, rollouts: int) -> int:
        targets = tuple(replace(RATIO, name=name) for name in ("a", "b", "c"))
        found = 0
        for _ in range(rollouts):
            state, top = OwnState(), 0.0
            for n in range(120):
                windows = []
                for index, target in enumerate(targets):
                    rate = 0.02 * (factor if index == 0 else 1.0)
                    bad = sum(draw.random() < rate for _ in range(10)), sum(draw.random() < 0.02 for _ in range(30))
                    windows.append(replace(window((bad[0], 10), (bad[1], 30), n * 5.0, n * 5.0 + 5), name=target.name))
                state = fold_own(state, windows, targets, compare=True)
                base = Evidence(math.log(ON_COUNTS))
                top = max(top, with_own(base, state, targets, late=False, whole=False).log_e)
            found += top >= math.log(100)
        return found

    assert reached(1.0, 60) == 0
    assert reached(10.0, 10) == 10


# --- gauges


def test_a_gauge_is_the_mean_of_a_minute_after_three_readings() -> None:
    gauges = Gauges()
    for n, value in enumerate((10.0, 20.0)):
        gauges.add(answer(("h1", value)), n * 5.0)
    assert gauges.means() == {}
    gauges.add(answer(("h1", 60.0)), 10.0)
    assert gauges.means() == {"h1": 30.0}
    gauges.add(answer(("h1", 40.0)), 64.0)
    assert gauges.means() == {"h1": 40.0}, "(20 + 60 + 40) ÷ 3 after a minute"
    gauges.add(answer(("h2", 1.0)), 65.0)
    assert gauges.means() == {"h2": 1.0}, "a host that is gone has no value"


@pytest.mark.parametrize(
    ("ours", "stables", "direction", "worse"),
    [
        ((15.1,), (10.0, 10.0), "lower", True),
        ((15.0,), (10.0, 10.0), "lower", False),
        ((15.1,), (10.0, 10.0, 16.0), "lower", False),
        ((16.1,), (10.0, 10.0, 16.0), "lower", True),
        ((99.0, 10.0, 10.0), (10.0, 10.0), "lower", False),
        ((4.9,), (10.0, 10.0), "higher", True),
        ((5.1,), (10.0, 10.0), "higher", False),
        ((-4.9,), (-10.0, -10.0), "lower", True),
        ((-15.1,), (-10.0, -10.0), "higher", True),
        ((99.0,), (), "lower", False),
        ((), (1.0,), "lower", False),
    ],
)
def test_a_gauge_is_worse_beyond_all_of_stables_hosts_and_the_margin(ours, stables, direction, worse) -> None:
    target = replace(QUEUE, direction=direction)
    for unit in (1.0, 1e-9, 1e12):  # no unit changes a verdict
        named = [{f"h{n}": value * unit for n, value in enumerate(values)} for values in (ours, stables)]
        assert is_worse(target, *named) is worse


# --- verdicts


def told(target: OwnTarget, found: OwnTold, **more: Any) -> Any:
    config = replace(CONFIG, own=(target,))
    return drawn(config=config, own=OwnLook(told=(found,)), **more)


HIGH = OwnTold("queue", canary={"web3": 40.0}, stable={"a": 10.0, "b": 12.0})


def test_a_gauge_holds_and_withdraws_and_never_blames() -> None:
    held = told(QUEUE, HIGH)
    assert (held.verdict.kind, held.verdict.rule, held.verdict.cause) == (Kind.HOLD, 6, Cause.OWN)
    assert held.verdict.reason.startswith(
        "queue is 40 on the canary, 11 on stable, worse than each of stable's hosts and by more than 50 %; log score 0"
    )
    assert sentence(held).startswith("queue is 40 on the canary, 11 on stable, worse than each")
    assert "`gopub abort`" in advice(held)
    late = told(QUEUE, HIGH, history={"now": HISTORY.deadline + 1})
    assert (late.verdict.kind, late.verdict.cause) == (Kind.WITHDRAW, Cause.OWN)
    chosen = told(QUEUE, HIGH, compare=False)
    assert chosen.verdict.kind is Kind.PROMOTE, "users who chose the canary make its queue"
    good = told(QUEUE, replace(HIGH, canary={"web3": 11.0}))
    assert good.verdict.kind is Kind.PROMOTE
    assert good.verdict.reason.endswith("; queue is 11 on the canary, 11 on stable")


def test_a_metric_without_figures_holds_and_says_so() -> None:
    why = "Prometheus at p:9090 gave no usable answer: it says 'parse error'"
    held = told(RATIO, OwnTold("lost", why))
    assert (held.verdict.kind, held.verdict.rule, held.verdict.cause) == (Kind.HOLD, 2, Cause.UNREAD)
    assert held.verdict.reason == f"no figures of the team's own metrics: lost: {why}"
    assert advice(held).startswith("ask Prometheus the query")
    late = told(RATIO, OwnTold("lost", why), history={"now": HISTORY.deadline + 1})
    assert (late.verdict.kind, late.verdict.cause) == (Kind.WITHDRAW, Cause.UNREAD)
    waits = told(RATIO, OwnTold("lost", "too few readings so far", settles=True))
    assert (waits.verdict.kind, advice(waits)) == (Kind.HOLD, "")
    optional = told(replace(RATIO, required=False), OwnTold("lost", why))
    assert optional.verdict.kind is Kind.PROMOTE
    assert optional.verdict.reason.endswith(f"; lost has no figures ({why})"), "it promotes nobody silently"


def test_no_door_is_open_to_a_canary_whose_metric_cannot_be_read() -> None:
    """Not the first release on health alone, not an approval; a rollback is not kept from anybody."""
    unread = OwnTold("lost", "it gives no series")
    few = replace(GOOD.step_totals, canary_requests=3)
    first = told(RATIO, unread, step_totals=few, policy={"first": True})
    assert (first.verdict.kind, first.verdict.cause) == (Kind.HOLD, Cause.UNREAD)
    approved = told(RATIO, unread, step_totals=few, history={"approved": "ann"})
    assert (approved.verdict.kind, approved.verdict.cause) == (Kind.HOLD, Cause.UNREAD)
    assert told(RATIO, OwnTold("lost"), step_totals=few, history={"approved": "ann"}).verdict.kind is Kind.PROMOTE
    by_hand = told(RATIO, unread, history={"promoted": "ann"})
    assert by_hand.verdict.kind is Kind.PROMOTE
    assert "no figures of the team's own metrics" in by_hand.verdict.reason
    sure = told(RATIO, unread, evidence=replace(GOOD.evidence, log_e=math.log(2e4), e_value=2e4))
    assert (sure.verdict.kind, sure.verdict.rule) == (Kind.ROLLBACK, 3)


def test_counts_of_the_teams_own_take_a_release_back_and_say_by_what() -> None:
    state = fold_own(OwnState(), [window((60, 300), (20, 2700), n * 5.0, n * 5 + 5.0) for n in range(9)], (RATIO,),
                     compare=True)  # fmt: skip
    found = with_own(GOOD.evidence, state, (RATIO,), late=False, whole=False)
    seen = replace(GOOD, config=replace(CONFIG, own=(RATIO,)), evidence=found, own=OwnLook(told=(OwnTold("lost"),)))
    verdict = decide(seen, POLICY, HISTORY)
    assert (verdict.kind, verdict.rule, verdict.cause) == (Kind.ROLLBACK, 3, Cause.SURE)
    assert verdict.reason.startswith("the canary is worse than stable by the team's own metric lost: E = ")
    assert "lost 540/2700 against 180/24300" in verdict.reason
    record = drawn(config=seen.config, evidence=found, own=seen.own)
    assert sentence(record).startswith("lost, the team's own metric, is 540 of 2700 on the canary, 0.74 % of stable's")


def test_a_config_without_own_metrics_is_as_it_was() -> None:
    assert JudgeConfig("a", "e", "r", "c", None, SloTarget()).own == ()
    assert drawn().verdict.kind is Kind.PROMOTE
