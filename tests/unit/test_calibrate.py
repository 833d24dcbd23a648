"""A/A comparisons on the fleet's own past: the figures, the interval, and how honest they are about too little."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from gopub.health.config import SloTarget
from gopub.health.logscore import LogScore
from gopub.health.samples import CounterSnapshot, Histogram, HostCounts, RawSeries, TrackWindow, Window
from gopub.health.wire import schema_of
from gopub.journal import events as ev
from gopub.judge.between import OTHERS, Between, looks_from_json
from gopub.judge.calibrate import Calibration, Share, Trial, _minutes, _played, calibrate, share, windows_of
from gopub.judge.replay import record_to_json
from gopub.plan.model import Outcome
from gopub.plan.sight import Wanted, sees
from gopub.schemas import schema
from gopub.spec.models import Judge
from gopub.views.backtests import read_backtest
from gopub.views.calibrations import (
    Calibrated,
    Past,
    calibrated,
    calibration_json,
    calibration_lines,
    kept_windows,
    past_of,
)
from tests.bench.judge_simulator import draw
from tests.unit.test_backtest import journal_with, run
from tests.unit.verdicts import drawn, event
from tests.unit.views_world import NEW, moving

T0 = 1_700_000_000.0
SLO = SloTarget(None, 0.01)
ALPHA = 0.01


def past(seed: int, minutes: int, *, hosts: int = 4, rps: float = 5.0, errors: float = 0.005, worse: float = 0.0):
    """Windows of a minute of a fleet whose host h0 fails by ``worse`` more than the others."""
    chance, found = random.Random(seed), []
    for minute in range(minutes):
        counts = []
        for host in range(hosts):
            n = max(1, round(chance.gauss(rps * 60, math.sqrt(rps * 60))))
            counts.append(HostCounts(f"h{host}", n, draw(chance, n, errors + (worse if host == 0 else 0.0))))
        start = T0 + 60 * minute
        found.append(Window(start, start + 60, None, TrackWindow("s", tuple(counts), Histogram())))
    return found


# --- the interval


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0),
     (2, 400, 0.0006, 0.0179), (0, 400, 0.0, 0.0092)],
)  # fmt: skip
def test_the_interval_is_clopper_and_pearsons(count, of, low, high):
    """Values of the published tables of the exact binomial interval."""
    found = share(count, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_without_any_trial_nothing_is_known():
    assert share(0, 0) == Share(0, 0, 0.0, 1.0)


def test_so_many_trials_without_an_alarm_show_alpha():
    found = calibrate([], SLO, ALPHA, 600)
    assert found.needed == 368
    assert share(0, found.needed).high <= ALPHA < share(0, found.needed - 1).high


# --- the trials


def test_a_past_is_cut_into_trials_that_share_nothing():
    found = calibrate(past(1, 65), SLO, ALPHA, 600).trials
    assert [one.began for one in found] == [T0 + 600 * n for n in range(6)], "what is too short is left out"
    assert {one.seconds for one in found} == {600.0}
    assert [one.host for one in found] == ["h0", "h1", "h2", "h3", "h0", "h1"], "each in turn"
    assert all(2500 < one.requests < 3500 for one in found)


def test_a_gap_longer_than_a_trial_ends_one():
    windows = past(2, 18)
    later = [replace(one, start=one.start + 86400, end=one.end + 86400) for one in windows[9:]]
    assert calibrate([*windows[:9], *later], SLO, ALPHA, 600).trials == ()
    assert len(calibrate(windows, SLO, ALPHA, 600).trials) == 1


def test_the_one_who_plays_is_in_no_other_track():
    played = _played(past(3, 1)[0], "h2")
    assert [one.host for one in played.canary.hosts] == ["h2"]
    assert [one.host for one in played.stable.hosts] == ["h0", "h1", "h3"]


def test_one_host_is_nobody_to_compare_with():
    assert calibrate(past(4, 30, hosts=1), SLO, ALPHA, 600).trials == ()


def test_like_and_like_are_rarely_told_apart_and_unlike_are():
    """The seed is fixed, so are the figures."""
    found = calibrate(past(5, 400), SLO, ALPHA, 600)
    assert (found.alarms.count, found.alarms.of, found.back.count) == (0, 40, 0)
    uneven = calibrate(past(5, 400, worse=0.05), SLO, ALPHA, 600)
    assert uneven.alarms.count > found.alarms.count
    assert {one.host for one in uneven.trials if one.log_e > math.log(100)} == {"h0"}, (
        "a control: it is h0 that is worse"
    )


def test_what_is_usual_of_it():
    found = calibrate(past(6, 60, errors=0.0), SLO, ALPHA, 600)
    assert found.seconds == 3600
    assert found.requests == pytest.approx(20, rel=0.05)
    assert found.errors == pytest.approx(1 / (3600 * 20), rel=0.1), "as if the next one failed"
    assert found.usual
    assert calibrate([], SLO, ALPHA, 600).usual is None


def with_late(windows, worse: float):
    """Of stable's hosts one of 20 answers is late, of h0 ``worse`` of them."""
    return [
        replace(one, stable=replace(one.stable, hosts=tuple(
            replace(host, late_timed=host.attempts, late=round(host.attempts * (worse if host.host == "h0" else 0.05)))
            for host in one.stable.hosts
        )))
        for one in windows
    ]  # fmt: skip


def test_trials_that_late_answers_alone_would_hold_are_counted_apart():
    slo = SloTarget(0.2, 0.01)
    even, uneven = (calibrate(with_late(past(5, 120), worse), slo, ALPHA, 600) for worse in (0.05, 0.4))
    assert (even.late.count, even.late.of) == (0, 12)
    # Later trials know by then how far the hosts lie apart.
    held = [one for one in uneven.trials if one.log_e < math.log(1 / ALPHA) <= one.log_e_all]
    assert {one.host for one in held} == {"h0"}
    assert (uneven.late.count, uneven.alarms.count, uneven.back.count) == (1, 0, 0), "it blames nobody"
    assert any("held by late answers alone (they never blame): 1 of 12" in line for line in told(uneven))
    assert not any("late answers" in line for line in told(calibrate(past(5, 120), SLO, ALPHA, 600)))


# --- error lines


def quiet_and_loud(folder, *, outcome: Outcome = Outcome.PROMOTED):
    """Two promoted rollouts whose logs were read, of which one reached the mark; one whose logs were not; one back."""
    scores = {"r-quiet": [0.1], "r-loud": [0.2, 0.9999, 0.3], "r-deaf": [None]}
    journal = journal_with(folder, [drawn(log_score=LogScore(0.9999, 20.0, 9, 9))])
    for rollout, values in scores.items():
        looks = [
            drawn(log_score=None if value is None else LogScore(value, 0.0, 846, 2954), recent=one, at=one.end)
            for value, one in zip(values, past(3, 3), strict=False)
        ]
        told_then = [event(one) for one in looks]
        version = journal.read("env/shop/lab")[-1].version
        journal.append("env/shop/lab", version, [ev.EnvOpened(rollout, NEW)], actor="ann", trace="7" * 32)
        journal.append(
            f"rollout/{rollout}", 0, [*moving(rollout, "shop", "lab"), *told_then], actor="a", trace="7" * 32
        )
        closed = ev.EnvClosed(rollout, outcome, NEW, "2.0.0")
        journal.append("env/shop/lab", version + 1, [closed], actor="ann", trace="7" * 32)
    return journal


def test_error_lines_are_told_by_the_rollouts_that_were_promoted(tmp_path):
    """Who was taken back may have been guilty, so it says nothing of innocents."""
    found = past_of(quiet_and_loud(tmp_path / "a"), "shop", "lab", 0.0)
    assert sorted(found.lines) == [False, True]
    made = calibrated(found, "shop", "lab", (SLO, ALPHA), 600, (0.1, 300.0))
    assert (made.found.lines.count, made.found.lines.of) == (1, 2)
    assert any("error lines reached their mark in promoted rollouts: 1 of 2" in one for one in calibration_lines(made))
    assert past_of(quiet_and_loud(tmp_path / "b", outcome=Outcome.WITHDRAWN), "shop", "lab", 0.0).lines == ()


# --- sources


def snapshot(at: float, served: dict[tuple[str, str], float]) -> CounterSnapshot:
    rows = [RawSeries("e", release, host, {"2xx": count, "5xx": 0.0}) for (release, host), count in served.items()]
    return CounterSnapshot(at, tuple(rows), {})


def test_counters_become_windows_of_the_release_that_had_most():
    old = [snapshot(T0 + 60 * n, {("a", "h1"): 100.0 * n, ("a", "h2"): 90.0 * n, ("b", "h3"): 5.0 * n}) for n in (0, 1)]
    new = snapshot(T0 + 120, {("a", "h1"): 101.0, ("a", "h2"): 91.0, ("b", "h3"): 500.0})
    first, second = windows_of([*old, new], SLO)
    assert [(one.host, one.attempts) for one in first.stable.hosts] == [("h1", 100), ("h2", 90)]
    assert second.stable.release == "b"
    gap = snapshot(T0 + 86400, {("a", "h1"): 9000.0})
    assert len(windows_of([*old, gap], SLO)) == 1, "nobody knows what lay in between"
    assert windows_of([], SLO) == ()


def test_the_journal_has_each_stretch_of_time_once(tmp_path):
    windows = past(7, 30)
    records = []
    for number in range(60):  # a look every half a minute, each with the minute before it
        whole = windows[number // 2]
        recent = replace(whole, start=T0 + 30 * number, end=T0 + 30 * number + 60)
        seen = {"recent": recent, "at": recent.end}
        records.append(drawn(**seen))
    journal = journal_with(tmp_path, records)
    found = past_of(journal, "shop", "lab", 0.0)
    assert [one.start for one in found.windows] == [T0 + 60 * n for n in range(30)]
    assert (found.slo, found.alpha) == (SloTarget(0.2, 0.01), 0.01)
    assert past_of(journal, "shop", "lab", 4e9).windows == ()
    assert past_of(journal, "nobody", "lab", 0.0) == Past()


def test_what_cannot_be_read_is_counted(tmp_path):
    """The world of the views has rollouts whose looks are of no judge."""
    journal = journal_with(tmp_path, [drawn()])
    torn = next(one for one in read_backtest(journal, Judge(), 0.0).rollouts if one.rollout == "r-back")
    lost = past_of(journal, torn.app, torn.env, 0.0)
    assert lost.windows == ()
    assert lost.note.startswith("1 rollouts cannot be read and are left out: GP601 rollout r-back, entry ")


def test_every_look_counts_where_the_journal_has_them():
    between, windows = Between(), past(8, 4)
    quick = [replace(windows[0], start=T0 + 2 * n, end=T0 + 2 * n + 2) for n in range(100)]
    seen = [drawn(windows=(one,), recent=None, at=one.end).observation for one in quick]
    for one in seen:
        between.add(one)
    first, last = drawn(windows=(), at=T0 - 2), drawn(windows=(quick[-1],), at=quick[-1].end)
    found = kept_windows([(first, None), (last, looks_from_json(between.taken(seen[-1])))])
    assert [(one.start, one.end) for one in found] == [(one.start, one.end) for one in quick]
    assert found[0].stable.hosts[1].attempts == quick[0].stable.hosts[1].attempts
    late = kept_windows([(first, None), (last, None)], after=T0 + 1000)
    assert late == [], "each stretch of time is taken once"


def test_short_windows_are_put_together_before_a_spread_is_learnt_from_them():
    quick = [replace(past(8, 1)[0], start=T0 + 2 * n, end=T0 + 2 * n + 2) for n in range(90)]
    found = _minutes(quick)
    assert [one.end - one.start for one in found] == [60.0, 60.0, 60.0]
    assert sum(one.stable.attempts for one in found) == sum(one.stable.attempts for one in quick)
    assert _minutes(past(8, 3)) == past(8, 3)


def test_hosts_that_were_counted_together_play_no_canary():
    pooled = [
        replace(one, stable=replace(one.stable, hosts=(replace(one.stable.hosts[0], host=OTHERS), one.stable.hosts[1])))
        for one in past(9, 40)
    ]
    assert {one.host for one in calibrate(pooled, SLO, ALPHA, 600).trials} == {"h1"}


# --- telling


def told(found: Calibration, sight: str = "") -> list[str]:
    return list(calibration_lines(Calibrated("shop", "lab", "the journal", ALPHA, 600.0, found, sight)))


def with_alarms(count: int, of: int) -> Calibration:
    trials = tuple(Trial("h0", T0 + n, 600.0, 1500, 0.0) for n in range(of))
    return Calibration(trials, share(count, of), share(0, of), 368, 6000.0)


def test_too_little_history_says_so():
    lines = told(calibrate([], SLO, ALPHA, 600))
    assert lines[1].startswith("no trial: too little history")
    assert lines[-1] == "what a step can see is not known: nothing was counted"
    few = told(with_alarms(0, 12))
    assert few[2] == "  false evidence (E ≥ 1/α): 0 of 12, the true share lies between 0 % and 26 % (95 %)"
    assert few[4].endswith("that α allows: about 368 trials would, 12 are here")


def test_enough_history_says_which_side_of_alpha_it_is_on():
    assert told(with_alarms(0, 400))[4] == "  that is within the 1 % that α allows"
    assert told(with_alarms(20, 400))[4].startswith(
        "  more than the 1 % that α allows: errors cluster, or hosts differ"
    )


def test_a_steps_sight_is_the_plans():
    found = calibrate(past(9, 60), SLO, ALPHA, 600)
    said = sees(0.1, 300.0, found.usual, Wanted(SLO, ALPHA))
    assert said.startswith("10% of 20.2 requests/s for 5m finds errors that rise from 0.49% to ")
    made = calibrated(Past(tuple(past(9, 60))), "shop", "lab", (SLO, ALPHA), 600, (0.1, 300.0))
    assert made.sight == said
    assert list(calibration_lines(made))[-1] == f"a step with {said}"


def test_the_document_and_its_schema():
    made = calibrated(Past(tuple(past(10, 60))), "shop", "lab", (SLO, ALPHA), 600, (0.1, 300.0))
    assert schema("calibration") == schema_of(Calibrated, "calibration"), "python -m gopub.views.calibrations"
    Draft202012Validator(schema("calibration")).validate(calibration_json(made))


def test_the_command(tmp_path, monkeypatch, capsys):
    windows = past(11, 30)
    journal_with(tmp_path, [drawn(recent=one, at=one.end) for one in windows])
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    line = ["judge", "calibrate", "--app", "shop", "--env", "lab", "--since", "99999d"]
    document = json.loads(run(monkeypatch, capsys, *line, "--json")[1])
    assert document["found"]["alarms"]["of"] == 3
    assert document["alpha"] == 0.01
    policy = tmp_path / "policy.yaml"
    policy.write_text("alpha: 0.05\n")
    _, out, _ = run(monkeypatch, capsys, *line, "--policy", str(policy), "--share", "25%")
    assert "3 trials of 10m" in out
    assert "the 5 % that α allows" in out
    assert "a step with 25% of 20" in out
    assert record_to_json(drawn())
