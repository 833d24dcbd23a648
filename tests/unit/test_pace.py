"""Claims about how long work takes hold in spite of noise, and still find what is too slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.pace import at_least, at_most, in_one_of

UNIT = 20_000


def work(units: float) -> Callable[[], object]:
    return lambda: sum(range(round(units * UNIT)))


def disturbed(units: float, turns: int) -> Callable[[], object]:
    """The same, that takes a hundred times as long for so many turns."""
    left = [turns]

    def once() -> None:
        left[0] -= 1
        work(units * (100 if left[0] >= 0 else 1))()

    return once


@pytest.mark.parametrize("turns", [0, 1, 7])
def test_what_is_disturbed_for_a_while_is_shown_all_the_same(turns: int) -> None:
    at_most(20, disturbed(5, turns), than=work(1))
    at_least(5, work(20), than=disturbed(1, turns))


def test_what_is_too_slow_is_found() -> None:
    with pytest.raises(AssertionError, match=r"at most 3 times as long in none of 5 rounds"):
        at_most(3, work(30), than=work(1), rounds=5)
    with pytest.raises(AssertionError, match=r"at least 30 times as long in none of 5 rounds"):
        at_least(30, work(3), than=work(1), rounds=5)


def test_a_story_goes_well_in_one_of_its_tries_or_fails_as_the_last_one_did() -> None:
    tried: list[int] = []

    def third(number: int) -> None:
        tried.append(number)
        assert number == 2, number

    in_one_of(4, third)
    assert tried == [0, 1, 2]
    with pytest.raises(AssertionError, match="1"):
        in_one_of(2, third)
