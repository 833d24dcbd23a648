"""The READMEs' quick start, followed word by word in the folder of a new Go program."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gopub.process import base_environment, run

ROOT = Path(__file__).parents[2]
READMES = ["README.md", "README.zh-CN.md"]
NEEDS_HOSTS = "gopub deploy"
EDITOR = """#!/bin/sh
set -e
exec >"$1"
echo "$LINE"
"""
"""Types into the file that is named what the comment beside it says a line looks like; it makes no folder."""


def commands_of(readme: str) -> list[tuple[str, str]]:
    """The commands of the first block that begins with ``gopub init``, each with its comment."""
    block = re.search(r"```\n(gopub init\b.*?)```", (ROOT / readme).read_text("utf-8"), re.DOTALL)
    assert block is not None
    parts = [line.partition("#") for line in block[1].splitlines()]
    return [(command.strip(), comment.strip()) for command, _, comment in parts]


@pytest.fixture
def service(tmp_path) -> Path:
    folder = tmp_path / "orders"
    (folder / "cmd" / "orders").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/orders\n\ngo 1.21\n")
    (folder / "cmd" / "orders" / "main.go").write_text("package main\n\nfunc main() {}\n")
    editor = tmp_path / "editor"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    return folder


def environment(folder: Path, comment: str) -> dict[str, str]:
    home = folder.parent
    line = re.split("[:：]", comment, maxsplit=1)[-1].strip()
    cache = {"GOPUB_CACHE": os.environ["GOPUB_CACHE"]} if "GOPUB_CACHE" in os.environ else {}
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    extra = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "EDITOR": str(home / "editor"), "LINE": line,
             "PATH": f"{ROOT / 'scripts'}:{os.environ['PATH']}"}  # fmt: skip
    return base_environment(extra={**cache, **who, **extra})


async def follow(folder: Path, commands: list[tuple[str, str]]) -> str:
    """Do it up to the command that needs hosts, which is given back."""
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "Begin"]):
        await run(["git", *words], cwd=folder, env=environment(folder, ""))
    for command, comment in commands:
        if command.startswith(NEEDS_HOSTS):
            return command
        await run(["bash", "-c", command], cwd=folder, env=environment(folder, comment))
    raise AssertionError("nothing is deployed")


async def missing(folder: Path, deploy: str) -> list[str]:
    """What the commit that is deployed lacks of gopub.yaml and of what it names: GP206, after a build of minutes."""
    ref = deploy.split()[2]
    files = ["gopub.yaml", "deploy/hosts.ini"]
    found = await run(["git", "ls-tree", "-r", "--name-only", ref], cwd=folder, env=environment(folder, ""))
    return [file for file in files if file not in found.text.splitlines()]


@pytest.mark.parametrize("readme", READMES)
async def test_whoever_follows_the_quick_start_deploys_a_commit_with_all_that_it_needs(service, readme):
    deploy = await follow(service, commands_of(readme))
    assert deploy == "gopub deploy v1.0.0"
    assert await missing(service, deploy) == []
    dirty = await run(["git", "status", "--porcelain"], cwd=service, env=environment(service, ""))
    assert dirty.text == ""
    assert "orders1 ansible_host=10.0.0.11 role=orders" in (service / "deploy" / "hosts.ini").read_text()


async def test_control_one_that_tags_without_a_commit_is_found(service):
    commands = [
        ("git tag v1.0.0" if command.startswith("git") else command, comment)
        for command, comment in commands_of("README.md")
    ]
    assert await missing(service, await follow(service, commands)) == ["gopub.yaml", "deploy/hosts.ini"]


def test_both_languages_say_the_same_commands_and_one_word_for_gray_release():
    assert len({tuple(command for command, _ in commands_of(readme)) for readme in READMES}) == 1
    chinese = (ROOT / "README.zh-CN.md").read_text("utf-8")
    assert "灰度发布" in chinese
    assert "金丝雀" not in chinese
