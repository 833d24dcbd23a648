"""What good specs mean: effective values, origins, and that both read back equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gopub.spec import effective
from gopub.spec.health import HealthCheck
from gopub.spec.loader import DEFAULT, Loaded, parse_path, parse_spec
from gopub.spec.models import Environment, ReleaseSpec, Step
from gopub.units import Amount

CASES = YAML(typ="safe").load(Path(__file__).parents[1] / "cases/spec/spec.good.yaml")
SIMPLE, RICH = CASES[0]["input"], CASES[1]["input"]


def value_at(value: Any, path: str) -> Any:
    for step in parse_path(path):
        value = value[step]
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_good_spec_means_what_its_case_says(case: dict[str, Any]) -> None:
    whole = effective.effective(parse_spec(case["input"], "gopub.yaml"))
    assert {path: value_at(whole, path) for path in case["values"]} == case["values"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_effective_spec_reads_back_equal_as_yaml_and_as_json(case: dict[str, Any]) -> None:
    loaded = parse_spec(case["input"], "gopub.yaml")
    printed = effective.as_text(effective.lines(loaded))
    assert parse_spec(printed, "effective").spec == loaded.spec
    assert ReleaseSpec.model_validate(loaded.spec.model_dump(mode="json")) == loaded.spec


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_value_has_an_origin_that_stands_in_the_file_or_is_default(case: dict[str, Any]) -> None:
    loaded = parse_spec(case["input"], "gopub.yaml")
    lines = case["input"].splitlines()
    for path, origin in loaded.origins.items():
        if origin != DEFAULT:
            file, line, col = origin.split(":")
            assert file == "gopub.yaml", path
            assert int(col) <= len(lines[int(line) - 1]), path


def test_the_origin_of_a_value_is_its_line_and_column() -> None:
    origins = parse_spec(SIMPLE, "gopub.yaml").origins
    assert {path: origin for path, origin in origins.items() if origin != DEFAULT} == {
        "app": "gopub.yaml:1:6",
        "build.main": "gopub.yaml:3:9",
        "environments.prod.inventory": "gopub.yaml:6:16",
        "environments.prod.hosts": "gopub.yaml:7:12",
        "environments.prod.health.http": "gopub.yaml:8:13",
    }


def test_the_place_of_a_default_is_that_of_its_nearest_parent() -> None:
    loaded = parse_spec(SIMPLE, "gopub.yaml")
    assert str(loaded.where("environments.prod.max_load")) == "gopub.yaml:5:3"
    assert str(loaded.where("environments.prod.health.within")) == "gopub.yaml:8:13"


def test_durations_and_shares_are_numbers_in_python() -> None:
    prod = parse_spec(RICH, "gopub.yaml").spec.environments["prod"]
    assert prod.health.within == 30.0
    assert prod.health.port == 8080
    assert prod.judge.slo.latency_p95 == 0.2
    assert prod.judge.slo.error_rate == 0.005
    assert prod.rollout.steps[0] == Step(hosts=2, route={"header": {"x-canary": "true"}}, bake="10m")
    assert prod.max_unavailable == Amount(share=0.05)
    assert prod.max_unavailable.down(100) == 5


def test_a_spec_cannot_be_changed() -> None:
    loaded = parse_spec(SIMPLE, "gopub.yaml")
    with pytest.raises(ValueError, match="frozen"):
        loaded.spec.app = "other"  # type: ignore[misc]


def test_an_environment_reads_back_alone_as_a_release_carries_it() -> None:
    prod = parse_spec(RICH, "gopub.yaml").spec.environments["prod"]
    assert Environment.model_validate(prod.model_dump(mode="json")) == prod


def test_the_effective_spec_shows_each_value_with_its_origin() -> None:
    printed = effective.as_text(effective.lines(parse_spec(SIMPLE, "gopub.yaml")))
    assert "    hosts: role=orders                     # gopub.yaml:7:12\n" in printed
    assert "    max_unavailable: 25%                   # default\n" in printed


def test_one_environment_can_be_shown_alone() -> None:
    loaded = parse_spec(CASES[5]["input"], "gopub.yaml")
    document: Any = effective.as_document(loaded, "test", {"test": (2, 5)}, {"test": None})
    assert list(document["spec"]["environments"]) == ["test"]
    assert not any("environments.prod." in path for path in document["origins"])
    assert document["hosts"] == {"test": {"matched": 2, "of": 5}}
    assert document["schema_version"] == 1


def test_a_url_without_a_port_has_port_0() -> None:
    assert HealthCheck.model_construct(http="http://x:99999/").port == 0


def test_loaded_keeps_the_text() -> None:
    loaded: Loaded = parse_spec(SIMPLE, "gopub.yaml")
    assert (loaded.text, loaded.file) == (SIMPLE, "gopub.yaml")


def test_what_later_rules_refuse_is_still_read_from_releases_that_are_kept() -> None:
    """A rollback kit of yesterday must open with the gopub of today."""
    kept = {
        "inventory": "hosts.ini",
        "hosts": "role=orders",
        "instance": "orders",
        "health": "http://127.0.0.1:8080/",
        "config": [{"template": "a.tmpl", "to": "a b.yaml"}],
        "config_check": ["orders", ""],
        "traffic": {"router": "edge", "upstream": "orders", "port": 8080},
        "rollout": {"steps": [{"hosts": 1, "weight": "0%"}, {"hosts": "100%"}]},
    }
    assert Environment.model_validate(kept).rollout.steps[0].weight == 0
