"""The benchmark of the gate: what it prints rests on these rules and figures."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.bench.gate import kayenta, ours
from tests.bench.gate.cells import CELLS, GUILTY, INNOCENT
from tests.bench.gate.limits import interval, kl, requests_needed
from tests.bench.gate.report import beside_rivals, guilty_lines, innocent_lines
from tests.bench.gate.rivals import Span, argo, article, fired, flagger, netflix, spans
from tests.bench.gate.runs import RIVALS, Batch, Kept, batches
from tests.bench.gate.traffic import HostTick, Tick, World

SEED = 4711


def named(name):
    return next(cell for cell in CELLS if cell.name == name)


# --- the limit


@pytest.mark.parametrize(("r", "requests"), [(1 / 9, 508), (1 / 3, 736), (1, 1380)])
def test_the_limit_is_the_published_one(r, requests):
    assert round(requests_needed(100, 0.01, 0.001, r, 0.25)) == requests
    assert round(requests_needed(100, 0.01, 0.001, r, 0.0)) < requests, "control: without a margin it is known sooner"


def test_what_a_throw_tells():
    assert kl(0.5, 0.5) == 0
    assert kl(1.0, 0.5) == pytest.approx(math.log(2))
    assert kl(0.5, 0.25) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


def test_the_interval_is_exact():
    """None of n: the upper end is where none comes with a chance of 2.5 %."""
    assert interval(0, 2000) == (0.0, pytest.approx(1 - 0.025 ** (1 / 2000)))
    assert interval(3, 3) == (pytest.approx(0.025 ** (1 / 3)), 1.0)
    assert interval(5, 10) == (pytest.approx(0.18709, abs=1e-5), pytest.approx(0.81291, abs=1e-5))


@pytest.mark.parametrize(("count", "of"), [(1, 20), (7, 300), (19, 20), (3, 2000)])
def test_beyond_the_intervals_ends_lies_exactly_what_it_leaves_out(count, of):
    """By exact fractions: so much or more at the lower end, so few or fewer at the upper one, has a chance of 2.5 %."""
    low, high = (Fraction(end) for end in interval(count, of))
    more = 1 - sum(math.comb(of, k) * low**k * (1 - low) ** (of - k) for k in range(count))
    fewer = sum(math.comb(of, k) * high**k * (1 - high) ** (of - k) for k in range(count + 1))
    assert float(more) == pytest.approx(0.025, rel=1e-9)
    assert float(fewer) == pytest.approx(0.025, rel=1e-9)


# --- the rivals


def minutes(*failed, answers=100, p95=0.1, length=60.0):
    return [Span(length * (i + 1), answers, bad, p95 if answers else math.nan) for i, bad in enumerate(failed)]


def test_five_failed_checks_in_all_end_a_flagger_canary():
    assert flagger(minutes(2, 2, 0, 2, 2, 2)) == 360
    assert flagger(minutes(2, 2, 0, 2, 2, 1)) is None, "1 % of failures is a success rate of 99 %"
    assert flagger(minutes(*[0] * 5, p95=0.6)) == 300
    assert flagger(minutes(*[0] * 5, answers=0)) == 300, "no values are a failed check"


def test_the_fourth_failed_measurement_ends_an_argo_analysis():
    assert argo(minutes(6, 0, 6, 6, 0, 6)) == 360
    assert argo(minutes(6, 6, 6, 5, 5)) is None
    assert argo(minutes(*[0] * 4, answers=0)) == 240, "NaN meets no condition"


def test_the_article_rolls_back_on_a_broken_slo_and_three_times_the_lines_in_ten_seconds():
    assert article(minutes(0, 0, 0, 0, 0, 7, length=10.0), 0.02) == 60
    assert article(minutes(0, 0, 0, 0, 0, 5, length=10.0), 0.02) is None, "five of 600 keep the SLO"
    assert article(minutes(7, 0, 0, 0, 0, 0, length=10.0), 0.02) is None, "the lines came before the minute was over"
    slow = minutes(*[0] * 18, p95=0.3, length=10.0)
    assert article(slow, 0.02) == 180, "watched from 60 s on, for two minutes"
    assert article(slow[:17], 0.02) is None


def test_mann_whitney_is_the_textbook_one():
    """Ranks 1 to 3 against 4 to 6: U = 9, its mean 4.5 and its deviation sqrt(63/12)."""
    assert kayenta.ranks([10, 20, 20, 5]) == [2, 3.5, 3.5, 1]
    assert kayenta.z_of([4, 5, 6], [1, 2, 3], 0.0) == pytest.approx(4.5 / math.sqrt(63 / 12))
    assert kayenta.z_of([4, 5, 6], [1, 2, 3], 0.0, continuity=1.0) == pytest.approx(4 / math.sqrt(63 / 12))
    assert kayenta.z_of([4, 5, 6], [1, 2, 3], 3.0) == 0


def test_kayenta_labels_a_metric():
    control = [10.0, 11, 12, 10, 11, 12, 10, 11, 12, 10.5]
    doubled = [2 * value for value in control]
    assert kayenta.shift_of(doubled, control).estimate == pytest.approx(11, abs=0.6)
    assert kayenta.classify(doubled, control) == "High"
    assert kayenta.classify(control, doubled) == "Pass", "less is no increase"
    assert kayenta.classify(control, doubled, direction="decrease") == "Low"
    assert kayenta.classify(control[::-1], control) == "Pass"
    assert kayenta.classify([1.0], [1.0, 1.0]) == "Pass"
    assert kayenta.classify([math.nan], control) == "Nodata"
    assert kayenta.classify([22.0, 20], [11.0, 10]) == "High", "what no interval can hold ends where the data end"


def test_kayenta_weighs_groups():
    weights = {"a": 60.0, "b": 40.0}
    assert kayenta.score({"a": ["Pass", "High"], "b": ["Pass", "Pass"]}, weights) == 70
    assert kayenta.score({"a": ["Pass", "Nodata"], "b": ["Low", "Pass"]}, weights) == 80
    assert kayenta.score({"a": ["Nodata"], "b": ["Pass"]}, weights) == 0, "half of it is without data"
    assert [kayenta.verdict(value) for value in (95, 94.9, 75, 74.9)] == ["Pass", "Marginal", "Marginal", "Fail"]


def test_kayenta_is_asked_each_five_minutes():
    stable = minutes(*[10, 11, 12, 10, 11] * 2, answers=1000)
    bad = minutes(*[40, 41, 42, 40, 41] * 2, answers=1000)
    assert netflix(bad, stable) == 300
    assert netflix(bad[:4], stable[:4]) is None
    assert netflix(stable, stable) is None


def test_rivals_see_the_answers_of_clients():
    """Of ten failed attempts eight were retried well."""
    host = HostTick("h0", canary=True, attempts=100, errors=10, hidden=8, buckets=[0, 0, 0, 100] + [0] * 8)
    assert spans([Tick(60.0, 0, [host])], 60.0, canary=True) == [Span(60.0, 100, 2, pytest.approx(0.07375))]


# --- rollouts


def test_the_same_seed_draws_the_same_rollout():
    cell = replace(named("clusters of 5"), step=30.0, history=2)
    assert list(World(cell, SEED).ticks()) == list(World(cell, SEED).ticks())
    assert list(World(cell, SEED).ticks()) != list(World(cell, SEED + 1).ticks())


def test_every_cell_says_what_it_is():
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert all(cell.innocent for cell in INNOCENT)
    assert not any(cell.innocent for cell in GUILTY)
    assert named("in the third step").says() == (
        "base 0.10%, 100 requests/s of the service, r 0.053>0.11>0.33, step 120 s, scrape 5 s"
    )


def test_an_innocent_cell_counts_false_rollbacks():
    """A shared incident: every absolute rule blames the canary, ours does not."""
    cell = replace(named("shared incident +5 %"), step=180.0, history=5)
    traces = Batch(cell, SEED, 3).run()
    lines = innocent_lines(cell, traces)
    assert [trace.found.kind for trace in traces] == ["PROMOTE"] * 3
    assert all(trace.rivals["article"] for trace in traces)
    assert lines[0].startswith("  ours      false rollbacks 0/3 = 0.00% [0.00%, 70.76%] open; PROMOTE 100.0%")
    assert [line.split()[0] for line in lines[2:]] == list(RIVALS)
    assert [trace.rivals for trace in Batch(cell, SEED, 1, arms=()).run()] == [{}]


def test_a_guilty_cell_shows_the_delay_beside_the_limit():
    cell = replace(named("bound: 0.1 > 1 %, r = 1/3"), step=120.0, history=5, fault=replace(GUILTY[0].fault, errors=50))
    traces = Batch(cell, SEED, 3).run()
    for trace in traces:
        assert trace.found.kind == "ROLLBACK"
        assert trace.found.marks["watch"] <= trace.found.marks["back"], "detection comes before the rollback"
    text = "\n".join(guilty_lines(cell, traces))
    assert "stopped 3/3 = 100.00%" in text
    assert f"bound {requests_needed(100, 0.05, 0.001, 1 / 3, 0.25):.0f}, ratio" in text


def test_without_traffic_nothing_is_blamed_by_ours_and_by_others_it_is():
    cell = replace(named("no traffic"), step=300.0, scrape=30.0, history=2)
    ticks, found = ours.one(cell, SEED)
    assert (found.kind, found.rule) == ("WITHDRAW", 2)
    told = fired(ticks, cell.errors)
    assert told["flagger"] == 300
    assert told["article"] is None


def test_counters_that_begin_anew_and_scrapes_that_fail_are_no_errors():
    cell = replace(named("independent"), step=60.0, history=2, resets=2, missing=0.3)
    ticks, found = ours.one(cell, SEED)
    assert sum(tick.reset for tick in ticks) == 2
    assert not all(tick.scraped for tick in ticks)
    assert found.marks == {}


def test_a_run_that_was_cut_goes_on_where_it_was(tmp_path):
    cell, file = replace(named("independent, 10/s"), step=20.0, history=1), tmp_path / "kept.jsonl"
    todo = batches(cell, SEED, 5, ("argo", "evidence"), size=2)
    first, _ = Kept(file).run(todo[:2], None)
    with file.open("a") as out:
        out.write('{"key": "cut o')
    file.write_text(file.read_text() + "\n")
    whole, _ = Kept(file).run(todo, None)
    assert whole[:4] == first
    assert len(whole) == 5
    assert len(file.read_text().splitlines()) == 4, "two batches, the line that was cut, and the one that was missing"
    again = [trace for batch in todo for trace in batch.run()]
    assert [trace.found.kind for trace in whole] == [trace.found.kind for trace in again]
    assert batches(replace(cell, errors=0.5), SEED, 5, ())[0].key not in file.read_text(), "another world is drawn anew"


def test_the_report_says_where_a_rival_that_blames_as_few_is_sooner():
    """The article's rule blames no innocent here and acts at 60 s; ours needs longer for a fault this faint."""
    good = replace(named("independent"), step=90.0, history=2)
    bad = replace(named("20 % fail"), step=90.0, history=2)
    seen = {cell.name: Batch(cell, SEED, 2, ("argo", "article")).run() for cell in (good, bad)}
    late = {name: [replace(t, found=replace(t.found, at=89.0)) for t in traces] for name, traces in seen.items()}
    for traces in late.values():
        for trace in traces:
            trace.rivals.update(dict.fromkeys(RIVALS))
    late[bad.name][0].rivals["article"] = late[bad.name][1].rivals["article"] = 60.0
    assert "SLOWER than article: 20 % fail: ours 89 s, article 60 s" in "\n".join(beside_rivals([good, bad], late))
    soon = {**late, bad.name: [replace(t, found=replace(t.found, at=30.0)) for t in late[bad.name]]}
    assert beside_rivals([good, bad], soon)[-1].startswith("  slower in 0 of 1")
    late[good.name][0].rivals["article"] = late[good.name][1].rivals["article"] = 60.0
    assert "SLOWER" not in "\n".join(beside_rivals([good, bad], late))


# --- endpoints


def test_endpoints_share_out_what_each_host_counts_and_the_first_has_the_fault():
    cell = named("5 % of the requests fail at 30 %, declared")
    ticks = list(World(cell, SEED).ticks())
    hosts = [one for tick in ticks for one in tick.hosts]
    for at in (0, 1):
        assert all(sum(row[at] for row in one.endpoints) <= (one.attempts, one.errors)[at] for one in hosts)
    assert all(row[1] <= row[0] and row[2] <= row[0] for one in hosts for row in one.endpoints)
    first = [[one.endpoints[0] for one in hosts if one.canary == canary] for canary in (True, False)]
    asked, failed = ([sum(row[at] for row in rows) for rows in first] for at in (0, 1))
    assert failed[0] / asked[0] > 0.2, "30 % of hundreds"
    assert failed[1] / asked[1] < 0.05, "1 %"
    assert ours.config_of(cell).endpoints == tuple(f"/{n}" for n in range(10))
    assert [one.endpoints for one in next(World(CELLS[0], SEED).ticks()).hosts] == [[]] * 10, (
        "none where none is declared"
    )
