"""Runs that alerts start: once for each time that one begins, or ends; and what can never be is refused in the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deployments.hooks.alertmanager import AlertSecrets
from gopub.errors import GopubError
from gopub.journal.store import Journal
from gopub.spec.projects import parse_projects
from gopub.usecases.alerts import OLDEST
from gopub.usecases.ask import standing_hold
from tests.unit.apikit import PROJECTS, Kit, make_kit
from tests.unit.test_alertmanager import alert, journal, send

__all__ = ["journal"]
SECRETS = AlertSecrets(tokens=("am-token-1",))
RUNS = """alertmanager:
  token: {env: AM}
  match: {severity: critical}
  runs:
    - when: {source: alertmanager, type: firing, match: {labels.severity: page, labels.alertname: "Slow*"}}
      run: ops/look
      parameters: {text: "{labels.alertname} of {labels.app}: {annotations.summary}", link: "{generatorURL}"}
    - {when: {source: alertmanager, type: resolved, match: {labels.severity: page}}, run: ops/tidy}
"""


def kit_in(folder: Path) -> Kit:
    return make_kit(folder, projects=PROJECTS + RUNS, alerts=SECRETS)


@pytest.fixture
def kit(tmp_path: Path, journal: Journal) -> Kit:
    del journal
    return kit_in(tmp_path)


def paging(kit: Kit, name: str = "SlowOrders", **more: Any) -> dict[str, Any]:
    return alert(kit, name, **{"severity": "page", **more})


async def test_an_alert_that_fires_starts_its_run_once_however_often_it_is_told(kit: Kit, journal: Journal):
    told = await send(kit, paging(kit))
    assert told["http"] == 200 and len(told["begun"]) == 1 and told["held"] == []
    assert "begun" not in await send(kit, paging(kit)), "Alertmanager repeats what fires"
    assert "begun" not in await send(kit, paging(kit, "Quick")), "control: another one"
    assert await kit.settle() == 0
    (order,) = kit.starter.orders
    assert (order.deployment, order.app, order.env, order.ours) == ("ops/look", "orders", "prod", False)
    assert order.parameters == {
        "text": "SlowOrders of orders: SlowOrders is up", "link": "http://prometheus.example/graph?g0.expr=up"
    }  # fmt: skip
    assert standing_hold(journal, "r-prod") is None, "what it holds is said apart"
    again = await send(kit, paging(kit, since=-1))
    assert len(again["begun"]) == 1, "it began anew"
    assert await kit.settle() == 0
    assert len({one.key for one in kit.starter.orders}) == 2


async def test_it_is_started_once_also_by_a_receiver_that_was_killed_before_it_could(kit: Kit, tmp_path: Path):
    await asyncio.gather(*(send(kit, paging(kit)) for _ in range(5)))
    assert kit.parts.deliveries.count() == 1
    kit.parts.deliveries.close()
    other = kit_in(tmp_path)
    assert "begun" not in await send(other, paging(other))
    assert await other.settle() == 0
    assert [one.deployment for one in other.starter.orders] == ["ops/look"]


async def test_an_end_starts_what_waits_for_ends_and_one_about_no_app_starts_as_well(kit: Kit):
    await send(kit, paging(kit, status="resolved"), paging(kit, "SlowDns", app="dns", env="everywhere"))
    assert await kit.settle() == 0
    made = sorted((one.deployment, one.app, one.env) for one in kit.starter.orders)
    assert made == [("ops/look", "", ""), ("ops/tidy", "orders", "prod")]


async def test_what_is_old_or_ahead_or_unmeant_or_from_a_stranger_starts_nothing(kit: Kit):
    await send(kit, paging(kit, since=-OLDEST - 60), paging(kit, since=3600), paging(kit, "Other"))
    await send(kit, alert(kit, "SlowOrders", severity="critical"))
    own = {"event": "stuck", "notice": "stuck/1", "rollout": "r-1"}
    await send(kit, paging(kit, "GopubStuck", **own))
    answer = await send(kit, paging(kit), headers={"Authorization": "Bearer guessed"})
    assert answer["http"] == 401
    assert await kit.settle() == 0
    assert kit.starter.orders == []


async def test_a_hold_comes_first_and_needs_no_run(kit: Kit, journal: Journal):
    told = await send(kit, alert(kit, "SlowOrders", severity="critical"), paging(kit))
    assert told["held"] == ["r-prod"] and len(told["begun"]) == 1
    assert standing_hold(journal, "r-prod") is not None


async def test_somebodys_text_is_text_alone(kit: Kit):
    nasty = paging(kit)
    nasty["annotations"] = {"summary": "{labels.app} {{ 7 * 7 }}\n\x1b[31m" + "x" * 5000}
    await send(kit, nasty)
    assert await kit.settle() == 0
    text = str(kit.starter.orders[0].parameters["text"])
    assert text.startswith("SlowOrders of orders: {labels.app} {{ 7 * 7 }} [31mx")
    assert len(text) < 300 and text.isprintable()


@pytest.mark.parametrize(
    ("run", "code", "says"),
    [
        ("{when: {source: gitlab, type: push}, run: ops/look}", "GP981", "no alert comes from gitlab"),
        ("{when: {source: alertmanager, type: fires}, run: ops/look}", "GP981", "alertmanager has no event 'fires'"),
        ("{when: {source: alertmanager, type: firing, match: {severity: page}}, run: ops/look}", "GP981",
         "firing of alertmanager has no field 'severity'"),
        ("{when: {source: alertmanager, type: firing}, run: ops/look, parameters: {a: '{payload.x}'}}", "GP981",
         "firing of alertmanager has no field 'payload.x'"),
        ("{when: {source: alertmanager, type: firing}, run: deploy/deploy}", "GP984", "an alert names no version"),
        ("{when: {source: alertmanager, type: firing}, run: look}", "GP982", "a deployment"),
    ],
)  # fmt: skip
def test_what_can_never_be_or_must_not_is_refused_in_the_file(run: str, code: str, says: str):
    text = f"{PROJECTS}alertmanager:\n  token: {{env: AM}}\n  runs:\n    - {run}\n"
    with pytest.raises(GopubError) as told:
        parse_projects(text, "projects.yaml")
    assert told.value.code == code and says in str(told.value)


def test_a_rule_of_an_app_starts_no_release_at_an_alert():
    rule = '      - {tag: "v*", env: prod}\n'
    assert rule in PROJECTS
    wrong = "      - {when: {source: alertmanager, type: firing}, env: prod}\n"
    with pytest.raises(GopubError, match="GP984 a deployment is not started by an alert"):
        parse_projects(PROJECTS.replace(rule, rule + wrong), "projects.yaml")
