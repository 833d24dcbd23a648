"""What a worker loads to begin a run, which is a process of its own: what its first box does not need comes later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOWS = sorted(file.stem for file in (ROOT / "flows").glob("*.py") if file.stem != "__init__")
HEAVY = frozenset({
    "alembic", "apprise", "asyncssh", "fastapi", "gopub.cli", "gopub.lab", "minio", "numpy", "psycopg", "requests",
    "scipy", "sigstore", "uvicorn",
})  # fmt: skip
"""Each costs a tenth of a second or more; a run that needs one loads it when it does."""
LOADED = """
import sys, prefect.engine, prefect.flow_engine
theirs = set(sys.modules)
import {names}
print(*sorted(set(sys.modules) - theirs))
"""


def loaded(*names: str) -> frozenset[str]:
    """What these load beside what Prefect's engine has loaded already."""
    argv = [sys.executable, "-c", LOADED.format(names=", ".join(names))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return frozenset(done.stdout.split())


@pytest.fixture(scope="module")
def by_the_flows() -> frozenset[str]:
    return loaded(*(f"flows.{name}" for name in FLOWS))


def test_no_flow_loads_what_its_first_box_does_not_need(by_the_flows: frozenset[str]) -> None:
    assert {"flows.deploy", "flows.rollout", "flows.recover"} <= by_the_flows
    assert sorted(by_the_flows & HEAVY) == []


def test_control_what_opens_connections_loads_them() -> None:
    found = loaded("gopub.fleet.backends.ssh", "gopub.store.backends.s3") & HEAVY
    assert {"asyncssh", "minio"} <= found
