"""Inventories in, hosts out; and every mistake with the exact text that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gopub.canon import Json
from gopub.errors import SpecError, UsageError
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.inventory import load_inventory, parse_inventory
from gopub.fleet.inventory.connect import bastion_of
from gopub.fleet.inventory.varfiles import parse_variables
from gopub.fleet.jump import Hop, parse_hop
from gopub.spec.selector import parse_selector

CASES = Path(__file__).parents[1] / "cases/fleet"
SSH_FIELDS = ("user", "port", "key", "known_hosts", "sudo", "jump", "proxy_command")


def cases(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(CASES / name)


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def no_files(_kind: str, _name: str) -> Mapping[str, Json]:
    return {}


def read(case: Mapping[str, Any]) -> None:
    if "vars" in case:
        parse_variables(case["vars"], "group_vars/web.yml")
    else:
        found = parse_inventory(case["input"], "hosts.ini", no_files)
        for host in found.hosts:
            found.host(host.name)


def said(host: Host, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What the host is, in the words and the choice of the case."""
    ssh = {name: getattr(host.ssh, name) for name in SSH_FIELDS if getattr(host.ssh, name)}
    told = {
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "labels": dict(host.labels),
        "groups": sorted(host.groups),
        "ssh": {name: str(value) if isinstance(value, Path) else value for name, value in ssh.items()},
    }
    return {key: told[key] for key in wanted}


@pytest.mark.parametrize("case", cases("inventory.yaml"), ids=by_name)
def test_an_inventory_means(case: dict[str, Any]) -> None:
    files = case.get("files", {})
    found = parse_inventory(
        case["input"], "hosts.ini", lambda kind, name: files.get(f"{kind}/{name}", {}), Path("/inv")
    )
    assert [host.name for host in found.hosts] == list(case["hosts"])
    for host in found.hosts:
        assert said(host, case["hosts"][host.name]) == case["hosts"][host.name]
        assert "address" in case["hosts"][host.name] or host.address == host.name


@pytest.mark.parametrize("case", cases("inventory.bad.yaml"), ids=by_name)
def test_a_mistake_is_told_exactly(case: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        read(case)
    assert str(caught.value) == case["error"].rstrip("\n")


def test_group_means_any_group_of_a_host() -> None:
    inventory = parse_inventory("[web]\nw1\nw2\n[db]\nw1\nd1\n", "hosts.ini", no_files)

    def names(text: str) -> list[str]:
        return [host.name for host in inventory.select(parse_selector(text))]

    assert names("group=db") == ["w1", "d1"]
    assert names("group=web,group=db") == ["w1"]
    assert names("group!=db") == ["w2"]
    assert names("group in (web,db)") == ["w1", "w2", "d1"]


def test_a_selector_that_means_no_host_is_a_mistake() -> None:
    inventory = parse_inventory("[web]\nw1 role=orders\n", "hosts.ini", no_files)
    with pytest.raises(UsageError) as caught:
        inventory.select(parse_selector("role=order"))
    assert str(caught.value) == (
        "GP405 'role=order' means none of the 1 hosts of hosts.ini\n"
        "hint: role=order is not a label there; did you mean role=orders?"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [("hosts.yml", "all: {}\n"), ("hosts", "#!/bin/sh\necho '{}'\n"), ("hosts.ini", b"\xff\xfe")],
)
def test_what_is_no_ini_file_is_refused(tmp_path: Path, name: str, text: str | bytes) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o755)
    with pytest.raises(SpecError, match="GP400"):
        load_inventory(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.ini"):
        with pytest.raises(SpecError, match="GP400"):
            load_inventory(path)


def test_variable_files_lie_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[web]\nw1\n")
    (tmp_path / "group_vars/web").mkdir(parents=True)
    (tmp_path / "group_vars/web/1.yml").write_text("role: web\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/w1").write_text("spare: yes\n")
    (host,) = load_inventory(tmp_path / "hosts.ini").hosts
    assert host.labels == {"role": "web", "spare": "true"}


def test_a_mistake_in_a_variable_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[web]\nw1\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/web.yml").write_text("a: 1\na: 2\n")
    with pytest.raises(SpecError, match=r"group_vars/web\.yml:2:1: GP403"):
        load_inventory(tmp_path / "hosts.ini")


STRANGERS = """\
[web]
w1 role=web
[net]
sw1 ansible_connection=network_cli ansible_password=x
[here]
localhost ansible_connection=local
"""


def test_a_host_that_is_not_ours_spoils_no_other() -> None:
    inventory = parse_inventory(STRANGERS, "hosts.ini", no_files)
    assert [host.name for host in inventory.select(parse_selector("role=web"))] == ["w1"]
    assert inventory.host("w1") is not None
    for name, why in (("sw1", "ansible_password=…: passwords"), ("localhost", "ansible_connection=local: only ssh")):
        for use in (lambda: inventory.host(name), lambda: inventory.select(parse_selector("!role"))):  # noqa: B023
            with pytest.raises(SpecError, match=r"hosts\.ini:\d:1: GP404 host"):
                use()
        with pytest.raises(SpecError, match=why):
            inventory.host(name)


def test_an_encrypted_value_is_an_error_where_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[web]\nw1 role=web\n")
    (tmp_path / "group_vars").mkdir()
    secret = "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"
    path = tmp_path / "group_vars/web.yml"
    path.write_text(f"note: !unsafe 'a {{{{ b }}}}'\nkeys: {{pair: [1, !unsafe 2]}}\npassword: {secret}")
    inventory = load_inventory(tmp_path / "hosts.ini")
    (host,) = inventory.select(parse_selector("role=web"))
    assert host.labels == {"role": "web"}
    assert (host.variables["note"], host.variables["keys"]) == ("a {{ b }}", {"pair": [1, "2"]})
    for selector in ("password=x", "!password", "role=web,password"):
        with pytest.raises(SpecError) as caught:
            inventory.select(parse_selector(selector))
        assert str(caught.value) == (
            f"{path}:3:11: GP404 the selector asks for password, which is encrypted with ansible-vault for host w1\n"
            "hint: select by a plain variable or a group"
        )


@pytest.mark.parametrize("name", ["ansible_host", "ansible_port", "ansible_become", "ansible_ssh_common_args"])
def test_an_encrypted_way_to_a_host_is_that_host_s_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "hosts.ini").write_text("w1\nw2\n")
    (tmp_path / "host_vars").mkdir()
    path = tmp_path / "host_vars/w1"
    path.write_text(f"{name}: !vault |\n  6162\n")
    inventory = load_inventory(tmp_path / "hosts.ini")
    assert inventory.host("w2") is not None
    with pytest.raises(SpecError) as caught:
        inventory.host("w1")
    assert str(caught.value) == (
        f"{path}:1:{len(name) + 3}: GP404 host w1: {name} is encrypted with ansible-vault\n"
        "hint: what gopub needs of a host is no secret: keep it in a plain file"
    )


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("bastion", Hop(None, "bastion", None)),
        ("ops@bastion:2022", Hop("ops", "bastion", 2022)),
        ("[::1]:2022", Hop(None, "::1", 2022)),
        ("ops@[2001:db8::1]", Hop("ops", "2001:db8::1", None)),
        ("2001:db8::1", Hop(None, "2001:db8::1", None)),
        ("ops@fe80::1%eth0", Hop("ops", "fe80::1%eth0", None)),
        ("ssh://ops@bastion:2022", Hop("ops", "bastion", 2022)),
        ("ssh://[::1]:22/", Hop(None, "::1", 22)),
    ],
)
def test_a_bastion_is_read_as_ssh_reads_it(text: str, hop: Hop) -> None:
    assert parse_hop(text) == hop


@pytest.mark.parametrize(
    "text", ["", "@b", "b:", "b:0", "b:65536", "b:x", "[::1", "[::1]x", "a:b:c", "a b", "http://b"]
)
def test_what_is_no_bastion(text: str) -> None:
    with pytest.raises(ValueError, match="is no bastion"):
        parse_hop(text)


def test_the_way_to_a_host_comes_from_one_place() -> None:
    default = SshOptions(user="ops", jump="bastion")
    assert SshOptions(proxy_command="nc %h %p").over(default) == SshOptions(user="ops", proxy_command="nc %h %p")
    assert SshOptions(jump="none").over(default).jump == "none"
    assert SshOptions().over(default).jump == "bastion"


def test_ten_thousand_hosts_are_read() -> None:
    inventory = parse_inventory("[web]\nw[00001:10000] role=web\n", "hosts.ini", no_files)
    assert len(inventory.select(parse_selector("role=web,group=web"))) == 10_000


@pytest.mark.parametrize(
    ("command", "bastion"),
    [
        ("ssh -W %h:%p ops@b", "ops@b"),
        ("ssh -p 2022 -W %h:%p ops@2001:db8::1", "ops@[2001:db8::1]:2022"),
        ("ssh -W %h:%p 2001:db8::1", "2001:db8::1"),
        ("ssh -p 2022 -q -o StrictHostKeyChecking=no -W %h:%p b", "b:2022"),
        ("ssh -W %h:%p -o Ciphers=x b", None),
        ("ssh -i key -W %h:%p b", None),
        ("nc %h %p", None),
        ("", None),
    ],
)
def test_the_usual_proxy_command_is_a_bastion(command: str, bastion: str | None) -> None:
    assert bastion_of(command) == bastion
