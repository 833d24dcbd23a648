"""The error budget stops the growth of a rollout, and nothing else; by which counts, and what if nobody knows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gopub.health.backends.doubles import REVISION
from gopub.health.backends.spending import filled, read_spending
from gopub.health.burn import LASTS, Moment, Spending, Spent, lasting, left, percentile, rate, spans, too_fast
from gopub.health.config import BudgetTarget
from gopub.health.spending import EVERY, SpendWatch, read_within
from gopub.judge.decision import decide
from gopub.judge.replay import record_from_json, record_to_json, replay
from gopub.judge.verdict import Cause, Kind, Policy
from gopub.release.environments import effective
from gopub.spec.loader import parse_spec
from gopub.views.sentence import sentence
from tests.unit.judge_maker import history, observation, policy
from tests.unit.test_decision_laws import looks
from tests.unit.test_health_observer import CONFIG as OF_ENTRY
from tests.unit.test_judge_replay import entry
from tests.unit.verdicts import CONFIG, NOON, drawn

MONTH, ALLOWED = 30 * 86400.0, 0.01
TARGET = BudgetTarget(freeze_below=0.2)
WITH = {"freeze_below": 0.2}


def spending(*windows: tuple[float, float, float], **more) -> Spending:
    return Spending(NOON, tuple(Spent(*one) for one in windows), **more)


def judged(found: Spending | None, target: BudgetTarget = TARGET, history=None, **rules):
    config = replace(CONFIG, budget=target)
    given_ = {"freeze_below": target.freeze_below, "burn": target.burn} | rules
    return drawn(config=config, spending=found, policy=given_, history=history)


@pytest.mark.parametrize(
    ("errors", "attempts", "allowed", "share"),
    [(0, 0, 0.01, 1), (0, 1000, 0.01, 1), (5, 1000, 0.01, 0.5), (10, 1000, 0.01, 0), (20, 1000, 0.01, -1),
     (1, 1000, 0.0, 0), (1000, 1000, 1e-6, -9.99)],
)  # fmt: skip
def test_the_budget_is_what_the_slo_allows_less_what_failed(errors, attempts, allowed, share):
    assert left(Spent(MONTH, attempts, errors), allowed) == pytest.approx(share)


def test_too_little_budget_left_holds_a_good_canary_and_says_why():
    found = judged(spending((MONTH, 100_000.0, 850.0)))
    assert (found.verdict.kind, found.verdict.rule, found.verdict.cause) == (Kind.HOLD, 5, Cause.BUDGET)
    assert found.verdict.alert
    assert found.verdict.reason.startswith(
        "15 % of the error budget are left (850 of 100000 requests failed in 30d as far as Prometheus has them, "
        "the SLO allows 1 %), and below 20 % a rollout does not grow; baked for 10m"
    )
    told = sentence(found)
    assert told.startswith("nothing against the canary, but 15 % of the error budget are left")
    assert "nothing moves, and it goes back at 13:00" in told
    enough = judged(spending((MONTH, 100_000.0, 800.0)))
    assert (enough.verdict.kind, enough.verdict.cause) == (Kind.PROMOTE, Cause.GOOD), "at the mark it grows"


def test_a_handful_of_errors_freezes_nothing():
    assert judged(spending((MONTH, 20.0, 4.0))).verdict.kind is Kind.PROMOTE
    assert judged(spending((MONTH, 20.0, 5.0))).verdict.kind is Kind.HOLD


def test_the_teams_own_query_is_its_word():
    own = replace(TARGET, query="budget")
    assert judged(spending(told=0.19), own).verdict.kind is Kind.HOLD
    assert judged(spending(told=0.2), own).verdict.kind is Kind.PROMOTE
    gone = judged(spending(told=-0.5), own).verdict.reason
    assert gone.startswith("50 % more than the error budget is spent (by the query of `judge.budget`)")


@pytest.mark.parametrize("found", [None, Spending(NOON, unread="Prometheus is down"), spending((300.0, 9.0, 0.0))])
def test_what_cannot_be_read_lets_nothing_grow_and_is_told(found):
    verdict = judged(found).verdict
    assert (verdict.kind, verdict.cause) == (Kind.HOLD, Cause.BUDGET)
    assert verdict.reason.startswith("the error budget cannot be read (")


def test_a_persons_word_goes_on_and_the_deadline_ends_it_as_any_hold():
    spent = spending((MONTH, 1000.0, 50.0))
    by_hand = judged(spent, history={"promoted": "ann"}).verdict
    assert by_hand.kind is Kind.PROMOTE
    assert by_hand.reason.startswith("promoted by ann over HOLD by rule 5: 400 % more than the error budget is spent")
    approved = judged(spent, history={"approved": "ann"}).verdict
    assert (approved.kind, approved.rule) == (Kind.PROMOTE, 7)
    assert "approved by ann, although 400 % more than the error budget is spent" in approved.reason
    late = judged(spent, history={"deadline": NOON}).verdict
    assert (late.kind, late.rule) == (Kind.WITHDRAW, 5)


def test_after_the_last_step_nothing_grows():
    config = replace(CONFIG, budget=BudgetTarget(0.2, "multiwindow"))
    known = Policy.of(config)
    assert (known.freeze_below, known.burn) == (0.2, "multiwindow")
    assert (known.of_the_end.freeze_below, known.of_the_end.burn) == (None, "ignore")
    assert [Policy.at_step(config, 1, 2, follow=follow).brakes for follow in (False, True)] == [False, True]
    assert all(Policy.at_step(config, 0, 2, follow=follow).brakes for follow in (False, True))


AWAITED = {
    "now": 0.0, "bake": 0.0, "deadline": 0.0, "watch_since": None, "approved": None, "gate": "waits", "no_data": None,
    "requests": 0, "failed": 0, "idle": None, "e": 1.0, "log_score": None, "canary_above": [], "canary_broken": [],
    "stable_broken": [], "enough": False, "score": None, "hosts": [{"host": "h1"}], "policy": {"first": True},
}  # fmt: skip
"""A promotion that waits for its gate when the deadline comes."""


@example(AWAITED, None)
@given(looks(), st.sampled_from([None, 0.0, 90.0, 5000.0]))
def test_no_verdict_but_a_promotion_knows_the_budget(look, errors):
    """A rollback is never hindered, nor a hold, a watch or a withdrawal changed; and no promotion is made."""
    found = None if errors is None else spending((MONTH, 10_000.0, errors))
    seen, rules, past = observation(look), policy(look), history(look)
    asked = replace(seen, config=replace(seen.config, budget=TARGET), spending=found)
    plain = decide(seen, rules, past)
    with_budget = decide(asked, replace(rules, freeze_below=0.2), past)
    if plain.kind is Kind.PROMOTE:
        assert with_budget.kind in {Kind.PROMOTE, Kind.HOLD, Kind.WITHDRAW}
    elif plain.cause is Cause.GOOD:  # a promotion that waits for a person, until the deadline: two reasons to wait now
        assert replace(with_budget, rule=plain.rule, reason=plain.reason, cause=plain.cause) == plain
        assert with_budget.cause in {Cause.GOOD, Cause.BUDGET}
    else:
        assert with_budget == plain


# --- how fast it burns

HOURS = {hours: hours * 3600.0 for hours in (1, 6, 72)}
FAST = ((300.0, 1000.0, 200.0), (3600.0, 12_000.0, 2000.0))
SLOW = ((300.0, 1000.0, 0.0), (3600.0, 12_000.0, 0.0), (1800.0, 6000.0, 400.0), (21_600.0, 72_000.0, 5000.0))
CREEPING = ((21_600.0, 72_000.0, 1000.0), (259_200.0, 864_000.0, 10_000.0))


@pytest.mark.parametrize(
    ("windows", "factor"),
    [
        (FAST, 14.4),
        (SLOW, 6.0),
        (CREEPING, 1.0),
        ((FAST[0],), None),
        (((300.0, 1000.0, 100.0), FAST[1]), None),
        (((300.0, 1000.0, 0.0), FAST[1]), None),
        (((300.0, 40.0, 40.0), FAST[1]), None),
        (((300.0, 1000.0, 4.0), (3600.0, 12_000.0, 4.0)), None),
        ((), None),
    ],
    ids=["fast", "slow", "creeping", "one window", "short one slower", "over by now", "few requests", "few errors",
         "nothing"],
)  # fmt: skip
def test_it_burns_too_fast_where_both_windows_of_a_pair_do(windows, factor):
    found = too_fast(spending(*windows), ALLOWED, 50)
    assert (found[0] if found else None) == factor


def test_few_errors_that_chance_explains_are_no_burn():
    """5 of 480 at an SLO of 1 % are 1.04 times too fast, and what a good service shows every other time."""
    chance = ((21_600.0, 480.0, 5.0), (259_200.0, 480.0, 5.0))
    assert rate(Spent(*chance[0]), ALLOWED) > 1
    assert too_fast(spending(*chance), ALLOWED, 50) is None


def test_the_verdict_says_both_windows():
    fast = BudgetTarget(burn="multiwindow")
    assert spans(fast) == (300.0, 1800.0, 3600.0, 21_600.0, 259_200.0)
    verdict = judged(spending(*FAST), fast).verdict
    assert verdict.kind is Kind.HOLD
    assert verdict.reason.startswith(
        "the error budget burns too fast: 16.7 times over 1h and 20 times over 5m, from 14.4 times on"
    )
    assert judged(spending((300.0, 1000.0, 0.0), FAST[1]), fast).verdict.kind is Kind.PROMOTE, "it is over"


def course(seconds: float, share: float, attempts: float = 1000.0) -> Spending:
    """A service that was well, and has failed with ``share`` for so many seconds."""
    moments = [
        Moment(NOON - ago, attempts, attempts * (share if ago <= seconds else 0.0)) for ago in range(600, -1, -1)
    ]
    return Spending(NOON, course=tuple(moments), usual=0.012)


def test_the_articles_rule_wants_five_minutes_without_a_break():
    assert lasting(course(299, 0.05), ALLOWED, 50) is None
    assert lasting(course(301, 0.05), ALLOWED, 50) == 301
    ended = course(400, 0.05)
    over = replace(ended, course=(*ended.course, Moment(NOON + 1, 1000.0, 0.0)))
    assert lasting(over, ALLOWED, 50) is None, "recovery clears it"
    broken = tuple(replace(one, errors=0.0) if one.at == NOON - 100 else one for one in ended.course)
    assert lasting(replace(ended, course=broken), ALLOWED, 50) is None
    assert lasting(Spending(NOON), ALLOWED, 50) is None


def test_the_articles_rule_has_a_floor_and_least_counts():
    assert lasting(course(400, 0.012), ALLOWED, 50) is None, "stable's own percentile is no break"
    never = replace(course(400, 0.005), usual=0.0)
    assert lasting(never, ALLOWED, 50) is None, "where stable never failed, what the SLO allows is the floor"
    assert lasting(replace(course(400, 0.05), usual=0.0), ALLOWED, 50) == 400
    assert lasting(course(400, 0.5, attempts=49), ALLOWED, 50) is None
    assert lasting(course(400, 0.04, attempts=100), ALLOWED, 50) is None, "four errors"


def test_its_verdict_says_what_it_was_above():
    found = judged(course(400, 0.05), BudgetTarget(burn="article")).verdict
    assert found.kind is Kind.HOLD
    assert found.reason.startswith("the error rate of 5m has been above 1.2 % for 6m40s, so a rollout does not grow")


def test_percentiles():
    assert percentile([]) is None
    assert percentile([0.5]) == 0.5
    assert percentile([n / 1000 for n in range(1000)]) == 0.99


# --- reading


class Told:
    """Answers in order, and to who is scraped: nobody twice; satisfies SpendSource, and is no MetricSource."""

    def __init__(self, *answers):
        self.answers, self.asked, self.wait = list(answers), [], None

    async def ask(self, text):
        if REVISION in text:
            return []
        self.asked.append(text)
        return self.answers.pop(0)

    async def spending(self, app, env, stable, wanted, due, at):
        self.asked.append((at - NOON, list(due)))
        if self.wait:
            await self.wait.wait()
        return replace(self.answers[0], windows=tuple(Spent(one, 1000.0, 1.0) for one in due))


def row(name, *samples):
    return {"class": name}, [(at, str(value)) for at, value in samples]


async def test_windows_are_summed_over_classes_without_answers_that_were_left():
    rows = [row("2xx", (NOON, 990)), row("5xx", (NOON, 6)), row("cut", (NOON, 4)), row("left", (NOON, 50))]
    source = Told(rows)
    found = await read_spending(source.ask, "shop", "prod", "5" * 12, TARGET, [MONTH], NOON)
    assert found.windows == (Spent(MONTH, 1000.0, 10.0),)
    assert source.asked == [
        'sum by (class) (increase({__name__="gopub_edge_attempts_total",app="shop",env="prod"}[2592000s]))'
    ]
    empty = await read_spending(Told([]).ask, "shop", "prod", None, TARGET, [MONTH], NOON)
    assert empty.windows == (Spent(MONTH, 0.0, 0.0),)


async def test_the_articles_rule_reads_the_service_now_and_stable_of_a_day():
    now = [row("2xx", (1.0, 99), (2.0, 90)), row("5xx", (1.0, 1), (2.0, 10))]
    past = [row("2xx", (1.0, 98)), row("5xx", (1.0, 2))]
    source = Told(now, past)
    found = await read_spending(source.ask, "a", "e", "5" * 12, BudgetTarget(burn="article"), [], NOON)
    assert found.course == (Moment(1.0, 100.0, 1.0), Moment(2.0, 100.0, 10.0))
    assert found.usual == 0.02
    assert source.asked[1].endswith(f"[86400s:{LASTS:.0f}s] offset 3600s")
    assert 'release="555555555555"' in source.asked[1]
    first = Told(now)
    assert (await read_spending(first.ask, "a", "e", None, BudgetTarget(burn="article"), [], NOON)).usual is None


@pytest.mark.parametrize("rows", [[], [row("", (NOON, 1)), row("", (NOON, 2))], [row("", (NOON, "NaN"))]])
async def test_a_query_that_gives_no_one_number_is_refused(rows):
    with pytest.raises(ValueError, match="query of the budget"):
        await read_spending(Told(rows).ask, "a", "e", None, replace(TARGET, query="x"), [], NOON)


@pytest.mark.parametrize("count", ["+Inf", "NaN", "-1", "1e308"])
async def test_a_count_that_is_no_number_of_requests_is_refused(count):
    with pytest.raises(ValueError, match="no number of requests"):
        await read_spending(Told([row("5xx", (NOON, count))]).ask, "a", "e", None, TARGET, [MONTH], NOON)


async def test_a_percentage_is_no_share():
    """It would lie above every mark, and freeze nothing until nothing is left."""
    own = replace(TARGET, query="x")
    with pytest.raises(ValueError, match=r"gives 35, and a share is 1 at most: 0\.2 is 20 %"):
        await read_spending(Told([row("", (NOON, 35))]).ask, "a", "e", None, own, [], NOON)
    for share in (1, -3.5, 0.35):
        assert (await read_spending(Told([row("", (NOON, share))]).ask, "a", "e", None, own, [], NOON)).told == share


def test_names_stay_within_their_quotes():
    assert filled('left{service="{app}",env="{env}"}', 'a"b', "prod") == 'left{service="a\\"b",env="prod"}'


async def test_it_is_read_now_and_then_and_a_long_window_seldom():
    source = Told(Spending(0.0))
    both = BudgetTarget(freeze_below=0.2, burn="multiwindow")
    watch = SpendWatch(source, replace(CONFIG, budget=both))
    for ago in (0.0, EVERY / 2, EVERY, EVERY + 1, 300.0, 2592.0, -60.0):
        found = await watch.read(NOON + ago)
        assert [one.seconds for one in found.windows] == [300.0, 1800.0, 3600.0, 21_600.0, 259_200.0, MONTH]
    short, longer = [300.0, 1800.0, 3600.0, 21_600.0], [300.0, 1800.0, 3600.0, 21_600.0, 259_200.0]
    assert source.asked == [
        (0.0, [*longer, MONTH]), (EVERY, short), (300.0, longer), (2592.0, [*longer, MONTH]),
        (-60.0, [*longer, MONTH]),
    ], "a clock that was set back reads all anew"  # fmt: skip


async def test_a_source_that_cannot_look_back_says_so_and_nobody_is_asked_in_vain():
    source = Told(Spending(0.0))
    assert await SpendWatch(source, CONFIG).read(NOON) is None
    assert source.asked == []
    blind = await SpendWatch(object(), replace(CONFIG, budget=TARGET)).read(NOON)
    assert blind.unread == "these metrics cannot tell what was spent before"


async def test_no_look_waits_for_a_slow_reading():
    """The canary may have to go back meanwhile: what is not there yet is not waited for, and lets nothing grow."""
    source = Told(Spending(0.0))
    source.wait = asyncio.Event()
    watch = SpendWatch(source, replace(CONFIG, budget=TARGET), patience=0.001)
    first = await watch.read(NOON)
    assert first.unread == "its first reading is still under way"
    assert judged(first).verdict.kind is Kind.HOLD
    assert (await watch.read(NOON + 2)).unread
    assert source.asked == [(0.0, [MONTH])], "and it is not asked twice at once"
    source.wait.set()
    for _ in range(20):  # turns of the loop, not time: nothing holds the answer any more
        await asyncio.sleep(0)
    found = await watch.read(NOON + 4)
    assert found is not None
    assert found.over(MONTH)


async def test_a_look_waits_at_most_once_for_a_reading():
    source = Told(Spending(0.0))
    source.wait = asyncio.Event()
    watch = SpendWatch(source, replace(CONFIG, budget=TARGET), patience=0.001)
    await watch.read(NOON)
    later = watch.read(NOON + 2)
    with pytest.raises(StopIteration):  # it is answered without being put aside even once
        later.send(None)


class Broken(Told):
    """Raises what no source should."""

    async def spending(self, app, env, stable, wanted, due, at):
        raise self.answers[0]


@pytest.mark.parametrize("error", [RuntimeError("x"), ZeroDivisionError(), MemoryError()])
async def test_whatever_a_source_raises_no_look_ends_by_it(error):
    watch = SpendWatch(Broken(error), replace(CONFIG, budget=TARGET))
    for ago in (0.0, EVERY):
        found = await watch.read(NOON + ago)
        assert found.unread == f"its source failed: {type(error).__name__}"
        assert judged(found).verdict.kind is Kind.HOLD


async def test_a_reading_that_never_ends_is_given_up():
    source = Told(Spending(0.0))
    source.wait = asyncio.Event()
    asked = replace(CONFIG, budget=TARGET)
    found = await read_within(source, asked, [MONTH], NOON, longest=0.01)
    assert found.unread == "no answer within 1s"
    source.wait.set()
    assert (await read_within(source, asked, [MONTH], NOON)).over(MONTH)


# --- kept, and written down


async def test_a_record_with_a_budget_is_replayed_and_its_counts_are_under_the_digest():
    kept = (await entry(replace(OF_ENTRY, budget=TARGET)))["record"]["record"]
    assert kept["observation"]["spending"]["unread"] == "these metrics cannot tell what was spent before"
    assert replay(record_from_json(kept)).same
    kept["observation"]["spending"]["unread"] = ""
    assert any(text.startswith("digest") for text in replay(record_from_json(kept)).differences)


def test_what_was_spent_decides_again():
    record = judged(spending((MONTH, 100_000.0, 850.0)))
    again = record_from_json(record_to_json(record))
    assert again == record
    assert decide(again.observation, again.policy, again.history) == record.verdict


SPEC = """\
app: hello
environments:
  lab:
    inventory: hosts.ini
    hosts: role=hello
    health: http://127.0.0.1:8080/healthz
    traffic: edge
    judge: {JUDGE}
"""


def spec(judge: str):
    return parse_spec(SPEC.replace("{JUDGE}", judge), "gopub.yaml").spec.environments["lab"]


def test_a_scalar_is_the_mark_and_a_release_that_asks_for_none_says_nothing():
    short = spec("{budget: 20%}")
    assert short.judge.budget.freeze_below == 0.2
    assert effective(short)["judge"]["budget"]["window"] == "30d"
    assert "budget" not in effective(spec("{alpha: 1%}"))["judge"], "an older gopub reads it"


def test_without_an_error_rate_there_is_no_budget():
    from gopub.errors import GopubError

    none = "{budget: 20%, slo: {latency_p95: 100ms, error_rate: null}}"
    with pytest.raises(GopubError) as refused:
        spec(none)
    assert refused.value.code == "GP133"
    assert spec(none.replace("budget: 20%", "budget: {freeze_below: 20%, query: left}")).judge.budget.query == "left"
