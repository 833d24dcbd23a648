"""The Go modules that services link: formatted, vetted, and their own tests under the race detector."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.process import run
from tests.support import hello
from tests.support.go import go, go_environment

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.parent for path in (ROOT / "go").rglob("go.mod"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
async def test_a_module_is_formatted_vetted_and_its_tests_pass_under_the_race_detector(module: Path):
    assert (await run(["gofmt", "-l", "."], cwd=module)).text == ""
    await go("vet", "./...", at=module)
    assert "ok" in await go("test", "-race", "./...", at=module)


PROGRAMS = (ROOT / "examples/hops", ROOT / "tests/support/grpcpair", ROOT / "tests/support/asker")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
async def test_a_program_of_the_tests_is_formatted(program: Path):
    assert (await run(["gofmt", "-l", "."], cwd=program)).text == ""


@pytest.mark.parametrize("module", hello.MODULES)
def test_the_example_has_the_module_as_it_is(module: str):
    """`python -m tests.support.hello` makes the copies anew."""
    there = {path.name: path.read_text() for path in (hello.HELLO / module).iterdir()}
    assert there == hello.copied(module)


GRAY, GRPC = ROOT / "go/gray", ROOT / "go/gray/graygrpc"
LINKED = "{{with .Module}}{{.Path}}{{end}}"


async def test_a_module_takes_nothing_along(tmp_path: Path):
    """Who links one links nothing else, what gRPC itself links apart; and who speaks HTTP alone never hears of gRPC."""
    assert (await go("list", "-m", "all", at=GRAY)).split() == ["gopub.dev/gray"]
    linked = set((await go("list", "-deps", "-f", LINKED, ".", at=GRPC)).split())
    theirs = set((await go("list", "-deps", "-f", LINKED, "google.golang.org/grpc", at=GRPC)).split())
    assert linked - theirs == {"gopub.dev/gray", "gopub.dev/gray/graygrpc"}
    assert "google.golang.org/protobuf" in theirs, "control: modules that come along are seen"
    assert {GRAY, GRPC} <= set(MODULES)


OURS = ("gopub.dev/", "golang.org/x/sys")
RUN_BY = [path for path in MODULES if not path.is_relative_to(GRAY)]


@pytest.mark.parametrize("module", RUN_BY, ids=lambda path: path.name)
async def test_what_a_service_runs_by_links_golang_org_x_sys_at_most(module: Path):
    linked = set((await go("list", "-deps", "-f", LINKED, "./...", at=module)).split())
    assert linked and all(path.startswith(OURS) for path in linked)


@pytest.mark.parametrize(("module", "sums"), [("gopub.dev/gray", False), ("gopub.dev/gray/graygrpc", True)])
async def test_who_requires_a_module_gets_checksums_for_what_it_links_only(tmp_path: Path, module: str, sums: bool):
    """A service of its own; the second one is the control."""
    (tmp_path / "go.mod").write_text(
        f"module example.test/service\n\ngo 1.25.0\n\nrequire {module} v0.1.0\n\n"
        f"replace gopub.dev/gray => {GRAY}\n\nreplace gopub.dev/gray/graygrpc => {GRPC}\n"
    )
    (tmp_path / "main.go").write_text(f'package main\n\nimport _ "{module}"\n\nfunc main() {{}}\n')
    await go("mod", "tidy", at=tmp_path)
    await go("vet", ".", at=tmp_path)
    assert (tmp_path / "go.sum").is_file() == sums


async def test_the_race_detector_sees_tags_that_are_kept_in_a_variable(tmp_path: Path):
    """The control: what a service would do wrong is found by the same command."""
    (tmp_path / "go.mod").write_text("module gopub.dev/wrong\n\ngo 1.24\n")
    (tmp_path / "wrong_test.go").write_text(
        'package wrong\n\nimport (\n\t"sync"\n\t"testing"\n)\n\nvar tags string\n\nfunc TestTags(t *testing.T) {\n'
        '\tvar group sync.WaitGroup\n\tfor _, tag := range []string{"a", "b"} {\n\t\tgroup.Add(1)\n'
        "\t\tgo func() { defer group.Done(); tags = tag }()\n\t}\n\tgroup.Wait()\n}\n"
    )  # fmt: skip
    said = await run(["go", "test", "-race", "./..."], cwd=tmp_path, env=go_environment(), timeout=600, check=False)
    assert "DATA RACE" in said.text and said.code != 0
