"""Checkouts of real repositories, with the git that is installed."""

from pathlib import Path

import pytest

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.process import base_environment, run
from gopub.source import checkout, require_clean, settle_version_tag
from gopub.source.git import environment, origin_of, without_password
from gopub.telemetry import REDACTOR

WHO = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
ENV = WHO | {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}


async def git(folder: Path, *words: str) -> str:
    return (await run(["git", "-C", str(folder), *words], env=base_environment(extra=ENV))).text


async def commit(folder: Path, text: str) -> str:
    (folder / "a.txt").write_bytes(text.encode())
    await git(folder, "add", "-A")
    await git(folder, "commit", "-q", "-m", text.strip())
    return await git(folder, "rev-parse", "HEAD")


@pytest.fixture
async def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    folder.mkdir()
    await git(folder, "init", "-q", "-b", "main")
    await commit(folder, "one\r\n")
    await git(folder, "tag", "v1.0.0")
    await commit(folder, "two\n")
    await git(folder, "branch", "side", "HEAD~1")
    return folder


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        ("HEAD", b"two\n"),
        ("main", b"two\n"),
        ("side", b"one\r\n"),
        ("v1.0.0", b"one\r\n"),
        ("refs/heads/main", b"two\n"),
        ("refs/tags/v1.0.0", b"one\r\n"),
    ],
)
async def test_a_ref_gives_its_commit_byte_for_byte(repository: Path, tmp_path: Path, ref: str, content: bytes) -> None:
    tree = await checkout(repository, ref, tmp_path / "clone")
    assert (tree.path / "a.txt").read_bytes() == content
    assert tree.commit == await git(repository, "rev-parse", ref)
    assert tree.repository == repository.as_uri()
    assert not tree.dirty


async def test_a_commit_id_full_or_short_is_a_ref(repository: Path, tmp_path: Path) -> None:
    first = await git(repository, "rev-parse", "HEAD~1")
    assert (await checkout(repository, first, tmp_path / "full")).commit == first
    assert (await checkout(repository, first[:9], tmp_path / "short")).commit == first


async def test_a_commit_on_no_branch_is_found_by_its_ref(repository: Path, tmp_path: Path) -> None:
    await git(repository, "checkout", "-q", "--detach")
    lonely = await commit(repository, "three\n")
    await git(repository, "update-ref", "refs/merge-requests/1/head", lonely)
    await git(repository, "checkout", "-q", "main")
    tree = await checkout(repository.as_uri(), "refs/merge-requests/1/head", tmp_path / "clone")
    assert tree.commit == lonely


async def test_a_folder_of_a_repository_means_the_repository(repository: Path, tmp_path: Path) -> None:
    (repository / "app").mkdir()
    (repository / "app" / "go.mod").touch()
    await git(repository, "add", "-A")
    await git(repository, "commit", "-q", "-m", "app")
    tree = await checkout(repository / "app", "HEAD", tmp_path / "clone")
    assert (tree.folder, (tree.path / "app" / "go.mod").is_file()) == ("app", True)


async def test_only_the_version_tag_stays_in_the_clone(repository: Path, tmp_path: Path) -> None:
    await git(repository, "tag", "v1.0.0-rc1", "v1.0.0")
    await git(repository, "tag", "billing/v9.0.0", "v1.0.0")
    await git(repository, "tag", "v2.0.0", "main")
    tree = await checkout(repository, "v1.0.0", tmp_path / "clone")
    assert tree.tags == ("billing/v9.0.0", "v1.0.0", "v1.0.0-rc1")
    settled = await settle_version_tag(tree, {"orders"})
    assert settled.tag == "v1.0.0"
    assert await git(tree.path, "tag", "--list") == "v1.0.0"
    assert await settle_version_tag(tree, {"orders"}) == settled


async def test_a_dirty_working_tree_is_named_and_can_be_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "a.txt").write_text("changed")
    tree = await checkout(repository, "HEAD", tmp_path / "clone")
    assert tree.changes == ("a.txt",)
    assert (tree.path / "a.txt").read_bytes() == b"two\n"
    with pytest.raises(RefusedError, match=r"GP204 .*: a\.txt"):
        require_clean(tree)
    require_clean(await checkout(repository, "v1.0.0", tmp_path / "old"))


async def test_a_new_go_file_counts_and_a_new_note_does_not(repository: Path, tmp_path: Path) -> None:
    (repository / "notes.txt").write_text("x")
    assert not (await checkout(repository, "HEAD", tmp_path / "1")).dirty
    (repository / "new.go").write_text("package main")
    assert (await checkout(repository, "HEAD", tmp_path / "2")).changes == ("new.go",)


async def test_a_name_of_two_commits_is_refused(repository: Path, tmp_path: Path) -> None:
    await git(repository, "branch", "v1.0.0", "main")
    with pytest.raises(UsageError, match=r"GP203 'v1\.0\.0' names several commits"):
        await checkout(repository, "v1.0.0", tmp_path / "clone")
    assert "v1.0.0" in (await checkout(repository, "refs/tags/v1.0.0", tmp_path / "tag")).tags


@pytest.mark.parametrize("ref", ["nowhere", "0123456789", "refs/tags/v9.9.9"])
async def test_an_unknown_ref_is_told(repository: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="GP202"):
        await checkout(repository, ref, tmp_path / "clone")


@pytest.mark.parametrize("ref", ["", "--upload-pack=x", "a b", "HEAD^", "a\nb"])
async def test_what_cannot_be_a_ref_never_reaches_git(repository: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="GP200"):
        await checkout(repository, ref, tmp_path / "clone")


async def test_settings_of_the_user_do_not_change_the_bytes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[core]\n autocrlf = true\n eol = crlf\n")
    monkeypatch.setenv("HOME", str(home))
    tree = await checkout(repository, "main", tmp_path / "clone")
    assert (tree.path / "a.txt").read_bytes() == b"two\n"


async def test_a_folder_without_a_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"GP200 .* is not a git repository"):
        await checkout(tmp_path, "HEAD", tmp_path / "clone")


async def test_a_remote_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(GopubError, match="GP201 git clone failed"):
        await checkout((tmp_path / "none").as_uri(), "HEAD", tmp_path / "clone")


@pytest.mark.parametrize("text", ["", "ext::sh -c x", "-x", "ftp://h/x", "no-such-folder"])
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="GP200"):
        origin_of(text)


def test_a_password_leaves_the_address_and_is_masked() -> None:
    origin = origin_of("https://bot:gl-s3cret-token@git.example.org/a/b.git")
    assert origin.address == "https://git.example.org/a/b.git"
    assert "gl-s3cret-token" not in repr(origin)
    assert any("extraHeader" in value for value in environment(origin.settings).values())
    assert "gl-s3cret-token" not in REDACTOR.clean("clone with gl-s3cret-token")
    assert without_password("https://a:b@h/x") == "https://h/x"
