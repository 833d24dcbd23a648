"""The second chance of `make test`: what failed beside the others and passes alone is told, and all else fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gopub.process import Result, base_environment, run

PARTS = Path(__file__).parents[2] / "scripts" / "parts.sh"
WELL = "def test_well(): pass\n"
FAILS = "def test_fails(): assert False, 'always'\n"
FLAKY = """
from pathlib import Path
def test_flaky():
    seen = Path(__file__).with_suffix(".seen")
    if not seen.exists():
        seen.touch()
        assert False, "by chance"
"""
SKIPS = FLAKY + "    import pytest; pytest.skip('what it needs is gone')\n"
CRASHES = FAILS + "def test_crashes(): import os; os._exit(1)\n"
STOPS = FAILS + "def test_stops(): raise KeyboardInterrupt\n"
BROKEN = "import nothing_of_that_name\n"
LATE = (
    WELL
    + """
import pytest
@pytest.fixture(scope="module", autouse=True)
def served():
    yield
    assert False, "as it was taken down"
"""
)
SIX = "import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_six(n): assert False\n"
NONE = "x = 1\n"


class Made:
    """`make test` of a project with one file of tests for each part."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.names = folder, folder / "out", list[str]()
        self.out.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n")

    async def _call(self, *words: str, follow: bool = False) -> Result:
        extra = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **({"FOLLOW": "1"} if follow else {})}
        return await run([str(PARTS), *words], cwd=self.folder, env=base_environment(extra=extra), check=False)

    async def part(self, name: str, text: str, *, follow: bool = False) -> str:
        """Run one; gives its report."""
        (self.folder / f"test_{name}.py").write_text(text)
        self.names.append(name)
        command = [sys.executable, "-m", "pytest", f"test_{name}.py"]
        told = await self._call("run", str(self.out), name, *command, follow=follow)
        assert told.code == 0, "what becomes of it is said at the end"
        return told.text

    async def end(self) -> tuple[int, str]:
        told = await self._call("end", str(self.out), *self.names)
        return told.code, told.text


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


async def test_what_passes_alone_is_told_loudly_and_the_run_is_well(made: Made) -> None:
    first = await made.part("one", WELL + FLAKY)
    await made.part("two", WELL, follow=True)
    await made.part("three", FLAKY + WELL, follow=True)
    assert "by chance" in first
    code, told = await made.end()
    assert code == 0, told
    _, block = told.split("UNSTEADY: failed beside the others and passed alone:\n")
    assert block.splitlines()[:2] == ["  test_one.py::test_flaky", "  test_three.py::test_flaky"]
    assert told.count("1 passed") == 2, "each of them alone"
    assert " 1 passed" in told.splitlines()[-1], "who counts the tests finds pytest's own line at the end"


async def test_what_is_well_is_not_run_again(made: Made) -> None:
    for name in ("one", "two"):
        assert " 1 passed" in await made.part(name, WELL, follow=name == "two")
    assert await made.end() == (0, "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(FAILS, "FAILED: again, alone, in bad.", id="fails again"),
        pytest.param(FAILS + FLAKY, "FAILED: again, alone, in bad.", id="one of two fails again"),
        pytest.param(SKIPS, "FAILED: again, alone, in bad.", id="is skipped then"),
        pytest.param(LATE, "FAILED: again, alone, in bad.", id="fails as it is taken down"),
        pytest.param(SIX, "FAILED: 7 tests; more than 5 are not run again.", id="more than five"),
        pytest.param(CRASHES, "bad: it ended with code 1, and not because tests failed", id="crashes"),
        pytest.param(STOPS, "bad: it ended with code 2, and not because tests failed", id="is interrupted"),
        pytest.param(BROKEN, "bad: it ended with code 2, and not because tests failed", id="cannot be read"),
        pytest.param(NONE, "bad: it ended with code 5, and not because tests failed", id="has no test"),
    ],
)
async def test_all_else_fails(made: Made, text: str, says: str) -> None:
    await made.part("flaky", FLAKY)
    await made.part("bad", text)
    code, told = await made.end()
    assert (code, says in told) == (1, True), told


async def test_a_part_that_came_to_no_end_fails(made: Made) -> None:
    await made.part("one", WELL)
    made.names.append("killed")
    assert await made.end() == (1, "\nFAILED: killed: it ended with code none, and not because tests failed")
    (made.out / "killed").mkdir()
    assert (await made.end())[0] == 1
