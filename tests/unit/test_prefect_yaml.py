"""prefect.yaml: ours is good, and the lint sees what Prefect itself lets through."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deployments.lint import load_deployments, parse_deployments
from gopub.errors import SpecError

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "deployments" / "prefect.bad.yaml"
GOOD = """
name: gopub
pull:
  - prefect.deployments.steps.set_working_directory: {directory: "{{ $GOPUB_HOME }}"}
deployments:
  - name: promote
    entrypoint: flows/promote.py:promote
    description: Wakes what waits.
    tags: [gopub]
    work_pool: {name: gopub, job_variables: {stream_output: false}}
    concurrency_limit: {limit: 8, collision_strategy: CANCEL_NEW}
    schedules: [{cron: "* * * * *", timezone: UTC, slug: often}]
""".lstrip()


def bad_cases() -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load(CASES.read_text()))


def test_our_file_is_good_and_has_every_deployment() -> None:
    read = load_deployments(ROOT)
    assert [one.name for one in read.deployments] == [
        "deploy",
        "release",
        "rollout",
        "promote",
        "approve",
        "rollback",
        "recover",
        "refresh",
    ]
    assert {one.name for one in read.deployments if one.schedules} == {"promote", "recover", "refresh"}


@pytest.mark.parametrize("case", bad_cases(), ids=lambda case: case["name"])
def test_each_mistake_has_its_text(case: dict[str, Any]) -> None:
    parse_deployments(GOOD, "prefect.yaml", ROOT)
    assert case["old"] in GOOD
    with pytest.raises(SpecError) as caught:
        parse_deployments(GOOD.replace(case["old"], case["new"]), "prefect.yaml", ROOT)
    assert f"{caught.value}\n" == case["error"]


def test_prefect_itself_lets_a_mistyped_key_through() -> None:
    from prefect.cli.deploy._models import PrefectYamlModel

    mistyped = GOOD.replace("concurrency_limit:", "concurency_limit:")
    read = PrefectYamlModel.model_validate(YAML(typ="safe", pure=True).load(mistyped))
    assert read.deployments[0].concurrency_limit is None


def test_prefect_reads_our_file_as_we_do() -> None:
    from prefect.cli.deploy._models import PrefectYamlModel

    theirs = PrefectYamlModel.model_validate(YAML(typ="safe", pure=True).load((ROOT / "prefect.yaml").read_text()))
    for our, their in zip(load_deployments(ROOT).deployments, theirs.deployments, strict=True):
        assert (our.name, our.entrypoint, our.description) == (their.name, their.entrypoint, their.description)
        assert their.work_pool is not None
        assert our.work_pool.work_queue_name == (their.work_pool.work_queue_name or "default")
        assert len(our.schedules) == len(their.schedules or [])


def flow_files() -> list[str]:
    return [path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__"]


def test_no_flow_file_hides_another_module() -> None:
    # Prefect puts the folder of a flow's file first on sys.path: flows/secrets.py would be the standard library's.
    taken = set(sys.stdlib_module_names) | set(packages_distributions()) | {"flows", "tasks", "blocks", "deployments"}
    assert flow_files()
    assert not taken & set(flow_files())
    assert {"secrets", "prefect"} <= taken
