"""Checkouts of real repositories, with the git that is installed."""

import os
from pathlib import Path

import pytest

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.process import base_environment, run
from gopub.source import checkout, require_clean, settle_version_tag
from gopub.source.git import environment, origin_of, remote_of, without_password
from gopub.source.tree import version_of
from gopub.source.versions import is_older
from gopub.telemetry import REDACTOR

SECRET_ADDRESSES = (
    "https://bot:gl-s3cret@git.example.org/a.git", "https://glpat-s3cret@git.example.org/a.git",
    "ssh://git:s3cret@git.example.org/a.git", "bot:s3cret@git.example.org:a.git",
    "https://bot:gl/s3cret@git.example.org/a.git", "https://git.example.org/a.git?private_token=s3cret",
    "HTTPS://bot:s3cret@git.example.org/a", "ftp://bot:s3cret@git.example.org/a",
)  # fmt: skip
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


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    for text in SECRET_ADDRESSES:
        with pytest.raises(UsageError, match="GP958") as caught:
            origin_of(text)
        assert "s3cret" not in str(caught.value)
    assert origin_of("https://bot@git.example.org/a/b.git").address == "https://bot@git.example.org/a/b.git"


def test_a_password_of_a_remote_leaves_the_address_and_is_masked() -> None:
    origin = remote_of("https://bot:gl-s3cret-token@git.example.org/a/b.git")
    assert origin.address == "https://git.example.org/a/b.git"
    assert "gl-s3cret-token" not in repr(origin)
    assert any("extraHeader" in value for value in environment(origin.settings).values())
    assert "gl-s3cret-token" not in REDACTOR.clean("clone with gl-s3cret-token")
    assert without_password("https://a:b@h/x") == "https://h/x"


async def a_remote_that_moved_on(tmp_path: Path) -> tuple[Path, str]:
    """A repository whose own main is behind what its last fetch saw of origin; and the commit that origin has."""
    upstream, local = tmp_path / "upstream", tmp_path / "local"
    upstream.mkdir()
    await git(upstream, "init", "-q", "-b", "main")
    await commit(upstream, "one\n")
    await git(tmp_path, "clone", "-q", str(upstream), str(local))
    newer = await commit(upstream, "two\n")
    await git(local, "fetch", "-q")
    return local, newer


@pytest.mark.parametrize("ref", ["origin/main", "refs/remotes/origin/main"])
async def test_a_remote_branch_of_a_local_repository_is_not_its_own_branch(tmp_path: Path, ref: str) -> None:
    local, newer = await a_remote_that_moved_on(tmp_path)
    assert (await checkout(local, ref, tmp_path / "clone")).commit == newer
    assert (await checkout(local, "main", tmp_path / "own")).commit != newer


async def test_a_remote_branch_that_a_local_repository_does_not_have_is_told(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"GP202 .*'origin/main'\nhint: git branch --all"):
        await checkout(repository, "origin/main", tmp_path / "clone")
    assert (await checkout(repository.as_uri(), "origin/main", tmp_path / "remote")).tags == ()


async def test_a_branch_that_is_called_like_a_remote_branch_is_ambiguous(tmp_path: Path) -> None:
    local, _ = await a_remote_that_moved_on(tmp_path)
    await git(local, "branch", "origin/main", "main")
    with pytest.raises(UsageError, match=r"GP203 .*remote branch origin/main"):
        await checkout(local, "origin/main", tmp_path / "clone")


async def test_an_owner_that_git_does_not_trust_is_named_as_the_reason(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    monkeypatch.setenv("HOME", str(tmp_path))
    os.chown(repository, 65534, 65534)
    with pytest.raises(UsageError, match=r"GP207 .*dubious ownership(.|\n)*safe\.directory /") as caught:
        await checkout(repository, "HEAD", tmp_path / "clone")
    await git(
        tmp_path, *caught.value.hint.partition(": git ")[2].replace("--global", f"-f {tmp_path}/.gitconfig").split()
    )
    assert (await checkout(repository, "HEAD", tmp_path / "clone")).path.is_dir()


@pytest.mark.parametrize("remote", ["origin", "elsewhere"])
async def test_a_relative_submodule_of_a_local_clone_lies_beside_its_remote(tmp_path: Path, remote: str) -> None:
    library, upstream = tmp_path / "server/library", tmp_path / "server/app"
    for folder in (library, upstream):
        folder.mkdir(parents=True)
        await git(folder, "init", "-q", "-b", "main")
    await commit(library, "library\n")
    await git(upstream, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "lib")
    await commit(upstream, "app\n")
    await git(tmp_path, "clone", "-q", "--origin", remote, str(upstream), str(tmp_path / "local"))
    tree = await checkout(tmp_path / "local", "HEAD", tmp_path / "clone")
    assert (tree.path / "lib/a.txt").read_bytes() == b"library\n"


async def test_the_users_filters_and_names_have_no_say(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, library = tmp_path / "home", tmp_path / "library"
    for folder in (home, library):
        folder.mkdir()
    (home / ".gitconfig").write_text(
        '[filter "up.per"]\n smudge = tr a-z A-Z\n required = true\n[clone]\n defaultRemoteName = elsewhere\n'
    )
    await git(library, "init", "-q", "-b", "main")
    for folder in (library, repository):
        (folder / ".gitattributes").write_text("*.txt filter=up.per\n")
        await commit(folder, "small\n")
    words = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    await git(repository, *words)
    await commit(repository, "small\n\n")
    monkeypatch.setenv("HOME", str(home))
    tree = await checkout(repository, "main", tmp_path / "clone")
    assert (tree.path / "a.txt").read_bytes() == b"small\n\n"
    assert (tree.path / "lib/a.txt").read_bytes() == b"small\n"


async def test_a_repository_with_sha256_is_checked_out(tmp_path: Path) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    await git(folder, "init", "-q", "-b", "main", "--object-format=sha256")
    made = await commit(folder, "one\n")
    assert len(made) == 64
    assert (await checkout(folder, made, tmp_path / "clone")).commit == made


@pytest.mark.parametrize("remote", ["origin", "elsewhere"])
async def test_what_a_remote_has_is_named_after_it(repository: Path, tmp_path: Path, remote: str) -> None:
    await git(repository, "remote", "add", remote, "https://bot:s3cret@git.example.org/orders.git")
    await git(repository, "update-ref", f"refs/remotes/{remote}/main", "main")
    assert (await checkout(repository, "main", tmp_path / "1")).repository == "https://git.example.org/orders.git"
    await commit(repository, "only here\n")
    assert (await checkout(repository, "main", tmp_path / "2")).repository == repository.as_uri()


async def test_a_commit_without_a_tag_is_called_after_the_last_tag_before_it(repository: Path, tmp_path: Path) -> None:
    await git(repository, "checkout", "-q", "-b", "later", "HEAD")
    await commit(repository, "three\n")
    await git(repository, "tag", "-a", "-m", "m", "v9.0.0")
    tree = await settle_version_tag(await checkout(repository, "main", tmp_path / "clone"), ())
    version = version_of(tree)
    assert (tree.tag, tree.last) == (None, "v1.0.0"), "v9.0.0 comes later"
    assert version.startswith("1.0.1-0.") and version.endswith(tree.commit[:12])
    assert not is_older(version, "1.0.0") and is_older(version, "9.0.0")
    assert await git(tree.path, "tag", "--list") == "", "control: the bytes do not depend on it"
    tagged = await settle_version_tag(await checkout(repository, "v1.0.0", tmp_path / "tagged"), ())
    assert version_of(tagged) == "1.0.0"


@pytest.mark.parametrize(("tags", "ref", "tag"), [
    (["v1.2.3", "v1.2.4"], "1.2.3", "v1.2.3"), (["1.2.3", "1.2.4"], "v1.2.3", "1.2.3"),
    (["1.2.3", "v1.2.3"], "1.2.3", "1.2.3"),
])  # fmt: skip
async def test_a_version_is_found_by_its_tag_with_or_without_the_v(
    repository: Path, tmp_path: Path, tags: list[str], ref: str, tag: str
) -> None:
    for name in tags:
        await git(repository, "tag", name)
    tree = await settle_version_tag(await checkout(repository, ref, tmp_path / "clone"), ())
    assert (tree.ref, tree.tag, version_of(tree)) == (tag, tag, "1.2.3")
    with pytest.raises(UsageError, match="GP202"):
        await checkout(repository, "1.2.9", tmp_path / "none")
