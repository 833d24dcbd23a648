from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gopub.errors import UsageError
from gopub.health.wire import from_json, to_json
from gopub.rollout.replay import judge, record_from_json, record_to_json
from tests.unit.judge_maker import history, observation, policy

BAD = YAML(typ="safe").load(Path(__file__).parents[1] / "cases" / "health" / "records.bad.yaml")
TABLE = YAML(typ="safe").load(Path(__file__).parents[1] / "cases" / "health" / "decide.yaml")


def record():
    case = TABLE["good"]
    return judge(observation(case), policy(case), history(case))


@pytest.mark.parametrize("case", BAD, ids=lambda case: ".".join(case["set"]["path"]))
def test_a_wrong_record_is_refused_in_these_words(case):
    wire = copy.deepcopy(record_to_json(record()))
    *path, last = case["set"]["path"]
    place = wire
    for key in path:
        place = place[key]
    place[last] = case["set"]["value"]
    with pytest.raises(UsageError) as caught:
        record_from_json(wire)
    assert (caught.value.code, caught.value.problem) == ("GP601", case["error"])


def test_control_the_unchanged_record_is_accepted():
    assert record_from_json(record_to_json(record())) == record()


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    colour: Colour
    weight: float
    inner: Inner | None = None
    by_name: Mapping[str, tuple[Inner, ...]] = field(default_factory=dict)


def test_every_kind_of_value_comes_back():
    value = Outer(Colour.RED, 2.5, Inner(("a",)), {"x": (Inner(), Inner(("b",)))})
    assert to_json(value) == {
        "colour": "red",
        "weight": 2.5,
        "inner": {"names": ["a"]},
        "by_name": {"x": [{"names": []}, {"names": ["b"]}]},
    }
    assert from_json(Outer, to_json(value)) == value
    assert from_json(Outer, {"colour": "red", "weight": 2}) == Outer(Colour.RED, 2.0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_carry_is_refused(number):
    with pytest.raises(ValueError, match="has no JSON form"):
        to_json(Outer(Colour.RED, number))


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="set has no JSON form"):
        to_json({"a": {1, 2}})
    with pytest.raises(UsageError, match="missing 1 required"):
        from_json(Outer, {"colour": "red"})
