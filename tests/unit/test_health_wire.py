from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gopub.canon import canonical
from gopub.errors import UsageError
from gopub.health.wire import from_json, to_json
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from tests.unit.judge_maker import history, observation, policy

CASES = Path(__file__).parents[1] / "cases" / "health"
BAD = YAML(typ="safe").load(CASES / "records.bad.yaml")
TABLE = YAML(typ="safe").load(CASES / "decide.yaml")


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
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(to_json(Outer(Colour.RED, number)))
    with pytest.raises(UsageError, match="finite number"):
        from_json(Outer, {"colour": "red", "weight": number})


def test_what_is_written_reads_back_to_the_same_bytes():
    """A whole number in a float's place becomes a float at once, not only once it was read."""
    wire = to_json(Outer(Colour.RED, 2))
    assert canonical(wire) == canonical(to_json(from_json(Outer, wire)))


def test_missing_keys_have_their_defaults_or_are_errors():
    assert from_json(Outer, {"colour": "red", "weight": 1.0, "inner": {}}).inner == Inner()
    with pytest.raises(UsageError, match=r"Outer\.weight: Field required\n"):
        from_json(Outer, {"colour": "red"})


def test_a_record_of_an_earlier_version_reads_and_gives_its_verdict():
    """Written before pydantic wrote the records; nothing in it may be read as another value."""
    kept = json.loads((CASES / "kept-verdict.json").read_text("utf-8"))
    record = record_from_json(kept)
    assert _lost(kept, record_to_json(record)) == []
    assert replay(record).verdict == record.verdict


def _lost(kept, now, at="record"):
    """Where a value of ``kept`` is another one in ``now``; keys that are new since then do not count."""
    if isinstance(kept, Mapping) and isinstance(now, Mapping):
        return [text for key in kept for text in _lost(kept[key], now.get(key), f"{at}.{key}")]
    if isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        return [text for index, item in enumerate(kept) for text in _lost(item, now[index], f"{at}[{index}]")]
    return [] if kept == now else [at]


def test_control_a_lost_value_is_seen():
    assert _lost({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}], "c": 4}) == ["record.a[1].b"]
