"""Webhooks of every forge: who proved to be the sender, what starts, and what no stranger and no fork can start."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.hooks.forges import FORGES
from deployments.hooks.forges.bodies import LIMIT
from deployments.hooks.forges.gitee import sign
from deployments.hooks.forges.protocol import Ignored, Push
from deployments.hooks.signing import HookSecrets
from deployments.lint import flow_parameters
from deployments.projects import hook_secrets
from gopub.spec.projects import parse_projects
from tests.unit.apikit import OFFERED, PUSHED, Kit, make_kit

HERE = Path(__file__).parent / "webhooks"
SECRET = "s3cret-of-the-hook"
OTHER = "s3cret-of-another"
PROJECTS = """
apps:
  orders:
    repository: https://{forge}.example/trade/orders.git
    project: /srv/orders
    envs: [staging, prod]
    rules:
      - {{tag: "v*", env: prod}}
      - {{branch: "release/*", env: staging}}{more}
{forge}: {{{key}: {{env: HOOK}}}}
"""


@dataclass(frozen=True)
class Sender:
    """How deliveries of a forge are sent: its secrets, the headers that prove and name them, its documents by event."""

    forge: str
    key: str
    secrets: HookSecrets
    proof: Callable[[bytes, str, float], Mapping[str, str]]
    event: str
    pushes: Mapping[str, str]

    def headers(self, body: bytes, kind: str, *, secret: str = SECRET, now: float = 0.0) -> dict[str, str]:
        return {self.event: kind, **self.proof(body, secret, now), "content-type": "application/json"}


def mac(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def by_time(_body: bytes, secret: str, now: float) -> dict[str, str]:
    stamp = str(int(now * 1000))
    return {"x-gitee-timestamp": stamp, "x-gitee-token": sign(secret, stamp)}


SENDERS = {
    one.forge: one
    for one in (
        Sender("github", "secret", HookSecrets(signing=(SECRET,)),
               lambda body, secret, _: {"x-hub-signature-256": f"sha256={mac(body, secret)}"},
               "x-github-event", {"push": "push", "tag": "push"}),
        Sender("gitea", "secret", HookSecrets(signing=(SECRET,)),
               lambda body, secret, _: {"x-gitea-signature": mac(body, secret)},
               "x-gitea-event", {"push": "push", "tag": "push"}),
        Sender("gitee", "signing", HookSecrets(signing=(SECRET,)), by_time,
               "x-gitee-event", {"push": "Push Hook", "tag": "Tag Push Hook"}),
    )
}  # fmt: skip
WHEN = {
    ("github", "release"): ("release", "prod"),
    ("github", "workflow_run"): ("workflow_run", "staging"),
    ("github", "pull_request"): ("pull_request", "staging"),
    ("gitea", "release"): ("release", "prod"),
    ("gitea", "pull_request"): ("pull_request", "staging"),
    ("gitee", "merge_request"): ("Merge Request Hook", "staging"),
}
"""Events that a rule names by its fields: how the forge calls it, and where it goes."""


def document(forge: str, name: str, **changes: Any) -> bytes:
    return json.dumps(json.loads((HERE / forge / f"{name}.json").read_text()) | changes).encode()


def projects_of(sender: Sender, more: str = "") -> str:
    return PROJECTS.format(forge=sender.forge, key=sender.key, more=more)


@pytest.fixture(params=sorted(SENDERS))
def sender(request: pytest.FixtureRequest) -> Sender:
    return SENDERS[str(request.param)]


@pytest.fixture
def kit(tmp_path: Path, sender: Sender) -> Kit:
    return make_kit(tmp_path, {"orders": sender.secrets}, projects_of(sender))


async def send(kit: Kit, sender: Sender, name: str = "push", **how: Any) -> httpx.Response:
    """Deliver a document; ``body`` and ``headers`` take the place of what would be sent."""
    body = how.get("body") or document(sender.forge, name)
    kind = how.get("kind") or sender.pushes[name]
    told = how.get("headers") or sender.headers(body, kind, secret=how.get("secret", SECRET), now=kit.clock.now())
    return await kit.client.post(f"/v1/hooks/{sender.forge}", content=how.get("sent", body), headers=told)


async def test_a_push_of_a_branch_starts_its_commit(kit: Kit, sender: Sender) -> None:
    answer = await send(kit, sender)
    assert answer.status_code == 202, answer.text
    await kit.settle()
    (order,) = kit.starter.orders
    assert (order.app, order.env, order.parameters["ref"]) == ("orders", "staging", PUSHED)
    assert order.parameters["actor"] == f"{sender.forge}:lchen"
    assert order.parameters["reason"] == f"push of branch release/v2.3 ({PUSHED[:12]})"
    taken = flow_parameters(Path(__file__).parents[2] / "flows" / "deploy.py", "deploy")
    assert taken and set(order.parameters) <= set(taken)


async def test_a_pushed_tag_starts_by_its_name(kit: Kit, sender: Sender) -> None:
    assert (await send(kit, sender, "tag")).status_code == 202
    await kit.settle()
    (order,) = kit.starter.orders
    assert (order.env, order.parameters["ref"]) == ("prod", "refs/tags/v2.3.0")


@pytest.mark.parametrize(("forge", "event"), WHEN, ids=[" ".join(one) for one in WHEN])
async def test_other_events_start_by_their_rule(tmp_path: Path, forge: str, event: str) -> None:
    sender, (kind, env) = SENDERS[forge], WHEN[forge, event]
    rule = f"\n      - {{when: {{source: {forge}, type: {event}}}, env: {env}}}"
    kit = make_kit(tmp_path, {"orders": sender.secrets}, projects_of(sender, rule))
    answer = await send(kit, sender, event, body=document(forge, event), kind=kind)
    assert answer.status_code == 202, answer.text
    await kit.settle()
    (order,) = kit.starter.orders
    wanted = "refs/tags/v2.3.0" if env == "prod" else PUSHED
    assert (order.env, order.parameters["ref"]) == (env, wanted)
    without = make_kit(tmp_path / "control", {"orders": sender.secrets}, projects_of(sender))
    answer = await send(without, sender, event, body=document(forge, event), kind=kind)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored"), "control: no rule names it"


async def test_the_same_delivery_fifty_times_is_one_run(kit: Kit, sender: Sender) -> None:
    for number in range(50):
        body = document(sender.forge, "push")
        headers = sender.headers(body, sender.pushes["push"], now=kit.clock.now())
        answer = await send(kit, sender, headers={**headers, "x-github-delivery": str(number), "x-gitea-delivery": "x"})
        assert answer.status_code in {200, 202}
    await kit.settle()
    assert len(kit.starter.orders) == 1


async def test_a_delivery_of_weeks_ago_that_is_sent_again_is_known_while_its_row_is_kept(kit, sender) -> None:
    await send(kit, sender)
    await kit.settle()
    await kit.clock.sleep(6 * 86400)
    assert (await send(kit, sender)).json()["status"] == "repeated"
    assert len(kit.starter.orders) == 1


async def test_pushes_that_arrive_out_of_order_each_start_their_own_commit(kit: Kit, sender: Sender) -> None:
    """Which of them is the newer one the journal and the version say, not the order in which they came."""
    newer, older = "b" * 40, PUSHED
    kit.refs.push(newer)
    for commit in (newer, older):
        body = document(sender.forge, "push", after=commit, head_commit={"id": commit})
        assert (await send(kit, sender, body=body)).status_code == 202
    await kit.settle()
    assert [one.parameters["ref"] for one in kit.starter.orders] == [newer, older]


async def test_a_body_of_more_than_its_share_is_refused_before_it_is_read(kit: Kit, sender: Sender) -> None:
    body = document(sender.forge, "push", padding="x" * LIMIT)
    answer = await send(kit, sender, body=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "GP936")
    assert await kit.settle() == 0 and kit.starter.orders == []


async def test_a_signature_counts_for_no_other_event_than_its_body_has(tmp_path: Path) -> None:
    """GitHub signs no header: who caught a delivery can call it another event, and gains nothing by it."""
    sender = SENDERS["github"]
    wide = "".join(
        f"\n      - {{when: {{source: github, type: {event}}}, env: staging}}"
        for event in ("release", "workflow_run", "pull_request")
    )
    kit = make_kit(tmp_path, {"orders": sender.secrets}, projects_of(sender, wide))
    for name in ("push", "tag", "release", "workflow_run", "pull_request"):
        mine = sender.pushes.get(name, name)
        body = document("github", name)
        for kind in {"push", "release", "workflow_run", "pull_request"} - {mine}:
            answer = await send(kit, sender, body=body, headers=sender.headers(body, kind))
            assert (answer.status_code, answer.json()["code"]) == (422, "GP933"), f"{name} as {kind}"
    assert await kit.settle() == 0 and kit.starter.orders == []


@pytest.mark.parametrize("forge", ["github", "gitea"])
async def test_a_rule_tells_a_pre_release_from_a_release(tmp_path: Path, forge: str) -> None:
    sender = SENDERS[forge]
    rule = (
        f"""\n      - {{when: {{source: {forge}, type: release, match: {{release.prerelease: "false"}}}}, env: prod}}"""
    )
    whole = json.loads(document(forge, "release"))
    for number, (early, status) in enumerate(((True, "ignored"), (False, "queued"))):
        kit = make_kit(tmp_path / str(number), {"orders": sender.secrets}, projects_of(sender, rule))
        body = json.dumps(whole | {"release": whole["release"] | {"prerelease": early}}).encode()
        assert (await send(kit, sender, body=body, kind="release")).json()["status"] == status


FORGED: dict[str, Callable[[Sender, bytes, str, float], Mapping[str, str]]] = {
    "no proof": lambda sender, _body, kind, _now: {sender.event: kind},
    "another secret": lambda sender, body, kind, now: sender.headers(body, kind, secret=OTHER, now=now),
    "an empty proof": lambda sender, body, kind, now: (
        dict.fromkeys(sender.headers(body, kind, now=now), "") | {sender.event: kind}
    ),
    "GitLab's token": lambda sender, _body, kind, _now: {sender.event: kind, "x-gitlab-token": SECRET},
    "the secret itself": lambda sender, body, kind, now: (
        dict.fromkeys(sender.headers(body, kind, now=now), SECRET) | {sender.event: kind}
    ),
    "one bit off": lambda sender, body, kind, now: {
        name: value if name == sender.event else value[:-2] + ("0" if value[-2] != "0" else "1") + value[-1]
        for name, value in sender.headers(body, kind, now=now).items()
    },
    "a proof that is no text": lambda sender, body, kind, now: (
        dict.fromkeys(sender.headers(body, kind, now=now), "\xff\xfe") | {sender.event: kind}
    ),
}


@pytest.mark.parametrize("how", FORGED, ids=[name.replace(" ", "-") for name in FORGED])
async def test_who_proves_nothing_starts_nothing(kit: Kit, sender: Sender, how: str) -> None:
    body, kind = document(sender.forge, "push"), sender.pushes["push"]
    headers = FORGED[how](sender, body, kind, kit.clock.now())
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await kit.client.post(f"/v1/hooks/{sender.forge}", content=body, headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (401, "GP938")
    assert SECRET not in answer.text
    assert await kit.settle() == 0
    assert kit.starter.orders == []


async def test_a_proof_is_of_one_body_but_gitees(kit: Kit, sender: Sender) -> None:
    """Gitee signs the time alone, as the docs say: its signature is worth no more than TLS."""
    headers = sender.headers(b"{}", sender.pushes["push"], now=kit.clock.now())
    answer = await send(kit, sender, headers=headers)
    assert answer.status_code == (202 if sender.forge == "gitee" else 401)


async def test_sha1_proves_nothing(tmp_path: Path) -> None:
    sender = SENDERS["github"]
    kit = make_kit(tmp_path, {"orders": sender.secrets}, projects_of(sender))
    body = document("github", "push")
    old = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    for headers in ({"x-hub-signature": f"sha1={old}"}, {"x-hub-signature-256": f"sha1={old}"},
                    {"x-hub-signature-256": mac(body, SECRET)}):  # fmt: skip
        answer = await send(kit, sender, headers={"x-github-event": "push", **headers})
        assert answer.status_code == 401


@pytest.mark.parametrize("late", [-301.0, 301.0])
async def test_gitees_signature_counts_for_five_minutes(tmp_path: Path, late: float) -> None:
    sender = SENDERS["gitee"]
    kit = make_kit(tmp_path, {"orders": sender.secrets}, projects_of(sender))
    body = document("gitee", "push")
    for off, status in ((late, 401), (late * 0.9, 202)):
        headers = sender.headers(body, "Push Hook", now=kit.clock.now() + off)
        assert (await send(kit, sender, headers=headers)).status_code == status


@pytest.mark.parametrize("stamp", ["", "now", "1e99", "-1", "9" * 40, "٣", "1576754827988.5", " "])
async def test_gitees_signature_of_no_time_is_none(tmp_path: Path, stamp: str) -> None:
    gitee = FORGES["gitee"]
    headers = {"x-gitee-timestamp": stamp, "x-gitee-token": sign(SECRET, stamp)}
    assert gitee.refusal(HookSecrets(signing=(SECRET,)), headers, b"", 0.0) is not None


def test_gitees_signature_may_be_quoted_as_in_a_url() -> None:
    stamp = "1798101134000"
    for shown in (sign(SECRET, stamp), quote(sign(SECRET, stamp), safe="")):
        headers = {"x-gitee-timestamp": stamp, "x-gitee-token": shown}
        assert FORGES["gitee"].refusal(HookSecrets(signing=(SECRET,)), headers, b"", 1798101134.0) is None


def test_gitees_password_counts_unless_a_key_signs() -> None:
    gitee, headers = FORGES["gitee"], {"x-gitee-token": SECRET}
    assert gitee.refusal(HookSecrets(tokens=(SECRET,)), headers, b"", 0.0) is None
    assert gitee.refusal(HookSecrets(tokens=(OTHER,)), headers, b"", 0.0) is not None
    assert gitee.refusal(HookSecrets(tokens=(SECRET,), signing=(OTHER,)), headers, b"", 0.0) is not None
    assert gitee.refusal(HookSecrets(), headers, b"", 0.0) == "no secret is set up"


def test_gogs_and_forgejo_are_heard_as_gitea() -> None:
    body = document("gitea", "push")
    for name in ("gitea", "forgejo", "gogs"):
        headers = {f"x-{name}-event": "push", f"x-{name}-signature": mac(body, SECRET)}
        assert FORGES["gitea"].refusal(HookSecrets(signing=(SECRET,)), headers, body, 0.0) is None
        assert isinstance(FORGES["gitea"].read(headers, body), Push)


async def test_a_secret_of_one_forge_starts_no_app_of_another(tmp_path: Path) -> None:
    """Whoever holds the secret of GitHub's webhook could name any repository in a body of his own."""
    both = PROJECTS.format(forge="gitlab", key="token", more="").replace("    rules:", "    forge: gitlab\n    rules:")
    both += "github: {secret: {env: OTHER}}\n"
    kit = make_kit(tmp_path, {"orders": HookSecrets(tokens=(SECRET,), signing=())}, both)
    sender = SENDERS["github"]
    body = document("github", "push").replace(b"github.example", b"gitlab.example")
    for headers in (sender.headers(body, "push"), {"x-github-event": "push", "x-gitlab-token": SECRET}):
        answer = await kit.client.post("/v1/hooks/github", content=body, headers=headers)
        assert answer.status_code == 401
    mine = (HERE / "push.json").read_bytes()
    answer = await kit.client.post("/v1/hooks/gitlab", content=mine, headers={"x-gitlab-token": SECRET})
    assert answer.status_code == 202, "control: its own forge starts it"


async def test_another_repository_of_the_same_forge_is_not_the_apps(kit: Kit, sender: Sender) -> None:
    body = document(sender.forge, "push").replace(b"trade/orders", b"mallory/orders")
    answer = await send(kit, sender, body=body)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert "mallory/orders" in answer.json()["reason"]


async def test_the_same_path_on_another_host_is_not_the_apps(kit: Kit, sender: Sender) -> None:
    body = document(sender.forge, "push").replace(f"{sender.forge}.example".encode(), b"evil.example")
    assert (await send(kit, sender, body=body)).json()["status"] == "ignored"


async def test_a_deleted_branch_starts_nothing(kit: Kit, sender: Sender) -> None:
    for changes in (
        {"after": "0" * 40, "head_commit": None},
        {"after": "0" * 40, "head_commit": None, "deleted": True},
    ):
        answer = await send(kit, sender, body=document(sender.forge, "push", **changes))
        assert answer.json() == {"status": "ignored", "reason": "the branch 'release/v2.3' was deleted"}


async def test_a_commit_that_no_branch_of_the_repository_has_is_refused(kit: Kit, sender: Sender) -> None:
    head = {"id": OFFERED}
    answer = await send(kit, sender, body=document(sender.forge, "push", after=OFFERED, head_commit=head))
    assert answer.status_code == 202
    await kit.settle()
    assert kit.starter.orders == []


FORKS = {
    "a workflow of a fork": {"head_repository": {"full_name": "mallory/orders"}},
    "a workflow of a fork that was removed": {"head_repository": None},
    "a workflow that failed": {"conclusion": "failure"},
    "a workflow that was skipped": {"conclusion": "skipped"},
    "a workflow without an end": {"conclusion": None},
    "a workflow of no branch": {"head_branch": None},
}


@pytest.mark.parametrize("what", FORKS, ids=[name.replace(" ", "-") for name in FORKS])
def test_a_workflow_run_starts_nothing_unless_it_ran_well_for_the_repository_itself(what: str) -> None:
    whole = json.loads(document("github", "workflow_run"))
    whole["workflow_run"] |= FORKS[what]
    read = FORGES["github"].read({"x-github-event": "workflow_run"}, json.dumps(whole).encode())
    assert isinstance(read, Ignored)


@pytest.mark.parametrize(
    ("forge", "kind", "name", "change"),
    [
        ("github", "pull_request", "pull_request", {"action": "opened"}),
        ("github", "pull_request", "pull_request", {"pull_request": {"merged": False, "base": {"ref": "main"}}}),
        ("github", "release", "release", {"action": "created"}),
        ("github", "release", "release", {"release": {"tag_name": "v1", "draft": True}}),
        ("github", "ping", "ping", {}),
        ("github", "star", "ping", {}),
        ("gitea", "pull_request", "pull_request", {"action": "opened"}),
        ("gitea", "release", "release", {"action": "updated"}),
        ("gitea", "create", "push", {}),
        ("gitee", "Merge Request Hook", "merge_request", {"action": "open"}),
        ("gitee", "Note Hook", "push", {}),
    ],
)
def test_what_is_not_done_yet_starts_nothing(forge: str, kind: str, name: str, change: dict[str, Any]) -> None:
    assert isinstance(FORGES[forge].read({SENDERS[forge].event: kind}, document(forge, name, **change)), Ignored)


def test_a_merge_request_of_gitlab_is_the_commit_on_its_target() -> None:
    body = document("gitlab", "merge_request")
    merged = FORGES["gitlab"].read({}, body)
    assert isinstance(merged, Push)
    assert (merged.ref, merged.commit) == ("refs/heads/release/v2.3", PUSHED)
    whole = json.loads(body)
    whole["object_attributes"]["merge_commit_sha"] = None
    forward = FORGES["gitlab"].read({}, json.dumps(whole).encode())
    assert isinstance(forward, Push) and forward.commit == "e" * 40, "the branch was moved forward"
    for action in ("open", "update", "approved", "close", ""):
        whole["object_attributes"]["action"] = action
        assert isinstance(FORGES["gitlab"].read({}, json.dumps(whole).encode()), Ignored)


def test_a_tag_object_is_not_taken_for_its_commit() -> None:
    tag = FORGES["github"].read({"x-github-event": "push"}, document("github", "tag"))
    assert isinstance(tag, Push) and tag.commit == PUSHED


async def test_a_form_is_read_as_its_payload(tmp_path: Path) -> None:
    """What GitHub's own page chooses unless somebody looks."""
    sender = SENDERS["github"]
    kit = make_kit(tmp_path, {"orders": sender.secrets}, projects_of(sender))
    body = urlencode({"payload": document("github", "push").decode()}).encode()
    headers = sender.headers(body, "push") | {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert (await send(kit, sender, body=body, headers=headers)).status_code == 202
    for wrong in (b"", b"payload", b"payload=1&payload=2", b"other=1", b"%ff%fe", b"&" * 5000):
        headers = sender.headers(wrong, "push") | {"content-type": "application/x-www-form-urlencoded"}
        answer = await send(kit, sender, body=b"x", sent=wrong, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "GP933"), wrong


def test_no_rule_sees_the_webhooks_own_secret() -> None:
    for forge, kind, held in (("gitea", "push", "secret"), ("gitee", "Push Hook", "password")):
        body = document(forge, "push")
        assert held in json.loads(body)
        event = FORGES[forge].read({SENDERS[forge].event: kind}, body)
        assert isinstance(event, Push) and held not in event.event.fields and "sign" not in event.event.fields


BAD: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<xml/>",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "cut": document("github", "push")[:200],
    "ten thousand deep": b"[" * 10_000 + b"]" * 10_000,
    "no repository": document("github", "push", repository=None),
    "a repository that is text": document("github", "push", repository="trade/orders"),
    "a ref that is none": document("github", "push", ref="main"),
    "a ref with a line end": document("github", "push", ref="refs/heads/a\nb"),
    "a ref with NUL": document("github", "push", ref="refs/heads/a\x00b"),
    "a ref that climbs": document("github", "push", ref="refs/heads/../x"),
    "another kind of ref": document("github", "push", ref="refs/pull/1/merge"),
    "a ref that is a list": document("github", "push", ref=["refs/heads/main"]),
    "no commit": document("github", "push", after=None),
    "a commit that is a path": document("github", "push", after="../../etc/passwd"),
    "a commit that is short": document("github", "push", after="9a1f2c3", head_commit=None),
    "a commit with an option": document("github", "push", after="--upload-pack=x", head_commit=None),
    "lone surrogates": document("github", "push").replace(b"release/v2.3", b"\\ud800"),
    "twice the same key": b'{"ref": "refs/heads/a", "ref": "refs/heads/b"}',
    "bytes that are no UTF-8": document("github", "push").replace(b"lchen", b"\xff\xfe"),
}


@pytest.mark.parametrize("what", BAD, ids=[name.replace(" ", "-") for name in BAD])
async def test_a_body_that_is_no_event_is_refused_by_name_and_starts_nothing(kit, sender, what: str) -> None:
    body = BAD[what]
    headers = sender.headers(body, sender.pushes["push"], now=kit.clock.now())
    answer = await send(kit, sender, body=b"x", sent=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "GP933"), answer.text
    assert len(answer.text) < 2000
    assert await kit.settle() == 0 and kit.starter.orders == []


async def test_an_event_without_its_header_is_told(kit: Kit, sender: Sender) -> None:
    body = document(sender.forge, "push")
    headers = sender.headers(body, "push", now=kit.clock.now())
    del headers[sender.event]
    answer = await send(kit, sender, body=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "GP933")
    assert "there is no X-Git" in answer.json()["detail"] + answer.json().get("title", "")


async def test_a_forge_that_nobody_knows_has_no_address(kit: Kit) -> None:
    assert (await kit.client.post("/v1/hooks/bitbucket", content=b"{}")).status_code == 404
    described = (await kit.client.get("/openapi.json")).json()["paths"]
    assert {f"/v1/hooks/{name}" for name in FORGES} <= set(described)


@given(st.sampled_from(sorted(SENDERS)), st.binary(max_size=200), st.text(max_size=20))
def test_whatever_comes_is_read_ignored_or_refused(forge: str, body: bytes, kind: str) -> None:
    sender = SENDERS[forge]
    for said in (kind, *sender.pushes.values()):
        with suppress(ValueError):
            found = FORGES[forge].read({sender.event: said, "content-type": kind}, body)
            assert isinstance(found, Push | Ignored)


@given(st.data())
def test_a_document_with_any_field_of_another_kind_is_read_or_refused(data: st.DataObject) -> None:
    forge = data.draw(st.sampled_from(sorted(SENDERS)))
    whole = json.loads(document(forge, data.draw(st.sampled_from(["push", "tag"]))))
    field = data.draw(st.sampled_from(sorted(whole)))
    whole[field] = data.draw(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.just({})))
    for kind in SENDERS[forge].pushes.values():
        with suppress(ValueError):
            found = FORGES[forge].read({SENDERS[forge].event: kind}, json.dumps(whole).encode())
            assert isinstance(found, Push | Ignored)


def test_secrets_are_read_for_each_forge(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOOK", "BEFORE"):
        monkeypatch.setenv(name, f"{name.lower()}-secret")
    for sender in SENDERS.values():
        text = projects_of(sender).replace("{env: HOOK}", "{env: HOOK}, previous_" + sender.key + ": {env: BEFORE}")
        found = hook_secrets(parse_projects(text, "projects.yaml"))
        assert found == {"orders": HookSecrets(signing=("hook-secret", "before-secret"))}
    text = projects_of(SENDERS["gitee"]).replace("signing:", "password:")
    assert hook_secrets(parse_projects(text, "projects.yaml")) == {"orders": HookSecrets(tokens=("hook-secret",))}


async def test_a_secret_that_is_being_changed_counts_in_both_forms(tmp_path: Path, sender: Sender) -> None:
    both = HookSecrets(signing=(SECRET, OTHER))
    kit = make_kit(tmp_path, {"orders": both}, projects_of(sender))
    for secret in (SECRET, OTHER):
        body = document(sender.forge, "push", compare=secret)
        assert (await send(kit, sender, body=body, secret=secret)).status_code == 202
