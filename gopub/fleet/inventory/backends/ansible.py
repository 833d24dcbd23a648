"""An Ansible inventory in files: INI with the variable files beside it (gopub/fleet/inventory/load.py reads them)."""

from __future__ import annotations

from typing import Literal

from gopub.fleet.inventory.load import Inventory as Hosts
from gopub.fleet.inventory.load import InventoryConnection, load_inventory
from gopub.spec.kinds import LocalPath


class Inventory(InventoryConnection):
    """An Ansible inventory."""

    kind: Literal["inventory"] = "inventory"
    path: LocalPath
    """The file."""

    def open(self) -> Hosts:
        """Read the file and the variable files beside it.

        Raises:
            SpecError: GP400 to GP403 with file, line and column.
        """
        return load_inventory(self.path)
