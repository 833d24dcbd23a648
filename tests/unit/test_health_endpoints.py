"""Declared endpoints as members of the family: counted apart, folded by hand values, replayed, and told."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from gopub.health.aside import Gained
from gopub.health.config import JudgeConfig, SloTarget
from gopub.health.counters import increments
from gopub.health.endpoints import (
    GROUPS,
    SHARE,
    Counting,
    fold_endpoints,
    learn_endpoints,
    loudest,
    uncounted,
    with_endpoints,
)
from gopub.health.eprocess import Process, against_stable
from gopub.health.observation import Observation, conclude
from gopub.health.observe import Observer
from gopub.health.samples import (
    CounterSnapshot,
    EndpointRow,
    NoData,
    ProcessHealth,
    RawSeries,
    RuntimeSnapshot,
    TrackWindow,
    Window,
    sum_tracks,
)
from gopub.health.sequential import ON_COUNTS, WEIGHTS, EvidenceState, evidence
from gopub.judge.between import Between, looks_from_json, unfolded
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import Cause, History, Kind, Policy, VerdictRecord
from gopub.views.sentence import sentence

STABLE, CANARY = "5" * 12, "c" * 12
T0 = 1_700_000_000.0
NAMES = ("/checkout", "POST /orders/*")
SLO = SloTarget(0.2, 0.01)
CONFIG = JudgeConfig("hello", "prod", "r-1", CANARY, STABLE, SLO, endpoints=NAMES)


def window(
    canary: Sequence[EndpointRow], stable: Sequence[EndpointRow], start: float = 0.0, length: float = 30.0
) -> Window:
    """One row of each endpoint; stable's hosts are one group."""
    tracks = (
        TrackWindow(release, (), endpoints=tuple((row,) for row in rows))
        for release, rows in ((CANARY, canary), (STABLE, stable))
    )
    return Window(start, start + length, *tracks)


def folded(*windows: Window, compare: bool = True, count: int = 2) -> EvidenceState:
    return fold_endpoints(EvidenceState(), windows, count, compare=compare)


# --- the fold, against the closed form


def test_one_window_of_one_endpoint_is_the_e_process_of_its_counts():
    state = folded(window([(400, 31, 0, 0), (0, 0, 0, 0)], [(3600, 2, 0, 0), (100, 1, 0, 0)]))
    by_hand = Process().step_on(against_stable(31, 400, 2, 3600, 0.25), 1.5, (0.0, 30.0), 0, WEIGHTS["errors"])
    checkout, orders = state.endpoints
    assert checkout.errors.versus_stable == by_hand, "φ is the prior's: stable has one group"
    assert checkout.errors.canary == replace(checkout.errors.canary, bad=31, exposed=400)
    assert orders.errors.versus_stable == Process(), "nothing to compare"
    assert orders.errors.stable.exposed == 100
    assert checkout.slow.versus_stable == Process(), "nothing was timed"


def test_slow_answers_are_a_test_of_their_own_with_its_margin():
    state = folded(window([(0, 0, 100, 40), (0, 0, 0, 0)], [(0, 0, 900, 20), (0, 0, 0, 0)]))
    assert state.endpoints[0].slow.versus_stable == Process(), "without an attempt there is nothing"
    state = folded(window([(100, 0, 100, 40), (0, 0, 0, 0)], [(900, 0, 900, 20), (0, 0, 0, 0)]))
    by_hand = Process().step_on(against_stable(40, 100, 20, 900, 0.5), 1.5, (0.0, 30.0), 0, WEIGHTS["slow"])
    assert state.endpoints[0].slow.versus_stable == by_hand


def test_counts_of_one_track_wait_a_few_seconds_for_the_others():
    alone = window([(5, 2, 0, 0)] * 2, [(0, 0, 0, 0), (40, 0, 0, 0)], length=4.0)
    later = window([(0, 0, 0, 0)] * 2, [(40, 0, 0, 0)] * 2, start=4.0, length=4.0)
    state = folded(alone)
    assert state.endpoints[0].waiting is not None
    assert state.endpoints[1].waiting is None
    state = fold_endpoints(state, [later], 2, compare=True)
    by_hand = Process().step_on(against_stable(2, 5, 0, 40, 0.25), 1.5, (0.0, 8.0), 0, WEIGHTS["errors"])
    assert state.endpoints[0].errors.versus_stable == by_hand
    assert state.endpoints[0].waiting is None
    late = folded(replace(alone, end=60.0))
    assert late.endpoints[0].waiting is None, "after so long they belong together no more"
    assert late.endpoints[0].errors.versus_stable == Process()


def test_users_who_chose_themselves_are_no_evidence():
    state = folded(window([(400, 300, 0, 0)] * 2, [(3600, 2, 0, 0)] * 2), compare=False)
    assert [one.errors.versus_stable for one in state.endpoints] == [Process()] * 2
    assert state.endpoints[0].errors.canary.bad == 300, "told all the same"


def test_the_family_is_the_weighted_mean_whatever_endpoints_show():
    state = folded(window([(400, 31, 400, 0), (50, 0, 50, 0)], [(3600, 2, 3600, 9), (450, 0, 450, 1)]))
    base = evidence(state, SLO, late=True)
    found = with_endpoints(base, state, NAMES, slow=True)
    e = [[math.exp(m.log_e) for m in (one.errors, one.slow) if m] for one in found.endpoints]
    theirs = SHARE * ON_COUNTS * sum(sum(pair) / 2 for pair in e) / 2
    assert math.exp(found.log_e) == pytest.approx((1 - SHARE) * math.exp(base.log_e) + theirs)
    assert math.exp(found.log_e_all) == pytest.approx((1 - SHARE) * math.exp(base.log_e_all) + theirs)
    assert found.e_value == math.exp(found.log_e)
    errors_alone = with_endpoints(evidence(state, SLO), state, NAMES, slow=False)
    assert [one.slow for one in errors_alone.endpoints] == [None, None]
    theirs = SHARE * ON_COUNTS * sum(pair[0] for pair in e) / 2
    assert math.exp(errors_alone.log_e) == pytest.approx((1 - SHARE) * math.exp(evidence(state, SLO).log_e) + theirs)
    assert errors_alone.log_e_all == 0.0, "late is not looked at"


def test_without_endpoints_nothing_changes_to_the_last_bit():
    state = EvidenceState()
    assert fold_endpoints(state, [window([(4, 3, 0, 0)], [(40, 0, 0, 0)])], 0, compare=True) is state
    found = evidence(state, SLO, late=True)
    assert with_endpoints(found, state, (), slow=True) is found
    assert learn_endpoints(state, [], 0) is state


def test_the_mean_of_the_family_is_an_e_value_under_the_worst_innocent_rates():
    """Exactly, for one window: all errors of both endpoints fall as the null's limit has it, tied together or not."""
    n, m, bad = 10, 90, 4
    p = 1.25 * n / (1.25 * n + m)
    mean = tied = 0.0
    for x in range(bad + 1):
        chance = math.comb(bad, x) * p**x * (1 - p) ** (bad - x)
        rows = (n, x, 0, 0), (m, bad - x, 0, 0)
        same = folded(window([rows[0]] * 2, [rows[1]] * 2))
        found = with_endpoints(evidence(EvidenceState(), SLO), same, NAMES, slow=False)
        mean += chance * math.exp(found.endpoints[0].errors.log_e)
        tied += chance * math.exp(found.log_e)
    assert mean <= 1 + 1e-9
    assert tied <= ON_COUNTS + 1e-9


# --- φ


def test_the_spread_of_an_endpoint_is_learnt_from_before_and_while_it_lasts():
    def spread(bad: Sequence[int], start: float) -> Window:
        stable = TrackWindow(STABLE, (), endpoints=(tuple((1000, one, 0, 0) for one in bad), ()))
        return Window(start, start + 60, None, stable)

    clustered = [spread((12, 0, 0), 60.0 * n) for n in range(10)]
    state = learn_endpoints(EvidenceState(), clustered, 2)
    checkout, orders = state.endpoints
    # χ² of 12, 0, 0 against 4 each is 24 on 2 degrees, ten times; the prior has 4 of 1.5.
    assert checkout.errors.spread.phi == pytest.approx(max((240 + 6) / 24, (240 + 4) / 6))
    assert orders.errors.spread.phi == 1.5
    assert checkout.errors.canary.exposed == checkout.errors.stable.exposed == 0, "the past is no evidence"
    even = learn_endpoints(EvidenceState(), [spread((4, 4, 4), 60.0 * n) for n in range(10)], 2)
    assert even.endpoints[0].errors.spread.phi == 1.0
    live = fold_endpoints(EvidenceState(), clustered, 2, compare=True)
    assert live.endpoints[0].errors.spread.phi > 5


def test_a_group_that_always_failed_is_not_taken_for_the_canarys_own_past():
    bad = tuple((1000, one, 0, 0) for one in (20, 0, 0))
    past = [Window(60.0 * n, 60.0 * n + 60, None, TrackWindow(STABLE, endpoints=(bad,))) for n in range(10)]
    learnt = learn_endpoints(EvidenceState(), past, 1)
    phi = learnt.endpoints[0].errors.spread.phi
    now = Window(
        1000.0, 1030.0, TrackWindow(CANARY, endpoints=(((400, 31, 0, 0),),)), TrackWindow(STABLE, endpoints=(bad,))
    )
    state = fold_endpoints(learnt, [now], 1, compare=True)
    ratios = against_stable(31, 400, 20, 3000, 0.25)
    by_hand = Process().step_on(ratios, phi, (1000.0, 1030.0), 0, WEIGHTS["errors"])
    assert phi > 10
    assert state.endpoints[0].errors.versus_stable == by_hand


def test_hosts_are_counted_in_so_many_groups_and_keep_theirs():
    counting = Counting(NAMES)
    hosts = [f"h{n:02d}" for n in range(20)]

    def gained(names: Sequence[str]) -> Gained:
        rows = tuple(
            RawSeries("e1", STABLE, name, {}, endpoints={("/checkout", "ok"): 9.0, ("/checkout", "error"): 1.0})
            for name in names
        )
        return Gained(0.0, 5.0, rows, frozenset({STABLE}))

    blank = Window(0.0, 5.0, None, TrackWindow(STABLE))
    both = Window(0.0, 5.0, TrackWindow(CANARY), TrackWindow(STABLE))
    canary = RawSeries("e1", CANARY, "a", {}, endpoints={("/checkout", "ok"): 5.0, ("/checkout", "fine"): 3.0})
    found = gained(hosts)
    whole = counting.counted(both, replace(found, series=(canary, *found.series)))
    assert whole.canary
    assert whole.canary.endpoints == (((5, 0, 3, 0),), ((0, 0, 0, 0),)), "one group, which takes no place of stable's"
    first = whole.stable
    assert first
    assert len(first.endpoints[0]) == GROUPS
    assert first.endpoints[0][0] == (30, 3, 0, 0), "h00, h08, h16"
    assert first.endpoints[0][7] == (20, 2, 0, 0), "h07, h15"
    assert first.endpoints[1] == ((0, 0, 0, 0),) * GROUPS
    less = counting.counted(blank, gained(hosts[8:])).stable
    assert less
    assert less.endpoints[0][0] == (20, 2, 0, 0), "who leaves takes nobody's place"
    assert Counting(()).counted(blank, gained(hosts)) is blank


def test_groups_are_added_one_by_one():
    one = TrackWindow(STABLE, endpoints=(((1, 0, 1, 0), (2, 1, 2, 1)), ((5, 0, 0, 0),)))
    two = TrackWindow(STABLE, endpoints=(((10, 0, 10, 0),), ((1, 1, 1, 1), (3, 0, 3, 0))))
    none = TrackWindow(STABLE)
    total = sum_tracks([one, none, two])
    assert total
    assert total.endpoints == (((11, 0, 11, 0), (2, 1, 2, 1)), ((6, 1, 1, 1), (3, 0, 3, 0)))


# --- counters


def counted(ok: float, error: float, more: float = 0.0, endpoint: str = "/checkout") -> RawSeries:
    return RawSeries(
        "e1",
        CANARY,
        "h1",
        {"2xx": ok + more, "5xx": error + more},
        endpoints={(endpoint, "ok"): ok, (endpoint, "error"): error},
    )


def test_what_was_declared_anew_counts_from_zero_and_takes_nothing_else_along():
    def gain(before: RawSeries, after: RawSeries) -> RawSeries:
        [found] = increments(CounterSnapshot(0.0, (before,), {"e1": 0.0}), CounterSnapshot(5.0, (after,), {"e1": 5.0}))
        return found

    plain = gain(counted(100, 7), counted(110, 9))
    assert plain.endpoints == {("/checkout", "ok"): 10, ("/checkout", "error"): 2}
    anew = gain(counted(100, 7), counted(4, 1, more=200))
    assert anew.endpoints == {("/checkout", "ok"): 4, ("/checkout", "error"): 1}, "its counts begin again"
    assert anew.classes["2xx"] == 104, "the host's do not"
    first = gain(replace(counted(100, 7), endpoints={}), counted(110, 9))
    assert first.endpoints == {("/checkout", "ok"): 110, ("/checkout", "error"): 9}, "an edge begins them at 0"


def test_an_edge_that_counts_no_endpoints_is_named():
    blind, seeing = replace(counted(1, 0), edge="e2", endpoints={}), counted(1, 0)
    [note] = uncounted([blind, seeing, replace(blind, edge="e3", release=STABLE)], CANARY, {"e2": "web-edge"})
    assert note.startswith("web-edge does not count the declared endpoints")


# --- a whole bake


@dataclass
class Edges:
    """A metric source: 20 requests a second to the canary and 180 to stable, a twentieth of them to POST /orders/*."""

    bad: float = 0.0
    """The share of them that fails on the canary."""
    rates: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def pass_by(self, seconds: float) -> None:
        for release, host, rate in ((CANARY, "h1", 20.0), (STABLE, "s1", 90.0), (STABLE, "s2", 90.0)):
            orders = rate * seconds / 20
            failed = orders * self.bad if release == CANARY else 0.0
            background = rate * seconds * 0.01
            for key, count in (
                ("2xx", rate * seconds - failed - background),
                ("5xx", failed + background),
                ("ok", orders - failed),
                ("error", failed),
            ):
                self.rates[release, host, key] = self.rates.get((release, host, key), 0.0) + count

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        rows = []
        for release, host in dict.fromkeys((release, host) for release, host, _ in self.rates):
            kinds = {kind: float(round(self.rates[release, host, kind])) for kind in ("2xx", "5xx", "ok", "error")}
            classes = {"2xx": kinds["2xx"], "5xx": kinds["5xx"], "cut": 0.0}
            endpoints = {(NAMES[1], "ok"): kinds["ok"], (NAMES[1], "error"): kinds["error"]}
            total = classes["2xx"] + classes["5xx"]
            rows.append(RawSeries("e1", release, host, classes, {0.1: total, math.inf: total}, endpoints=endpoints))
        return CounterSnapshot(at, tuple(rows), {"e1": at}, 5.0)

    async def history(self, app: str, env: str, releases: Sequence[str], at: float) -> tuple[CounterSnapshot, ...]:
        return ()

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot:
        return RuntimeSnapshot(at)


async def baked(config: JudgeConfig, looks: int = 36, bad: float = 0.3) -> list[tuple[Observation, VerdictRecord]]:
    """A bake of three minutes, a look every five seconds."""
    edges = Edges()
    edges.pass_by(60.0)
    observer = Observer(edges, None, config)
    await observer.start(T0)
    found, edges.bad = [], bad
    for number in range(1, looks + 1):
        edges.pass_by(5.0)
        seen = await observer.look(T0 + 5.0 * number, (ProcessHealth("h1"),), 0)
        past = History(seen.at, T0, 600.0, T0 + 3600)
        found.append((seen, judge(seen, Policy.of(config), past)))
    return found


LENIENT = replace(CONFIG, slo=SloTarget(0.2, 0.05))
"""1 % fails everywhere; with the endpoint 2.5 % of the canary does, which is no SLO break."""


async def test_an_endpoint_that_fails_is_found_and_named_and_the_total_alone_does_not():
    found = await baked(LENIENT)
    back = next(record for _, record in found if record.verdict.kind is Kind.ROLLBACK)
    assert (back.verdict.rule, back.verdict.cause) == (3, Cause.SURE)
    one = loudest(back.observation.evidence)
    assert one is not None
    counts = one.errors.canary_bad, one.errors.canary_exposed, one.errors.stable_exposed
    said = f"POST /orders/* fails on the canary: {counts[0]} of {counts[1]}, stable 0 of {counts[2]}: E = "
    assert back.verdict.reason.startswith(said)
    assert f"POST /orders/* {counts[0]}/{counts[1]} against 0/{counts[2]}" in back.verdict.reason
    assert sentence(back).startswith("POST /orders/*: 30 % of the canary's answers failed")
    alone = await baked(replace(LENIENT, endpoints=()))
    at = next((seen.at for seen, record in alone if record.verdict.kind is Kind.ROLLBACK), math.inf)
    assert back.observation.at < at, "control: without endpoints it takes longer"


async def test_a_good_canary_is_blamed_for_no_endpoint():
    found = await baked(LENIENT, bad=0.0)
    assert {record.verdict.kind for _, record in found} <= {Kind.HOLD}
    assert found[-1][0].evidence.log_e < 0


async def test_a_record_replays_to_the_last_bit_and_a_changed_endpoint_is_found():
    _, record = (await baked(LENIENT, looks=12))[-1]
    kept = json.loads(json.dumps(record_to_json(record)))
    assert replay(record_from_json(kept)).differences == ()
    kept["observation"]["windows"][0]["canary"]["endpoints"][1][0][1] += 1
    assert any(text.startswith("evidence:") for text in replay(record_from_json(kept)).differences)


async def test_looks_that_are_kept_as_counts_give_the_evidence_to_the_digit():
    found = await baked(LENIENT, looks=12)
    between, kept = Between(), []
    for number, (seen, record) in enumerate(found):
        between.add(seen)
        if number in (0, 11):
            kept.append((record, looks_from_json(between.taken(seen))))
    again = list(unfolded(kept))
    assert len(again) == 12
    said = [
        conclude(o.config, o.recent, o.scored, o.windows, o.before, compare=o.compare).evidence.endpoints
        for o in (one.observation for one in again)
    ]
    assert said == [seen.evidence.endpoints for seen, _ in found]
    assert len({one[1].errors.log_e for one in said}) == 12, "control: they are not all the same"
