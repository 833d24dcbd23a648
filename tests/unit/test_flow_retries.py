"""A flow whose release did not stay ends Failed, and whatever Prefect is told for all flows, none begins it again."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_FLOW_DEFAULT_RETRIES, temporary_settings

FLOWS = Path(__file__).parents[2] / "flows"
NAMES = sorted(path.stem for path in FLOWS.glob("[a-z]*.py"))


def loaded(name: str) -> Any:
    """The flow of a file of its own, read anew under the settings that hold now."""
    spec = importlib.util.spec_from_file_location(f"anew_{name}", FLOWS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return getattr(module, name)


@pytest.mark.parametrize("name", NAMES)
def test_retries_that_are_set_for_all_flows_roll_nothing_out_again(name: str):
    with temporary_settings({PREFECT_FLOW_DEFAULT_RETRIES: 3}):
        assert flow(lambda: None).retries == 3, "control: a flow that says nothing of it is tried again"
        assert loaded(name).retries == (-1 if name == "approve" else 0), "a start that Prefect does not count"
