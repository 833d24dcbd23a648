"""The folder of a repository elsewhere: one for each commit, whole from its first moment, never taken from a reader."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gopub.drive.projects import project_folder
from gopub.errors import GopubError

FILES = 60
DEPLOY = """
import asyncio, sys
from gopub.drive.projects import project_folder
for _ in range(2):
    print(asyncio.run(project_folder(sys.argv[1], sys.argv[2], "gopub.yaml")))
"""


def git(folder: Path, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, env=os.environ | names)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path, monkeypatch) -> str:
    """The address of a repository that is reached as one elsewhere is; each commit has FILES files and its number."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "hello"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for number in ("one", "two"):
        for name in ("gopub.yaml", *(f"file{n}" for n in range(FILES))):
            (folder / name).write_text(number)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", number)
        git(folder, "tag", number)
    return folder.as_uri()


def test_each_commit_has_a_folder_of_its_own_that_later_deployments_leave_alone(repository):
    one = Path(asyncio.run(project_folder(repository, "one", "gopub.yaml")))
    (one / "noted").write_text("by whoever recovers")
    two = Path(asyncio.run(project_folder(repository, "two", "gopub.yaml")))
    assert asyncio.run(project_folder(repository, "one", "gopub.yaml")) == str(one)
    assert [(folder / "gopub.yaml").read_text() for folder in (one, two)] == ["one", "two"]
    assert (one / "noted").exists() and sorted(one.parent.iterdir()) == sorted([one, two])


def test_a_checkout_that_fails_leaves_nothing(repository, tmp_path):
    with pytest.raises(GopubError, match="GP202"):
        asyncio.run(project_folder(repository, "nowhere", "gopub.yaml"))
    assert list((tmp_path / "state/gopub/projects").iterdir()) == []


def test_many_deployments_at_once_each_find_a_whole_folder(repository):
    argv = [sys.executable, "-c", DEPLOY, repository]
    running = [subprocess.Popen([*argv, tag], stdout=subprocess.PIPE) for tag in ("one", "two") * 2]
    told = [one.communicate(timeout=120)[0].decode().split() for one in running]
    assert [one.returncode for one in running] == [0] * 4
    folders = {Path(line) for lines in told for line in lines}
    assert sorted((folder / "gopub.yaml").read_text() for folder in folders) == ["one", "two"]
    assert all(len(list(folder.glob("file*"))) == FILES for folder in folders)
