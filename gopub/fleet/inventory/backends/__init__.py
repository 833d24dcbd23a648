"""The inventories there are: one line each, the kind and where its connection is."""

BACKENDS = {
    "inventory": "gopub.fleet.inventory.backends.ansible:Inventory",
}
