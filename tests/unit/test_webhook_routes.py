"""POST /v1/hooks/gitlab: every delivery starts its run once, whatever is repeated, late, forged or away."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.api.hook import GIVE_UP_AFTER, LIMIT, keep_starting, start_waiting
from deployments.deliveries import Delivery
from deployments.hooks.signing import HookSecrets, sign
from deployments.starter import RunOrder, RunView
from gopub.errors import GopubError
from tests.unit.apikit import HOOK_TOKEN, OFFERED, Kit, RecordingStarter, make_kit

HERE = Path(__file__).parent / "webhooks"
SIGNING = "whsec_" + base64.b64encode(b"s" * 32).decode()
AWAY = GopubError("GP918", "the Prefect server does not answer")


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


def payload(name: str = "push.json", **changes: Any) -> bytes:
    return json.dumps(json.loads((HERE / name).read_text()) | changes).encode()


def headers(delivery: str = "d-1", token: str = HOOK_TOKEN) -> dict[str, str]:
    return {"X_Gitlab_Token": token, "X_Gitlab_Event": "Push Hook", "Idempotency_Key": delivery}


async def test_a_push_starts_one_run(kit: Kit) -> None:
    response = await kit.hook(payload(), **headers())
    assert response.status_code == 202
    assert response.json() == {
        "status": "started",
        "runs": [{"id": "run-1", "name": "orders-staging", "app": "orders", "env": "staging"}],
    }
    (order,) = kit.starter.orders
    assert (order.env, order.key) == ("staging", "gitlab:d-1:orders:staging")


async def test_a_tag_push_starts_its_version(kit: Kit) -> None:
    await kit.hook(payload("tag_push.json"), **headers())
    (order,) = kit.starter.orders
    assert (order.env, order.parameters["ref"]) == ("prod", "refs/tags/v2.3.0")


async def test_a_repeated_delivery_starts_nothing_and_is_answered_with_2xx(kit: Kit) -> None:
    answers = [await kit.hook(payload(), **headers()) for _ in range(50)]
    assert len(kit.starter.orders) == 1
    assert [answer.status_code for answer in answers] == [202] + [200] * 49
    assert answers[1].json() == answers[0].json() | {"status": "repeated"}


async def test_deliveries_at_the_same_moment_start_one_run(kit: Kit) -> None:
    answers = await asyncio.gather(*(kit.hook(payload(), **headers()) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len(kit.starter.orders) == 1


async def test_a_repeated_delivery_is_known_after_a_restart(kit: Kit, tmp_path: Path) -> None:
    await kit.hook(payload(), **headers())
    kit.parts.deliveries.close()
    restarted = make_kit(tmp_path)
    response = await restarted.hook(payload(), **headers())
    assert (response.status_code, response.json()["status"]) == (200, "repeated")
    assert restarted.starter.orders == []


@pytest.mark.parametrize("names", [{}, {"X_Gitlab_Event_UUID": "event-1"}])
async def test_without_an_id_the_body_tells(kit: Kit, names: dict[str, str]) -> None:
    for body in (payload(), payload(), payload(ref="refs/heads/release/v2.4")):
        await kit.hook(body, X_Gitlab_Token=HOOK_TOKEN, **names)
    assert len(kit.starter.orders) == 2


async def test_another_delivery_is_another_run(kit: Kit) -> None:
    for delivery in ("d-1", "d-2"):
        await kit.hook(payload(), **headers(delivery))
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
    assert kit.starter.orders == []


@pytest.mark.parametrize("token", ["", "hook-token-123", "hook-token-12345"])
async def test_a_forged_delivery_is_refused(kit: Kit, token: str) -> None:
    response = await kit.hook(payload(), **headers(token=token))
    assert (response.status_code, response.json()["code"]) == (401, "GP938")
    assert kit.starter.orders == []
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
    assert len(kit.starter.orders) == 1


async def test_a_body_that_is_no_event_is_a_problem(kit: Kit) -> None:
    response = await kit.hook(b"ref=main", **headers())
    assert (response.status_code, response.json()["code"]) == (422, "GP933")


async def test_a_body_over_the_limit_is_refused(kit: Kit) -> None:
    response = await kit.hook(b" " * (LIMIT + 1), **headers())
    assert (response.status_code, response.json()["code"]) == (413, "GP936")


async def test_while_the_engine_is_away_a_delivery_waits_and_is_started_later(kit: Kit, tmp_path: Path) -> None:
    kit.starter.broken = AWAY
    response = await kit.hook(payload(), **headers())
    assert (response.status_code, response.json()) == (202, {"status": "waiting", "runs": []})
    assert (await kit.client.get("/healthz")).json()["waiting"] == 1
    assert await start_waiting(kit.parts) == 1

    kit.parts.deliveries.close()
    restarted = make_kit(tmp_path)
    assert await start_waiting(restarted.parts) == 0
    assert [order.key for order in restarted.starter.orders] == ["gitlab:d-1:orders:staging"]
    assert await start_waiting(restarted.parts) == 0
    assert len(restarted.starter.orders) == 1
    assert (await restarted.hook(payload(), **headers())).json()["status"] == "repeated"


async def test_a_repeated_delivery_tries_again_what_waits(kit: Kit) -> None:
    kit.starter.broken = AWAY
    await kit.hook(payload(), **headers())
    kit.starter.broken = None
    assert (await kit.hook(payload(), **headers())).json()["status"] == "started"


async def test_a_day_is_the_longest_wait(kit: Kit) -> None:
    kit.starter.broken = AWAY
    await kit.hook(payload(), **headers())
    await kit.clock.sleep(GIVE_UP_AFTER + 1)
    assert await start_waiting(kit.parts) == 0
    kit.starter.broken = None
    assert (await kit.hook(payload(), **headers())).json() == {"status": "repeated", "runs": [], "given_up": True}
    assert kit.starter.orders == []


NONSENSE = ValueError("an answer that no client expects")


class Choosy(RecordingStarter):
    """An engine that answers one delivery with nonsense."""

    async def start(self, order: RunOrder) -> RunView:
        if order.key.startswith("gitlab:d-1"):
            raise NONSENSE
        return await RecordingStarter.start(self, order)


async def test_a_delivery_that_fails_in_a_new_way_is_kept_and_holds_up_none_after_it(kit: Kit) -> None:
    kit.starter.broken = NONSENSE
    for delivery in ("d-1", "d-2"):
        response = await kit.hook(payload(), **headers(delivery))
        assert (response.status_code, response.json()) == (202, {"status": "waiting", "runs": []})
    choosy = Choosy()
    assert await start_waiting(replace(kit.parts, starter=choosy)) == 1
    assert [order.key for order in choosy.orders] == ["gitlab:d-2:orders:staging"]


async def test_starting_goes_on_after_the_file_of_deliveries_could_not_be_read(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.starter.broken = AWAY
    await kit.hook(payload(), **headers())
    kit.starter.broken = None
    waiting, until, tries = kit.parts.deliveries.waiting, kit.clock.now() + 3600, []

    def locked() -> list[Delivery]:
        tries.append(kit.clock.now())
        if kit.clock.now() < until:
            raise sqlite3.OperationalError("database is locked")
        return waiting()

    monkeypatch.setattr(kit.parts.deliveries, "waiting", locked)
    task = asyncio.create_task(keep_starting(kit.parts))
    while not task.done() and not kit.starter.orders:
        await asyncio.wait([task], timeout=0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert [order.key for order in kit.starter.orders] == ["gitlab:d-1:orders:staging"]
    assert len(tries) < 30  # less and less often: an hour of tries every 5 s would be 720


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
    said = answer.json()
    assert (answer.status_code, said["status"], said["runs"], kit.starter.orders) == (202, "refused", [], [])
    assert [one["code"] for one in said["refused"]] == [code]
    again = await kit.hook(payload(), **headers("d-2"))
    assert again.json()["status"] == "started"  # the control: a commit that the branch has
