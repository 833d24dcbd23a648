"""The JSON Schemas of gopub.yaml and connections.yaml are what the models say, and agree with the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from gopub import schemas
from gopub.spec.loader import parse_spec
from gopub.spec.reading import read_tree
from gopub.spec.schema import as_text, generate
from gopub.spec.tree import plain
from gopub.wiring import schemas as of_connections

CASES = Path(__file__).parents[1] / "cases/spec"
GOOD = YAML(typ="safe").load(CASES / "spec.good.yaml")
BAD = {case["name"]: case for case in YAML(typ="safe").load(CASES / "spec.bad.yaml")}


MADE = {**generate(), **of_connections.generate()}


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_schema_in_the_package_is_up_to_date(name: str) -> None:
    """Mend with: python -m gopub.spec.schema and python -m gopub.wiring.schemas."""
    kept = (Path(schemas.__file__).parent / name).read_text("utf-8")
    assert kept == as_text(MADE[name])


@pytest.mark.parametrize("name", ["gopub", "connections", "check"])
def test_the_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.schema(name))
    assert name in schemas.names()


def valid(value: Any) -> bool:
    return jsonschema.Draft202012Validator(schemas.schema("gopub")).is_valid(value)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_a_good_spec_and_its_effective_form_fit_the_schema(case: dict[str, Any]) -> None:
    loaded = parse_spec(case["input"], "gopub.yaml")
    assert valid(loaded.spec.model_dump(mode="json"))
    assert valid(plain(read_tree(case["input"], "x")))


@pytest.mark.parametrize(
    "name",
    [
        "no app",
        "a misspelt key",
        "go 1.10 without quotes",
        "an environment with half of it",
        "unknown provenance",
        "images, not yet",
        "a mapping for a list",
    ],
)
def test_a_bad_spec_does_not_fit_the_schema(name: str) -> None:
    """A control: the schema refuses what an editor can know."""
    assert not valid(plain(read_tree(BAD[name]["input"], "x")))


def test_every_key_is_described() -> None:
    for definition in _mappings(json.loads(as_text(generate()["gopub.v1.json"]))):
        for key, value in definition["properties"].items():
            assert value.get("description", "").endswith("."), key


def _mappings(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in _mappings(item)]
    if not isinstance(value, dict):
        return []
    return ([value] if "properties" in value else []) + [f for item in value.values() for f in _mappings(item)]


def test_an_unknown_schema_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        schemas.schema("nothing")
