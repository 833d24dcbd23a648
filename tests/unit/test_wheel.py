"""The wheel: one top-level package, the Prefect project inside it, every file of ours and nothing else.

``GOPUB_UPDATE_GOLDEN=1`` writes wheel.golden again, for a person to read in the diff.
"""

from __future__ import annotations

import asyncio
import os
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from gopub.process import base_environment, run

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("wheel.golden")
PROJECT = ("prefect.yaml", "flows", "tasks", "blocks", "deployments")
RIVAL = "raise RuntimeError('a package of somebody else')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without asking the network for anything."""
    folder = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    asyncio.run(run(argv, cwd=folder))
    (made,) = folder.glob("gopub-*-py3-none-any.whl")
    return made


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked: a site-packages that holds gopub alone."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def kinds(names: list[str]) -> str:
    """Folders and the kinds of file in them: what is shipped, without a line for each module."""
    ours = [PurePosixPath(name) for name in names if ".dist-info/" not in name]
    return "".join(f"{line}\n" for line in sorted({f"{path.parent}/*{path.suffix}" for path in ours}))


def test_what_is_shipped_is_the_golden_list(names: list[str]) -> None:
    if os.environ.get("GOPUB_UPDATE_GOLDEN"):
        GOLDEN.write_text(kinds(names))
    assert kinds(names) == GOLDEN.read_text()


async def test_every_file_of_ours_is_in_it_and_nothing_else(names: list[str]) -> None:
    listed = await run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "gopub", *PROJECT]
    )
    files = [name for name in listed.text.splitlines() if (ROOT / name).is_file()]
    expected = {name if name.startswith("gopub/") else f"gopub/project/{name}" for name in files}
    shipped = {name for name in names if ".dist-info/" not in name}
    assert shipped - expected == set()
    assert expected - shipped == set()


def test_its_only_top_level_package_is_gopub(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gopub"}


async def python(installed: Path, cwd: Path, code: str, **extra: str) -> str:
    """Run code in a folder against the unpacked wheel alone; its dependencies come from this environment."""
    environment = base_environment(extra={"PYTHONPATH": str(installed), "XDG_STATE_HOME": str(cwd), **extra})
    return (await run([sys.executable, "-W", "error", "-c", code], cwd=cwd, env=environment)).text


async def test_it_finds_its_own_project_beside_rivals(installed: Path, tmp_path: Path) -> None:
    for name in ("flows", "tasks", "blocks", "deployments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(RIVAL)
    code = "from gopub.cli.engine import load; print(load('deployments.lint:__file__'), load('flows.deploy:__file__'))"
    project = installed / "gopub" / "project"
    said = await python(installed, tmp_path, code)
    assert said == f"{project}/deployments/lint.py {project}/flows/deploy.py"
    # The control: without the loader the rival is what an import gives.
    rival = "try:\n  import flows\nexcept RuntimeError as error:\n  print(error)"
    assert await python(installed, tmp_path, rival) == "a package of somebody else"


async def test_its_prefect_yaml_is_good_where_it_lies(installed: Path, tmp_path: Path) -> None:
    code = (
        "from gopub.cli.engine import load; from gopub.paths import project_root; "
        "print(*[one.name for one in load('deployments.lint:load_deployments')(project_root()).deployments])"
    )
    assert await python(installed, tmp_path, code) == "deploy release rollout promote approve rollback recover refresh"


async def test_its_command_starts_without_prefect(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['gopub', '--version']\n"
        "from gopub.cli.main import run\n"
        "try:\n  run()\nexcept SystemExit as end:\n  print(end.code, {'prefect', 'fastapi'} & set(sys.modules))"
    )
    assert (await python(installed, tmp_path, code)).splitlines()[-1] == "0 set()"


def test_the_traps_are_pinned_for_whoever_installs_it(installed: Path) -> None:
    metadata = next(installed.glob("gopub-*.dist-info/METADATA")).read_text()
    wanted = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert any("fastapi" in line and "<0.151" in line for line in wanted)
