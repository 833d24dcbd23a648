"""A surge of error lines holds within ten seconds and blames nobody; so does the article's rule, wrong as it says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gopub.health.logarticle import Glimpse, ThreeTimes, newest, three_times, wrong
from gopub.health.logscore import LogReading, LogState, alerts, fold_logs, log_score
from gopub.health.logsurge import MARK, MOST, bet, usual, worth
from gopub.health.samples import LogCounts
from gopub.health.usual import Usual
from gopub.health.wire import from_json, to_json
from gopub.judge.replay import judge, replay
from gopub.judge.surging import surging
from gopub.judge.verdict import Cause, History, Kind, Policy
from gopub.plan.lines import table, told, wrong_every
from gopub.plan.model import PlannedStep
from tests.bench.bench_logs import LOOK, surge_delay
from tests.unit.test_health_observer import CONFIG, T0, Logs, rollout, started, targets
from tests.unit.verdicts import BAKING, GOOD, OVER, SURGING, drawn

STABLE = ("h2", "h3", "h4")
WHERE = targets("h1", "h2", "h3")


def reading(at: float, ours: int, theirs: int, *, busy: int = 400, seconds: float = 4.0) -> LogReading:
    """So many events of one class on the canary and on each of three stable hosts."""
    counts = {host: {"level:error": number, "template:a b": number} if (number := ours if host == "h1" else theirs)
              else {} for host in ("h1", *STABLE)}  # fmt: skip
    first, *others = (LogCounts(host, "", found, 1, "") for host, found in counts.items())
    return LogReading(at, at + seconds, (first,), tuple(others), {"h1": busy, **dict.fromkeys(STABLE, 400)})


def after(*readings: tuple[int, int], **more: int) -> LogState:
    """The state after two minutes in which each host logs three events a second, and these readings."""
    state = LogState()
    for step in range(30):
        state = fold_logs(state, reading(4.0 * step, 12, 12))
    for step, (ours, theirs) in enumerate(readings, start=30):
        state = fold_logs(state, reading(4.0 * step, ours, theirs, **more))
    return state


def rises(state: LogState) -> bool:
    found = log_score(state).surge
    return found is not None and found.log_r >= MARK


def test_three_times_as_many_hold_after_two_readings_long_before_the_log_score_condemns():
    assert alerts(after((36, 12))), "the next look reads again"
    state = after((36, 12), (36, 12))
    assert rises(state)
    assert log_score(state).value < 0.85
    found = log_score(state).surge
    assert found is not None
    assert (found.name, found.times > 2) == ("level:error", True)


@pytest.mark.parametrize(
    ("readings", "busy"),
    [(((12, 12),) * 5, 400), (((36, 36),) * 5, 400), (((120, 120),) * 5, 400), (((36, 12),) * 5, 1200),
     (((20, 12),) * 2, 400), (((0, 12),) * 5, 400)],
    ids=["nothing", "shared", "ten times, shared", "thrice the traffic", "once, by chance", "less"],
)  # fmt: skip
def test_what_is_no_surge_of_the_canary_holds_nobody(readings, busy):
    assert not rises(after(*readings, busy=busy))


def test_a_surge_that_is_over_holds_no_longer_than_half_a_minute():
    long = after(*((90, 12),) * 30)
    assert rises(long)
    over = long
    for step in range(7):
        over = fold_logs(over, reading(240.0 + 4 * step, 12, 12))
    assert not rises(over)


def test_a_class_that_nobody_had_holds_from_five_events_on():
    state = LogState()
    for step in range(30):
        state = fold_logs(state, reading(4.0 * step, 0, 0))
    assert not rises(fold_logs(state, reading(120.0, 4, 0)))
    assert rises(fold_logs(state, reading(120.0, 6, 0)))


def test_a_bet_is_never_less_than_nothing_nor_more_than_is_forgotten_soon():
    assert bet((), 0, 5.0, 1.0) == ()
    assert bet((1.0,) * 5, 0, 50.0, 1.0) == ()
    assert max(bet((), 500, 5.0, 1.0)) == MOST
    assert bet((), 10, 5.0, 2.0)[1] == pytest.approx((10 * math.log(3) - 10.0) / 2, abs=1e-3)
    assert bet((), 10, math.inf, 1.0) == (), "nobody knows what is usual"
    assert worth(()) == 0.0


def test_what_is_usual_is_the_past_at_its_upper_end_or_what_stable_has_now():
    assert usual(99, 1000, (0, 10)) == pytest.approx(0.12)
    assert usual(99, 1000, (5, 10)) == 0.5
    assert usual(0, 0, (5, 10)) == math.inf


def test_most_surges_to_three_times_of_three_a_second_are_held_within_ten_seconds():
    held = sorted(surge_delay(3.0, seed, longest=14.0)[0] for seed in range(40))
    assert held[35] <= 10 + LOOK, held
    assert held[20] <= 8, held


def test_the_state_is_kept_and_read_as_it_was():
    state = fold_logs(after((36, 12)), reading(200.0, 36, 12), article=True)
    assert from_json(LogState, to_json(state)) == state
    bare = {name: value for name, value in to_json(LogState()).items() if name != "newest"}
    assert from_json(LogState, bare) == LogState(), "as one of before this was kept"


# --- what the judge makes of it


def test_a_surge_holds_with_an_alert_and_is_withdrawn_at_the_deadline_and_never_blamed():
    held, late = drawn(BAKING, log_score=SURGING).verdict, drawn(BAKING | OVER, log_score=SURGING).verdict
    assert (held.kind, held.rule, held.alert, held.cause) == (Kind.HOLD, 6, True, Cause.SURGE)
    assert "error lines surge on the canary ('template:lost *': 31 of late in 400 requests" in held.reason
    assert (late.kind, late.cause) == (Kind.WITHDRAW, Cause.SURGE)


def test_below_its_mark_and_by_the_rules_of_before_it_holds_nobody():
    quiet = replace(SURGING, surge=replace(SURGING.surge, log_r=MARK - 0.01))
    assert drawn(BAKING, log_score=quiet).verdict.cause is Cause.BAKES
    old = drawn(BAKING, log_score=SURGING, config=replace(CONFIG, rules=5))
    assert old.verdict.cause is Cause.BAKES


async def test_a_canary_whose_lines_surge_is_held_through_observer_and_judge_and_its_records_replay():
    usual_lines = {"level:error": 12, "template:lost": 12}
    logs = Logs(dict.fromkeys(("h1", "h2", "h3"), usual_lines))
    world, observer = await started(logs=logs)
    seen = await rollout(world, observer, 40, logs=WHERE)
    logs.says = {**logs.says, "h1": {name: 3 * number for name, number in usual_lines.items()}}
    seen += await rollout(world, observer, 5, start=40, logs=WHERE)
    past = History(T0, T0, 1000.0, T0 + 3600)
    records = [judge(look, Policy.of(CONFIG), replace(past, now=look.at)) for look in seen]
    causes = [record.verdict.cause for record in records]
    assert not {Cause.SURGE, Cause.LOGS} & set(causes[:40])
    assert Cause.SURGE in causes
    assert Cause.LOGS not in causes[: causes.index(Cause.SURGE)], "before the log score is sure"
    assert all(replay(record).same for record in records)


# --- the article's rule


@pytest.mark.parametrize(
    ("ours", "theirs", "fires"),
    [(3, 3, True), (2, 3, False), (1, 0, True), (9, 9, True), (8, 9, False), (0, 0, False)],
)
def test_three_times_as_many_for_each_request_and_none_counts_as_one(ours, theirs, fires):
    found = three_times((Glimpse(0.0, 10.0, 100, 300, {"level:error": ours}, {"level:error": theirs}),))
    assert found == ((ThreeTimes("level:error", ours, 100, theirs, 300),) if fires else ())


def test_only_the_last_ten_seconds_are_looked_at():
    glimpses = [Glimpse(4.0 * n, 4.0 * n + 4, 100, 300, {"a": n}, {}) for n in range(6)]
    assert [one.start for one in newest(glimpses)] == [16.0, 20.0]
    assert [one.start for one in newest([glimpses[0], Glimpse(4.0, 60.0, 1, 1, {}, {})])] == [4.0]


@pytest.mark.parametrize("log_score_", [SURGING, replace(SURGING, surge=None)])
@pytest.mark.parametrize("fired", [True, False])
def test_the_profile_holds_by_the_article_s_rule_alone_and_blames_nobody(log_score_, fired):
    one = ThreeTimes("error:FooError", 9, 400, 2, 1200)
    seen = replace(log_score_, article=(one,) if fired else ())
    config = replace(CONFIG, logs_profile="article")
    held = drawn(BAKING, log_score=seen, config=config).verdict
    late = drawn(BAKING | OVER, log_score=seen, config=config).verdict
    assert (held.kind, held.cause is Cause.SURGE) == (Kind.HOLD, fired)
    assert late.kind is (Kind.WITHDRAW if fired else Kind.HOLD)
    if fired:
        assert "3 times as often as on stable ('error:FooError' in 10s: 9 in 400 requests, stable 2 in" in held.reason


def test_without_the_profile_the_rule_is_not_even_asked():
    state = fold_logs(after(), reading(200.0, 36, 12))
    assert (state.newest, log_score(state).article) == ((), ())
    asked = fold_logs(after(), reading(200.0, 36, 12), article=True)
    assert [one.name for one in log_score(asked).article] == ["level:error", "template:a b"]
    assert surging(replace(GOOD, log_score=log_score(asked))) == ""


@pytest.mark.parametrize(("ours", "theirs", "share"), [(1.0, 9.0, 1 / 9), (3.0, 9.0, 1 / 3), (0.1, 0.1, 1.0)])
def test_how_often_it_is_wrong_is_what_counting_every_case_gives(ours, theirs, share):
    def poisson(number: int, mean: float) -> float:
        return math.exp(-mean) * mean**number / math.factorial(number)

    cases = ((x, y) for x in range(60) for y in range(60))
    chance = sum(
        poisson(x, ours) * poisson(y, theirs) for x, y in cases if x >= 3 * share * max(y, 1) - 1e-9
    )  # fmt: skip
    assert wrong(ours, theirs, share) == pytest.approx(chance, rel=1e-6)


def test_it_is_told_in_a_table_and_for_the_traffic_of_a_plan():
    steps = [PlannedStep(0, (), 1000, 60.0), PlannedStep(1, (), 5000, 60.0), PlannedStep(2, (), 10000, 60.0)]
    lines = table(steps)
    assert [line.split(":")[0].strip() for line in lines[2:]] == ["step 1", "step 2"]
    assert lines[1].split() == ["0.1/s", "1/s", "10/s"]
    assert "days" in lines[2]
    (note,) = told(steps, Usual(100.0, 0.01))
    assert f"in step 1 once in {round(wrong_every(0.1, 1.0))}s" in note
    assert told(steps, Usual(100.0, 0.0)) == ()
    assert table(steps[2:]) == ()
