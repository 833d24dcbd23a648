"""Rules of `when:` at the receiver: which deliveries start what, once, whatever is forged, repeated, large or many."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from deployments.api.hook import LIMIT
from deployments.hooks.forges.gitlab import read
from deployments.hooks.forges.protocol import Ignored, Push
from flows.release import release as release_flow
from tests.unit.apikit import HOOK_TOKEN, PROJECTS, PUSHED, Kit, make_kit

HERE = Path(__file__).parent / "webhooks"
PROJECT = json.loads((HERE / "push.json").read_text())["project"]
OLD = """    rules:
      - {tag: "v*", env: prod}
      - {branch: release/*, env: staging}
"""
RULES = """    rules:
      - when: {source: gitlab, type: tag_push, match: {ref: "refs/tags/v*", user_username: [lchen, "bot-*"]}}
        env: prod
        reason: "{message} by {user_username}"
      - {when: {source: gitlab, type: pipeline, match: {object_attributes.ref: main}}, env: staging}
      - {when: {source: gitlab, type: release}, env: prod}
      - {branch: release/*, env: staging}
"""


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    assert OLD in PROJECTS
    return make_kit(tmp_path, projects=PROJECTS.replace(OLD, RULES))


def payload(name: str = "tag_push.json", **changes: Any) -> bytes:
    return json.dumps(json.loads((HERE / name).read_text()) | changes).encode()


def pipeline(**changes: Any) -> bytes:
    about = {"id": 1, "ref": "main", "tag": False, "sha": PUSHED, "status": "success"} | changes
    user = {"id": 7, "username": "lchen"}
    return json.dumps(
        {"object_kind": "pipeline", "object_attributes": about, "project": PROJECT, "user": user}
    ).encode()


def release(**changes: Any) -> bytes:
    told = {"object_kind": "release", "action": "create", "tag": "v2.3.0", "commit": {"id": PUSHED}, "project": PROJECT}
    return json.dumps(told | changes).encode()


def headers(delivery: str = "d-1", token: str = HOOK_TOKEN) -> dict[str, str]:
    return {"X_Gitlab_Token": token, "Idempotency_Key": delivery}


async def started(kit: Kit, body: bytes, delivery: str = "d-1") -> list[tuple[str, object, object]]:
    before = len(kit.starter.orders)
    assert (await kit.hook(body, **headers(delivery))).is_success
    await kit.settle()
    return [(one.env, one.parameters["ref"], one.parameters["reason"]) for one in kit.starter.orders[before:]]


async def test_the_first_rule_that_matches_counts_and_its_text_takes_fields_of_the_delivery(kit: Kit) -> None:
    assert await started(kit, payload()) == [("prod", "refs/tags/v2.3.0", "Orders 2.3.0 by lchen")]
    assert kit.starter.orders[0].parameters["refs"] == ["refs/tags/v2.3.0"], "the tag itself and no other"
    assert await started(kit, payload("push.json"), "d-2") == [
        ("staging", PUSHED, f"push of branch release/v2.3 ({PUSHED[:12]})")
    ]


async def test_another_person_or_name_starts_nothing(kit: Kit) -> None:
    assert await started(kit, payload(user_username="mallory")) == []
    assert await started(kit, payload(user_username=""), "d-2") == []
    assert await started(kit, payload(ref="refs/tags/w1"), "d-3") == []
    assert await started(kit, payload(user_username="bot-7"), "d-4") != [], "control"


async def test_whoever_pushed_is_one_plain_line_that_looks_like_no_login(kit: Kit) -> None:
    unclean = "bot-7 (login at the proxy)\n**x**\x1b[0m" + "a" * 500
    await started(kit, payload(user_username=unclean))
    actor = kit.starter.orders[-1].parameters["actor"]
    assert actor == f"gitlab:{('bot-7 [login at the proxy] **x** [0m' + 'a' * 500)[:100]}"


async def test_a_pipeline_counts_once_it_is_done_with_success(kit: Kit) -> None:
    assert await started(kit, pipeline(status="running"), "d-1") == []
    assert await started(kit, pipeline(ref="release/v2.3"), "d-2") == []
    assert await started(kit, pipeline(), "d-3") == [("staging", PUSHED, f"pipeline of branch main ({PUSHED[:12]})")]


async def test_a_release_counts_once_it_is_made(kit: Kit) -> None:
    assert await started(kit, release(action="update"), "d-1") == []
    assert await started(kit, release(), "d-2") == [
        ("prod", "refs/tags/v2.3.0", f"release of tag v2.3.0 ({PUSHED[:12]})")
    ]


async def test_a_reason_is_one_short_line_whatever_somebody_wrote_into_a_tag(kit: Kit) -> None:
    ((_, _, reason),) = await started(kit, payload(message="a\nb\u202e{user_email}\x1b[2J" + "x" * 100_000))
    assert isinstance(reason, str)
    assert reason.startswith("a b {user_email} [2Jx")
    assert len(reason) < 230
    assert reason.endswith("… by lchen")


@pytest.mark.parametrize(
    "ref", ["refs/tags/v1\nrefs/tags/v2", "refs/tags/v*", "refs/tags/v[1]", "refs/tags/v 1", "refs/tags/v\x00", "v1",
            "refs/tags/v1..2", "refs/heads/v1", "refs/tags/" + "v" * 300, "--upload-pack=x", ""],
)  # fmt: skip
def test_what_git_could_not_call_a_tag_is_no_delivery(ref: str) -> None:
    with pytest.raises(ValueError, match=r"^ref: it is no tag$"):
        read(payload(ref=ref))
    with pytest.raises(ValueError, match=r"^ref: it is no tag$"):
        read(release(tag="v1\n"))
    assert isinstance(read(payload(ref="refs/tags/vü")), Push)


@pytest.mark.parametrize("body", [pipeline(sha="--upload-pack=x"), release(commit={"id": "HEAD"})])
def test_what_is_no_commit_is_no_delivery(body: bytes) -> None:
    with pytest.raises(ValueError, match="it is no commit id of 40 or 64 hex digits"):
        read(body)


def test_events_that_no_rule_can_name_are_ignored_whatever_else_is_in_them() -> None:
    assert read(b'{"object_kind": "note", "ref": 7}') == Ignored("gopub does not act on 'note' events")


async def test_what_is_forged_or_too_large_leaves_no_row(kit: Kit) -> None:
    forged = await kit.hook(payload(), **headers(token="guessed"))
    assert (forged.status_code, forged.json()["code"]) == (401, "GP938")
    large = await kit.hook(b'{"object_kind":"tag_push","message":"' + b"x" * (2 * LIMIT) + b'"}', **headers())
    assert large.status_code == 413
    assert (await kit.settle(), kit.starter.orders) == (0, [])
    assert await started(kit, payload()) != [], "control"


async def test_a_hundred_tags_at_once_each_start_once_though_each_delivery_comes_twice(kit: Kit) -> None:
    names = [f"refs/tags/v1.0.{n}" for n in range(100)]
    kit.refs.add(*names)
    for time in ("first", "again"):
        for name in names:
            answer = await kit.hook(payload(ref=name), **headers(name))
            assert answer.status_code == 202, time
    for _ in range(3):
        await kit.settle()
    assert [one.parameters["ref"] for one in kit.starter.orders] == names


async def test_a_rule_that_only_releases_starts_the_release_alone(tmp_path: Path) -> None:
    rules = """    rules:
      - {tag: "v*", env: prod}
      - {branch: "**", release: true}
"""
    kit = make_kit(tmp_path, projects=PROJECTS.replace(OLD, rules))
    answer = await kit.hook(payload("push.json"), **headers())
    await kit.settle()
    (order,) = kit.starter.orders
    assert (order.deployment, order.env, order.commit) == ("release/release", "", PUSHED)
    assert order.parameters == {
        "app": "orders", "repository": "https://gitlab.example/trade/orders.git", "project": "/srv/orders",
        "project_ref": "", "spec_file": "gopub.yaml", "ref": PUSHED, "refs": ["refs/heads/**"],
    }  # fmt: skip
    assert set(order.parameters) <= set(signature(release_flow.fn).parameters), "each is one of the flow's"
    assert [one["id"] for one in (await kit.told(answer))["runs"]] == ["run-1"]
    assert order.ours, "what is looked up before it starts is looked up for it as well"


async def test_what_only_releases_is_told_to_tokens_of_the_app_and_to_no_others(tmp_path: Path) -> None:
    kit = make_kit(tmp_path, projects=PROJECTS.replace(OLD, '    rules: [{branch: "**", release: true}]\n'))
    answer = await kit.hook(payload("push.json"), **headers())
    for token, status in {"oncall-secret": 200, "ci-secret": 200}.items():
        found = await kit.client.get(answer.headers["location"], headers={"Authorization": f"Bearer {token}"})
        assert found.status_code == status
    tokens = kit.parts.projects.tokens["ci"]
    assert tokens.sees("orders", "")
    assert not tokens.sees("audit", "")
    assert not tokens.sees("orders", "prod")
    assert not tokens.allows("orders", ""), "it may start none of them"
