"""A form that was filled in is written down once it is needed, under the name that was typed and as that."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings
from pydantic import ValidationError

from gopub.clock import ManualClock
from gopub.errors import UsageError
from gopub.journal import events as ev
from gopub.journal.reading import asked, read_state
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.spec.people import Who
from gopub.usecases import approve
from tasks.answers import Decision
from tasks.approving import needed, steps_of
from tests.unit.verdicts import BAKING, drawn, event
from tests.unit.views_world import moving

DUE = event(drawn({"gate": "step 2 waits for the approval of ops"}))
YES = Decision(decision="approve", name="ann\n  of `ops`", reason="looks\ngood")
BACK = ev.GoingBack(Outcome.WITHDRAWN, 0, "aborted")


def decide(journal: Journal, rollout: str, step: int, said: Decision) -> str:
    yes = said.decision == "approve"
    who = Who("typed", said.name)
    return approve.decide(journal, rollout, step, approve=yes, who=who, reason=said.reason, people=lambda: None)


def kept(folder: Path, *more: ev.Event) -> Journal:
    journal = open_journal(str(folder / "journal.db"), ManualClock())
    journal.append("rollout/r-1", 0, [*moving("r-1", "hello", "prod"), *more], actor="me")
    return journal


def test_what_is_approved_is_asked_as_a_command_would_under_the_typed_name(tmp_path: Path):
    journal = kept(tmp_path, DUE)
    assert decide(journal, "r-1", 2, YES) == "approved by ann of `ops` (typed in Prefect, not verified)"
    [said] = asked(journal, "r-1")
    assert (said.what, said.reason, said.actor) == (
        "promote:1", "looks good", "ann of `ops` (typed in Prefect, not verified)",
    )  # fmt: skip
    assert decide(journal, "r-1", 2, YES) == "not needed any more: the step was approved elsewhere"
    assert len(asked(journal, "r-1")) == 1, "a run that is tried again writes nothing twice"


def test_who_aborts_asks_for_the_way_back(tmp_path: Path):
    journal = kept(tmp_path, DUE)
    decide(journal, "r-1", 2, Decision(decision="abort", name="bob"))
    assert [one.what for one in asked(journal, "r-1")] == ["abort"]
    assert decide(journal, "r-1", 2, YES) == "not needed any more: the rollout was aborted", (
        "its driver is yet to see it"
    )
    assert len(asked(journal, "r-1")) == 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((DUE, BACK), "the rollout goes back"),
        ((DUE, BACK, ev.TrafficOff(1.0), ev.Closed(Outcome.WITHDRAWN)), "the rollout is withdrawn"),
    ],
)
def test_what_nobody_needs_any_more_is_not_written(tmp_path: Path, more: tuple[ev.Event, ...], why: str):
    journal = kept(tmp_path, *more)
    assert decide(journal, "r-1", 2, YES) == f"not needed any more: {why}"


@pytest.mark.parametrize("step", [-1, 0, 3, 99])
def test_a_step_that_there_is_not_is_a_mistake(tmp_path: Path, step: int):
    with pytest.raises(UsageError, match="GP943"):
        decide(kept(tmp_path), "r-1", step, YES)
    with pytest.raises(UsageError, match="GP943"):
        decide(kept(tmp_path / "other"), "r-nobody", 1, YES)


@pytest.mark.parametrize(
    "given", [{"decision": "maybe"}, {"name": ""}, {"name": " \t"}, {"name": "n" * 81}, {"reason": "r" * 501}]
)
def test_a_form_is_no_place_for_anything_else(given: dict[str, str]):
    with pytest.raises(ValidationError):
        Decision.model_validate({"decision": "approve", "name": "ann"} | given)


def test_it_is_asked_for_only_what_still_waits(tmp_path: Path):
    journal = kept(tmp_path, event(drawn(BAKING)), DUE)
    entries = journal.read("rollout/r-1")
    assert steps_of(entries) == {1}
    assert steps_of(entries[:-1]) == frozenset(), "it bakes"
    [one] = needed(read_state(journal, "r-1"), frozenset({1}))
    assert (one.rollout, one.step) == ("r-1", 2)
    assert one.text.startswith(
        "**hello 2.0.0 into prod** wants to begin step 2 of 2 (2 hosts, 100%), which ops approves."
    )
    journal.append("rollout/r-1", len(entries), [BACK], actor="me")
    assert list(needed(read_state(journal, "r-1"), frozenset({1}))) == []


def test_the_form_leads_to_the_page_of_its_rollout(tmp_path: Path):
    state = read_state(kept(tmp_path, DUE), "r-1")
    with temporary_settings({PREFECT_UI_URL: "http://ui"}):
        [form] = needed(state, frozenset({1}))
    assert "More: the page [hello-prod-rollout](http://ui/artifacts/key/hello-prod-rollout), or `gopub" in form.text
    with temporary_settings({PREFECT_UI_URL: None}):
        [form] = needed(state, frozenset({1}))
    assert "More: the page `hello-prod-rollout`, or `gopub" in form.text, "control: a UI without an address"
