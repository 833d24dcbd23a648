"""The forms of Prefect's page: which there are, and what their schemas let through, by Prefect's own validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate
from prefect.utilities.schema_tools.validation import ValidationError, validate

from deployments.lint import flow_parameters
from gopub.views.forms import (
    ANY,
    MOST_VERSIONS,
    Choices,
    Form,
    choices_in,
    deploy_form,
    forms_of,
    newest,
    release_form,
    renewed,
    rollback_form,
    steer_form,
)

ROOT = Path(__file__).parents[2]
KNOWN = Choices(("2.0.0", "1.4.0"), ("linux/amd64", "windows/amd64"))
DEPLOY = deploy_form("orders", "prod", KNOWN)
BACK = rollback_form("orders", "prod", KNOWN)
RELEASE = release_form("orders")


def takes(form: Form, **given: Any) -> str:
    """What Prefect's server says of these entries, as it decides it; empty: a run begins."""
    entered = hydrate({**form.given, **given}, HydrationContext(render_jinja=True, raise_on_error=True))
    try:
        validate(entered, dict(form.schema), raise_on_error=True)
    except ValidationError as error:
        return str(error)
    return ""


def test_each_app_has_one_to_release_and_one_to_steer_it_and_each_environment_one_to_deploy_and_one_to_go_back():
    names = [form.full_name for form in forms_of({"orders": ("staging", "prod"), "audit": ("prod",)}, {})]
    assert names == [
        "order/release orders",
        "steer/steer orders",
        "order/deploy orders to staging",
        "rollback/roll back orders in staging",
        "order/deploy orders to prod",
        "rollback/roll back orders in prod",
        "order/release audit",
        "steer/steer audit",
        "order/deploy audit to prod",
        "rollback/roll back audit in prod",
    ]


def test_who_deploys_chooses_a_version_and_needs_to_say_no_more():
    fields = DEPLOY.schema["properties"]
    shown = [fields[name]["title"] for name in sorted(fields, key=lambda name: fields[name]["position"])]
    assert shown == [
        "App", "Environment", "Version", "Reason", "Your name", "Platform",
        "Allow an older version", "Configuration only", "Clear the quarantine",
    ]  # fmt: skip
    assert fields["version"]["enum"] == ["2.0.0", "1.4.0"]
    assert fields["target"]["enum"] == [ANY, "linux/amd64", "windows/amd64"]
    assert takes(DEPLOY, version="2.0.0") == ""
    assert takes(DEPLOY, version="1.4.0", target="windows/amd64", downgrade=True, config_only=True,
                 clear_quarantine="为了修复", reason="{{ 7*7 }}\n🙂 " + "x" * 400, name="陈") == ""  # fmt: skip


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "'version' is a required property"),
        ({"version": "9.9.9"}, "'9.9.9' is not one of ['2.0.0', '1.4.0']"),
        ({"version": None}, "None is not of type 'string'"),
        ({"version": "2.0.0", "env": "staging"}, "'staging' is not one of ['prod']"),
        ({"version": "2.0.0", "app": "audit"}, "'audit' is not one of ['orders']"),
        ({"version": "2.0.0", "target": "linux/mips"}, "'linux/mips' is not one of"),
        ({"version": "2.0.0", "downgrade": "yes"}, "'yes' is not of type 'boolean'"),
        ({"version": "2.0.0", "downgrade": None}, "None is not of type 'boolean'"),
        ({"version": "2.0.0", "reason": "x" * 501}, "is too long"),
        ({"version": "2.0.0", "repository": "/tmp/evil"}, "('repository' was unexpected)"),
        ({"version": "2.0.0", "project": "/tmp/evil"}, "('project' was unexpected)"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_server_before_a_run_exists(given: dict[str, Any], why: str):
    assert why in takes(DEPLOY, **given)


@pytest.mark.parametrize(
    "value",
    [
        {"__prefect_kind": "json", "value": '{"a": 1}'},
        {"__prefect_kind": "json", "value": "[1]"},
        {"__prefect_kind": "json", "value": "7"},
        {"__prefect_kind": "none", "value": {"a": {"__prefect_kind": "jinja", "template": "{{ 1 }}"}}},
        {"__prefect_kind": "a kind to come", "value": {"a": 1}},
        {"a": 1},
        [],
    ],
)
def test_a_value_of_prefects_own_kinds_does_not_become_another_type(value: Any):
    assert "is not of type 'string'" in takes(DEPLOY, version="2.0.0", reason=value)
    assert takes(DEPLOY, version=value)


def test_a_template_is_no_code_of_ours_but_text_that_must_fit_as_well():
    """Prefect's server fills it in, in its own sandbox, before it holds the text against the schema."""

    def template(text: str) -> dict[str, str]:
        return {"__prefect_kind": "jinja", "template": text}

    assert "is not one of" in takes(DEPLOY, version=template("{{ 9 }}.0.0"))
    assert "is not one of" in takes(DEPLOY, version="2.0.0", target=template("{{ ''.__class__ }}"))
    assert "is too long" in takes(DEPLOY, version="2.0.0", reason=template("{{ 'x' * 501 }}"))
    assert "is not of type 'boolean'" in takes(DEPLOY, version="2.0.0", downgrade=template("true"))


def test_without_a_known_version_one_is_typed_and_no_other_text_passes():
    form = deploy_form("orders", "prod", Choices())
    assert takes(form, version="1.4.0") == ""
    for wrong in ("", "{{ 1 }}", "../x", "a b", "1.0.0\n", "x" * 101):
        assert takes(form, version=wrong), wrong
    assert form.schema["properties"]["target"]["enum"] == [ANY, "linux/amd64", "linux/arm64"]


def test_going_back_asks_for_nothing_and_takes_a_published_version():
    assert takes(BACK) == ""
    assert takes(BACK, to="1.4.0", reason="errors", name="ann") == ""
    assert "is not one of" in takes(BACK, to="3.0.0")
    assert "was unexpected" in takes(BACK, actor="root")


def test_a_release_needs_a_ref_and_no_option_of_gits_passes_as_one():
    assert takes(RELEASE, ref="v1.4.0") == ""
    assert takes(RELEASE, ref="main", version="1.4.0") == ""
    for wrong in ("", "--upload-pack=x", "a b", "main\n", "x" * 201):
        assert takes(RELEASE, ref=wrong), wrong


def test_the_newest_come_first_and_are_bounded():
    assert newest(["1.9.0", "1.10.0", "nightly", "2.0.0", "2.0.0-rc.1", "beta"]) == (
        "2.0.0", "2.0.0-rc.1", "1.10.0", "1.9.0", "nightly", "beta",
    )  # fmt: skip
    many = newest(f"1.{number}.0" for number in range(500))
    assert (len(many), many[0]) == (MOST_VERSIONS, "1.499.0")


def test_what_a_worker_wrote_is_read_back_and_another_set_up_keeps_it():
    assert choices_in(DEPLOY.schema) == KNOWN
    assert choices_in(BACK.schema) == Choices(KNOWN.versions)
    assert choices_in({}) == choices_in({"properties": {"version": {"enum": 7}}}) == Choices()


def test_new_choices_change_the_lists_alone():
    other = Choices(("3.0.0",), ("linux/amd64",))
    assert renewed("orders", "prod", DEPLOY.schema, other) == deploy_form("orders", "prod", other).schema
    assert renewed("orders", "prod", BACK.schema, other) == rollback_form("orders", "prod", other).schema
    assert renewed("orders", "", RELEASE.schema, other) == RELEASE.schema
    steering = steer_form("orders", ("prod",))
    assert renewed("orders", "", steering.schema, other) == steering.schema


@pytest.mark.parametrize("form", [DEPLOY, BACK, RELEASE, steer_form("orders", ("prod",))], ids=lambda form: form.name)
def test_what_is_entered_are_parameters_of_the_flow_and_each_says_what_it_is(form: Form):
    known = flow_parameters(ROOT / "flows" / f"{form.flow}.py", form.flow)
    assert known
    assert set(form.schema["properties"]) <= set(known)
    assert all(field["title"] and field["description"] for field in form.schema["properties"].values())
