"""What an edge tells of the source of its tables, read and said."""

from __future__ import annotations

import pytest

from gopub.traffic.backends.nginx.told import read_source
from gopub.traffic.protocol import EdgeSource, EdgeStatus
from gopub.traffic.saying import say_status, status_json

UP = EdgeSource("etcd", up=True, since=100.0, last=190.0, refused=0)
AWAY = EdgeSource("etcd", up=False, since=100.0, last=90.0, refused=3, what="no answer: timed out")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, ["edge e1: no table"]),
        (UP, ["edge e1: no table", "  source etcd: up, it last answered 10s ago"]),
        (
            AWAY,
            [
                "edge e1: no table",
                (
                    "  source etcd: away, as of 1m40s ago, it last answered 1m50s ago: no answer: timed out;"
                    " its last table goes on"
                ),
            ],
        ),
        (
            EdgeSource("file", up=True, since=0.0, last=0.0, refused=2, what="orders: status 409"),
            [
                "edge e1: no table",
                "  source file: up, it never answered",
                "  2 of its values were not taken, lastly orders: status 409",
            ],
        ),
    ],
)
def test_a_person_is_told_whether_it_answers_and_what_was_not_taken(source, says):
    assert say_status(EdgeStatus("e1", source=source), 200.0).splitlines() == says


def test_a_program_is_told_the_same():
    said = status_json(EdgeStatus("e1", source=AWAY))["source"]
    assert said == {"kind": "etcd", "up": False, "since": 100.0, "last": 90.0, "refused": 3, "what": AWAY.what}
    assert status_json(EdgeStatus("e1"))["source"] is None


@pytest.mark.parametrize("said", [None, {}, [], {"kind": "etcd"}, {"kind": 1, "up": True, "what": ""}, "x"])
def test_what_cannot_be_read_is_nothing(said):
    assert read_source({"source": said}) is None
    assert read_source(said) is None


def test_an_edges_words_are_read():
    said = {"kind": "etcd", "up": False, "since": 100.0, "last": 90, "refused": 3, "what": AWAY.what}
    assert read_source({"source": said}) == AWAY
