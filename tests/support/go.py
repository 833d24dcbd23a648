"""Go for the tests of the modules in go/: a cache of its own, outside of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from gopub.process import base_environment, run

MODULES = Path(__file__).resolve().parents[2] / "go"


def go_environment() -> dict[str, str]:
    """CGO is what the race detector needs; no module may change its go.mod or go.sum on the way."""
    cache = Path(os.environ["GOPUB_CACHE"]) / "go-tests"
    fixed = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "CGO_ENABLED": "1"}
    return dict(base_environment(extra={"GOCACHE": str(cache), "HOME": str(cache), **fixed}))


async def go(*words: str, at: Path, check: bool = True, **more: str) -> str:
    """What the command says; ``more`` is added to its environment."""
    done = await run(["go", *words], cwd=at, env=go_environment() | more, timeout=600, check=check)
    return done.text
