"""What a plan says of declared endpoints: what the family's own test then finds, and only where traffic is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from gopub.health.config import SloTarget
from gopub.health.endpoints import fold_endpoints, with_endpoints
from gopub.health.power import Sight, chance, least
from gopub.health.samples import CounterSnapshot, RawSeries, TrackWindow, Window
from gopub.health.sequential import EvidenceState, evidence
from gopub.health.usual import Usual, usual, usual_endpoints
from gopub.plan.model import PlannedStep
from gopub.plan.sight import Wanted, told, told_of_endpoints
from tests.bench.judge_simulator import draw

SLO = SloTarget(0.2, 0.01)
NAMES = ("/a", "/b", "/c")
SIGHT = Sight(2.0, 18.0, 120.0, 0.01, SLO, family=3, of_endpoint=True)
STABLE = "5" * 12


def finds(rate: float, seed: int) -> bool:
    """Whether the judge's fold reaches 1/α where so many of one endpoint's requests fail on the canary."""
    rng, state = random.Random(seed), EvidenceState()
    for look in range(60):
        canary, stable = ((n, draw(rng, n, p), n, 0) for n, p in ((4, rate), (36, 0.01)))
        tracks = (TrackWindow("t", (), endpoints=((row,), (), ())) for row in (canary, stable))
        state = fold_endpoints(state, [Window(2.0 * look, 2.0 * look + 2, *tracks)], 3, compare=True)
        found = with_endpoints(evidence(EvidenceState(), SLO, late=True), state, NAMES, slow=True)
        if found.log_e >= math.log(100):
            return True
    return False


def test_what_is_told_to_be_seen_of_an_endpoint_is_found_and_half_of_it_is_not():
    rate = least(SIGHT)
    assert rate is not None
    half = 0.01 + (rate - 0.01) / 2
    seen, fewer = (sum(finds(one, seed) for seed in range(40)) for one in (rate, half))
    assert seen >= 26, "told: 4 of 5"
    assert fewer <= seen / 2


def test_the_family_costs_the_totals_little_and_each_endpoint_more():
    alone = replace(SIGHT, family=0, of_endpoint=False)
    rates = [least(one) for one in (alone, replace(alone, family=3), SIGHT, replace(SIGHT, family=10))]
    assert rates == sorted(rates)
    assert rates[1] < 1.1 * rates[0]
    assert chance(SIGHT, 0.01) < 0.05, "what is usual is no finding"


def past(bad: float) -> list[CounterSnapshot]:
    """Ten minutes: 20 requests a second, a tenth of them to /a, of which ``bad`` fail."""
    found = []
    for at in range(0, 601, 60):
        rows = []
        for host in ("h1", "h2"):
            counts = {("/a", "ok"): at * (1 - bad), ("/a", "error"): at * bad}
            classes = {"2xx": 10.0 * at - at * bad, "5xx": at * bad}
            rows.append(RawSeries("e1", STABLE, host, classes, endpoints=counts))
        found.append(CounterSnapshot(float(at), tuple(rows), {"e1": float(at)}))
    return found


def test_what_is_usual_of_an_endpoint_is_what_was_counted_of_it():
    known = usual_endpoints(past(0.05), STABLE, NAMES)
    assert list(known) == ["/a"], "of the others nothing was counted"
    assert (known["/a"].requests, known["/a"].errors) == (2.0, pytest.approx(0.05))
    whole = usual(past(0.05), STABLE)
    assert whole
    assert (whole.requests, whole.errors) == (20.0, pytest.approx(0.005))
    assert usual_endpoints([], STABLE, NAMES) == {}


def test_a_plan_says_what_the_best_step_finds_of_each_endpoint_and_of_which_nobody_knows():
    steps = (
        PlannedStep(0, ("h1",), 500, 60.0),
        PlannedStep(1, ("h1",), 2500, 120.0),
        PlannedStep(2, ("h1",), 10_000, 300.0),
    )
    wanted = Wanted(SLO, 0.01, endpoints=3)
    lines = told_of_endpoints(steps, {"/a": Usual(10.0, 0.01)}, NAMES, wanted)
    assert lines[0].startswith("/a (10 requests/s): step 2 finds errors that rise from 1% to ")
    assert lines[1:] == ("what the steps find at /b, /c is not known: no edge has counted that of stable yet",)
    few = told_of_endpoints(steps, {"/a": Usual(0.01, 0.01)}, ("/a",), wanted)
    assert few == ("/a (0.01 requests/s): step 2 is too short to find any rise of the errors",)
    assert told_of_endpoints(steps[2:], {"/a": Usual(10.0, 0.01)}, NAMES, wanted) == (), "nothing is compared"
    assert told_of_endpoints(steps, {}, (), replace(wanted, endpoints=0)) == ()
    assert told(steps, Usual(100.0, 0.01), wanted) != told(steps, Usual(100.0, 0.01), replace(wanted, endpoints=0))
