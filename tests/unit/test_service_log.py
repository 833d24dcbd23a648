"""`gopub serve` is a service: its log has what libraries complain of, though a command keeps that to itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAID = """
import logging
from gopub.cli.lines import hush, speak
from gopub.telemetry import log
speak(); hush()
import prefect
{service}
log("hooks").info("a run was started")
logging.getLogger("uvicorn.error").error("a crash")
logging.getLogger("httpx").info("a request")
logging.getLogger("prefect.flow_runs").info("Beginning flow run")
"""
SERVICE = "from deployments.api.serving import log_to_stderr; log_to_stderr()"


def logged(service: str, home: Path) -> list[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT")}
    places = {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(home), "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    argv = [sys.executable, "-c", SAID.format(service=service)]
    ran = subprocess.run(argv, env=kept | places, capture_output=True, text=True, check=True)
    return [re.sub(r"^[\d:, -]+ ", "", line) for line in ran.stderr.splitlines()]


@pytest.mark.parametrize(
    ("service", "lines"),
    [(SERVICE, ["gopub.hooks a run was started", "uvicorn.error a crash"]), ("", [])],
    ids=["a service", "a command for a person"],
)
def test_what_is_logged(service: str, lines: list[str], tmp_path: Path) -> None:
    assert logged(service, tmp_path) == lines
