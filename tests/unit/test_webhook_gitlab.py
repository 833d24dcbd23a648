"""What a GitLab delivery says, what a repeated one has in common with the first, and which runs it starts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deployments.hooks.forges.gitlab import delivery_key, read
from deployments.hooks.forges.protocol import Ignored, Push
from deployments.hooks.matching import orders_for
from deployments.lint import flow_parameters
from gopub.spec.projects import parse_projects, repository_path

HERE = Path(__file__).parent / "webhooks"
COMMIT = "9a1f2c3d4e5b60718293a4b5c6d7e8f901234567"
PROJECTS = """
apps:
  orders:
    repository: https://gitlab.example/trade/orders.git
    project: /srv/project
    envs: [staging, prod]
    rules:
      - {tag: "v*", env: prod}
      - {branch: release/*, env: staging}
      - {branch: "*", env: prod}
  audit:
    repository: ssh://git@gitlab.example:2222/trade/orders
    project: /srv/project
    spec: audit/gopub.yaml
    envs: [prod]
    rules: [{tag: "audit-v*", env: prod}]
  other:
    repository: https://gitlab.example/trade/other.git
    project: /srv/project
    envs: [prod]
    rules: [{branch: "*", env: prod}]
gitlab: {token: {env: HOOK}}
"""
ALL = frozenset({"orders", "audit", "other"})


def payload(name: str, **changes: Any) -> bytes:
    return json.dumps(json.loads((HERE / name).read_text()) | changes).encode()


def pushed(body: bytes) -> Push:
    event = read(body)
    assert isinstance(event, Push)
    return event


def test_a_push_names_branch_commit_and_user() -> None:
    assert read(payload("push.json")) == Push(
        kind="branch",
        name="release/v2.3",
        commit=COMMIT,
        project="trade/orders",
        addresses=("https://gitlab.example/trade/orders.git", "git@gitlab.example:trade/orders.git"),
        user="lchen",
    )


def test_a_tag_push_names_the_commit_behind_an_annotated_tag() -> None:
    event = pushed(payload("tag_push.json"))
    assert (event.kind, event.name, event.commit) == ("tag", "v2.3.0", COMMIT)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("push.json", "the branch 'release/v2.3' was deleted"), ("tag_push.json", "the tag 'v2.3.0' was deleted")],
)
def test_a_deletion_is_ignored(name: str, reason: str) -> None:
    assert read(payload(name, after="0" * 40, checkout_sha=None)) == Ignored(reason)


def test_other_events_are_ignored() -> None:
    assert read(b'{"object_kind": "note"}') == Ignored("gopub does not act on 'note' events")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "body: line 1, column 1: Expecting value"),
        (b"[]", "body: Input should be an object"),
        (b"{}", "object_kind: Field required"),
        (b'{"object_kind": "push"}', "ref: Field required"),
        (payload("push.json", project=7), "project: Input should be an object"),
    ],
)
def test_what_is_no_event_is_named(body: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read(body)


def test_the_id_of_a_delivery_wins_over_its_body() -> None:
    key = delivery_key({"webhook-id": "id-1", "idempotency-key": "id-1", "x-gitlab-event-uuid": "e"}, b"1")
    assert key == delivery_key({"idempotency-key": "id-1"}, b"2") == "id-1"


def test_without_an_id_event_and_body_tell_deliveries_apart() -> None:
    event = {"x-gitlab-event-uuid": "e-1"}
    keys = {delivery_key(event, b"1"), delivery_key(event, b"2"), delivery_key({}, b"1"), delivery_key({}, b"2")}
    assert len(keys) == 4
    assert delivery_key(event, b"1") == delivery_key(dict(event), b"1")


def test_a_strange_id_is_not_stored_as_it_is() -> None:
    assert len(delivery_key({"webhook-id": "x" * 5000}, b"")) == 64
    assert len(delivery_key({"webhook-id": "a\nb"}, b"")) == 64


def test_a_tag_starts_its_version_by_name() -> None:
    orders = orders_for(pushed(payload("tag_push.json")), parse_projects(PROJECTS, "projects.yaml"), ALL, "k")
    assert not isinstance(orders, Ignored)
    (order,) = orders
    assert (order.app, order.env, order.key, order.deployment) == (
        "orders",
        "prod",
        "gitlab:k:orders:prod",
        "deploy/deploy",
    )
    assert order.parameters == {
        "app": "orders",
        "repository": "https://gitlab.example/trade/orders.git",
        "project": "/srv/project",
        "project_ref": "",
        "refs": ["refs/tags/v**"],
        "env": "prod",
        "ref": "refs/tags/v2.3.0",
        "spec_file": "gopub.yaml",
        "actor": "gitlab:lchen",
        "reason": "push of tag v2.3.0 (9a1f2c3d4e5b)",
        "automatic": True,
    }


def test_a_branch_starts_exactly_what_was_pushed_by_the_first_rule_that_matches() -> None:
    orders = orders_for(pushed(payload("push.json")), parse_projects(PROJECTS, "projects.yaml"), ALL, "k")
    assert not isinstance(orders, Ignored)
    (order,) = orders
    assert (order.env, order.parameters["ref"]) == ("staging", COMMIT)


def test_two_apps_of_one_repository_each_have_their_rules() -> None:
    body = payload("tag_push.json", ref="refs/tags/audit-v1.0.0")
    orders = orders_for(pushed(body), parse_projects(PROJECTS, "projects.yaml"), ALL, "k")
    assert not isinstance(orders, Ignored)
    assert [(order.app, order.parameters["spec_file"]) for order in orders] == [("audit", "audit/gopub.yaml")]


def test_what_no_rule_names_is_ignored() -> None:
    body = payload("tag_push.json", ref="refs/tags/nightly")
    projects = parse_projects(PROJECTS, "projects.yaml")
    assert orders_for(pushed(body), projects, ALL, "k") == Ignored("no rule of orders, audit names the tag 'nightly'")


def test_a_sender_starts_only_the_apps_whose_secret_it_knows() -> None:
    projects = parse_projects(PROJECTS, "projects.yaml")
    assert orders_for(pushed(payload("push.json")), projects, {"other"}, "k") == Ignored(
        "no app of this sender has the repository 'trade/orders'"
    )


def test_only_the_star_is_special_in_a_rule() -> None:
    text = PROJECTS.replace("release/*", '"release/[v]*"').replace('{branch: "*", env: prod}', '{tag: "x", env: prod}')
    orders = orders_for(pushed(payload("push.json")), parse_projects(text, "projects.yaml"), ALL, "k")
    assert isinstance(orders, Ignored)


@pytest.mark.parametrize(
    "address",
    [
        "https://gitlab.example/trade/orders.git",
        "https://gitlab.example/trade/orders/",
        "https://user:word@GitLab.Example/trade/orders",
        "git@gitlab.example:trade/orders.git",
        "ssh://git@gitlab.example/trade/orders.git",
        "ssh://git@gitlab.example:2222/trade/orders.git",
    ],
)
def test_every_spelling_of_an_address_is_the_same_repository(address: str) -> None:
    assert repository_path(address) == "gitlab.example/trade/orders"


@pytest.mark.parametrize("address", ["/srv/git/orders.git", "./orders", "orders"])
def test_a_local_repository_is_known_by_its_path(address: str) -> None:
    assert repository_path(address) == address


def test_a_local_repository_is_matched_by_the_project_that_it_names() -> None:
    text = PROJECTS.replace("https://gitlab.example/trade/orders.git", "/srv/orders\n    gitlab_project: trade/orders")
    orders = orders_for(pushed(payload("push.json")), parse_projects(text, "projects.yaml"), ALL, "k")
    assert not isinstance(orders, Ignored)
    assert orders[0].parameters["repository"] == "/srv/orders"


def test_the_flow_takes_every_parameter_that_a_trigger_gives() -> None:
    orders = orders_for(pushed(payload("tag_push.json")), parse_projects(PROJECTS, "projects.yaml"), ALL, "k")
    assert not isinstance(orders, Ignored)
    taken = flow_parameters(Path(__file__).parents[2] / "flows" / "deploy.py", "deploy")
    assert taken is not None
    assert {*orders[0].parameters, "version"} <= set(taken)  # POST /v1/deploy names the version, too
    assert "targets" not in taken
