"""Ansible inventories: who the hosts are, in which groups, with which variables.

INI files with group_vars/ and host_vars/ beside them, read by our own parser, which the tests compare with
``ansible-inventory``. Stricter than Ansible where Ansible guesses: what looks odd is an error with its place.
YAML and dynamic inventories are not read yet.
"""

from gopub.fleet.inventory.load import Inventory, InventoryConnection, load_inventory, parse_inventory

__all__ = ["Inventory", "InventoryConnection", "load_inventory", "parse_inventory"]
