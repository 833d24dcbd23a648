"""Whose doing a breach of a promoted release is, by values: what it takes, what speaks for something else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.health.course import SLICE, Counted, Course, Slice
from gopub.health.observation import Totals
from gopub.health.samples import ProcessHealth
from gopub.judge.after import CALM, Finding, Rules, Seen, look

BEGUN, HOSTS, EDGES = 1_000_000.0, ("a", "b", "c", "d"), ("e1", "e2")
RULES = Rules(errors=0.01, slow=True, min_requests=50, begun=BEGUN)
WELL = tuple(ProcessHealth(name, active=True, exe_ok=True, probe_ok=True) for name in HOSTS)


def course(slices: int, failing=lambda host, edge, at: 0.0, each: int = 200, slow=lambda at: 0.0) -> Course:
    """So many slices from the beginning; each host and edge of each has the same number of requests."""
    made = Course()
    for number in range(slices):
        start = BEGUN + number * SLICE
        hosts, edges = dict[str, Counted](), dict[str, Counted]()
        for host in HOSTS:
            for edge in EDGES:
                bad, late = (round(each * share) for share in (failing(host, edge, start - BEGUN), slow(start - BEGUN)))
                one = Counted(each, bad, each, late)
                hosts[host] = hosts.get(host, Counted()).plus(one)
                edges[edge] = edges.get(edge, Counted()).plus(one)
        made = made.plus(Slice(start, start + SLICE, hosts, edges))
    return made


def seen(of: Course, **more) -> Seen:
    return replace(Seen(of.slices[-1].end if of.slices else BEGUN, of, WELL), **more)


@pytest.mark.parametrize(
    ("rate", "finding"), [(0.0, Finding.GOOD), (0.01, Finding.GOOD), (0.055, Finding.GOOD), (0.065, Finding.BREACH)]
)
def test_it_takes_six_times_what_the_slo_allows(rate, finding):
    assert look(seen(course(40, lambda *_: rate)), RULES).finding is finding


def test_both_windows_have_to_burn():
    """What was bad and is over takes nobody back; what is bad for seconds is not enough either."""
    over = course(100, lambda host, edge, at: 0.3 if at < 300 else 0.0)
    found = look(seen(over), replace(RULES, slow=False))
    assert (found.finding, found.says) == (Finding.GOOD, "9600 of 160000 requests failed (0 of 32000 in the last 5m)")
    short = course(200, lambda host, edge, at: 0.3 if at >= 200 * SLICE - 30 else 0.0)
    assert look(seen(short), RULES).finding is Finding.GOOD


def test_slow_answers_burn_as_well_and_only_where_the_slo_says_so():
    late = course(40, slow=lambda at: 0.4)
    found = look(seen(late), RULES)
    assert found.finding is Finding.BREACH
    assert "by slow answers" in found.says
    assert look(seen(late), replace(RULES, slow=False)).finding is Finding.GOOD


def test_one_edge_and_one_host_are_told_by_name_and_nothing_is_blamed():
    """Two in three requests of one edge fail: that is more than the SLO lets all of them fail together."""
    edge = look(seen(course(40, lambda host, edge, at: 0.66 if edge == "e1" else 0.0)), RULES)
    assert (edge.finding, edge.says.endswith("; only e1 of 2 edges see it")) == (Finding.OUTSIDE, True)
    host = look(seen(course(40, lambda host, edge, at: 0.66 if host == "c" else 0.0)), RULES)
    assert (host.finding, host.says.endswith("; only c of 4 hosts show it")) == (Finding.OUTSIDE, True)
    most = look(seen(course(40, lambda host, edge, at: 0.66 if host != "c" else 0.0)), RULES)
    assert most.finding is Finding.BREACH, "control: most of them are the release"


def test_what_was_so_before_is_not_the_releases():
    bad = course(40, lambda *_: 0.1)
    before = Totals(stable_requests=10_000, stable_errors=600)
    assert look(seen(bad, past=before), RULES).finding is Finding.OUTSIDE
    better = look(seen(bad, past=replace(before, stable_errors=100)), RULES)
    assert better.finding is Finding.BREACH
    assert better.says.endswith("nothing else explains it: the release before had 1 % of 10000")


@pytest.mark.parametrize(
    ("calm", "apart", "finding"),
    [
        (CALM + 60, 0, Finding.OUTSIDE),
        (CALM - 60, 0, Finding.BREACH),  # it had not served well for long
        (CALM + 60, 60, Finding.BREACH),  # it came host by host
    ],
)
def test_what_comes_on_all_at_once_after_a_calm_comes_from_outside(calm, apart, finding):
    def failing(host, edge, at):
        return 0.4 if at >= calm + apart * HOSTS.index(host) else 0.0

    assert look(seen(course(60, failing)), RULES).finding is finding


def test_an_earlier_blip_of_one_host_does_not_make_it_come_host_by_host():
    def failing(host, edge, at):
        blip = host == "a" and 60 <= at < 90
        return 0.4 if blip or at >= 600 else 0.0

    assert look(seen(course(60, failing)), RULES).finding is Finding.OUTSIDE


def test_few_requests_and_no_data_are_answers_of_their_own():
    assert look(seen(Course()), RULES).finding is Finding.QUIET
    few = course(20, lambda *_: 1.0, each=0)
    assert look(seen(few), RULES).finding is Finding.QUIET
    handful = Course((Slice(BEGUN, BEGUN + 60, {"a": Counted(49, 49)}, {"e1": Counted(49, 49)}),))
    assert look(seen(handful), RULES).finding is Finding.QUIET, "forty-nine failures of forty-nine are a handful here"
    assert look(seen(course(40, lambda *_: 0.5), no_data="e1 is silent"), RULES).finding is Finding.BLIND


def test_a_quarter_of_the_hosts_has_to_be_unwell_and_silence_is_not():
    dead = replace(WELL[0], active=False)
    assert look(seen(course(9), hosts=(dead, *WELL[1:])), RULES).finding is Finding.BREACH
    nine = (dead, *WELL[1:], *(replace(one, host=f"{one.host}2") for one in WELL), WELL[3])
    assert look(seen(course(9), hosts=nine), RULES).finding is Finding.GOOD, "one of nine"
    silent = tuple(replace(one, active=False, reachable=False) for one in WELL)
    assert look(seen(course(9), hosts=silent), RULES).finding is Finding.GOOD
    crashed = replace(WELL[0], restarts=2)
    found = look(seen(Course(), hosts=(crashed, *WELL[1:]), no_data="x"), RULES)
    assert found.says == "1 of 4 hosts are not well (a: the process died and was restarted 2 times)"


def test_without_a_router_processes_are_all_that_is_watched():
    assert look(seen(Course(), health_only=True), RULES).finding is Finding.GOOD


def test_slices_of_a_second_become_slices_that_can_be_kept():
    made = Course()
    for second in range(600):
        made = made.plus(Slice(BEGUN + second, BEGUN + second + 1, {"a": Counted(1)}, {"e1": Counted(1)}))
    assert len(made.slices) == 600 / SLICE
    assert made.since(BEGUN + 300).all.attempts == 300
    assert made.since(BEGUN).all.attempts == 600


def rare(an_hour: float, minutes: int, share: float) -> Course:
    """So few requests an hour, evenly, to one host after the other; the share fails from the beginning on."""
    made, came, bad = Course(), 0.0, 0.0
    for number in range(minutes * 4):
        before, before_bad = int(came), int(bad)
        came, bad = came + an_hour * SLICE / 3600, bad + share * an_hour * SLICE / 3600
        one = Counted(int(came) - before, int(bad) - before_bad)
        made = made.plus(
            Slice(BEGUN + number * SLICE, BEGUN + (number + 1) * SLICE, {HOSTS[number % 4]: one}, {"e1": one})
        )
    return made


@pytest.mark.parametrize(
    ("an_hour", "minutes", "least", "finding"),
    [
        (10, 60, 50, Finding.QUIET),  # ten requests, and all of them may fail: that is said, and nothing is concluded
        (10, 60, 8, Finding.BREACH),  # a team that wants it told asks for fewer
        (60, 60, 50, Finding.BREACH),  # one a minute: the last fifty count
        (6, 23 * 60, 30, Finding.BREACH),  # the last thirty of six hours
        (4, 23 * 60, 30, Finding.GOOD),  # there are never thirty in six hours
        (600, 60, 50, Finding.BREACH),  # control: fifty in five minutes
    ],
)
def test_of_a_service_with_few_requests_as_much_is_said_as_is_known(an_hour, minutes, least, finding):
    found = look(seen(rare(an_hour, minutes, share=0.8)), replace(RULES, min_requests=least, slow=False))
    assert found.finding is finding, found


def test_of_few_requests_what_is_over_takes_nobody_back_and_silence_is_not_going_on():
    few = rare(60, 60, share=0.8)
    well = replace(few, slices=(*few.slices[:-40], *(_well(one) for one in few.slices[-40:])))
    rules = replace(RULES, slow=False)
    assert look(seen(few), rules).finding is Finding.BREACH, "control"
    assert look(seen(well), rules).finding is Finding.GOOD, "the ten requests of the last ten minutes were answered"
    silent = replace(few, slices=tuple(one for one in few.slices if one.end < few.slices[-1].end - 600))
    assert look(replace(seen(silent), now=few.slices[-1].end), rules).finding is Finding.QUIET


def _well(one: Slice) -> Slice:
    return replace(one, hosts={name: replace(counted, errors=0) for name, counted in one.hosts.items()})


def test_a_course_of_a_day_and_many_hosts_is_added_up_in_one_pass():
    """As slowly as the work grows: the sum of sums, which copied all hosts for each slice, took a driver's lease."""
    slices = tuple(
        Slice(BEGUN + n, BEGUN + n + 1, {f"h{host}": Counted(1, 0, 1, 0) for host in range(50)}, {"e": Counted(50)})
        for n in range(2000)
    )
    whole = Course(slices).since(BEGUN)
    assert (whole.start, whole.end, whole.all.attempts) == (BEGUN, BEGUN + 2000, 100_000)
    assert set(whole.hosts.values()) == {Counted(2000, 0, 2000, 0)}
    assert Course(slices).last(BEGUN + 1990, 1000, BEGUN).start == BEGUN + 1980
    assert Course(slices).last(BEGUN + 1990, 10**9, BEGUN + 1500).start == BEGUN + 1500
