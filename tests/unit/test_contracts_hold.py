"""The contracts between packages can fail: each is kept as it stands, and broken when it asks for one thing more."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gopub.process import run

ROOT = Path(__file__).parents[2]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(config_filename=sys.argv[1]))"
ONE_THING_MORE: dict[str, dict[str, Any]] = {
    "Imports only go down": {"layers": ["gopub", "blocks"]},
    "Inside the core, by feature": {"layers": ["judge", "rollout"], "exhaustive": False},
    "The core never imports Prefect": {"ignore_imports": []},
    "Only gopub.process starts processes": {"ignore_imports": []},
    "A product is known where it is spoken to": {"ignore_imports": []},
    "Whoever drives or decides knows doors, no backends": {"source_modules": ["gopub.wiring"]},
    "What decides touches nothing": {"source_modules": ["gopub.rollout.bake"]},
}


async def kept(contract: dict[str, Any], folder: Path) -> bool:
    """Whether the imports keep a contract."""
    head = {key: value for key, value in LINTER.items() if key != "contracts"}
    lines = ["[tool.importlinter]", *(f"{key} = {json.dumps(value)}" for key, value in head.items())]
    lines += ["[[tool.importlinter.contracts]]", *(f"{key} = {json.dumps(value)}" for key, value in contract.items())]
    config = folder / "one.toml"
    config.write_text("\n".join(lines))
    said = await run([sys.executable, "-c", LINT, str(config)], cwd=ROOT, check=False)
    assert said.text.count("KEPT") + said.text.count("BROKEN") == 1, said.text
    return "BROKEN" not in said.text


def test_every_contract_has_a_control() -> None:
    assert [contract["name"] for contract in LINTER["contracts"]] == list(ONE_THING_MORE)


@pytest.mark.parametrize("contract", LINTER["contracts"], ids=lambda contract: contract["name"].replace(" ", "-"))
async def test_control_a_contract_that_asks_for_more_is_broken(contract: dict[str, Any], tmp_path: Path) -> None:
    assert await kept(contract, tmp_path)
    assert not await kept(contract | ONE_THING_MORE[contract["name"]], tmp_path)
