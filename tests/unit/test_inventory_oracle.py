"""Our inventory parser against ``ansible-inventory``: hosts, their groups and all their variables are equal."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gopub.fleet.inventory import load_inventory
from gopub.fleet.inventory.load import Inventory
from gopub.process import base_environment, run, which
from tests.support.chance import seed as chance_seed

from .inventory_maker import Maker

ROUNDS = 60
AT_ONCE = 2


async def _oracle(path: Path) -> dict[str, Any]:
    env = base_environment(extra={"LC_ALL": "C.UTF-8", "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1"})
    argv = ("ansible-inventory", "-i", str(path), "--list")
    result = await run(argv, env=env, cwd=Path(os.sep), timeout=120)
    told: dict[str, Any] = json.loads(result.out)
    return told


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


async def _compare(seed: int, folder: Path) -> list[str]:
    path = Maker(seed, folder).write()
    return [f"seed {seed}: {text}" for text in _differences(load_inventory(path), await _oracle(path))]


@pytest.fixture(autouse=True)
def _needs_ansible() -> None:
    assert which("ansible-inventory"), "install Debian's ansible-core: it is the oracle of this test"


async def test_random_inventories_mean_what_ansible_says(tmp_path: Path) -> None:
    seed = chance_seed()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> list[str]:
        async with gate:
            return await _compare(seed + number, _folder(tmp_path, number))

    found = await asyncio.gather(*(one(number) for number in range(ROUNDS)))
    assert not [text for texts in found for text in texts]


async def test_the_comparison_sees_a_wrong_precedence(tmp_path: Path) -> None:
    """Control: group_vars that we do not read must show as a difference."""
    path = tmp_path / "hosts.ini"
    path.write_text("[web]\nw1\n[web:vars]\na=1\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "web.yml").write_text("a: 2\n")
    told = await _oracle(path)
    assert not _differences(load_inventory(path), told)
    (tmp_path / "group_vars" / "web.yml").unlink()
    assert _differences(load_inventory(path), told) == ["w1: ours {'a': 1}, ansible's {'a': 2}"]
