from __future__ import annotations

import math
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.health.config import SloTarget
from gopub.health.counters import histogram, increments, merged, window
from gopub.health.samples import (
    APART_CLASSES,
    ERROR_CLASSES,
    CounterSnapshot,
    Histogram,
    HostCounts,
    RawSeries,
    TrackWindow,
    Window,
    sum_windows,
)
from gopub.health.slo import SURE, check_slo, surprise

INF = math.inf


def series(ok, bad=0, *, edge="e1", release="c", host="h1", cumulative=None):
    return RawSeries(edge, release, host, {"2xx": float(ok), "5xx": float(bad)}, cumulative or {})


def snapshot(at, *found, edges=("e1",)):
    return CounterSnapshot(at, tuple(found), dict.fromkeys(edges, at))


def gained(before, after):
    return [(s.host, s.classes["2xx"], s.classes["5xx"]) for s in increments(before, after)]


def test_a_difference():
    assert gained(snapshot(0, series(10, 1)), snapshot(1, series(15, 3))) == [("h1", 5, 2)]


def test_one_counter_that_falls_restarts_the_whole_series():
    """The errors rose from 0 to 3 across the restart; counting them on from 1 would lose one."""
    assert gained(snapshot(0, series(100, 1)), snapshot(1, series(7, 3))) == [("h1", 7, 3)]


def test_a_fall_in_the_buckets_restarts_the_whole_series():
    before = series(5, cumulative={0.1: 90.0, INF: 100.0})
    after = series(6, cumulative={0.1: 95.0, INF: 96.0})
    [found] = increments(snapshot(0, before), snapshot(1, after))
    assert found == after


def test_another_host_is_not_touched_by_a_restart():
    before = snapshot(0, series(100, host="h1"), series(50, host="h2"))
    after = snapshot(1, series(1, host="h1"), series(60, host="h2"))
    assert gained(before, after) == [("h1", 1, 0), ("h2", 10, 0)]


def test_a_new_series_of_a_known_edge_counts_from_zero():
    assert gained(snapshot(0, series(9)), snapshot(1, series(9), series(7, host="h2"))) == [("h1", 0, 0), ("h2", 7, 0)]


def test_a_new_edge_is_a_starting_point_only():
    before = snapshot(0, series(9))
    after = snapshot(1, series(9), series(7000, edge="e2"), edges=("e1", "e2"))
    assert gained(before, after) == [("h1", 0, 0)]


def test_an_edge_that_comes_back_goes_on():
    first = snapshot(0, series(9), series(100, edge="e2"), edges=("e1", "e2"))
    gone = merged(first, snapshot(1, series(10)))
    back = snapshot(2, series(11), series(130, edge="e2"), edges=("e1", "e2"))
    assert sorted(gained(gone, back)) == [("h1", 1, 0), ("h1", 30, 0)]


def test_a_release_without_series_is_none_not_zero():
    found = window(snapshot(0, series(1)), snapshot(1, series(2)), canary="c", stable="s", slow_above=None)
    assert found.stable is None
    assert found.canary.attempts == 1


def test_hosts_are_summed_over_edges_and_slow_is_counted_at_the_next_bound():
    before = snapshot(0, edges=("e1", "e2"))
    buckets = {0.1: 6.0, 0.25: 8.0, INF: 10.0}
    after = snapshot(1, series(9, 1, cumulative=buckets), series(10, edge="e2", cumulative=buckets), edges=("e1", "e2"))
    found = window(before, after, canary="c", stable=None, slow_above=0.2)
    assert found.canary.hosts == (HostCounts("h1", 20, 1, 20, 4, failed={"5xx": 1}),)
    assert found.canary.latency == Histogram((0.1, 0.25), (12, 4, 4))
    blind = window(before, after, canary="c", stable=None, slow_above=None)
    assert (blind.canary.timed, blind.canary.slow) == (0, 0)


def test_all_error_classes_count_and_4xx_does_not():
    classes = {"2xx": 1.0, "4xx": 10.0, "5xx": 2.0, "connect": 3.0, "timeout": 4.0, "cut": 5.0, "unknown_end": 6.0}
    after = snapshot(1, RawSeries("e1", "c", "h1", classes | {"left": 100.0}))
    found = window(snapshot(0), after, canary="c", stable=None, slow_above=None)
    assert (found.canary.attempts, found.canary.errors) == (31, 14), "what a client left is no attempt"
    assert (found.canary.left, sum_windows([found, found]).canary.left) == (100, 200), "it is counted apart"
    assert found.canary.failed == {"5xx": 2, "connect": 3, "cut": 5, "timeout": 4}
    assert sum_windows([found, found]).canary.failed == {"5xx": 4, "connect": 6, "cut": 10, "timeout": 8}


def test_the_edge_counts_no_class_that_the_judge_does_not_know():
    text = (files("gopub.traffic.backends.nginx") / "lua/gopub/series.lua").read_text(encoding="utf-8")
    [listed] = re.findall(r"^_M.CLASSES = \{(.*)\}$", text, re.MULTILINE)
    harmless = {"2xx", "3xx", "4xx", "unknown_end"}
    assert set(re.findall(r'"(\w+)"', listed)) == {*ERROR_CLASSES, *APART_CLASSES, *harmless}


def test_histograms():
    assert histogram({INF: 3.0}) == Histogram()
    assert histogram({0.5: 2.0, 0.1: 1.0, INF: 5.0}) == Histogram((0.1, 0.5), (1, 1, 3))
    assert histogram({0.1: 5.0, 0.5: 4.0, INF: 6.0}).counts == (5, 0, 1), "a torn scrape gives no negative count"
    with pytest.raises(ValueError, match="other bounds"):
        Histogram((1.0,), (1, 1)) + Histogram((2.0,), (1, 1))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=20))
def test_windows_add_up_whatever_restarts(steps):
    """Counting in many windows gives what was really added, restarts included."""
    value, last, total, found = 0, None, 0, 0
    for index, (grown, after_restart, restarts) in enumerate(steps):
        if restarts and last is not None and after_restart < value:
            value = after_restart
            total += after_restart
        elif last is not None:
            value += grown
            total += grown
        now = snapshot(index, series(value))
        found += sum(s.classes["2xx"] for s in increments(last, now)) if last else 0
        last = now
    assert found == total


def test_sum_of_windows():
    def part(start, n):
        return Window(start, start + 1, TrackWindow("c", (HostCounts("h1", n, 1),)), None)

    assert sum_windows([]) is None
    assert sum_windows([part(0, 5), part(1, 6)]) == Window(0, 2, TrackWindow("c", (HostCounts("h1", 11, 2),)), None)


# --- the SLO


def counted(n, bad=0, latency=None):
    return TrackWindow("c", (HostCounts("h1", n, bad),), latency or Histogram())


@pytest.mark.parametrize(
    ("n", "bad", "above", "broken"),
    [
        (49, 49, (), ()),  # too few to say anything
        (50, 0, (), ()),
        (50, 1, ("error_rate",), ()),  # 2 % above 1 %, but one error proves nothing
        (50, 4, ("error_rate",), ("error_rate",)),
        (1000, 10, (), ()),  # exactly the SLO
        (1000, 11, ("error_rate",), ()),
        (1000, 20, ("error_rate",), ("error_rate",)),
        (1000, 1000, ("error_rate",), ("error_rate",)),
    ],
)
def test_error_rate(n, bad, above, broken):
    found = check_slo(counted(n, bad), SloTarget(None, 0.01), 50)
    assert (found.above, found.broken, found.enough) == (above, broken, n >= 50)


@pytest.mark.parametrize(
    ("counts", "above", "broken"),
    [
        ((100, 0, 0), (), ()),
        ((95, 5, 0), (), ()),
        ((90, 10, 0), ("latency_p95",), ()),
        ((80, 20, 0), ("latency_p95",), ("latency_p95",)),
        ((50, 0, 50), ("latency_p95",), ("latency_p95",)),
    ],
)
def test_latency(counts, above, broken):
    found = check_slo(counted(100, 0, Histogram((0.2, 1.0), counts)), SloTarget(0.2, None), 50)
    assert (found.above, found.broken) == (above, broken)


def test_saturated_latency_breaks_an_slo_at_the_last_bound():
    found = check_slo(counted(100, 0, Histogram((0.2,), (50, 50))), SloTarget(0.2, None), 50)
    assert found.saturated
    assert found.broken == ("latency_p95",)


def test_surprise_is_a_bound_on_the_binomial_tail():
    """Against the exact tail: what is called sure is at most 5 %."""
    for n, p in ((50, 0.01), (200, 0.05), (1000, 0.005)):
        tail = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        for bad in range(0, n + 1, max(1, n // 50)):
            if surprise(bad, n, p) >= SURE:
                assert sum(tail[bad:]) <= 0.05
    assert surprise(1, 10, 0.0) == math.inf
    assert surprise(0, 0, 0.5) == 0.0
