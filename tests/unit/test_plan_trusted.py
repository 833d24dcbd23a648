"""Whom edges believe where gopub.yaml says `inventory`: the house's own addresses, and nothing beside them."""

from __future__ import annotations

import ipaddress

from gopub.fleet.host import Host
from gopub.plan.trusted import left_out, networks, told_left_out
from gopub.rollout.addresses import house_by_address
from gopub.traffic.addresses import Networks
from tests.unit.traffic_lua import dice

HOUSE = {"app1": ("10.0.0.4",), "app2": ("10.0.0.5",), "edge1": ("10.0.9.1",), "six": ("2001:db8::7", "10.0.0.9")}


def test_the_word_stands_for_every_host_and_nothing_else_changes():
    assert networks(("192.0.2.0/24",), HOUSE) == ("192.0.2.0/24",)
    assert networks((), HOUSE) == ()
    assert networks(("inventory",), {}) == ()
    assert networks(("192.0.2.0/24", "inventory", "198.51.100.7"), HOUSE) == (
        "192.0.2.0/24", "198.51.100.7", "10.0.0.4/31", "10.0.0.9", "10.0.9.1", "2001:db8::7",
    )  # fmt: skip


def test_what_is_written_and_what_is_listed_is_told_once():
    assert networks(("10.0.9.1", "inventory"), {"edge1": ("10.0.9.1",)}) == ("10.0.9.1",)


def test_an_address_counts_only_where_it_is_one_hosts_own():
    house = {
        "local": ("127.0.0.1", "::1"), "link": ("fe80::1",), "nat1": ("192.0.2.1",), "nat2": ("192.0.2.1",),
        "gone": (), "any": ("::",), "both": ("192.0.2.1", "10.0.0.4"), "old": ("::ffff:10.0.0.8",),
    }  # fmt: skip
    assert networks(("inventory",), house) == ("10.0.0.4", "10.0.0.8")
    assert left_out(house) == ("local", "link", "nat1", "nat2", "gone", "any")
    (told,) = told_left_out(house)
    assert told.startswith("edges do not believe local, link, nat1, nat2, gone and 1 more (traffic.trust: inventory)")
    assert told_left_out(HOUSE) == ()


def test_the_networks_hold_the_hosts_and_nobody_beside_them():
    draw = dice()
    for _ in range(50):
        picked = {f"10.0.{draw.randrange(2)}.{draw.randrange(64)}" for _ in range(draw.randrange(1, 60))}
        found = Networks(networks(("inventory",), {f"h{at}": (one,) for at, one in enumerate(sorted(picked))}))
        every = (str(ipaddress.ip_address("10.0.0.0") + at) for at in range(320))
        assert {one for one in every if found.hold(one)} == picked


async def test_a_name_without_an_address_is_left_out_and_nothing_waits_for_it():
    hosts = [Host("a", "10.0.0.4"), Host("b", "no-such-host.invalid"), Host("c", "localhost"), Host("d", "x" * 300)]
    found = await house_by_address(hosts)
    assert (found["a"], found["b"], found["d"]) == (("10.0.0.4",), (), ())
    assert "127.0.0.1" in found["c"] or "::1" in found["c"], "control: names are looked up"
    assert networks(("inventory",), found) == ("10.0.0.4",)
    assert await house_by_address([]) == {}
