"""How a lab is laid out: names, addresses, files."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.errors import GopubError, UsageError
from gopub.lab import files
from gopub.lab.layout import NETWORK, LabHost, Layout, check_name, free_subnet, from_json, place, to_json
from gopub.spec.selector import parse_selector
from gopub.wiring.project import load_connections

HOME = Path("/state/lab/demo")


def layout(hosts: int = 2, edges: int = 1) -> Layout:
    return Layout("demo", HOME, "198.18.7", place(hosts, edges, "198.18.7"), (9102, 9103), (12, 34), "base-x")


def test_every_host_has_an_address_of_its_own_in_the_test_network() -> None:
    hosts = place(200, 8, "198.19.255")
    addresses = [ipaddress.ip_address(h.address) for h in hosts]
    assert len(set(addresses)) == len(hosts) == 208
    assert all(a in NETWORK for a in addresses)
    assert ipaddress.ip_address("198.19.255.1") not in addresses  # the machine's own


@pytest.mark.parametrize(("hosts", "edges"), [(0, 0), (-1, 1), (201, 1), (4, 9)])
def test_a_lab_of_an_impossible_size_is_refused(hosts: int, edges: int) -> None:
    with pytest.raises(UsageError, match="GP803 a lab cannot have"):
        place(hosts, edges, "198.18.7")


@pytest.mark.parametrize("name", ["", "A", "1a", "a/b", "..", "a" * 31, "a b", "-a"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="GP803"):
        check_name(name)


def test_links_have_names_that_the_kernel_takes() -> None:
    big = layout(200, 8)
    for host in big.hosts:
        assert len(big.cable(host)) <= 15
    assert len(big.bridge) <= 15
    assert len({big.cable(host) for host in big.hosts}) == 208


def test_two_labs_share_no_link_name_and_no_subnet() -> None:
    other = Layout("other", Path("/state/lab/other"), "198.18.8", place(2, 1, "198.18.8"))
    assert {layout().bridge, *map(layout().cable, layout().hosts)}.isdisjoint(
        {other.bridge, *map(other.cable, other.hosts)}
    )
    first = free_subnet(HOME, ())
    assert free_subnet(HOME, ()) == first
    assert free_subnet(HOME, (f"{first}.1/24",)) != first


@given(st.lists(st.integers(0, 511), unique=True, max_size=511))
def test_a_free_subnet_is_free(numbers: list[int]) -> None:
    taken = [f"{NETWORK.network_address + 256 * n + 1}/24" for n in numbers]
    found = ipaddress.ip_network(f"{free_subnet(HOME, taken)}.0/24")
    assert found.subnet_of(NETWORK)  # type: ignore[arg-type]
    assert not any(found.overlaps(ipaddress.ip_interface(t).network) for t in taken)


def test_without_a_free_subnet_it_says_so() -> None:
    with pytest.raises(GopubError, match="GP805"):
        free_subnet(HOME, ["198.18.0.1/15"])


def test_the_state_file_reads_back_as_it_was_written() -> None:
    assert from_json(json.loads(json.dumps(to_json(layout()))), HOME) == layout()


def test_a_state_file_of_another_version_is_not_read() -> None:
    with pytest.raises(ValueError, match="2"):
        from_json({**to_json(layout()), "version": 2}, HOME)


def test_an_unknown_host_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(UsageError, match="has no host 'app9'") as refused:
        layout().host("app9")
    assert refused.value.hint == "it has app1, app2, edge1"


def test_the_inventory_is_read_by_gopub_as_it_is_meant(tmp_path: Path) -> None:
    from gopub.fleet.inventory import load_inventory

    path = tmp_path / "hosts.ini"
    path.write_text(files.inventory(layout()))
    read = load_inventory(path)
    assert {h.name: h.address for h in read.hosts} == {h.name: h.address for h in layout().hosts}
    assert [h.name for h in read.select(parse_selector("role=app"))] == ["app1", "app2"]
    assert [h.name for h in read.select(parse_selector("role=edge"))] == ["edge1"]
    assert [h.name for h in read.select(parse_selector("role=app,zone=b"))] == ["app2"]
    assert {h.user for h in read.hosts} == {"root"}


def test_the_connections_are_what_the_spec_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gopub.fleet.backends.ssh import Ssh
    from gopub.fleet.inventory.backends.ansible import Inventory
    from gopub.health.backends.journald import Journald
    from gopub.health.backends.prometheus import Prometheus
    from gopub.traffic.backends.nginx import Nginx

    path = tmp_path / "connections.yaml"
    path.write_text(files.connections(layout()))
    monkeypatch.setenv("GOPUB_CONNECTIONS", str(path))
    found = load_connections(tmp_path)
    assert found.get("prometheus-lab", Prometheus).url == layout().prometheus_url == "http://198.18.7.1:19090"
    assert found.get("edge-lab", Nginx).metrics == "prometheus-lab"
    assert found.get("journald", Journald)
    assert found.get("lab", Inventory).path == HOME / "hosts.ini"
    assert found.get("ssh", Ssh).known_hosts == HOME / "known_hosts"
    assert "sigstore-lab" not in path.read_text()


def test_a_lab_with_a_sigstore_names_it_and_reads_back_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gopub.evidence.backends.sigstore import Sigstore

    path = tmp_path / "connections.yaml"
    with_one = replace(layout(), sigstore=True)
    path.write_text(files.connections(with_one))
    monkeypatch.setenv("GOPUB_CONNECTIONS", str(path))
    found = load_connections(tmp_path).get("sigstore-lab", Sigstore)
    assert found.trust == HOME / "sigstore" / "trust.json"
    assert found.token is not None and found.token.env == "SIGSTORE_ID_TOKEN"
    assert from_json(json.loads(json.dumps(to_json(with_one))), HOME) == with_one
    before = {name: value for name, value in to_json(layout()).items() if name != "sigstore"}
    assert from_json(before, HOME) == layout()  # a lab of an older version has none


def test_prometheus_finds_every_edge_and_every_metrics_port() -> None:
    assert json.loads(files.edge_targets(layout())) == [{"targets": ["198.18.7.2:9145"], "labels": {"edge": "edge1"}}]
    assert json.loads(files.app_targets(layout(1))) == [
        {"targets": ["198.18.7.11:9102"], "labels": {"host": "app1", "app": "hello"}},
        {"targets": ["198.18.7.11:9103"], "labels": {"host": "app1"}},
    ]


def test_a_host_key_is_pinned_by_address_and_name() -> None:
    text = files.known_hosts(layout(1, 0), {"app1": "ssh-ed25519 AAAA"})
    assert text == "198.18.7.11,app1 ssh-ed25519 AAAA\n"


def test_a_host_boots_with_its_address_and_knows_the_others() -> None:
    host = LabHost("app1", "app", "198.18.7.11")
    texts = files.host_files(layout(), host, public_key="ssh-ed25519 U", host_key="H")
    assert "Address=198.18.7.11/24\n" in texts["etc/systemd/network/10-lab.network"]
    assert "198.18.7.2 edge1\n" in texts["etc/hosts"]
    assert texts["root/.ssh/authorized_keys"] == "ssh-ed25519 U\n"
