"""Where the house wants two, who started a rollout approves none of its steps; by whichever door he comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.clock import ManualClock
from gopub.errors import RefusedError
from gopub.journal import events as ev
from gopub.journal.reading import asked, read_state
from gopub.journal.store import open_journal
from gopub.spec.people import UNKNOWN, Who, parse_people
from gopub.usecases.approve import decide
from gopub.wiring.people import os_login
from tasks import asking
from tests.support.rollout_world import World
from tests.unit.test_approving import DUE
from tests.unit.views_world import moving

TEXT = """
schema: gopub-people/v1
people:
  ann: {login: [ann@corp.example], os: [ann], gitlab: [annl]}
  bob: {login: [bob@corp.example]}
groups: {ops: [ann, bob], solo: [ann]}
four_eyes: [prod]
"""
HOUSE = parse_people(TEXT, "people.yaml")
BY = "login at the proxy, X-Forwarded-User"
ANN, BOB = Who("proxy", "ann@corp.example", BY), Who("proxy", "bob@corp.example", BY)
ANN_TYPES = Who("os", "ann", "the user of this machine")


@pytest.mark.parametrize(
    ("who", "actor", "by"),
    [
        (ANN, "", "ann"),
        (ANN_TYPES, "", "ann"),
        (Who("os", "ann"), "", "ann"),  # nothing vouches for it, and it only ever keeps her from approving
        (Who("proxy", "eve@corp.example", BY), "", ""),
        (None, "gitlab:annl", "ann"),
        (None, "gitlab:bob", "bob"),
        (None, "gitlab:ann", ""),  # she has another name there
        (None, "gitlab:", ""),
        (None, "annl", ""),
        (None, "token:ci", ""),
        (None, "gopub:r-1", ""),
        (ANN, "gitlab:bob", "ann"),
    ],
)
def test_who_started_it_is_known_by_login_or_push(who: Who | None, actor: str, by: str):
    assert HOUSE.starter(who, actor) == by


@pytest.mark.parametrize("who", [ANN, ANN_TYPES, Who("typed", "ann")])
def test_who_started_it_approves_nothing_there_by_any_door(who: Who):
    with pytest.raises(RefusedError, match="GP995 ann started it") as told:
        HOUSE.permit("ops", who, "hello", "prod", "ann")
    assert told.value.hint == "ask bob; to abort needs no approval"
    assert HOUSE.permit("ops", who, "hello", "staging", "ann") == "ann", "control: there one is enough"
    assert HOUSE.permit("ops", BOB, "hello", "prod", "ann") == "bob", "control: another one may"
    assert HOUSE.permit("ops", who, "hello", "prod", "") == "ann", "a push of a token is nobody's own"


def test_what_nobody_knows_the_starter_of_and_a_group_of_one_are_told():
    with pytest.raises(RefusedError, match="GP995 who started it could not be found out"):
        HOUSE.permit("ops", BOB, "hello", "prod", UNKNOWN)
    with pytest.raises(RefusedError, match="GP995") as told:
        HOUSE.permit("solo", ANN, "hello", "prod", "ann")
    assert "nobody else" in str(told.value.hint)
    with pytest.raises(RefusedError, match="GP993"):
        HOUSE.permit("solo", BOB, "hello", "prod", "ann")


def test_a_form_that_she_answers_herself_writes_nothing_and_an_abort_is_hers(tmp_path: Path):
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    first, *rest = moving("r-1", "hello", "prod")
    assert isinstance(first, ev.Opened)
    journal.append("rollout/r-1", 0, [replace(first, by="ann"), *rest, DUE], actor="me")

    def answer(who: Who, *, yes: bool) -> str:
        return decide(journal, "r-1", 2, approve=yes, who=who, reason="", people=lambda: HOUSE)

    state = read_state(journal, "r-1")
    assert state.plan is not None
    approver = state.plan.steps[1].approve
    assert approver == "ops"
    with pytest.raises(RefusedError, match="GP995"):
        answer(ANN, yes=True)
    assert asked(journal, "r-1") == ()
    assert answer(BOB, yes=True).startswith("approved by bob")
    journal.append("rollout/r-2", 0, [replace(first, rollout="r-2", by="ann"), *rest, DUE], actor="me")
    decide(journal, "r-2", 2, approve=False, who=ANN, reason="", people=lambda: HOUSE)
    assert [one.what for one in asked(journal, "r-2")] == ["abort"]


def test_it_is_written_down_when_the_rollout_begins(tmp_path: Path):
    world = World(tmp_path)
    world.by = "ann"
    run = world.driver()
    assert run.state.by == "ann"
    assert isinstance(first := world.journal.read("rollout/r1")[0].event, ev.Opened) and first.by == "ann"


def whose(actor: str) -> str:
    return asyncio.run(asking.whose(actor))


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    file = tmp_path / "people.yaml"
    monkeypatch.setenv("GOPUB_PEOPLE", str(file))
    return file


def test_a_command_is_its_users_and_a_house_that_wants_one_asks_nobody(people: Path):
    people.write_text(TEXT.replace("os: [ann]", f"os: [{os_login().name}]"))
    assert whose("") == "ann"
    people.write_text(TEXT.replace("four_eyes: [prod]\n", ""))
    assert whose("gitlab:annl") == ""


@pytest.mark.parametrize("broken", ["people: [", "schema: gopub-people/v9\n"])
def test_a_house_that_cannot_be_read_knows_nobody_and_lets_nobody_approve(people: Path, broken: str):
    people.write_text(broken)
    assert whose("") == UNKNOWN


def test_a_run_of_a_worker_whose_prefect_is_away_is_nobodys_own(people: Path, monkeypatch: pytest.MonkeyPatch):
    people.write_text(TEXT)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    assert whose("gitlab:annl") == UNKNOWN
