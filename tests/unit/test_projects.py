"""Who is the project: never the commit that is released. A ref's folder is whole from its first moment and stays."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.spec.projects import Projects, parse_projects
from gopub.wiring.folder import Place, here, project_folder

FILES = 60
DEPLOY = """
import asyncio, sys
from gopub.wiring.folder import Place, project_folder
for _ in range(2):
    print(asyncio.run(project_folder(Place(sys.argv[1], project_ref=f"refs/tags/{sys.argv[2]}"))))
"""


def git(folder: Path, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, env=os.environ | names)
    return done.stdout.decode().strip()


def read_from(repository: str, ref: str) -> str:
    return asyncio.run(project_folder(Place(repository, project_ref=ref)))


def registered(text: str) -> Callable[[], Projects]:
    tokens = "tokens: {ci: {secret: {env: T}}}\n"
    return lambda: parse_projects(text + tokens, "projects.yaml")


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
    one = Path(read_from(repository, "refs/tags/one"))
    (one / "noted").write_text("by whoever recovers")
    two = Path(read_from(repository, "refs/tags/two"))
    assert read_from(repository, "refs/tags/one") == str(one)
    assert [(folder / "gopub.yaml").read_text() for folder in (one, two)] == ["one", "two"]
    assert (one / "noted").exists() and sorted(one.parent.iterdir()) == sorted([one, two])


def test_a_checkout_that_fails_leaves_nothing(repository, tmp_path):
    with pytest.raises(GopubError, match="GP202"):
        read_from(repository, "refs/heads/nowhere")
    assert list((tmp_path / "state/gopub/projects").iterdir()) == []


def test_many_deployments_at_once_each_find_a_whole_folder(repository):
    argv = [sys.executable, "-c", DEPLOY, repository]
    running = [subprocess.Popen([*argv, tag], stdout=subprocess.PIPE) for tag in ("one", "two") * 2]
    told = [one.communicate(timeout=120)[0].decode().split() for one in running]
    assert [one.returncode for one in running] == [0] * 4
    folders = {Path(line) for lines in told for line in lines}
    assert sorted((folder / "gopub.yaml").read_text() for folder in folders) == ["one", "two"]
    assert all(len(list(folder.glob("file*"))) == FILES for folder in folders)


TWO = """
apps:
  hello: {{repository: "{repository}", project_ref: refs/tags/one, envs: [prod]}}
  audit: {{repository: "{repository}", spec: audit/gopub.yaml, project: /srv/audit, envs: [prod]}}
"""


def test_a_worker_reads_the_ref_that_projects_yaml_names_and_not_what_was_pushed(repository):
    known = registered(TWO.format(repository=repository))
    folder = asyncio.run(project_folder(Place(repository, env="prod"), registered=known))
    assert (Path(folder) / "gopub.yaml").read_text() == "one"
    assert asyncio.run(project_folder(Place(repository, "audit/gopub.yaml"), registered=known)) == "/srv/audit"
    named = asyncio.run(project_folder(Place(repository, project="/srv/named"), registered=known))
    assert named == "/srv/named"  # the control: a run that says its project is not asked


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (Place("https://gitlab.example/trade/other.git"), "projects.yaml does not name it"),
        (Place("file:///srv/git/hello.git", app="other"), "projects.yaml does not name it"),
        (Place("/srv/git/x.git"), "projects.yaml does not name it"),
    ],
)
def test_a_worker_refuses_a_repository_that_nobody_vouches_for(place, why):
    known = registered(TWO.format(repository="file:///srv/git/hello.git"))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(project_folder(place, registered=known))
    assert (caught.value.code, why in caught.value.problem, "projects.yaml" in caught.value.hint) == (
        "GP956",
        True,
        True,
    )


def test_a_worker_without_projects_yaml_and_an_unknown_environment_are_refused(repository):
    def nothing() -> Projects:
        raise UsageError("GP920", "no projects file: looked for projects.yaml")

    with pytest.raises(RefusedError, match=r"GP956 no project is known for .*: no projects file"):
        asyncio.run(project_folder(Place(repository), registered=nothing))
    known = registered(TWO.format(repository=repository))
    with pytest.raises(UsageError, match=r"GP942 hello has no environment 'live'; projects.yaml has: prod"):
        asyncio.run(project_folder(Place(repository, env="live"), registered=known))


def test_a_folder_of_the_worker_is_not_taken_for_its_own_word(tmp_path):
    (tmp_path / "gopub.yaml").touch()
    known = registered(TWO.format(repository="/srv/elsewhere"))
    with pytest.raises(RefusedError, match="GP956"):
        asyncio.run(project_folder(Place(str(tmp_path)), registered=known))
    assert asyncio.run(project_folder(Place(str(tmp_path)))) == str(tmp_path)  # where a person stands it is


def test_a_password_in_an_address_is_refused_before_anything_else_and_not_shown(tmp_path):
    with pytest.raises(UsageError) as caught:
        asyncio.run(project_folder(Place("https://bob:SECRET@git.example/x.git", project=str(tmp_path))))
    assert (caught.value.code, "SECRET" in str(caught.value)) == ("GP958", False)


def test_the_project_of_a_command_is_the_folder_that_was_named_or_where_one_stands(tmp_path, monkeypatch):
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "gopub.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert here(str(tmp_path / "orders"), "gopub.yaml") == str(tmp_path / "orders")
    assert here("https://gitlab.example/trade/orders.git", "gopub.yaml") == str(tmp_path)
