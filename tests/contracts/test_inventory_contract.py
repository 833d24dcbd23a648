"""What every list of hosts must do: each host once and in order, with its groups and labels; a bad list has a place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub.errors import SpecError, UsageError
from gopub.fleet.inventory import Inventory, InventoryConnection
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Kinds
from gopub.spec.selector import parse_selector
from gopub.wiring.backends import BACKENDS

FLEET = {"web-2.example": "app", "web-1.example": "app", "edge-1.example": "edge"}
"""Hosts in the order of the list, and the group of each; the label ``role`` says the same."""
LATER = {**FLEET, "web-3.example": "app"}


@dataclass
class InventoryGround:
    """A list that somebody keeps, and a connection to it."""

    opened: Callable[[], Inventory]
    write: Callable[[dict[str, str]], None]
    """Let the list have these hosts, each with its role and group."""
    spoil: Callable[[], None]
    """Let the list be one that nobody can read."""
    place: str
    """The file and the line at which that is told."""
    repeat: Callable[[], None]
    """Let the list name the first of its hosts once more, at its end."""


def connected(text: str, folder: Path, kinds: Kinds = BACKENDS) -> Inventory:
    """The list of a connection of that text, as it is now."""
    made = parse_connections(text, "c.yaml", folder, kinds)["i"]
    assert isinstance(made, InventoryConnection)
    return made.open()


def names(inventory: Inventory, selector: str) -> list[str]:
    return [host.name for host in inventory.select(parse_selector(selector))]


class InventoryContract:
    """The suite; a subclass gives ``ground``, whose list has ``FLEET``."""

    def test_every_host_is_there_in_the_order_of_the_list(self, ground: InventoryGround) -> None:
        assert [host.name for host in ground.opened().hosts] == list(FLEET)

    def test_a_host_that_is_named_twice_is_one(self, ground: InventoryGround) -> None:
        ground.repeat()
        assert [host.name for host in ground.opened().hosts] == list(FLEET)

    def test_the_same_list_gives_the_same_hosts(self, ground: InventoryGround) -> None:
        assert ground.opened() == ground.opened()

    def test_the_list_is_read_as_it_is_now(self, ground: InventoryGround) -> None:
        before = ground.opened()
        ground.write(LATER)
        assert [host.name for host in ground.opened().hosts] == list(LATER)
        assert [host.name for host in before.hosts] == list(FLEET), "what was read stays as it was"

    def test_a_host_has_its_groups_and_is_in_all(self, ground: InventoryGround) -> None:
        found = ground.opened()
        assert {host.name: host.groups for host in found.hosts} == {
            name: frozenset({"all", group}) for name, group in FLEET.items()
        }
        assert names(found, "group=app") == ["web-2.example", "web-1.example"]
        assert names(found, "group!=app") == ["edge-1.example"]
        assert names(found, "group=all") == list(FLEET)

    def test_a_host_has_its_labels_as_text(self, ground: InventoryGround) -> None:
        found = ground.opened()
        assert {host.name: host.labels["role"] for host in found.hosts} == FLEET
        assert all(isinstance(text, str) for host in found.hosts for text in host.labels.values())
        assert names(found, "role=edge") == ["edge-1.example"]
        assert names(found, "role=app") == ["web-2.example", "web-1.example"], "in the order of the list"
        assert names(found, "role in (app,edge),!quarantine") == list(FLEET)

    def test_a_host_is_known_by_its_name_and_can_be_reached(self, ground: InventoryGround) -> None:
        found = ground.opened()
        assert names(found, "inventory_hostname=web-1.example") == ["web-1.example"]
        assert names(found, "inventory_hostname_short=web-1") == ["web-1.example"]
        for name in FLEET:
            host = found.host(name)
            assert host
            assert (host.name, bool(host.address)) == (name, True)
        assert found.host("web-9.example") is None

    def test_a_selector_that_means_no_host_is_told_with_the_list(self, ground: InventoryGround) -> None:
        found = ground.opened()
        with pytest.raises(UsageError) as caught:
            names(found, "role=databse")
        assert (caught.value.code, bool(caught.value.hint)) == ("GP405", True)
        assert f"means none of the 3 hosts of {found.file}" in caught.value.problem
        assert found.file, "the list has a name that people know"

    def test_a_list_that_cannot_be_read_is_told_with_file_and_line(self, ground: InventoryGround) -> None:
        ground.spoil()
        with pytest.raises(SpecError) as caught:
            ground.opened()
        assert str(caught.value.where).startswith(ground.place)


class TestAnsible(InventoryContract):
    KIND = "inventory"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> InventoryGround:
        path = tmp_path / "hosts.ini"

        def write(fleet: dict[str, str]) -> None:
            lines = [f"{name} role={role}" for name, role in fleet.items()]
            for group in dict.fromkeys(fleet.values()):
                lines += [f"[{group}]", *(name for name, role in fleet.items() if role == group)]
            path.write_text("\n".join([*lines, ""]))

        def repeat() -> None:
            with path.open("a") as file:
                file.write(f"[app]\n{next(iter(FLEET))}\n")

        write(FLEET)
        return InventoryGround(
            lambda: connected("i: {kind: inventory, path: hosts.ini}\n", tmp_path),
            write,
            lambda: path.write_text("web-1 role=app\n[app\nweb-1\n") and None,
            f"{path}:2:",
            repeat,
        )

    def test_a_file_that_is_not_there_is_told_with_its_name(self, ground: InventoryGround, tmp_path: Path) -> None:
        (tmp_path / "hosts.ini").unlink()
        with pytest.raises(SpecError, match="GP400 the inventory cannot be read") as caught:
            ground.opened()
        assert str(caught.value.where) == str(tmp_path / "hosts.ini")
