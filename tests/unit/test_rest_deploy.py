"""POST /v1/deploy: who may ask for what, each refusal as a problem, and one run per idempotency key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from deployments.api.deploy import DeployRequest
from gopub import schemas
from gopub.errors import GopubError
from tests.unit.apikit import OFFERED, PUSHED, Kit, make_kit

GOOD = {"app": "orders", "version": "1.4.0", "env": "prod"}


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


def problem_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    Draft202012Validator(schemas.schema("problem")).validate(body)
    assert body["status"] == response.status_code
    return body


async def test_a_good_request_starts_one_run(kit: Kit) -> None:
    response = await kit.deploy(GOOD | {"reason": "hotfix 4711"})
    assert response.status_code == 202
    assert response.headers["location"] == "/v1/runs/run-1"
    Draft202012Validator(schemas.schema("deploy-answer")).validate(response.json())
    (order,) = kit.starter.orders
    assert (order.app, order.env, order.deployment) == ("orders", "prod", "deploy/deploy")
    assert order.parameters == {
        "app": "orders",
        "repository": "https://gitlab.example/trade/orders.git",
        "project": "/srv/orders",
        "project_ref": "",
        "refs": ["refs/heads/**", "refs/tags/**"],
        "env": "prod",
        "ref": "refs/tags/v1.4.0",
        "spec_file": "gopub.yaml",
        "actor": "token:oncall",
        "reason": "hotfix 4711",
        "version": "1.4.0",
    }


async def test_the_version_may_carry_a_v_and_the_app_its_own_tags(kit: Kit) -> None:
    assert (await kit.deploy(GOOD | {"version": "v1.4.0"})).status_code == 202
    assert (await kit.deploy({"app": "audit", "version": "2.0.0", "env": "prod"})).status_code == 202
    assert [order.parameters["ref"] for order in kit.starter.orders] == ["refs/tags/v1.4.0", "refs/tags/audit/2.0.0"]


async def test_a_downgrade_is_done_when_it_is_asked_for(kit: Kit) -> None:
    assert (await kit.deploy(GOOD | {"version": "1.2.0", "downgrade": True})).status_code == 202
    (order,) = kit.starter.orders
    assert (order.parameters["version"], order.parameters["downgrade"]) == ("1.2.0", True)


async def test_a_journal_that_is_away_leaves_the_comparison_to_the_run(kit: Kit) -> None:
    assert (await kit.deploy(GOOD | {"version": "1.2.0", "env": "staging"})).status_code == 202


async def test_a_ref_may_be_named(kit: Kit) -> None:
    for ref in ("main", "refs/heads/main", PUSHED):
        assert (await kit.deploy(GOOD | {"version": "1.5.0-rc.1", "ref": ref})).status_code == 202
    assert [order.parameters["ref"] for order in kit.starter.orders] == ["refs/heads/main", "refs/heads/main", PUSHED]


REFUSALS = [
    pytest.param(GOOD, None, 401, "GP930", "no valid bearer token", id="no token"),
    pytest.param(GOOD, "ci-secre", 401, "GP930", "no valid bearer token", id="a wrong token"),
    pytest.param(GOOD, "", 401, "GP930", "no valid bearer token", id="an empty token"),
    pytest.param(GOOD, "ci-secret", 403, "GP931", "the token 'ci' may not deploy 'orders' to 'prod'", id="env"),
    pytest.param(
        GOOD | {"app": "ghost", "env": "staging"}, "ci-secret", 403, "GP931",
        "the token 'ci' may not deploy 'ghost' to 'staging'", id="app",
    ),
    pytest.param(GOOD | {"app": "ghost"}, "oncall-secret", 404, "GP932", "there is no app 'ghost'", id="unknown app"),
    pytest.param(
        GOOD | {"env": "live"}, "oncall-secret", 404, "GP932", "orders has no environment 'live'", id="unknown env"
    ),
    pytest.param(
        GOOD | {"version": "v1.2.0"}, "oncall-secret", 409, "GP730",
        "orders 1.2.0 is older than 1.3.0, which is stable in prod", id="an older version",
    ),
    pytest.param(
        GOOD | {"version": "9.9.9"}, "oncall-secret", 422, "GP934",
        "orders 9.9.9: the repository has no refs/tags/v9.9.9", id="unknown version",
    ),
    pytest.param(
        GOOD | {"version": "latest"}, "oncall-secret", 422, "GP934", "'latest' is not a version", id="no version"
    ),
    pytest.param(
        GOOD | {"ref": "gone"}, "oncall-secret", 422, "GP934", "orders 1.4.0: the repository has no gone", id="no ref"
    ),
    pytest.param(
        GOOD | {"ref": "--upload-pack=x"}, "oncall-secret", 422, "GP933",
        "ref: '--upload-pack=x' cannot be a git ref", id="an option as ref",
    ),
    pytest.param(
        GOOD | {"ref": "a" * 40}, "oncall-secret", 422, "GP934",
        f"orders 1.4.0: the repository has no {'a' * 40}", id="no commit",
    ),
    pytest.param(
        GOOD | {"ref": OFFERED}, "oncall-secret", 409, "GP959",
        "commit dddddddddddd is in no branch or tag that may be released here: refs/heads/**, refs/tags/**",
        id="a commit of a merge request",
    ),
    pytest.param(
        GOOD | {"ref": "refs/merge-requests/1/head"}, "oncall-secret", 422, "GP934",
        "orders 1.4.0: the repository has no refs/merge-requests/1/head", id="a merge request",
    ),
    pytest.param(
        GOOD | {"ref": "main", "env": "staging"}, "ci-secret", 409, "GP959",
        "refs/heads/main is in no branch or tag that may be released here: refs/tags/v*", id="a branch not listed",
    ),
    pytest.param(
        GOOD | {"ref": PUSHED, "env": "staging"}, "ci-secret", 409, "GP959",
        "commit 9a1f2c3d4e5b is in no branch or tag that may be released here: refs/tags/v*",
        id="a commit of no branch listed",
    ),
    pytest.param(
        GOOD | {"version": "1.4.0-a..b"}, "oncall-secret", 422, "GP934", "'1.4.0-a..b' is not a version", id="dots"
    ),
    pytest.param(
        GOOD | {"version": "1.4.\u0664"}, "oncall-secret", 422, "GP934", "'1.4.\u0664' is not a version", id="digits"
    ),
    pytest.param(
        GOOD | {"targets": ["h1"]}, "oncall-secret", 422, "GP933", "targets: is not acted on yet", id="targets"
    ),
    pytest.param(
        GOOD | {"forced": True}, "oncall-secret", 422, "GP933",
        "forced: Extra inputs are not permitted", id="unknown key",
    ),
    pytest.param({"app": "orders"}, "oncall-secret", 422, "GP933", "version: Field required", id="missing"),
    pytest.param(
        GOOD | {"version": 1.4}, "oncall-secret", 422, "GP933", "version: Input should be a valid string", id="type"
    ),
    pytest.param([], "oncall-secret", 422, "GP933", "the body: Input should be an object", id="no object"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "token", "status", "code", "detail"), REFUSALS)
async def test_each_refusal_is_a_problem_and_starts_nothing(
    kit: Kit, body: object, token: str | None, status: int, code: str, detail: str
) -> None:
    response = await kit.deploy(body, token)
    told = problem_of(response)
    assert (response.status_code, told["code"], told["detail"]) == (status, code, detail)
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert kit.starter.orders == []


async def test_the_token_is_no_other_scheme(kit: Kit) -> None:
    response = await kit.deploy(GOOD, None, {"Authorization": "Basic oncall-secret"})
    assert problem_of(response)["code"] == "GP930"


async def test_who_is_not_known_learns_nothing_of_the_request(kit: Kit) -> None:
    assert problem_of(await kit.deploy({"nonsense": 1}, None))["code"] == "GP930"


async def test_a_large_body_is_refused_before_it_is_read_whole(kit: Kit) -> None:
    response = await kit.deploy(GOOD | {"reason": "x" * 70_000})
    assert (response.status_code, problem_of(response)["code"]) == (413, "GP936")


async def test_the_same_key_starts_one_run_and_repeats_its_answer(kit: Kit) -> None:
    key = {"Idempotency-Key": '"5a1c"'}
    first = await kit.deploy(GOOD, headers=key)
    again = await kit.deploy(GOOD, headers={"Idempotency-Key": "5a1c"})  # quotes are the header's, not the key's
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(kit.starter.orders) == 1


async def test_the_answer_has_the_rollout_as_soon_as_there_is_one(kit: Kit) -> None:
    key = {"Idempotency-Key": "k"}
    first = (await kit.deploy(GOOD, headers=key)).json()
    assert first["rollout"] == ""
    kit.rollouts["orders", "prod", "run-2"] = "orders-prod-1.4.0-other"  # control: another run's is not its own
    assert (await kit.deploy(GOOD, headers=key)).json() == first
    kit.rollouts["orders", "prod", first["id"]] = "orders-prod-1.4.0-5a1c5a"
    again = (await kit.deploy(GOOD, headers=key)).json()
    assert again == {**first, "rollout": "orders-prod-1.4.0-5a1c5a"}
    Draft202012Validator(schemas.schema("deploy-answer")).validate(again)
    assert len(kit.starter.orders) == 1


async def test_an_answer_of_an_older_gopub_gets_its_rollout_too(kit: Kit) -> None:
    key = {"Idempotency-Key": "k"}
    first = (await kit.deploy(GOOD, headers=key)).json()
    kit.parts.deliveries.finish("rest:oncall:k", {name: said for name, said in first.items() if name != "rollout"})
    assert (await kit.deploy(GOOD, headers=key)).json() == first


async def test_a_key_survives_a_restart_of_the_server(kit: Kit, tmp_path: Path) -> None:
    first = await kit.deploy(GOOD, headers={"Idempotency-Key": "k"})
    kit.parts.deliveries.close()
    restarted = make_kit(tmp_path)
    again = await restarted.deploy(GOOD, headers={"Idempotency-Key": "k"})
    assert again.json() == first.json()
    assert restarted.starter.orders == []


async def test_a_key_of_another_request_is_refused(kit: Kit) -> None:
    await kit.deploy(GOOD, headers={"Idempotency-Key": "k"})
    response = await kit.deploy(GOOD | {"env": "staging"}, headers={"Idempotency-Key": "k"})
    assert (response.status_code, problem_of(response)["code"]) == (422, "GP935")
    assert len(kit.starter.orders) == 1


async def test_keys_of_two_tokens_have_nothing_to_do_with_each_other(kit: Kit) -> None:
    body = GOOD | {"env": "staging"}
    for token in ("oncall-secret", "ci-secret"):
        assert (await kit.deploy(body, token, {"Idempotency-Key": "k"})).status_code == 202
    assert len(kit.starter.orders) == 2


async def test_without_a_key_each_request_is_a_new_one(kit: Kit) -> None:
    for _ in range(2):
        await kit.deploy(GOOD)
    assert len(kit.starter.orders) == 2


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a\tb"])
async def test_a_key_that_is_none_is_refused(kit: Kit, key: str) -> None:
    assert problem_of(await kit.deploy(GOOD, headers={"Idempotency-Key": key}))["code"] == "GP933"


async def test_an_engine_that_is_away_is_said_and_the_key_can_be_used_again(kit: Kit) -> None:
    kit.starter.broken = GopubError("GP918", "the Prefect server does not answer")
    response = await kit.deploy(GOOD, headers={"Idempotency-Key": "k"})
    assert (response.status_code, problem_of(response)["code"]) == (503, "GP918")
    assert response.headers["retry-after"] == "10"
    assert kit.parts.deliveries.waiting() == []  # the client was told: nothing may start behind its back
    kit.starter.broken = None
    assert (await kit.deploy(GOOD, headers={"Idempotency-Key": "k"})).status_code == 202


async def test_a_fault_of_ours_tells_nothing_of_its_inside(kit: Kit) -> None:
    kit.starter.broken = RuntimeError("secret inside")
    response = await kit.deploy(GOOD)
    assert response.status_code == 500
    assert problem_of(response) == {"type": "about:blank", "title": "Internal Server Error", "status": 500}


async def test_a_run_can_be_looked_at(kit: Kit) -> None:
    location = (await kit.deploy(GOOD)).headers["location"]
    response = await kit.client.get(location, headers={"Authorization": "Bearer oncall-secret"})
    assert response.status_code == 200
    Draft202012Validator(schemas.schema("run")).validate(response.json())
    assert response.json()["app"] == "orders"


async def test_a_run_of_others_cannot_be_looked_at(kit: Kit) -> None:
    location = (await kit.deploy(GOOD)).headers["location"]
    assert problem_of(await kit.client.get(location))["code"] == "GP930"
    response = await kit.client.get(location, headers={"Authorization": "Bearer ci-secret"})
    assert problem_of(response)["code"] == "GP931"


async def test_an_unknown_run_and_an_unknown_path_are_problems(kit: Kit) -> None:
    auth = {"Authorization": "Bearer oncall-secret"}
    assert problem_of(await kit.client.get("/v1/runs/nothing", headers=auth))["code"] == "GP937"
    assert problem_of(await kit.client.get("/v2"))["title"] == "Not Found"
    assert problem_of(await kit.client.get("/v1/deploy"))["status"] == 405


async def test_health_needs_no_token(kit: Kit) -> None:
    response = await kit.client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "waiting": 0})


async def test_the_request_is_described_where_clients_look_for_it(kit: Kit) -> None:
    described = (await kit.client.get("/openapi.json")).json()["paths"]["/v1/deploy"]["post"]["requestBody"]
    shown = described["content"]["application/json"]["schema"]
    assert shown["required"] == ["app", "version", "env"]
    assert set(shown["properties"]) == set(DeployRequest.model_fields)
    kept = {key: value for key, value in schemas.schema("deploy-request").items() if not key.startswith("$")}
    assert kept == DeployRequest.model_json_schema()
