"""Edges are told addresses, whatever the inventory says."""

from __future__ import annotations

import pytest

from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.rollout.addresses import by_address


@pytest.mark.parametrize("address", ["10.0.0.11", "2001:db8::4"])
async def test_an_address_stays_what_it_is(address):
    (host,) = await by_address([Host("app1", address)])
    assert host.address == address


async def test_a_name_is_looked_up_and_ipv4_comes_first():
    (host,) = await by_address([Host("app1", "localhost")])
    assert host.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "why"),
    [("no-such-host.invalid", "is a name without an address"), ("fe80::1%eth0", "holds on one network link only")],
)
async def test_what_an_edge_cannot_use_is_named_before_anything_is_touched(address, why):
    with pytest.raises(GopubError, match=f"GP731 edges cannot be told how to reach app1: '{address}' {why}"):
        await by_address([Host("app1", address)])
