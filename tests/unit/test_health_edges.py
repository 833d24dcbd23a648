"""Which edges are behind the scraped targets, and which of them are ours."""

from __future__ import annotations

import pytest

from gopub.health.backends.targets import interval_of, stale, targets, twice
from gopub.health.counters import increments, merged
from gopub.health.edges import older, only_ours
from gopub.health.samples import CounterSnapshot, RawSeries


def row(instance, identity, times, job="edges"):
    labels = {"__name__": "gopub_edge_table_revision", "app": "a", "env": "e", "job": job, "instance": instance}
    return (labels | ({"edge_id": identity} if identity else {}), [[time, "1"] for time in times])


def sample(instance, job="edges"):
    return {"__name__": "x", "app": "a", "release": "r", "host": "h", "job": job, "instance": instance}


def test_two_targets_of_one_identity_are_one_edge():
    found = targets([row("10.0.0.1:9145", "one", [1, 16]), row("edge.example:9145", "one", [8, 23], job="more")])
    assert found.key(sample("10.0.0.1:9145")) == found.key(sample("edge.example:9145", "more")) == "one"
    assert dict(found.times) == {"one": (1.0, 8.0, 16.0, 23.0)}
    assert interval_of(found) == 15.0, "of one target, not of both together"
    assert twice(found) == ("10.0.0.1:9145 and edge.example:9145 are one edge: it is counted once",)


def test_the_same_instance_in_two_jobs_is_two_edges_where_they_say_so():
    """Control: what tells them apart is who they say they are, not what they are called."""
    found = targets([row("edge:9145", "one", [1]), row("edge:9145", "two", [1], job="more")])
    assert (found.key(sample("edge:9145")), found.key(sample("edge:9145", "more"))) == ("one", "two")
    assert twice(found) == ()
    silent = targets([row("edge:9145", "", [1]), row("edge:9145", "", [1], job="more")])
    assert silent.key(sample("edge:9145", "more")) == "edge:9145"


def test_a_restarted_edge_is_another_one_and_its_counters_count_from_zero():
    found = targets([row("e:1", "old", [1, 16, 31]), row("e:1", "new", [46, 61])])
    assert found.key(sample("e:1")) == "new"
    assert dict(found.follows) == {"new": "old"}
    assert found.confused == ()
    assert not stale(found, 70)
    before = CounterSnapshot(30, (RawSeries("old", "c", "h1", {"2xx": 100.0}),), {"old": 30})
    after = CounterSnapshot(62, (RawSeries("new", "c", "h1", {"2xx": 7.0}),), {"new": 61}, follows=found.follows)
    assert [series.classes for series in increments(before, after)] == [{"2xx": 7.0}]
    stranger = CounterSnapshot(62, after.series, {"new": 61})
    assert increments(before, stranger) == (), "control: an edge that follows none is a starting point only"


def test_an_edge_of_an_older_version_that_is_brought_up_to_date_follows_itself():
    found = targets([row("e:1", "", [1, 16]), row("e:1", "new", [31])])
    assert dict(found.follows) == {"new": "e:1"}


@pytest.mark.parametrize(("first", "second", "confused"), [([1, 31], [16, 46], True), ([1, 16], [31, 46], False)])
def test_one_target_before_two_edges_is_seen_by_their_turns(first, second, confused):
    found = targets([row("edges.example:9145", "one", first), row("edges.example:9145", "two", second)])
    assert found.confused == (("edges.example:9145",) if confused else ())


def test_a_label_of_the_scrape_configuration_does_not_hide_who_it_is():
    labels, samples = row("e:1", "set-by-somebody", [1])
    found = targets([({**labels, "exported_edge_id": "one"}, samples)])
    assert found.key(sample("e:1")) == "one"


def counted(*edges, names=None):
    series = tuple(RawSeries(edge, "c", "h1", {"2xx": 5.0, "cut": 0.0}) for edge in edges)
    return CounterSnapshot(10, series, dict.fromkeys(edges, 9.0), names=names or {})


def test_an_edge_that_is_not_scraped_is_no_data():
    said = only_ours(counted("one"), {"e1": "one", "e2": "two"})
    assert said == "no fresh counts of e2: is each edge scraped, with its label edge_id? seen: e1"
    assert only_ours(counted("one", "two"), {"e1": "one", "e2": "two"}) == counted("one", "two")


def test_an_edge_of_somebody_else_is_left_out_and_named():
    ours = only_ours(counted("one", "x", names={"x": "10.0.0.7:9145"}), {"e1": "one"})
    assert isinstance(ours, CounterSnapshot)
    assert [series.edge for series in ours.series] == ["one"]
    assert set(ours.edges) == {"one"}
    assert ours.notes == ("10.0.0.7:9145: no edge of the inventory, so what it counts is left out",)


@pytest.mark.parametrize("identities", [{}, {"e1": "one", "e2": ""}, {"e1": "one", "e2": None}])
def test_while_an_edge_has_not_said_who_it_is_nobody_is_a_stranger(identities):
    seen = counted("one", "10.0.0.2:9145")
    assert only_ours(seen, identities) == seen


def test_an_edge_that_counts_no_cuts_is_named():
    old = CounterSnapshot(1, (RawSeries("e:1", "c", "h1", {"2xx": 1.0}),), {"e:1": 1})
    assert older(old) == ("e:1 does not count answers that are cut off: it runs an older gopub",)
    assert older(counted("one")) == ()


def read(at, value, **more):
    return CounterSnapshot(at, (RawSeries("one", "c", "h1", {"2xx": value}),), {"one": at}, **more)


def test_lower_counters_of_an_edge_that_says_who_it_is_are_an_older_reading():
    """A server that is behind answers: what it says was counted before. Nothing is gained, and nothing forgotten."""
    known = {"identified": frozenset({"one"})}
    first, behind, next_one = read(10, 100.0, **known), read(12, 90.0, **known), read(14, 104.0, **known)
    assert [series.classes for series in increments(first, behind)] == [{"2xx": 0.0}]
    last = merged(first, behind)
    assert [series.classes for series in last.series] == [{"2xx": 100.0}]
    assert [series.classes for series in increments(last, next_one)] == [{"2xx": 4.0}]
    assert merged(last, next_one).held == {}
    unknown = read(12, 90.0)
    assert [series.classes for series in increments(first, unknown)] == [{"2xx": 90.0}], "control: it was restarted"


def test_what_stays_lower_is_a_starting_point():
    """An edge drops the counters of a host that left for good; a server that lags for minutes has its past in them."""
    known = {"identified": frozenset({"one"})}
    last = read(10, 100.0, **known)
    for at in range(20, 131, 10):
        now = read(at, at / 10, **known)
        assert [series.classes for series in increments(last, now)] == [{"2xx": 0.0}]
        last = merged(last, now)
    now = read(140, 14.0, **known)
    assert [series.classes for series in increments(last, now)] == [{"2xx": 0.0}], "nothing that was counted before"
    last = merged(last, now)
    assert [series.classes for series in increments(last, read(150, 15.0, **known))] == [{"2xx": 1.0}]


def test_of_an_older_edge_the_newest_scrape_alone_counts():
    """Who cannot say whether it was restarted is read from one target: another may have the counters of before."""
    found = targets([row("e:1", "", [1, 16]), row("e:1", "", [5, 20], job="more")])
    assert [found.counts(sample("e:1", job)) for job in ("edges", "more")] == [False, True]
    known = targets([row("e:1", "one", [1, 16]), row("e:1", "one", [5, 20], job="more")])
    assert [known.counts(sample("e:1", job)) for job in ("edges", "more")] == [True, True]
    assert found.counts(sample("e:2")), "a target that told nothing"


def test_each_target_is_stale_by_its_own_interval():
    quick, rare = row("e:1", "one", range(0, 301, 5)), row("e:2", "two", [0, 60, 120, 180, 240])
    assert not stale(targets([quick, rare]), 300)
    assert interval_of(targets([quick, rare])) == 60.0
    told = stale(targets([row("e:1", "one", range(0, 271, 5)), rare]), 300)
    assert told == {"one": "stale: the newest sample of e:1 is 30.0s old, the limit is 25s"}
    both = targets([row("e:1", "one", range(0, 31, 5)), row("e:9", "one", [0, 60, 120, 180, 240])])
    assert not stale(both, 300), "one of its targets is fresh"


def test_two_servers_that_write_one_series_by_turns_do_not_halve_the_limit():
    merged_series = row("e:1", "one", sorted([*range(0, 300, 60), *range(3, 300, 60)]))
    assert not stale(targets([merged_series]), 299)
    assert stale(targets([row("e:1", "one", range(0, 243, 3))]), 299), "control"
