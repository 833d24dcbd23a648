from __future__ import annotations

import itertools

from mmh3 import mmh3_32_uintdigest as murmur3

from gopub.traffic.buckets import bucket
from gopub.traffic.table import FULL
from tests.unit.traffic_lua import cases, dice, lua

VECTORS = cases("buckets.yaml")


def test_the_hash_gives_the_published_values():
    for case in VECTORS["hashes"]:
        assert murmur3(case["text"].encode()) == case["hash"], case


def test_buckets_are_as_written_down():
    for case in VECTORS["buckets"]:
        assert bucket(case["salt"], case["subject"]) == case["bucket"], case


def test_lua_gives_the_published_values():
    assert lua("hash", [case["text"] for case in VECTORS["hashes"]]) == [c["hash"] for c in VECTORS["hashes"]]


def test_lua_and_python_agree_on_any_text():
    draw = dice()
    texts = [
        "".join(
            chr(draw.choice((draw.randrange(32, 127), draw.randrange(0x4E00, 0x9FFF))))
            for _ in range(draw.randrange(40))
        )
        for _ in range(2000)
    ]
    assert lua("hash", texts) == [murmur3(text.encode()) for text in texts]
    by_lua = [number % FULL for number in lua("hash", [f"r-1:{text}" for text in texts])]
    assert by_lua == [bucket("r-1", text) for text in texts]
    assert by_lua != [bucket("r-2", text) for text in texts]


def test_growing_the_weight_only_adds_subjects():
    subjects = [f"user-{n}" for n in range(5000)]
    sides = [{s for s in subjects if bucket("r-1", s) < weight} for weight in (100, 1000, 5000, 10_000)]
    assert all(small < large for small, large in itertools.pairwise(sides))
    assert sides[-1] == set(subjects)


def test_each_rollout_draws_its_own_subjects():
    subjects = [f"user-{n}" for n in range(20_000)]
    first, second = ({s for s in subjects if bucket(salt, s) < 1000} for salt in ("r-1", "r-2"))
    # Independent draws of 10 % share 1 % of all: 200 of 20 000, and 5 sigma are 70.
    assert 130 < len(first & second) < 270
