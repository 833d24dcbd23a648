"""Targets that were one edge in a long time: by who they said they are, and when."""

from __future__ import annotations

import asyncio

import pytest

from gopub.health.backends.doubles import Told, doubles, together
from gopub.health.backends.targets import target_of

A, B, C = (target_of({"instance": name}) for name in "abc")


@pytest.mark.parametrize(
    ("told", "pairs"),
    [
        ([Told(A, "one", 0, 90), Told(B, "one", 10, 80)], {(A, B)}),
        ([Told(A, "one", 0, 90), Told(B, "two", 10, 80)], set()),
        ([Told(A, "one", 0, 50), Told(B, "one", 55, 90)], set()),  # it moved
        ([Told(A, "one", 0, 50), Told(B, "one", 45, 90)], set()),  # while nobody looked
        ([Told(A, "one", 0, 50), Told(A, "two", 50, 90), Told(B, "two", 50, 90)], {(A, B)}),
    ],
)
def test_one_edge_is_who_said_the_same_at_the_same_time(told, pairs):
    assert together(told, 10.0) == pairs


def row(instance, identity, value, upto=None):
    labels = {"instance": instance, "app": "a", "env": "e"} | ({"edge_id": identity} if identity else {})
    return labels, [[value, "1"], [upto, "1"]] if upto is not None else [[0, str(value)]]


def found(near, firsts=(), lasts=(), span=86400.0):
    answers = iter([near, firsts, lasts])

    async def ask(_text):
        return list(next(answers))

    return asyncio.run(doubles(ask, "a", "e", span))


def test_three_targets_of_one_edge_have_one_that_stands_for_them():
    near = [row("c", "x", 10, 290), row("b", "x", 10, 290)]
    past = [row("a", "y", 1000), row("b", "y", 1000)], [row("a", "y", 80_000), row("b", "y", 70_000)]
    whole, short = found(near, *past), found(near, span=300.0)
    assert (set(whole), len(set(whole.values()))) == ({A, B, C}, 1)
    assert (set(short), len(set(short.values()))) == ({B, C}, 1)


def test_of_edges_that_cannot_say_who_they_are_the_address_says_it():
    labels = {"instance": "a", "job": "one"}, {"instance": "a", "job": "two"}
    near = [(one, [[10, "1"], [290, "1"]]) for one in labels]
    assert set(found(near, span=0.0)) == {target_of(one) for one in labels}
    assert found([row("a", "", 10, 290), row("b", "", 10, 290)], span=0.0) == {}
