"""Two slots and the one unit on a host in a folder: killed at any step, through a power cut, and there and back."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gopub.fleet.orders import Order, Verb
from tests.support.chance import seed
from tests.support.siding import SidingHost

SOAK = bool(os.environ.get("GOPUB_SOAK"))
SIDE, ONE = "side-by-side", "restart"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SidingHost]:
    made = SidingHost(tmp_path / "host")
    yield made
    made.close()


def slot_of(host: SidingHost, name: str) -> str:
    record = host.do("facts", name)
    assert record.values["unit.active"] == "active", record
    return record.values.get("slot", "")


def alone(host: SidingHost, name: str) -> None:
    """It runs, and once what is beside it is ended nothing else does, nor is left."""
    assert name in host.serving()
    assert host.current == name
    assert host.do("prune", name).ok
    assert host.serving() == [name]
    left = sorted(file.name for file in (host.root / "systemd").iterdir())
    assert len(left) == 1, left
    host.boot()
    assert host.serving() == [name]


@pytest.mark.parametrize(("before", "after"), [(ONE, SIDE), (SIDE, SIDE), (SIDE, ONE)])
@pytest.mark.parametrize("then", ["again", "back"])
def test_killed_at_any_step_what_current_names_starts_and_the_next_order_settles_it(
    host: SidingHost, before: str, after: str, then: str
) -> None:
    one, two = host.release("a", mode=before), host.release("b", mode=after)
    for name in (one, two):
        assert host.do("switch", name, port="8080").ok
    died, every = 0, range(1, host.steps + 1)
    tried = every if SOAK else sorted(random.Random(seed()).sample(every, 2))
    for step in tried:
        assert host.do("rollback", one).ok
        alone(host, one)
        order = host.order("switch", two, port="8080")
        died += host.run(order, kill_at=step) is None
        if after == SIDE:
            assert one in host.serving(), f"step {step}: what served never ends by a switch"
        if step % 2:
            host.boot()
            assert host.serving() == [host.current], f"step {step}"
        record = host.run(order) if then == "again" else host.do("rollback", one)
        assert record is not None
        assert record.ok, (step, record)
        alone(host, two if then == "again" else one)
    assert died >= len(tried) - 2


def test_from_slots_to_the_one_unit_and_back_to_the_slot_whose_port_is_free(host: SidingHost) -> None:
    one, plain = host.release("a"), host.release("b", mode=ONE)
    assert host.do("switch", one, port="8080").ok
    assert slot_of(host, one) == "a"
    assert host.do("switch", plain, port="8080").ok
    assert host.serving() == [plain], "slots end first: the one unit wants a port of theirs"
    back = host.do("rollback", one)
    assert back.ok, back
    assert (slot_of(host, one), host.serving()) == ("b", [one, plain]), "its old port is held by what served"
    assert host.do("verify", one, port="8080", settle="0").ok
    alone(host, one)


def test_a_slot_whose_port_the_one_unit_still_holds_is_free_for_what_comes(host: SidingHost) -> None:
    """The rollout that ended the one unit died before it did."""
    plain, one, two = host.release("a", mode=ONE), host.release("b"), host.release("c")
    for name in (plain, one, two):
        record = host.do("switch", name, port="8080")
        assert record.ok, record
    assert (slot_of(host, two), host.serving()) == ("a", [one, two])
    alone(host, two)


@pytest.mark.parametrize("how", ["deaf", ""])
def test_what_does_not_end_when_it_is_told_to_is_ended(host: SidingHost, how: str) -> None:
    releases = [host.release("a", how=how), host.release("b", how=how), host.release("c", how=how)]
    for name in releases:
        record = host.do("switch", name, port="8080")
        assert record.ok, record
    assert host.serving() == releases[1:], "the third took the slot of the first"
    alone(host, releases[2])


def test_one_that_dies_at_once_leaves_what_serves_alone(host: SidingHost) -> None:
    plain, bad = host.release("a", mode=ONE), host.release("b", how="dead")
    assert host.do("switch", plain, port="8080").ok
    record = host.do("switch", bad, port="8080", within="1")
    assert not record.ok
    assert host.serving() == [plain]
    host.boot()
    assert host.serving() == [plain]
    assert host.do("rollback", plain).ok
    alone(host, plain)


@pytest.mark.parametrize("verb", ["rollback", "prune", "stop"])
@pytest.mark.parametrize("before", [ONE, SIDE])
def test_killed_on_the_way_back_or_at_the_end_the_same_order_ends_it(host: SidingHost, before: str, verb: Verb) -> None:
    one, two = host.release("a", mode=before), host.release("b")

    def stand() -> Order:
        assert host.do("switch", one, port="8080").ok
        assert host.do("prune", one).ok
        assert host.do("switch", two, port="8080").ok
        assert host.serving() == [one, two]
        return host.order(verb, one if verb == "rollback" else two)

    assert host.run(stand())
    died, every = 0, range(1, host.steps + 1)
    tried = every if SOAK else sorted(random.Random(seed()).sample(every, 2))
    for step in tried:
        order = stand()
        died += host.run(order, kill_at=step) is None
        if step % 2:
            host.boot()
            named = [host.current] if (host.home / "current").is_symlink() else []
            assert host.serving() == named, f"step {step}"
        record = host.run(order)
        assert record is not None
        assert record.ok, (step, record)
        if verb == "stop":
            assert (host.serving(), list((host.root / "systemd").iterdir())) == ([], [])
        else:
            alone(host, one if verb == "rollback" else two)
    assert died >= len(tried) - 2
