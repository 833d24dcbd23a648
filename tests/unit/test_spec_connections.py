"""Connections: which file wins, what a name means, and how a secret is revealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.errors import SpecError, UsageError
from gopub.evidence.backends.key import Key
from gopub.fleet.backends.ssh import Ssh
from gopub.fleet.inventory.backends.ansible import Inventory
from gopub.health.backends.journald import Journald
from gopub.health.backends.prometheus import Prometheus
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import SecretRef
from gopub.spec.loader import parse_spec
from gopub.spec.references import broken
from gopub.store.backends.directory import Directory
from gopub.store.backends.s3 import S3
from gopub.telemetry import REDACTOR
from gopub.traffic.backends.nginx import Nginx
from gopub.wiring.backends import BACKENDS
from gopub.wiring.project import load_connections

EVERY_KIND = """\
artifacts: {kind: directory, path: ~/artifacts}
artifacts-prod:
  kind: s3
  endpoint: s3.corp:9000
  bucket: releases
  access_key: {env: GOPUB_TEST_KEY}
  secret_key: {file: secrets/s3}
  region: eu-central-1
  secure: false
  public_endpoint: 198.18.0.1:9000
lab: {kind: inventory, path: deploy/hosts.ini}
edge-lab: {kind: nginx, inventory: lab, hosts: role=edge, metrics: prometheus-lab, logs: journald}
prometheus-lab: {kind: prometheus, url: "http://198.18.0.1:9090", token: {env: PROM_TOKEN}, timeout: 3s}
journald: {kind: journald}
hosts:
  {kind: ssh, user: deploy, port: 2222, key: id_ed25519, known_hosts: /etc/ssh/known, sudo: true, proxy_jump: bastion}
release-key: {kind: key, private: {file: release.key}, public: release.pub}
"""


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOPUB_CONNECTIONS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_every_kind_is_read_with_paths_beside_its_file(tmp_path: Path) -> None:
    made = parse_connections(EVERY_KIND, "connections.yaml", tmp_path, BACKENDS)
    assert made["artifacts"] == Directory(path=tmp_path / "home/artifacts")
    assert made["artifacts-prod"] == S3(
        endpoint="s3.corp:9000",
        bucket="releases",
        access_key=SecretRef(env="GOPUB_TEST_KEY"),
        secret_key=SecretRef(file=tmp_path / "secrets/s3"),
        region="eu-central-1",
        secure=False,
        public_endpoint="198.18.0.1:9000",
    )
    assert made["lab"] == Inventory(path=tmp_path / "deploy/hosts.ini")
    assert made["edge-lab"] == Nginx(inventory="lab", hosts="role=edge", metrics="prometheus-lab", logs="journald")
    assert made["prometheus-lab"] == Prometheus(
        url="http://198.18.0.1:9090", token=SecretRef(env="PROM_TOKEN"), timeout="3s"
    )
    assert made["journald"] == Journald()
    assert made["hosts"] == Ssh(
        user="deploy",
        port=2222,
        key=tmp_path / "id_ed25519",
        known_hosts="/etc/ssh/known",
        sudo=True,
        proxy_jump="bastion",
    )
    assert made["release-key"] == Key(private=SecretRef(file=tmp_path / "release.key"), public=tmp_path / "release.pub")


def test_the_file_that_is_named_wins_then_project_then_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = "{{kind: inventory, path: {0}}}\n"
    write(tmp_path / "config/gopub/connections.yaml", "".join(f"{n}: " + entry.format("user") for n in "abc"))
    write(tmp_path / "project/connections.yaml", "".join(f"{n}: " + entry.format("project") for n in "ab"))
    named = write(tmp_path / "named.yaml", "a: " + entry.format("named"))
    monkeypatch.setenv("GOPUB_CONNECTIONS", str(named))
    found = load_connections(tmp_path / "project")
    assert found.get("a", Inventory).path == tmp_path / "named"
    assert found.get("b", Inventory).path == tmp_path / "project/project"
    assert found.get("c", Inventory).path == tmp_path / "config/gopub/user"


def test_a_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_CONNECTIONS", str(tmp_path / "missing.yaml"))
    with pytest.raises(SpecError, match="GP110 there is no such file"):
        load_connections(tmp_path)


def test_some_connections_need_no_file(tmp_path: Path) -> None:
    found = load_connections(tmp_path)
    assert found.get("directory", Directory, S3) == Directory(path=tmp_path / "state/gopub/store")
    assert found.get("journald", Journald) == Journald()
    assert found.get("ssh", Ssh) == Ssh()


def test_an_inventory_is_a_connection_or_a_file_beside_gopub_yaml(tmp_path: Path) -> None:
    write(tmp_path / "connections.yaml", "lab: {kind: inventory, path: lab.ini}\n")
    hosts = write(tmp_path / "deploy/hosts.ini", "")
    found = load_connections(tmp_path)
    assert found.inventory("lab") == Inventory(path=tmp_path / "lab.ini")
    assert found.inventory("deploy/hosts.ini") == Inventory(path=hosts)
    assert found.inventory(str(hosts)) == Inventory(path=hosts)
    with pytest.raises(SpecError, match="GP140") as caught:
        found.inventory("deploy/host.ini")
    assert str(tmp_path / "connections.yaml") in str(caught.value)


def test_an_unknown_name_is_answered_with_a_near_one_of_the_same_kind(tmp_path: Path) -> None:
    write(tmp_path / "connections.yaml", "prom-prod: {kind: journald}\nprom-prd: {kind: prometheus, url: http://p:1}\n")
    with pytest.raises(SpecError) as caught:
        load_connections(tmp_path).get("prom-pro", Prometheus)
    assert caught.value.code == "GP140"
    assert caught.value.hint.startswith("did you mean prom-prd? ")


def test_a_connection_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_connections(tmp_path).get("journald", Directory, S3)
    assert str(caught.value) == (
        "GP141 the connection 'journald' is of kind journald, and directory or s3 is needed\n"
        "hint: connections of kind directory or s3: directory"
    )


def test_a_secret_is_read_when_it_is_revealed_and_masked_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPUB_TEST_KEY", "correct-horse-battery")
    by_file = SecretRef(file=write(tmp_path / "secret", "staple-of-the-battery\n"))
    assert SecretRef(env="GOPUB_TEST_KEY").reveal() == "correct-horse-battery"
    assert by_file.reveal() == "staple-of-the-battery"
    assert REDACTOR.clean("correct-horse-battery staple-of-the-battery") == "********** **********"


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (SecretRef(env="GOPUB_TEST_UNSET"), "environment variable GOPUB_TEST_UNSET holds no secret"),
        (SecretRef(file="/nonexistent/secret"), "file /nonexistent/secret cannot be read: no such file or directory"),
        (SecretRef(file="/dev/null"), "file /dev/null holds no secret"),
    ],
)
def test_a_secret_that_is_not_there_is_told(reference: SecretRef, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        reference.reveal()
    assert (caught.value.code, caught.value.problem) == ("GP142", problem)


def test_a_secret_reference_shows_where_and_never_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_TEST_KEY", "correct-horse-battery")
    reference = SecretRef(env="GOPUB_TEST_KEY")
    reference.reveal()
    assert "correct" not in f"{reference!r} {reference} {reference.model_dump()}"


COUNTED = """\
app: orders
environments:
  prod:
    inventory: hosts.ini
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
    traffic: ROUTER
    judge: {JUDGE}
"""
ROUTERS = """\
hosts: {kind: inventory, path: hosts.ini}
prom: {kind: prometheus, url: "http://198.18.0.1:9090"}
ours: {kind: edges}
alone: {kind: nginx, inventory: hosts, hosts: role=edge}
themselves: {kind: nginx, inventory: hosts, hosts: role=edge, metrics: ours}
scraped: {kind: nginx, inventory: hosts, hosts: role=edge, metrics: prom}
"""
OWN = """metrics: [{name: lost, kind: gauge, query: 'a{host=~"{{ hosts }}"}'}]"""


@pytest.mark.parametrize(
    ("router", "judge", "told"),
    [
        ("alone", OWN, "judge.metrics"),
        ("alone", f"source: edges, {OWN}", "judge.metrics"),
        ("themselves", f"source: ours, {OWN}", "judge.metrics"),
        ("alone", "budget: {freeze_below: 10%}", "judge.budget"),
        ("alone", "budget: {burn: article}", "judge.budget"),
        ("scraped", f"source: edges, budget: {{freeze_below: 10%}}, {OWN}", ""),
        ("alone", f"source: prom, budget: {{freeze_below: 10%}}, {OWN}", ""),
        ("alone", "source: edges, budget: {burn: ignore}", ""),
        ("alone", "endpoints: auto", "judge.endpoints"),
        ("alone", "endpoints: [/a, auto]", "judge.endpoints"),
        ("alone", "endpoints: [/a]", ""),
        ("scraped", "endpoints: auto", ""),
    ],
)
def test_what_only_a_prometheus_can_answer_wants_one(tmp_path: Path, router: str, judge: str, told: str) -> None:
    write(tmp_path / "connections.yaml", ROUTERS)
    loaded = parse_spec(COUNTED.replace("ROUTER", router).replace("JUDGE", judge), "gopub.yaml")
    found = [error for error in broken(loaded, load_connections(tmp_path)) if error.code != "GP144"]
    assert [error.code for error in found] == (["GP150"] if told else [])
    assert all(f"`environments.prod.{told}`" in error.problem and router in error.hint for error in found)
