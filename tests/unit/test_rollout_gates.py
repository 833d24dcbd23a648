"""What people and windows say of leaving a step reaches the decision."""

from __future__ import annotations

import asyncio

import pytest

from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.journal.events import Asked
from gopub.judge.gates import closed_gate, heard
from gopub.judge.verdict import History
from gopub.plan.model import Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.plan.steps import plan_rollout
from tests.releases import SPEC, a_plan, prepare

AT_NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
NO_WINDOW = "02:00-06:00 UTC"
BLANK = History(AT_NOON, AT_NOON - 60, 30.0, AT_NOON + 3600)


def plan(*steps: dict[str, str], windows: tuple[str, ...] = ()) -> Plan:
    host = PlannedHost("app1", "198.18.0.11:8080", "0" * 32, "linux/amd64", "c" * 64, "old", "d" * 64)
    made = tuple(PlannedStep(index, ("app1",), 10_000, 30.0, **more) for index, more in enumerate(steps))
    return Plan(
        "r-1", "hello", "lab", "hello", ReleaseRef("a" * 64, "1.1.0"), ReleaseRef("b" * 64, "1.0.0"), (host,),
        made, 1, 1.5, 600.0, 5.0, "judged", "hello", windows=windows,
    )  # fmt: skip


def test_nobody_said_anything():
    assert heard(BLANK, plan({}, {}), 0, ()) == BLANK
    assert BLANK.passed_by == "verdict"


def test_an_approval_opens_the_gate_and_promotes_nothing():
    steps = plan({}, {"approve": "on-call"})
    before = heard(BLANK, steps, 0, [Asked("promote:2", actor="ann"), Asked("abort", actor="ann")])
    assert before.gate == "step 2 waits for the approval of on-call"
    assert (before.approved, before.promoted) == (None, None)
    after = heard(BLANK, steps, 0, [Asked("promote:1", "it looks well", "ann")])
    assert (after.approved, after.promoted, after.gate) == ("ann: it looks well", None, None)
    assert after.passed_by == "verdict, approved by ann: it looks well"


@pytest.mark.parametrize("steps", [({}, {}), ({},)], ids=["a step follows", "the last step"])
def test_a_promotion_by_hand_is_the_last_one_that_was_asked(steps):
    asked = [Asked("promote:1", actor="ann"), Asked("promote:1", "", "bob")]
    said = heard(BLANK, plan(*steps), 0, asked)
    assert (said.approved, said.promoted, said.gate) == (None, "bob", None)
    assert said.passed_by == "promoted by hand, bob"


def test_a_window_is_a_gate_that_nobody_opens():
    said = heard(BLANK, plan({}, {"between": NO_WINDOW}), 0, [Asked("promote:1", "now", "ann")])
    assert said.gate == f"step 2 waits for the window {NO_WINDOW}"
    assert said.promoted == "ann: now"


def test_the_plans_window_is_the_first_steps():
    steps = plan({}, {}, windows=(NO_WINDOW,))
    assert closed_gate(steps, 0, (), AT_NOON) == f"step 1 waits for the window {NO_WINDOW}"
    assert closed_gate(steps, 1, (), AT_NOON) is None
    assert closed_gate(steps, 0, (), AT_NOON - 8 * 3600) is None


def test_a_first_release_waits_for_what_its_first_step_waits_for(tmp_path):
    """It has one step, whatever the spec's; the window and the approval are the first one's."""
    first = f'{{hosts: 1, bake: 10s, between: "{NO_WINDOW}", approve: ann}}'
    rest = f"    traffic: edge\n    rollout:\n      steps: [{first}, {{hosts: 100%, bake: 10s}}]\n"
    source = a_plan(tmp_path, spec=SPEC + rest)
    release = asyncio.run(prepare(tmp_path, source)).release
    facts = {"app1": HostFacts("app1", "id", arch="amd64")}
    made = plan_rollout("r1", release, "lab", source.spec.environments["lab"], [Host("app1", "198.18.0.1")], facts,
                        {"app1": "2" * 64}, None, counted=True)  # fmt: skip
    assert [(step.between, step.approve) for step in made.steps] == [(NO_WINDOW, "ann")]
    approved = [Asked("promote:0", actor="ann")]
    assert closed_gate(made, 0, approved, AT_NOON) == f"step 1 waits for the window {NO_WINDOW}"
