"""What may be missed: which events an automation fires at, what it says, and what is told that none could do."""

from __future__ import annotations

import asyncio

import pytest
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import Event, ReceivedEvent, Resource
from prefect.server.utilities.user_templates import render_user_template
from prefect.types._datetime import now

from deployments.setup.asides import Wanted, asides_of, template, trigger
from gopub.errors import SpecError
from gopub.spec.projects import Projects, parse_projects

HEAD = """apps:
  orders:
    repository: /srv/orders
    project: /srv/orders
    envs: [staging, prod]
    may_be_missed:
"""
TAIL = "tokens: {ci: {secret: {env: T}}}\n"
OWED = '{when: {source: gopub, type: host.owed, match: {env: prod, payload.host: "web*"}}, run: ops/page}'
GOOD = """      - when: {source: gopub, type: rollout.rolled-back, match: {env: prod}}
        notify: slack-webhook/ops
        text: "{payload.version} of {app} was taken back in {env}: {payload.reason}, owed {payload.owed.0}"
"""


def projects(*lines: str, more: str = "") -> Projects:
    return parse_projects(HEAD + more + "".join(f"      - {line}\n" for line in lines) + TAIL, "projects.yaml")


def wanted(found: Projects) -> Wanted:
    (one,) = asides_of(found).values()
    return one


def event(name: str, env: str = "prod", app: str = "orders", host: str = "web1") -> ReceivedEvent:
    resource = {"prefect.resource.id": "gopub.rollout.r-1", "prefect.resource.name": "r-1", "gopub.app": app,
                "gopub.env": env}  # fmt: skip
    related = [{"prefect.resource.id": f"gopub.host.{host}", "prefect.resource.role": "host"}]
    payload = {"version": "2.0.0", "reason": "{{ 7 * 7 }}", "owed": ["web1"]}
    made = Event.model_validate({"occurred": now("UTC"), "event": name, "resource": resource, "related": related,
                                 "payload": payload, "id": "00000000-0000-0000-0000-000000000001"})  # fmt: skip
    return made.receive()


def fires(one: Wanted, at: ReceivedEvent) -> bool:
    asked = EventTrigger.model_validate(trigger(one).model_dump(mode="json"))
    return asked.covers(at) and asked.expects(at.event)


def test_an_automation_fires_at_the_events_that_are_meant_and_no_others():
    one = wanted(projects(OWED))
    assert fires(one, event("gopub.host.owed"))
    assert fires(one, event("gopub.host.owed", host="web22"))
    assert not fires(one, event("gopub.host.owed", host="db1"))
    assert not fires(one, event("gopub.host.owed", env="staging"))
    assert not fires(one, event("gopub.host.owed", app="audit"))
    assert not fires(one, event("gopub.host.failed"))


def test_without_an_environment_all_that_the_app_has_are_meant():
    one = wanted(projects("{when: {source: gopub, type: rollout.failed}, run: ops/page}"))
    assert [env for env in ("staging", "prod", "other") if fires(one, event("gopub.rollout.failed", env))] == [
        "staging", "prod",
    ]  # fmt: skip


def test_what_is_said_has_the_events_fields_as_text_and_nothing_is_run():
    text = wanted(projects(more=GOOD)).aside.text
    assert text is not None
    said = asyncio.run(render_user_template(template(text), {"event": event("gopub.rollout.rolled-back")}))
    assert said == "2.0.0 of orders was taken back in prod: {{ 7 * 7 }}, owed web1"


def test_a_name_follows_from_what_is_asked_for():
    before, after = (set(asides_of(projects(one))) for one in (OWED, OWED.replace("web*", "db*")))
    assert len(before | after) == 2
    assert before == set(asides_of(projects(OWED)))
    assert all(name.startswith("gopub: orders: ops/page at host.owed (") for name in before)


def test_resources_of_an_event_are_what_prefect_matches():
    assert Resource({"prefect.resource.id": "gopub.rollout.r-1", "gopub.env": "prod"})["gopub.env"] == "prod"


@pytest.mark.parametrize(
    ("line", "where", "says"),
    [
        ("{when: {source: gitlab, type: push}, run: a/b}", "7:25", "GP981 a delivery of GitLab is no event of the"),
        ("{when: {source: gopub, type: host.owd}, run: a/b}", "7:38", "GP981 gopub has no event 'host.owd'"),
        ('{when: {source: gopub, type: host.owed, match: {payload.why: "x"}}, run: a/b}', "7:57",
         "GP981 an automation cannot ask for payload.why of host.owed"),
        ('{when: {source: gopub, type: host.owed, match: {payload.host: "![a]"}}, run: a/b}', "7:71",
         "GP981 no host is called '![a]'"),
        ("{when: {source: gopub, type: host.owed, match: {env: qa}}, run: a/b}", "7:62", "GP981 'qa' can never match"),
        ("{when: {source: gopub, type: host.owed}}", "7:9", "GP982 `apps.orders.may_be_missed[0]`: it either starts"),
        ("{when: {source: gopub, type: host.owed}, run: a/b, text: x}", "7:9", "GP982"),
        ("{when: {source: gopub, type: host.owed}, run: page}", "7:55", "GP982"),
        ('{when: {source: gopub, type: host.owed}, run: a/b, parameters: {x: "{% raw %}"}}', "7:76", "GP982"),
        ('{when: {source: gopub, type: host.owed}, run: a/b, parameters: {x: "{payload.whi}"}}', "7:76",
         "GP981 host.owed of gopub has no field 'payload.whi'"),
        ('{when: {source: gopub, type: release.published}, run: a/b, parameters: {x: "{env}"}}', "7:84",
         "GP981 release.published of gopub has no field 'env'"),
    ],
)  # fmt: skip
def test_what_no_automation_could_do_is_told_where_it_stands(line: str, where: str, says: str):
    with pytest.raises(SpecError) as caught:
        projects(line)
    assert str(caught.value).startswith(f"projects.yaml:{where}: {says}")
