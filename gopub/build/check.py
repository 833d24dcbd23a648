"""``go vet`` and ``go test`` before anything is built: a failure publishes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gopub.errors import GopubError
from gopub.process import Result
from gopub.source.golang import Toolchain, run_go

_TAIL = 40


@dataclass(frozen=True, slots=True)
class TestReport:
    """How many packages were tested, and how many have no tests."""

    __test__ = False  # its name makes pytest look twice

    tested: int
    untested: int


async def unit_tests(toolchain: Toolchain, root: Path, *, mode: str) -> TestReport:
    """Run go vet and go test over the whole module, without network for modules.

    Raises:
        GopubError: GP226 vet complains; GP227 a test fails; each with the end of the output.
    """
    vet = await run_go(toolchain, root, "vet", f"-mod={mode}", "./...")
    if vet.code:
        raise GopubError("GP226", f"go vet complains:\n{_tail(vet)}", hint="run go vet ./... by hand")
    test = await run_go(toolchain, root, "test", f"-mod={mode}", "-count=1", "./...")
    if test.code:
        raise GopubError("GP227", f"go test failed:\n{_tail(test)}", hint="run go test ./... by hand")
    return summarize(test.text)


def summarize(output: str) -> TestReport:
    """Count the packages in the output of ``go test``."""
    lines = [line.strip() for line in output.splitlines()]
    return TestReport(
        tested=sum(line.startswith("ok") for line in lines),
        untested=sum("[no test files]" in line for line in lines),
    )


def _tail(result: Result) -> str:
    said = (result.out + result.err).decode(errors="replace").strip().splitlines()
    return "\n".join(said[-_TAIL:])
