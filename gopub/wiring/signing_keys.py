"""Whether the keys that sign orders and route tables could do so on this machine, asked of files alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gopub.errors import GopubError
from gopub.fleet.protocol import FleetConnection
from gopub.spec.connections import Connections
from gopub.spec.models import Environment
from gopub.traffic.door import RouterConnection
from gopub.wiring.order_keys import open_order_key
from gopub.wiring.table_keys import open_table_key


def wrong_keys(
    connections: Connections, environments: Iterable[Environment]
) -> tuple[tuple[GopubError, ...], tuple[str, ...]]:
    """What is wrong with the keys of orders and of each router's tables, and what only this machine has not.

    A key, or its passphrase, that is not here may be where rollouts run: that is a line to read, and no fault.
    """
    found = [*_orders(connections), *_tables(connections, environments)]
    away = [error for error, is_here in found if not is_here or error.code == "GP142"]
    said = tuple(f"warning: nothing can be signed on this machine: {one.code} {one.problem}" for one in away)
    return tuple(error for error, _ in found if error not in away), said


def _orders(connections: Connections) -> Iterator[tuple[GopubError, bool]]:
    way = connections.find("ssh")
    if isinstance(way, FleetConnection) and (signing := way.signing()):
        try:
            open_order_key(signing)
        except GopubError as error:
            yield error, signing.private.exists()


def _tables(connections: Connections, environments: Iterable[Environment]) -> Iterator[tuple[GopubError, bool]]:
    for name in dict.fromkeys(one.traffic.router for one in environments if one.traffic):
        router = connections.find(name)
        if isinstance(router, RouterConnection) and (signing := router.signing()):
            try:
                open_table_key(signing)
            except GopubError as error:
                yield error, signing.private.exists()
