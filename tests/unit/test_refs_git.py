"""What may be released, asked of real repositories: branches, tags, and commits that are in one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deployments.refs import GitRefs, full_names, settled
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.process import base_environment, run
from gopub.source import checkout
from gopub.spec.refglob import EVERY, full_ref, matches, ref_pattern

WHO = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENV = WHO | {"GIT_CONFIG_GLOBAL": "/dev/null"}


async def git(folder: Path, *words: str) -> str:
    return (await run(["git", "-C", str(folder), *words], env=base_environment(extra=ENV))).text


async def commit(folder: Path, text: str) -> str:
    (folder / "gopub.yaml").write_text(text)
    await git(folder, "add", "-A")
    await git(folder, "commit", "-q", "-m", text)
    return await git(folder, "rev-parse", "HEAD")


class Repository:
    """main and tag v1 have ``merged``; a merge request has ``offered``; a push took ``forced`` off main by force."""

    def __init__(self, folder: Path, algorithm: str) -> None:
        self.folder, self.algorithm = folder, algorithm
        self.address = folder.as_uri()

    async def fill(self) -> Repository:
        self.folder.mkdir()
        await git(self.folder, "init", "-q", "-b", "main", f"--object-format={self.algorithm}")
        await git(self.folder, "config", "uploadpack.allowAnySHA1InWant", "true")  # as the large hosts do
        await git(self.folder, "config", "uploadpack.allowFilter", "true")
        self.merged = await commit(self.folder, "one")
        await git(self.folder, "tag", "-a", "-m", "v1", "v1")
        self.forced = await commit(self.folder, "forced")
        await git(self.folder, "reset", "-q", "--hard", "HEAD~1")
        await git(self.folder, "checkout", "-q", "--detach")
        self.offered = await commit(self.folder, "offered")
        await git(self.folder, "update-ref", "refs/merge-requests/1/head", self.offered)
        await git(self.folder, "checkout", "-q", "main")
        self.newest = await commit(self.folder, "newest")
        await git(self.folder, "update-ref", "refs/heads/x/refs/heads/hidden", self.newest)
        return self


@pytest.fixture(params=["sha1", "sha256"])
async def there(tmp_path: Path, request: pytest.FixtureRequest) -> Repository:
    return await Repository(tmp_path / "there", request.param).fill()


@pytest.fixture(params=["elsewhere", "a folder here"])
def address(there: Repository, request: pytest.FixtureRequest) -> str:
    return there.address if request.param == "elsewhere" else str(there.folder)


async def test_branches_tags_and_their_commits_are_there(there: Repository, address: str, tmp_path: Path) -> None:
    refs = GitRefs(tmp_path / "histories")
    for ref, name in [("main", "refs/heads/main"), ("v1", "refs/tags/v1"), ("refs/tags/v1", "refs/tags/v1")]:
        assert await settled(refs, address, ref, EVERY) == name
    for known in (there.merged, there.newest):
        assert await settled(refs, address, known, EVERY) == known


@pytest.mark.parametrize("ref", ["a" * 40, "a" * 64, "gone", "hidden", "HEAD", "refs/merge-requests/1/head", "ma*"])
async def test_what_is_no_branch_tag_or_commit_there_is_not_there(
    there: Repository, address: str, tmp_path: Path, ref: str
) -> None:
    assert await settled(GitRefs(tmp_path / "histories"), address, ref, EVERY) is None


async def test_commits_of_merge_requests_and_those_that_a_forced_push_took_away_are_not_taken(
    there: Repository, address: str, tmp_path: Path
) -> None:
    refs = GitRefs(tmp_path / "histories")
    assert await settled(refs, address, there.offered, EVERY) is None
    assert await settled(refs, address, there.forced, EVERY) is None
    await git(there.folder, "branch", "taken", there.offered)  # the control: once a branch has it, it is
    assert await settled(refs, address, there.offered, EVERY) == there.offered


async def test_a_commit_must_be_in_what_the_patterns_name(there: Repository, address: str, tmp_path: Path) -> None:
    refs = GitRefs(tmp_path / "histories")
    assert await settled(refs, address, there.merged, ("refs/tags/v*",)) == there.merged
    for ref in (there.newest, "main"):
        with pytest.raises(RefusedError, match=r"GP959 .*: refs/tags/v\*"):
            await settled(refs, address, ref, ("refs/tags/v*",))


async def test_a_copy_of_the_history_is_brought_up_to_date_and_holds_no_file(there: Repository, tmp_path: Path) -> None:
    refs = GitRefs(tmp_path / "histories")
    assert await refs.holding(there.address, there.newest)
    newer = await commit(there.folder, "newer")
    assert "refs/heads/main" in await refs.holding(there.address, newer)
    await git(there.folder, "reset", "-q", "--hard", there.merged)
    assert "refs/heads/main" not in await refs.holding(there.address, newer)
    (copy,) = (tmp_path / "histories").iterdir()
    listed = await git(copy, "cat-file", "--batch-check=%(objecttype)", "--batch-all-objects")
    assert set(listed.split()) <= {"commit", "tag"}
    assert (tmp_path / "histories").stat().st_mode & 0o777 == 0o700


async def test_a_repository_that_does_not_answer_is_told_and_one_that_is_slow_goes_on_being_read(
    there: Repository, tmp_path: Path
) -> None:
    with pytest.raises(GopubError, match="GP939"):
        await GitRefs(tmp_path / "h").holding((tmp_path / "none").as_uri(), there.merged)
    impatient = GitRefs(tmp_path / "histories", within=0.0)
    with pytest.raises(GopubError, match=r"GP939 .*no answer in time"):
        await impatient.holding(there.address, there.merged)
    async with asyncio.timeout(60):
        while not list((tmp_path / "histories").glob("*.git")):  # noqa: ASYNC110 - git tells no event
            await asyncio.sleep(0.01)


async def test_on_a_worker_a_commit_that_nobody_took_is_not_built(there: Repository, address: str, tmp_path: Path):
    for number, ref in enumerate((there.offered, "refs/merge-requests/1/head", there.forced)):
        with pytest.raises((RefusedError, UsageError), match=r"GP959|GP202"):
            await checkout(address, ref, tmp_path / f"refused{number}", refs=EVERY)
    assert (await checkout(address, there.merged, tmp_path / "tag", refs=("refs/tags/v*",))).commit == there.merged
    with pytest.raises(RefusedError, match=r"GP959 commit \w{12} is in no branch or tag .*: refs/tags/v\*"):
        await checkout(address, "main", tmp_path / "branch", refs=("refs/tags/v*",))
    offered = await checkout(there.address, "refs/merge-requests/1/head", tmp_path / "person")
    assert offered.commit == there.offered  # the control: a person may


@pytest.mark.parametrize(
    ("pattern", "ref", "fits"),
    [
        ("refs/tags/v*", "refs/tags/v1.0", True),
        ("refs/tags/v*", "refs/tags/v1/x", False),
        ("refs/tags/v**", "refs/tags/v1/x", True),
        ("refs/tags/v*", "xrefs/tags/v1", False),
        ("refs/tags/v1", "refs/tags/v10", False),
        ("refs/heads/a.c", "refs/heads/abc", False),
        ("refs/heads/*", "refs/tags/v1", False),
        ("refs/heads/*", "refs/heads/a\n", True),
    ],
)
def test_a_pattern_is_anchored_and_a_star_does_not_cross_a_slash(pattern: str, ref: str, *, fits: bool) -> None:
    assert matches(ref, [ref_pattern(pattern)]) is fits


@pytest.mark.parametrize(
    "text", ["", "v*", "refs/*", "refs/heads/", "refs/pull/1/head", "refs/heads/a b", "refs/tags/[v]"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="GP957"):
        ref_pattern(text)


@pytest.mark.parametrize("text", ["main", "refs/heads/*", "refs/heads/a..b", "refs/heads/a.lock", "refs/pull/1/head"])
def test_a_protected_ref_is_one_by_its_full_name(text: str) -> None:
    with pytest.raises(UsageError, match="GP957"):
        full_ref(text)


@pytest.mark.parametrize("ref", ["--upload-pack=x", "refs/remotes/origin/main", "a..b", "a b", "refs/heads/x.lock", ""])
def test_what_git_cannot_call_a_branch_or_a_tag_is_never_asked_for(ref: str) -> None:
    assert full_names(ref) == ()
