"""Reading an inventory from its files."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gopub.errors import SpecError, UsageError, Where
from gopub.fleet.host import Host
from gopub.fleet.inventory.connect import make_host
from gopub.fleet.inventory.groups import Files, resolve
from gopub.fleet.inventory.ini import parse_ini
from gopub.fleet.inventory.selecting import is_meant, settled
from gopub.fleet.inventory.varfiles import VariableFiles
from gopub.spec.kinds import InventoryKind
from gopub.spec.selector import Selector, why_nothing

MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inventory:
    """All hosts of an inventory, in the order in which it names them; why gopub cannot work with some, by name."""

    file: str
    hosts: tuple[Host, ...]
    unusable: Mapping[str, SpecError] = field(default_factory=dict)

    def select(self, selector: Selector) -> tuple[Host, ...]:
        """The hosts that a selector means, in the inventory's order.

        Raises:
            UsageError: GP405 when it means none: that is a mistake, never a success.
            SpecError: GP404 when it means one that gopub cannot work with, or nobody can say whether it means one.
        """
        clear = settled(selector, self.hosts, self.file)
        found = tuple(host for host in self.hosts if is_meant(clear, host, self.file))
        if not found:
            why = why_nothing(clear, (host.selectable for host in self.hosts))
            problem = f"{str(selector)!r} means none of the {len(self.hosts)} hosts of {self.file}"
            raise UsageError("GP405", problem, hint=why)
        return tuple(self._usable(host) for host in found)

    def host(self, name: str) -> Host | None:
        """The host of that name.

        Raises:
            SpecError: GP404 when gopub cannot work with it.
        """
        return next((self._usable(host) for host in self.hosts if host.name == name), None)

    def _usable(self, host: Host) -> Host:
        if host.name in self.unusable:
            raise self.unusable[host.name]
        return host


class InventoryConnection(InventoryKind):
    """A connection behind which hosts are listed."""

    @abstractmethod
    def open(self) -> Inventory:
        """The hosts as they are listed now.

        Raises:
            SpecError: what is wrong with the list.
        """


def load_inventory(path: Path) -> Inventory:
    """Read an inventory file and the variable files beside it.

    Raises:
        SpecError: GP401 to GP403 with file, line and column; GP400 when it is of a kind that is not read yet.
    """
    return parse_inventory(_text(path), str(path), VariableFiles(path.parent), path.parent)


def parse_inventory(text: str, file: str, files: Files, folder: Path = Path()) -> Inventory:
    """The pure half: the text, and a function that gives the variables of group and host files.

    Raises:
        SpecError: as :func:`load_inventory`.
    """
    hosts = resolve(parse_ini(text, file), files)
    made = [make_host(host, folder) for host in hosts]
    return Inventory(file, tuple(host for host, _ in made), {host.name: error for host, error in made if error})


def _text(path: Path) -> str:
    if path.is_dir():
        raise _unread(path, "it is a folder of inventories")
    if path.suffix in {".yml", ".yaml", ".json", ".toml"}:
        raise _unread(path, f"it is a {path.suffix[1:].upper()} inventory")
    if path.is_file() and os.access(path, os.X_OK) and path.read_bytes()[:2] == b"#!":
        raise _unread(path, "it is a dynamic inventory")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _unread(path, f"it has more than {MOST_BYTES} bytes")
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError("GP400", f"the inventory cannot be read: {error}", where=Where(str(path))) from error


def _unread(path: Path, why: str) -> SpecError:
    hint = "INI inventories are read; ansible-inventory --list shows what yours means"
    return SpecError("GP400", f"the inventory is not read yet: {why}", hint=hint, where=Where(str(path)))
