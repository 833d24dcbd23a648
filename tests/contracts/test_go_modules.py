"""The Go modules that services link: formatted, vetted, and their own tests under the race detector."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gopub.process import base_environment, run

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.parent for path in (ROOT / "go").rglob("go.mod"))


def environment() -> dict[str, str]:
    """A cache of its own, outside of the checkout; CGO is what the race detector needs."""
    cache = Path(os.environ["GOPUB_CACHE"]) / "go-tests"
    offline = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "1"}
    return dict(base_environment(extra={"GOCACHE": str(cache), "HOME": str(cache), **offline}))


async def go(*words: str, at: Path, check: bool = True) -> str:
    return (await run(["go", *words], cwd=at, env=environment(), timeout=600, check=check)).text


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
async def test_a_module_is_formatted_vetted_and_its_tests_pass_under_the_race_detector(module: Path):
    assert (await run(["gofmt", "-l", "."], cwd=module)).text == ""
    await go("vet", "./...", at=module)
    assert "ok" in await go("test", "-race", "./...", at=module)


async def test_a_module_takes_nothing_along(tmp_path: Path):
    """Whoever links it links nothing else; the control is a module that does."""
    for module in MODULES:
        assert (await go("list", "-m", "all", at=module)).split() == [f"gopub.dev/{module.name}"]
    assert MODULES, "control: there are modules"


async def test_the_race_detector_sees_tags_that_are_kept_in_a_variable(tmp_path: Path):
    """The control: what a service would do wrong is found by the same command."""
    (tmp_path / "go.mod").write_text("module gopub.dev/wrong\n\ngo 1.24\n")
    (tmp_path / "wrong_test.go").write_text(
        'package wrong\n\nimport (\n\t"sync"\n\t"testing"\n)\n\nvar tags string\n\nfunc TestTags(t *testing.T) {\n'
        '\tvar group sync.WaitGroup\n\tfor _, tag := range []string{"a", "b"} {\n\t\tgroup.Add(1)\n'
        "\t\tgo func() { defer group.Done(); tags = tag }()\n\t}\n\tgroup.Wait()\n}\n"
    )  # fmt: skip
    said = await run(["go", "test", "-race", "./..."], cwd=tmp_path, env=environment(), timeout=600, check=False)
    assert "DATA RACE" in said.text and said.code != 0
