"""An epoch that nobody counted to: ordered with a stolen key of orders, or a lie. It stays where it is."""

from __future__ import annotations

import pytest

from gopub.errors import Exit, RefusedError
from gopub.rollout.seat import MOST_EPOCH, counted
from tests.support.rollout_world import World, drive, in_memory

HUGE = 10**15 - 1


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def test_no_rollout_begins_and_the_host_is_named(world):
    world.machines["app3"].epoch = HUGE
    with pytest.raises(RefusedError, match=r"app3 \(999999999999999\)") as refused:
        world.driver()
    assert (refused.value.code, refused.value.exit) == ("GP479", Exit.REFUSED)
    assert world.journal.seated("hello", "lab") is None, "and the journal never heard of it"
    world.machines["app3"].epoch = 8  # its key was rotated: epochs start anew
    assert world.driver().seat.epoch == 9


def test_control_a_high_epoch_that_can_have_been_counted_is_gone_above(world):
    world.machines["app3"].epoch = MOST_EPOCH
    assert world.driver().seat.epoch == MOST_EPOCH + 1


def test_who_goes_on_takes_no_seat_above_it_and_the_others_go_back(world):
    first = world.driver()
    world.machines["app4"].epoch = HUGE
    driver = drive(world, "bad")
    assert driver.seat.epoch == first.seat.epoch + 1
    assert {name: world.running()[name] for name in ("app1", "app2", "app3")} == dict.fromkeys(
        ("app1", "app2", "app3"), world.old
    )


def test_counted():
    assert counted([]) == 0
    assert counted([3, HUGE, 5, MOST_EPOCH + 1]) == 5
