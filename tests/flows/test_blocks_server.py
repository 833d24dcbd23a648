"""Flows on a real Prefect server whose connections are Blocks alone, made through the server's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gopub.clock import SystemClock
from gopub.errors import Exit
from gopub.evidence.keys import KeyFiles, generate
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.journal.streams import env_stream
from gopub.plan.model import Outcome
from tests.flows.serverkit import Stack, changes, go_repository, run_sync, start
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.go,
    # gopub.process.spawn starts programs that outlive us, and subprocess warns when it forgets one of them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
TOKEN = "prometheus-token-in-a-block"
SPEC = """\
app: small
build: {test: false}
evidence: {sign: {key: the-key}}
publish: {store: the-store}
environments:
  prod:
    inventory: the-fleet
    hosts: role=app
    health: http://127.0.0.1:8080/healthz
    traffic: the-edges
    admit: {key: ../keys/gopub.pub}
  # the same, but for one letter
  typo: {inventory: the-flet, hosts: role=app, health: "http://127.0.0.1:8080/healthz", admit: {key: ../keys/gopub.pub}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made: Stack = run_sync(start(tmp_path_factory.mktemp("stack")))
    changes(run_sync(made.gopub("setup", "--server", made.server.ui, "--json")))
    run_sync(made.without_schedules())
    yield made
    run_sync(made.stop())


@pytest.fixture(scope="module")
def keys(stack: Stack) -> KeyFiles:
    return generate(stack.folder / "keys")


@pytest.fixture(scope="module")
def project(stack: Stack, keys: KeyFiles) -> Path:
    """A repository whose names are all Blocks; hosts.ini lies outside of it, where its Block says."""
    folder = stack.folder / "small"
    run_sync(go_repository(folder, SPEC))
    hosts = stack.folder / "hosts.ini"
    hosts.write_text("[app]\nweb-1 role=app ansible_host=127.0.0.1\nedge-1 role=edge ansible_host=127.0.0.1\n")
    port = free_port()
    pem = keys.private.read_text()
    run_sync(stack.block("directory", "the-store", {"path": str(stack.folder / "store")}))
    run_sync(stack.block("key", "the-key", {"private": pem, "public": str(keys.public)}))
    run_sync(stack.block("inventory", "the-fleet", {"path": str(hosts)}))
    edges = {"inventory": "the-fleet", "hosts": "role=edge", "metrics": "the-metrics"}
    run_sync(stack.block("nginx", "the-edges", edges))
    run_sync(stack.block("prometheus", "the-metrics", {"url": "http://127.0.0.1:9", "token": TOKEN}))
    run_sync(stack.block("ssh", "ssh", {"user": "of-the-block", "port": port}))
    return folder


@pytest.fixture(scope="module")
def released(stack: Stack, project: Path) -> dict[str, Any]:
    """The run of the deployment `release` that a worker carried out."""
    run_sync(stack.worker("worker"))
    one = run_sync(stack.deployment("release/release"))
    body = {"parameters": {"repository": str(project), "project": str(project), "version": "1.0.0"}}
    made = run_sync(stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=body))
    ended: dict[str, Any] = run_sync(stack.ended(made["id"]))
    return ended


async def test_a_release_started_on_the_server_uses_blocks_alone(stack: Stack, released: dict[str, Any]) -> None:
    assert released["state_type"] == "COMPLETED", released["state"]["message"]
    assert (stack.folder / "store/apps/small/1.0.0").exists()


async def test_it_was_signed_with_the_key_of_the_block(stack: Stack, released: dict[str, Any], keys: KeyFiles) -> None:
    verify = ("verify", "1.0.0", "--app", "small", "--store", str(stack.folder / "store"), "--key")
    right = await stack.gopub(*verify, str(keys.public))
    wrong = await stack.gopub(*verify, str(generate(stack.folder / "other").public))
    assert right.code == 0, right.complaint
    assert wrong.code != 0


def contents(path: Path) -> str:
    """What lies there, the server's encrypted database too; one that is let go of takes files of its own away."""
    with suppress(FileNotFoundError, IsADirectoryError):
        return path.read_text("utf-8", errors="replace")
    return ""


async def test_secrets_of_blocks_are_in_nothing_that_the_server_keeps(stack: Stack, released, keys: KeyFiles) -> None:
    rollout = await stack.gopub("rollout", "1.0.0", "--env", "prod", "--file", str(stack.folder / "small/gopub.yaml"))
    kept = [await stack.ask("POST", f"/{what}/filter", json={})
            for what in ("logs", "artifacts", "flow_runs", "task_runs")]  # fmt: skip
    told = json.dumps(kept) + rollout.text + rollout.complaint
    files = "".join(contents(path) for path in stack.folder.rglob("*") if path != keys.private)
    assert released["id"] in told  # the control: what was looked through is about these runs
    pem = keys.private.read_text().splitlines()[1]
    for secret in (TOKEN, pem):
        assert secret not in told
        assert secret not in files


async def test_a_rollout_reaches_for_the_hosts_of_the_block(stack: Stack, project: Path, released) -> None:
    said = await stack.gopub("rollout", "1.0.0", "--env", "prod", "--file", str(project / "gopub.yaml"))
    assert "GP720" in said.complaint
    assert "web-1" in said.complaint


async def test_routes_are_asked_of_the_edges_of_the_block(stack: Stack, project: Path, released) -> None:
    said = await stack.gopub("route", "show", "--env", "prod", "--file", str(project / "gopub.yaml"))
    assert said.code == Exit.PARTIAL, said.complaint
    assert "edge-1" in said.text


async def test_an_older_version_is_deployed_only_when_that_is_asked_for(stack: Stack, project: Path, released) -> None:
    closed = ev.EnvClosed("earlier", Outcome.PROMOTED, "a" * 64, "1.2.0")
    journal = stack.folder / "older.db"
    open_journal(str(journal), SystemClock()).append(env_stream("small", "prod"), 0, [closed], actor="t")
    deploy = ("deploy", "--version", "1.0.0", "--env", "prod", "--file", str(project / "gopub.yaml"))
    refused = await stack.gopub(*deploy, extra={"GOPUB_JOURNAL": str(journal)})
    asked_for = await stack.gopub(*deploy, "--downgrade", extra={"GOPUB_JOURNAL": str(journal)})
    assert refused.code == Exit.REFUSED, refused.complaint
    assert "GP730 small 1.0.0 is older than 1.2.0, which is stable in prod" in refused.complaint
    assert "GP720" not in refused.complaint  # no host was asked
    assert "GP720" in asked_for.complaint


async def test_a_name_that_is_nowhere_says_that_both_places_were_looked_into(stack: Stack, project: Path, released):
    said = await stack.gopub("rollout", "1.0.0", "--env", "typo", "--file", str(project / "gopub.yaml"))
    assert "GP140 there is no connection 'the-flet' of kind inventory" in said.complaint
    assert str(project / "connections.yaml") in said.complaint
    assert f"and the Prefect Blocks of {stack.server.url}" in said.complaint


async def test_check_finds_blocks_too(stack: Stack, project: Path) -> None:
    said = await stack.gopub("check", "--env", "prod", "--file", str(project / "gopub.yaml"))
    assert "prod: 1 of 2 hosts" in said.complaint


async def test_a_file_hides_the_block_of_the_same_name(stack: Stack, project: Path) -> None:
    (stack.folder / "two.ini").write_text("[app]\nweb-1 role=app\nweb-2 role=app\nedge-1 role=edge\n")
    (project / "connections.yaml").write_text(f"the-fleet: {{kind: inventory, path: {stack.folder}/two.ini}}\n")
    said = await stack.gopub("check", "--env", "prod", "--file", str(project / "gopub.yaml"))
    (project / "connections.yaml").unlink()
    assert "prod: 2 of 3 hosts" in said.complaint


async def test_a_server_that_is_away_is_told_and_only_where_it_is_needed(stack: Stack, project: Path) -> None:
    away = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    alone = ("check", "--env", "prod", "--file", str(project / "gopub.yaml"))
    missing = await stack.gopub(*alone, extra=away)
    (stack.folder / "all.yaml").write_text(
        f"the-store: {{kind: directory, path: s}}\nthe-fleet: {{kind: inventory, path: {stack.folder}/hosts.ini}}\n"
        "the-key: {kind: key, private: {env: K}, public: k}\nthe-metrics: {kind: prometheus, url: 'http://127.0.0.1:9'}\n"
        "the-edges: {kind: nginx, inventory: the-fleet, hosts: role=edge, metrics: the-metrics}\n"
    )
    given = await stack.gopub(*alone, extra={**away, "GOPUB_CONNECTIONS": str(stack.folder / "all.yaml")})
    assert "GP928" in missing.complaint
    assert away["PREFECT_API_URL"] in missing.complaint
    assert "prod: 1 of 2 hosts" in given.complaint
