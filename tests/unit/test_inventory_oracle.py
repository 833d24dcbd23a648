"""Our inventory parser against ``ansible-inventory``: hosts, their groups and all their variables are equal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gopub.fleet.inventory import load_inventory
from gopub.fleet.inventory.load import Inventory
from gopub.process import base_environment, run, which
from tests.support.chance import seed as chance_seed

from .inventory_maker import Maker

ROUNDS = 60
WARM = Path(__file__).with_name("ansible_warm.py")
ENV = base_environment(extra={"LC_ALL": "C.UTF-8", "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1"})


def _first_line(path: Path) -> str:
    return path.read_text("utf-8").splitlines()[0]


async def _oracle(*paths: Path) -> list[dict[str, Any]]:
    """What ansible-inventory says of each, by its own interpreter; see ``ansible_warm``."""
    command = which("ansible-inventory")
    assert command, "install Debian's ansible-core: it is the oracle of this test"
    interpreter = _first_line(Path(command)).removeprefix("#!").split()
    answers = [path.with_name("answer.json") for path in paths]
    orders = "".join(f"{path}\t{answer}\n" for path, answer in zip(paths, answers, strict=True))
    done = await run((*interpreter, str(WARM)), env=ENV, cwd=Path(os.sep), stdin=orders.encode(), timeout=600)
    assert done.text.split() == ["0"] * len(paths), done.complaint
    return [json.loads(answer.read_bytes()) for answer in answers]


def _members(told: Mapping[str, Any], group: str) -> set[str]:
    entry = told.get(group, {})
    below = (host for child in entry.get("children", ()) for host in _members(told, child))
    return {*entry.get("hosts", ()), *below}


def _differences(ours: Inventory, told: Mapping[str, Any]) -> list[str]:
    variables = {name: dict(of) for name, of in told["_meta"]["hostvars"].items()}
    groups = {name: _members(told, name) for name in told if name != "_meta"}
    names = {host for hosts in groups.values() for host in hosts}
    found = (
        [f"hosts: {sorted(names ^ {host.name for host in ours.hosts})}"]
        if names != {h.name for h in ours.hosts}
        else []
    )
    for host in ours.hosts:
        want = variables.get(host.name, {})
        if json.loads(json.dumps(host.variables)) != want:
            found.append(f"{host.name}: ours {dict(host.variables)}, ansible's {want}")
        theirs = {name for name, hosts in groups.items() if host.name in hosts}
        if host.groups - {"all"} != theirs - {"all"}:
            found.append(f"{host.name}: our groups {sorted(host.groups)}, ansible's {sorted(theirs)}")
    return found


def _folder(base: Path, number: int) -> Path:
    folder = base / str(number)
    folder.mkdir()
    return folder


async def test_random_inventories_mean_what_ansible_says(tmp_path: Path) -> None:
    seed = chance_seed()
    paths = [Maker(seed + number, _folder(tmp_path, number)).write() for number in range(ROUNDS)]
    answers = await _oracle(*paths)
    assert not [
        f"seed {seed + number}: {text}"
        for number, (path, told) in enumerate(zip(paths, answers, strict=True))
        for text in _differences(load_inventory(path), told)
    ]


async def test_the_warm_oracle_says_what_the_command_itself_says(tmp_path: Path) -> None:
    """Of the last of several, and not of the one before it."""
    paths = [Maker(number, _folder(tmp_path, number)).write() for number in range(3)]
    *_, before, told = await _oracle(*paths)
    itself = await run(("ansible-inventory", "-i", str(paths[-1]), "--list"), env=ENV, cwd=Path(os.sep), timeout=120)
    assert json.loads(itself.out) == told != before


async def test_the_comparison_sees_a_wrong_precedence(tmp_path: Path) -> None:
    """Control: group_vars that we do not read must show as a difference."""
    path = tmp_path / "hosts.ini"
    path.write_text("[web]\nw1\n[web:vars]\na=1\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "web.yml").write_text("a: 2\n")
    (told,) = await _oracle(path)
    assert not _differences(load_inventory(path), told)
    (tmp_path / "group_vars" / "web.yml").unlink()
    assert _differences(load_inventory(path), told) == ["w1: ours {'a': 1}, ansible's {'a': 2}"]
