"""The form that steers what is under way: who may, what is written, and under whose name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.journal.store import Journal, open_journal
from gopub.spec.people import People, Who, parse_people
from gopub.usecases.steer import steer
from gopub.views.forms import DECISIONS, steer_form
from tests.unit.test_page_forms import takes
from tests.unit.test_people import PROXIED, TEXT
from tests.unit.views_world import moving

HOUSE = parse_people(TEXT, "people.yaml")
ANN, EVE = Who("proxy", "ann@corp.example", PROXIED), Who("typed", "eve")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = open_journal(str(tmp_path / "journal.db"), ManualClock())
    env: list[ev.Event] = [ev.EnvOpened("r-1", "a" * 64)]
    made.append_all([("env/hello/staging", 0, env), ("rollout/r-1", 0, moving("r-1", "hello", "staging"))], actor="me")
    return made


def decide(journal: Journal, decision: str, who: Who, people: People | None = HOUSE) -> str:
    return steer(journal, "hello", "staging", decision, reason="two\nlines", who=who, people=lambda: people)


def test_a_login_promotes_holds_resumes_and_aborts_and_the_journal_says_who(journal: Journal) -> None:
    said = [decide(journal, decision, ANN) for decision in ("promote", "hold", "resume", "abort")]
    ann = f"ann (ann@corp.example, {PROXIED})"
    told = [(one.what, one.actor, one.verified) for one in asked(journal, "r-1")]
    assert told == [
        ("promote:1", f"{ann}, for ops", PROXIED), ("hold", ann, PROXIED), ("resume", ann, PROXIED),
        ("abort", ann, PROXIED),
    ]  # fmt: skip
    assert said[1:] == [f"r-1 is {done} by {ann}" for done in ("held", "resumed", "aborted")]
    assert asked(journal, "r-1")[-1].reason == f"two lines, says {ann}"


def test_a_typed_name_promotes_nothing_where_the_house_takes_none_and_takes_back_all_the_same(journal: Journal) -> None:
    with pytest.raises(RefusedError, match="GP991"):
        decide(journal, "promote", EVE)
    assert asked(journal, "r-1") == ()
    decide(journal, "abort", EVE)
    [one] = asked(journal, "r-1")
    assert (one.what, one.actor, one.verified) == ("abort", "eve (typed in Prefect, not verified)", "")


def test_a_broken_people_yaml_promotes_nothing_and_keeps_nobody_from_going_back(journal: Journal) -> None:
    def broken() -> People | None:
        raise UsageError("GP990", "broken")

    with pytest.raises(GopubError, match="GP990"):
        steer(journal, "hello", "staging", "promote", reason="", who=ANN, people=broken)
    steer(journal, "hello", "staging", "abort", reason="", who=ANN, people=broken)
    steer(journal, "hello", "staging", "abort", reason="", who=ANN, people=broken)
    assert [one.what for one in asked(journal, "r-1")] == ["abort"], "two who send it at once ask once"


@pytest.mark.parametrize(
    ("env", "decision", "code"),
    [("prod", "abort", "GP943"), ("staging", "delete", "GP943"), ("staging", "resume", "GP746")],
)  # fmt: skip
def test_what_is_not_there_is_refused_in_words(journal: Journal, env: str, decision: str, code: str) -> None:
    with pytest.raises(UsageError, match=code):
        steer(journal, "hello", env, decision, reason="", who=ANN, people=lambda: HOUSE)
    assert asked(journal, "r-1") == ()


def test_a_held_rollout_is_not_promoted_before_its_hold_ends(journal: Journal) -> None:
    decide(journal, "hold", ANN)
    with pytest.raises(RefusedError, match="GP745"):
        decide(journal, "promote", ANN)


def test_the_form_offers_the_apps_environments_and_the_four_decisions_and_nothing_else() -> None:
    form = steer_form("hello", ("staging", "prod"))
    for decision in DECISIONS:
        assert takes(form, env="prod", decision=decision) == ""
    assert "is not one of" in takes(form, env="dev", decision="abort")
    assert "is not one of" in takes(form, env="prod", decision="delete")
    assert "'decision' is a required property" in takes(form, env="prod")
    assert "was unexpected" in takes(form, env="prod", decision="abort", actor="ann")
