"""people.yaml: a group is enforced, a typed name is refused where the house says so, and one login is one person."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from gopub import schemas
from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError
from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.journal.store import Journal, open_journal
from gopub.spec.people import People, Who, find_people, parse_people
from gopub.usecases.approve import decide
from gopub.usecases.ask import ask_abort, ask_promote
from gopub.wiring.people import os_login, told
from tasks.answers import taken
from tests.unit.views_world import moving

TEXT = """
schema: gopub-people/v1
people:
  ann: {login: [ann@corp.example], os: [ann, adm-ann]}
  bob: {}
groups:
  ops: [ann]
  nobody: []
verified: [orders/prod, staging]
"""
FORGED = "proxy: {secret: {file: people.yaml}, seal: {file: people.yaml}}\n"
HOUSE = parse_people(TEXT, "people.yaml")
PROXIED = "login at the proxy, X-Forwarded-User"


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (Who("proxy", "ann@corp.example", PROXIED), ""),
        (Who("os", "adm-ann", "the user of this machine"), ""),
        (Who("typed", "ann"), ""),
        (Who("proxy", "ann", PROXIED), "GP993"),  # what she is called here is no login there
        (Who("os", "ann@corp.example", "x"), "GP993"),
        (Who("proxy", "ANN@corp.example", PROXIED), "GP993"),
        (Who("proxy", "ann@corp.exаmple", PROXIED), "GP993"),
        (Who("os", "bob", "x"), "GP993"),
        (Who("typed", "eve"), "GP993"),
        (Who("proxy", "", PROXIED), "GP993"),
    ],
)
def test_a_group_lets_its_people_approve_and_nobody_else(who: Who, code: str):
    if not code:
        assert HOUSE.permit("ops", who, "hello", "prod") == "ann"
        return
    with pytest.raises(RefusedError, match=code):
        HOUSE.permit("ops", who, "hello", "prod")


def test_a_person_may_be_named_instead_of_a_group_and_what_is_neither_is_nobody():
    bob = Who("os", "bob", "x")
    assert HOUSE.permit("bob", bob, "hello", "prod") == "bob"
    with pytest.raises(RefusedError, match="GP992 'the on-call' is no person and no group"):
        HOUSE.permit("the on-call", bob, "hello", "prod")
    with pytest.raises(RefusedError, match=r"GP993 [^\n]*\nhint: ask nobody: the group is empty"):
        HOUSE.permit("nobody", bob, "hello", "prod")


@pytest.mark.parametrize(("app", "env", "takes"), [("orders", "prod", False), ("hello", "prod", True),
                                                    ("hello", "staging", False), ("prod", "orders", True)])  # fmt: skip
def test_a_typed_name_approves_nothing_where_the_house_asks_for_more(app: str, env: str, takes: bool):
    typed = Who("typed", "ann")
    if takes:
        assert HOUSE.permit("ops", typed, app, env) == "ann"
    else:
        with pytest.raises(RefusedError, match=f"GP991 'ann' is a typed name, and {env} takes none"):
            HOUSE.permit("ops", typed, app, env)
    assert HOUSE.permit("ops", Who("os", "ann", "the user of this machine"), app, env) == "ann", "control"
    everywhere = HOUSE.model_copy(update={"verified": ("*",)})
    with pytest.raises(RefusedError, match="GP991"):
        everywhere.permit("ops", typed, app, env)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("people: {ann: {}}\ngroups: {ann: []}", "'ann' is a person and a group"),
        ("people: {ann: {os: [x]}, bob: {os: [x]}}", "the login 'x' is ann's and bob's"),
        ("people: {ann: {login: [bob]}, bob: {}}", "the login 'bob' is ann's and bob's"),
        ("groups: {ops: [eve]}", "'eve' in the group ops is none of people"),
        ("proxy: {operators: [eve], secret: {env: A}, seal: {env: B}}", "'eve' in operators is no person and no group"),
        ("proxy: {from: [0.0.0.0/0], secret: {env: A}, seal: {env: B}}", "no address of a proxy"),
    ],
)
def test_a_file_that_could_mean_two_people_is_refused(text: str, says: str):
    with pytest.raises(GopubError, match="GP990") as caught:
        parse_people(f"schema: gopub-people/v1\n{text}\n", "people.yaml")
    assert says in str(caught.value)


def test_the_houses_file_is_found_and_a_name_that_leads_nowhere_is_no_leave(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("GOPUB_PEOPLE", raising=False)
    mine = tmp_path / "gopub/people.yaml"
    assert find_people() is None
    mine.parent.mkdir()
    mine.write_text(TEXT)
    assert find_people() == mine
    monkeypatch.setenv("GOPUB_PEOPLE", str(tmp_path / "away.yaml"))
    with pytest.raises(GopubError, match="GP990 GOPUB_PEOPLE"):
        find_people()


def test_the_schema_for_editors_is_that_of_the_models_and_the_guides_file_is_good_by_both():
    """To write it anew: dump what is compared here into gopub/schemas/people.v1.json."""
    made = People.model_json_schema(by_alias=True) | {"title": "people.yaml"}
    assert {"$schema": "https://json-schema.org/draft/2020-12/schema", **made} == schemas.schema("people")
    page = (Path(__file__).parents[2] / "docs/guides/approvals.md").read_text()
    text = page.partition("```yaml\n")[2].partition("```")[0]
    assert set(parse_people(text, "people.yaml").groups) == {"trade-oncall"}
    Draft202012Validator(schemas.schema("people")).validate(YAML(typ="safe", pure=True).load(text))


def test_who_types_a_command_is_the_sessions_login_and_sudo_says_it_for_nobody():
    me = os.getuid()
    mine = told(None, me, "")
    assert (mine.door, bool(mine.verified)) == ("os", True)
    assert told(me, 0, "eve") == replace(mine, verified="the login of this machine's session"), (
        "the kernel knows better"
    )
    assert told(None, me, "eve") == Who("os", "eve"), "a variable that whoever is this user can set"
    assert told(4_000_000, me, "").name == "4000000"


def kept(folder: Path) -> Journal:
    journal = open_journal(str(folder / "journal.db"), ManualClock())
    journal.append("rollout/r-1", 0, moving("r-1", "hello", "staging"), actor="me")
    return journal


def test_the_journal_has_name_what_vouches_for_it_and_the_group_that_allowed_it(tmp_path: Path):
    journal = kept(tmp_path)
    who = Who("proxy", "ann@corp.example", PROXIED)
    said = decide(journal, "r-1", 2, approve=True, who=who, reason="", people=lambda: HOUSE)
    [one] = asked(journal, "r-1")
    assert one.actor == f"ann (ann@corp.example, {PROXIED}), for ops"
    assert (one.what, one.verified, one.allowed) == ("promote:1", PROXIED, "ops")
    assert said == f"approved by {one.actor}"


@pytest.mark.parametrize(("who", "code"), [(Who("typed", "ann"), "GP991"), (Who("os", "bob", "x"), "GP993")])
def test_what_is_refused_writes_nothing_and_an_abort_is_everybodys(tmp_path: Path, who: Who, code: str):
    journal = kept(tmp_path)
    with pytest.raises(RefusedError, match=code):
        decide(journal, "r-1", 2, approve=True, who=who, reason="", people=lambda: HOUSE)
    with pytest.raises(RefusedError, match=code):
        ask_promote(journal, "r-1", "", who=who, people=lambda: HOUSE)
    assert asked(journal, "r-1") == ()
    decide(journal, "r-1", 2, approve=False, who=who, reason="no", people=lambda: HOUSE)
    [one] = asked(journal, "r-1")
    assert (one.what, one.verified, one.allowed) == ("abort", who.verified, "")


def test_the_command_line_is_bound_by_the_same_file(tmp_path: Path):
    journal = kept(tmp_path)
    ask_promote(journal, "r-1", "go", who=Who("os", "adm-ann", "the user of this machine"), people=lambda: HOUSE)
    ask_abort(journal, "r-1", "back")
    promoted, aborted = asked(journal, "r-1")
    assert (promoted.what, promoted.allowed) == ("promote:1", "ops")
    assert promoted.actor.startswith("adm-ann@")
    assert promoted.actor.endswith(", for ops")
    assert (aborted.what, aborted.allowed) == ("abort", "")


def test_a_command_without_more_words_is_its_users_and_heeds_the_file_that_lies_here(tmp_path: Path, monkeypatch):
    journal, file = kept(tmp_path), tmp_path / "people.yaml"
    monkeypatch.setenv("GOPUB_PEOPLE", str(file))
    me = os_login()
    monkeypatch.setenv("LOGNAME", "ann")  # by which getpass would believe anybody to be anybody
    file.write_text(TEXT)
    with pytest.raises(RefusedError, match=r"GP99[13]"):
        ask_promote(journal, "r-1", "go")
    file.write_text(f"schema: gopub-people/v1\npeople: {{me: {{os: [{me.name}]}}}}\ngroups: {{ops: [me]}}\n")
    ask_promote(journal, "r-1", "go")
    file.write_text("people: [")
    with pytest.raises(GopubError):
        ask_promote(journal, "r-1", "go")
    ask_abort(journal, "r-1", "back")
    promoted, aborted = asked(journal, "r-1")
    assert (promoted.what, promoted.allowed, promoted.verified) == ("promote:1", "ops", me.verified)
    assert aborted.what == "abort", "who wants back is not kept up by a file that is broken"


def test_a_form_is_heeded_by_the_file_that_lies_here_and_an_abort_by_nothing(tmp_path: Path, monkeypatch):
    journal, file = kept(tmp_path), tmp_path / "people.yaml"
    monkeypatch.setenv("GOPUB_PEOPLE", str(file))
    said = {"decision": "approve", "name": "ann", "seal": "x"}
    for text, code in ((TEXT, "GP991"), (f"{TEXT}{FORGED}", "GP994"), ("people: [", "GP1")):
        file.write_text(text)
        with pytest.raises(GopubError, match=code):
            taken(said, "run", "r-1", 2, journal)
    for nonsense in ("", 1, None, [], {"decision": "approve"}, {**said, "name": 7}):
        with pytest.raises(GopubError, match="GP970"):
            taken(nonsense, "run", "r-1", 2, journal)
    assert asked(journal, "r-1") == ()
    taken({**said, "decision": "abort"}, "run", "r-1", 2, journal)
    [one] = asked(journal, "r-1")
    assert (one.what, one.actor) == ("abort", "ann (typed in Prefect, not verified)")


def test_an_answer_about_a_step_that_asks_for_none_promotes_nothing(tmp_path: Path):
    """Whoever reaches the API could end any bake by hand over the judge, with a run of his own."""
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    events = moving("r-1", "hello", "prod")
    plan = next(event.plan for event in events if isinstance(event, ev.Planned))
    ungated = replace(plan, steps=tuple(replace(step, approve="") for step in plan.steps))
    changed = [ev.Planned(ungated) if isinstance(one, ev.Planned) else one for one in events]
    journal.append("rollout/r-1", 0, changed, actor="me")
    who = Who("typed", "eve")
    with pytest.raises(GopubError, match="GP943 step 2 of rollout r-1 asks for no approval"):
        decide(journal, "r-1", 2, approve=True, who=who, reason="", people=lambda: None)
    assert asked(journal, "r-1") == ()
