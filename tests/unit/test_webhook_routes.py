"""POST /v1/hooks/gitlab: every delivery starts its run once, whatever is repeated, late, forged or away."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from deployments.api.hook import LIMIT
from deployments.hooks.signing import HookSecrets, sign
from tests.unit.apikit import HOOK_TOKEN, OFFERED, PROJECTS, PUSHED, TOKENS, Kit, make_kit

HERE = Path(__file__).parent / "webhooks"
SIGNING = "whsec_" + base64.b64encode(b"s" * 32).decode()
TRACE = "0af7651916cd43dd8448eb211c80319c"
QUEUED = {"status": "queued", "delivery": "gitlab:d-1", "runs": [], "trace": TRACE}


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


def payload(name: str = "push.json", **changes: Any) -> bytes:
    return json.dumps(json.loads((HERE / name).read_text()) | changes).encode()


def headers(delivery: str = "d-1", token: str = HOOK_TOKEN) -> dict[str, str]:
    said = {"X_Gitlab_Token": token, "X_Gitlab_Event": "Push Hook", "Idempotency_Key": delivery}
    return {**said, "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


async def test_a_push_starts_one_run(kit: Kit) -> None:
    response = await kit.hook(payload(), **headers())
    assert (response.status_code, response.json()) == (202, QUEUED)
    assert response.headers["location"] == "/v1/deliveries/gitlab:d-1"
    assert (await kit.told(response), kit.starter.orders) == (QUEUED, [])
    assert await kit.settle() == 0
    assert await kit.told(response) == {
        "status": "started",
        "delivery": "gitlab:d-1",
        "runs": [{"id": "run-1", "name": "orders-staging", "app": "orders", "env": "staging"}],
        "trace": TRACE,
    }
    (order,) = kit.starter.orders
    assert (order.env, order.key) == ("staging", "gitlab:d-1:orders:staging")


async def test_a_tag_push_starts_its_version(kit: Kit) -> None:
    await kit.hook(payload("tag_push.json"), **headers())
    await kit.settle()
    (order,) = kit.starter.orders
    assert (order.env, order.parameters["ref"]) == ("prod", "refs/tags/v2.3.0")


async def test_a_repeated_delivery_starts_nothing_and_is_answered_with_2xx(kit: Kit) -> None:
    early = [await kit.hook(payload(), **headers()) for _ in range(3)]
    assert [(answer.status_code, answer.json()) for answer in early] == [(202, QUEUED)] * 3
    await kit.settle()
    late = [await kit.hook(payload(), **headers()) for _ in range(47)]
    await kit.settle()
    assert len(kit.starter.orders) == 1
    assert [answer.status_code for answer in late] == [200] * 47
    runs = (await kit.told(early[0]))["runs"]
    assert [one["id"] for one in runs] == ["run-1"]
    assert late[0].json() == {"status": "repeated", "runs": runs}


async def test_a_sender_sees_nothing_of_another_apps_delivery_by_its_id_and_loses_none_of_its_own(
    tmp_path: Path,
) -> None:
    """Ids are no secrets: they stand in GitLab's list of deliveries, and in a proxy's log."""
    secrets = {"orders": HookSecrets(tokens=(HOOK_TOKEN,)), "audit": HookSecrets(tokens=("theirs",))}
    rule = "rules: [{branch: release/*, env: prod}]"
    kit = make_kit(
        tmp_path, secrets, PROJECTS.replace("envs: [prod], version_tag", f"envs: [prod], {rule}, version_tag")
    )
    await kit.hook(payload(), **headers())
    await kit.settle()
    body = payload().replace(b"trade/orders", b"trade/audit")
    theirs = [await kit.hook(body, **headers(token="theirs")) for _ in range(2)]
    assert [(one.status_code, one.json()["status"], one.json()["runs"]) for one in theirs] == [(202, "queued", [])] * 2
    await kit.settle()
    late = await kit.hook(body, **headers(token="theirs"))
    assert [(one["id"], one["app"]) for one in late.json()["runs"]] == [("run-2", "audit")]
    assert [order.app for order in kit.starter.orders] == ["orders", "audit"]
    again = await kit.hook(payload(), **headers())
    assert [one["id"] for one in again.json()["runs"]] == ["run-1"], "control"


async def test_deliveries_at_the_same_moment_start_one_run(kit: Kit) -> None:
    answers = await asyncio.gather(*(kit.hook(payload(), **headers()) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    await kit.settle()
    assert len(kit.starter.orders) == 1


async def test_a_repeated_delivery_is_known_after_a_restart(kit: Kit, tmp_path: Path) -> None:
    await kit.hook(payload(), **headers())
    await kit.settle()
    kit.parts.deliveries.close()
    restarted = make_kit(tmp_path)
    response = await restarted.hook(payload(), **headers())
    assert (response.status_code, response.json()["status"]) == (200, "repeated")
    assert restarted.starter.orders == []


@pytest.mark.parametrize("names", [{}, {"X_Gitlab_Event_UUID": "event-1"}])
async def test_without_an_id_the_body_tells(kit: Kit, names: dict[str, str]) -> None:
    kit.refs.push(later := "c" * 40)
    for body in (payload(), payload(), payload(after=later, checkout_sha=later)):
        await kit.hook(body, X_Gitlab_Token=HOOK_TOKEN, **names)
    await kit.settle()
    assert len(kit.starter.orders) == 2


async def test_another_push_is_another_run(kit: Kit) -> None:
    kit.refs.push(later := "c" * 40)
    for delivery, commit in (("d-1", PUSHED), ("d-2", later)):
        await kit.hook(payload(after=commit, checkout_sha=commit), **headers(delivery))
    await kit.settle()
    assert len(kit.starter.orders) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (payload(after="0" * 40, checkout_sha=None), "the branch 'release/v2.3' was deleted"),
        (payload(ref="refs/heads/main"), "no rule of orders names the branch 'main'"),
        (b'{"object_kind": "note"}', "gopub does not act on 'note' events"),
    ],
)
async def test_what_starts_nothing_is_ignored_with_2xx(kit: Kit, body: bytes, reason: str) -> None:
    response = await kit.hook(body, **headers())
    assert (response.status_code, response.json()) == (200, {"status": "ignored", "reason": reason})
    assert (kit.parts.deliveries.count(), kit.starter.orders) == (0, [])


@pytest.mark.parametrize("token", ["", "hook-token-123", "hook-token-12345"])
async def test_a_forged_delivery_is_refused(kit: Kit, token: str) -> None:
    response = await kit.hook(payload(), **headers(token=token))
    assert (response.status_code, response.json()["code"]) == (401, "GP938")
    assert (kit.parts.deliveries.count(), kit.starter.orders) == (0, [])
    assert kit.parts.deliveries.find("gitlab:d-1") is None  # a forger must not use up the id of a real delivery


def signed_headers(body: bytes, now: float, delivery: str = "d-1") -> dict[str, str]:
    stamp = str(int(now))
    signature = sign(SIGNING, delivery, stamp, body)
    return {"webhook_id": delivery, "webhook_timestamp": stamp, "webhook_signature": signature}


async def test_a_signed_delivery_counts_and_a_replayed_one_does_not(tmp_path: Path) -> None:
    kit = make_kit(tmp_path, hooks={"orders": HookSecrets(tokens=(HOOK_TOKEN,), signing=(SIGNING,))})
    body = payload()
    kept = signed_headers(body, kit.clock.now())
    assert (await kit.hook(body, **kept)).status_code == 202
    assert (await kit.hook(payload(), **headers("d-2"))).status_code == 401
    assert (await kit.hook(payload(ref="refs/heads/release/x"), **kept)).status_code == 401
    await kit.clock.sleep(301)
    assert (await kit.hook(body, **kept)).status_code == 401
    await kit.settle()
    assert len(kit.starter.orders) == 1


async def test_a_body_that_is_no_event_is_a_problem(kit: Kit) -> None:
    response = await kit.hook(b"ref=main", **headers())
    assert (response.status_code, response.json()["code"]) == (422, "GP933")


async def test_a_body_over_the_limit_is_refused(kit: Kit) -> None:
    response = await kit.hook(b" " * (LIMIT + 1), **headers())
    assert (response.status_code, response.json()["code"]) == (413, "GP936")


BAD_COMMITS = [
    "--upload-pack=x",
    "",
    "main",
    "a" * 39,
    "A" * 40,
    "a" * 41,
    "a" * 40 + "\n",
    "\u0661" * 40,
    "HEAD",
    "+main",
]


@pytest.mark.parametrize("commit", BAD_COMMITS)
@pytest.mark.parametrize("field", ["after", "checkout_sha"])
async def test_a_push_of_what_is_no_commit_id_is_refused_and_starts_nothing(kit: Kit, field: str, commit: str) -> None:
    if field == "checkout_sha" and not commit:
        return  # as if it were not there
    answer = await kit.hook(payload(**{field: commit}), **headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "GP933")
    assert (kit.starter.orders, kit.parts.deliveries.waiting()) == ([], [])


@pytest.mark.parametrize(("commit", "code"), [(OFFERED, "GP959"), ("a" * 40, "GP934"), ("a" * 64, "GP934")])
async def test_a_push_of_a_commit_that_no_branch_has_starts_nothing(kit: Kit, commit: str, code: str) -> None:
    answer = await kit.hook(payload(after=commit, checkout_sha=commit), **headers())
    assert (answer.status_code, await kit.settle()) == (202, 0)
    said = await kit.told(answer)
    assert (said["status"], said["runs"], kit.starter.orders) == ("refused", [], [])
    assert [one["code"] for one in said["refused"]] == [code]
    again = await kit.hook(payload(), **headers("d-2"))
    await kit.settle()
    assert (await kit.told(again))["status"] == "started"  # the control: a commit that the branch has


async def test_a_delivery_is_shown_to_a_token_of_its_app_and_env_only(kit: Kit) -> None:
    answer = await kit.hook(payload("tag_push.json"), **headers("d/1 %x"))
    other = await kit.hook(payload(), **headers("d-2"))
    await kit.settle()
    assert (await kit.told(answer))["runs"][0]["env"] == "prod"
    assert (await kit.told(answer, TOKENS["ci"]))["code"] == "GP937"
    assert (await kit.told(answer, "nobody"))["code"] == "GP930"
    assert (await kit.told(other, TOKENS["ci"]))["runs"][0]["env"] == "staging"  # the control
    asked = await kit.deploy({"app": "orders", "version": "1.4.0", "env": "prod"}, headers={"Idempotency-Key": "k"})
    assert asked.status_code == 202
    other.headers["location"] = "/v1/deliveries/rest:oncall:k"
    assert (await kit.told(other))["code"] == "GP937"  # no webhook's
