"""What a shell fills in, asked as the shells ask: from a checkout and by the console script of a wheel."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gopub.process import Result, base_environment, run

ROOT = Path(__file__).parents[2]
SPEC = """\
app: hello
build: ./cmd
environments:
  prod: {hosts: 3, health: [nonsense]}
  staging: {}
  "$(touch run)": {}
"""
BASH = """\
eval "$(_GOPUB_COMPLETE=source_bash "$1")"
complete -p gopub >&2
COMP_WORDS=("$@") COMP_CWORD=$(( $# - 1 ))
_gopub_completion "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What readline does with the function that the command prints; what it says on stderr stands in the prompt."""


@pytest.fixture(params=["checkout", "wheel"])
def command(request, tmp_path) -> str:
    if request.param == "checkout":
        return str(ROOT / "scripts" / "gopub")
    script = tmp_path / "bin" / "gopub"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom gopub.cli.main import run\nsys.exit(run())\n")
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def folder(tmp_path) -> Path:
    below = tmp_path / "project" / "below"
    below.mkdir(parents=True)
    (below.parent / "gopub.yaml").write_text(SPEC)
    return below


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    home = folder.parent.parent
    cache = {"GOPUB_CACHE": os.environ.get("GOPUB_CACHE", "")} if os.environ.get("GOPUB_CACHE") else {}
    own = {"XDG_STATE_HOME": str(home / "state"), "PYTHONPATH": str(ROOT), "GIT_CEILING_DIRECTORIES": str(home)}
    return base_environment(extra={**own, **cache, **(extra or {})})


async def filled_in(command: str, folder: Path, *words: str) -> set[str]:
    done = await run(["bash", "-c", BASH, "bash", command, *words], cwd=folder, env=environment(folder))
    assert done.err.decode() == "complete -o default -F _gopub_completion gopub\n"
    return set(done.text.split())


async def asked(folder: Path, shell: str, line: str) -> Result:
    extra = {"_GOPUB_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line,
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    argv = [sys.executable, "-m", "gopub.cli.main"]
    return await run(argv, cwd=folder, env=environment(folder, extra), check=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rollout", "--env", ""], {"prod", "staging"}),
        (["status", "-e", "s"], {"staging"}),
        (["route", "show", "--env", "p"], {"prod"}),
        (["rollback", ""], {"hello"}),
        (["rollb"], {"rollback"}),
        (["rollout", "--dr"], {"--dry-run"}),
    ],
)
async def test_bash_fills_in_from_the_gopub_yaml_above(command, folder, words, expected):
    assert await filled_in(command, folder, *words) == expected


async def test_versions_are_those_of_the_store_and_refs_those_of_the_repository(command, folder, tmp_path):
    kept = tmp_path / "state" / "gopub" / "store" / "apps" / "hello"
    kept.mkdir(parents=True)
    (kept / "1.0.0").touch()
    (kept / "1.1.0").touch()
    project = folder.parent
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-qb", "main"], [*author, "commit", "-qm", "x", "--allow-empty"], ["tag", "v1.0.0"],
                  ["branch", "$(touch${IFS}run)"]):  # fmt: skip
        await run(["git", *words], cwd=project, env=environment(folder))
    assert await filled_in(command, folder, "rollout", "1.") == {"1.0.0", "1.1.0"}
    assert await filled_in(command, folder, "rollback", "--to", "") == {"1.0.0", "1.1.0"}
    assert await filled_in(command, folder, "rollout", "v1.") == {"v1.0.0", "v1.1.0"}
    assert await filled_in(command, folder, "deploy", "") == {"main", "v1.0.0"}
    (kept / "1.0.0").unlink()
    (kept / "1.1.0").unlink()
    assert await filled_in(command, folder, "rollout", "") == {"v1.0.0"}


async def test_zsh_and_fish_are_answered_in_their_own_way(folder):
    assert (await asked(folder, "zsh", "gopub rollout --env s")).text == """_arguments '*: :(("staging"))'"""
    assert (await asked(folder, "fish", "gopub rollout --env ")).text.split() == ["prod", "staging"]


@pytest.mark.parametrize("text", ["app: [", "environments: 3", "- x", "\x00", None])
async def test_a_gopub_yaml_that_cannot_be_read_offers_nothing_and_says_nothing(command, folder, text):
    file = folder.parent / "gopub.yaml"
    file.unlink()
    if text is not None:
        file.write_text(text)
    assert await filled_in(command, folder, "deploy", "--env", "") == set()


HEAVY = ("prefect", "sqlalchemy", "asyncssh", "httpx", "gopub.spec.models", "gopub.journal")


@pytest.mark.parametrize("words", ["rollout --env ", "status --app ", "rollback --to ", "deploy ", "lab exec "])
async def test_nothing_heavy_is_imported_for_a_press_of_a_key_and_nothing_is_made(folder, tmp_path, words):
    script = (f"import atexit, sys\natexit.register(lambda: print('imported', *(set({HEAVY}) & set(sys.modules))))\n"
              "from gopub.cli.main import run\nrun()\n")  # fmt: skip
    extra = {"_GOPUB_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": f"gopub {words}",
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    said = await run([sys.executable, "-c", script], cwd=folder, env=environment(folder, extra), check=False)
    assert said.text.splitlines()[-1] == "imported"
    assert said.err == b""
    assert not (tmp_path / "state").exists()
