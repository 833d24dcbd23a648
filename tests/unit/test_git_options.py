"""What a repository calls its refs, remotes and submodules is never an option of git's, a path or another ref."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gopub.errors import GopubError, RefusedError, SpecError, UsageError
from gopub.process import base_environment, run
from gopub.source import checkout, require_clean, settle_version_tag
from gopub.source.git import Origin, origin_of
from gopub.source.reach import refs_with

ROOT = Path(__file__).parents[2]
WHO = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}
ENV = base_environment(extra=WHO | {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"})
NAMES = (b"--upload-pack=touch", b"-", b"-d", b"--", b"HEAD", b"x\xffy", "a\u2028b".encode(), "v\u00e9".encode())


async def git(folder: Path, *words: str, stdin: bytes = b"", check: bool = True) -> str:
    return (await run(["git", "-C", str(folder), *words], env=ENV, stdin=stdin, check=check)).text


async def commit(folder: Path, name: str = "a.txt", text: str = "one\n") -> str:
    (folder / name).write_text(text)
    await git(folder, "add", "-A")
    await git(folder, "commit", "-q", "-m", "a commit")
    return await git(folder, "rev-parse", "--verify", "HEAD")


@pytest.fixture
async def repository(tmp_path: Path) -> Path:
    """Two commits, each with tags of every odd name, and branches that are called so as well."""
    folder = tmp_path / "origin"
    folder.mkdir()
    await git(folder, "init", "-q", "-b", "main")
    for number in (1, 2):
        made = (await commit(folder, text=f"{number}\n")).encode()
        odd = [name + (b"" if number == 2 else b"1") for name in NAMES]
        names = [
            b"refs/tags/v%d.0.0" % number,
            *(kind + name for name in odd for kind in (b"refs/tags/", b"refs/heads/")),
        ]
        orders = b"".join(b"create %s\0%s\0" % (name, made) for name in names)
        await git(folder, "update-ref", "--stdin", "-z", stdin=orders)
    return folder


@pytest.mark.parametrize("address", ["folder", "url"])
@pytest.mark.parametrize("ref", ["v1.0.0", "HEAD"])
async def test_tags_that_look_like_options_do_not_stop_a_release(
    repository: Path, tmp_path: Path, ref: str, address: str
) -> None:
    tree = await checkout(repository if address == "folder" else repository.as_uri(), ref, tmp_path / "clone")
    settled = await settle_version_tag(tree, ())
    tag = "v1.0.0" if ref == "v1.0.0" else "v2.0.0"
    assert (settled.tag, await git(settled.path, "tag", "--list")) == (tag, tag)
    assert await git(settled.path, "rev-parse", "--verify", "HEAD") == settled.commit


async def test_git_takes_such_a_tag_for_an_option(repository: Path) -> None:
    """The control: the names are ones that git does not sort out by itself."""
    said = await run(["git", "-C", str(repository), "tag", "--delete", "--upload-pack=touch"], env=ENV, check=False)
    assert said.code == 129
    assert b"usage: git tag" in said.err


@pytest.mark.parametrize(
    "ref", ["@{-1}", "main@{0}", "main@{upstream}", "refs/tags/v1.0.0@{0}", "v1.0.0..main", "-", "--upload-pack=touch",
            "main\u00a0", "main\n", "a b", "/main", "main/", "main.lock"]
)  # fmt: skip
async def test_what_means_something_else_to_git_is_no_ref(repository: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(UsageError, match=r"GP20[02]"):
        await checkout(repository, ref, tmp_path / "clone")


@pytest.mark.parametrize("ref", ["+main", "tag", "refs/heads/nowhere"])
async def test_a_ref_is_no_refspec(repository: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="GP202"):
        await checkout(repository.as_uri(), ref, tmp_path / "clone")


async def test_a_branch_cannot_pass_for_two(repository: Path) -> None:
    """What a policy allows is held against the names of refs: no part of a name is one."""
    lonely = await git(repository, "commit-tree", "-m", "lonely", "HEAD^{tree}")
    for blank in ("\u00a0", "\u2028", "\u2003", "\x85"):
        name = f"refs/heads/x{blank}refs/heads/main"
        await git(repository, "update-ref", name, lonely)
        assert await refs_with(repository, lonely) == (name,)
        assert "refs/heads/main" in name.split(), "the control: to Python it is two"
        await git(repository, "update-ref", "-d", name)


async def test_a_file_that_is_called_head_hides_no_change(repository: Path, tmp_path: Path) -> None:
    await commit(repository, name="HEAD")
    require_clean(await checkout(repository, "main", tmp_path / "clean"))
    (repository / "a.txt").write_text("changed")
    with pytest.raises(RefusedError, match=r"GP204 .*a\.txt"):
        require_clean(await checkout(repository, "refs/heads/main", tmp_path / "clone"))


@pytest.mark.parametrize(
    "address", ["-x@host:path", "x@-host:path", "ssh://-oProxyCommand=x/y", "ssh://a@-oProxyCommand=x/y",
                "--upload-pack=x", "ext::sh -c x", "fd::3", "transport::x"]
)  # fmt: skip
def test_an_address_is_no_option_and_no_command(address: str) -> None:
    with pytest.raises(UsageError, match="GP200"):
        origin_of(address)


@pytest.mark.parametrize(
    ("remote", "url", "allowed"),
    [
        ("", "{library}", True),
        ("https://git.example.org/app.git", "{library}", False),
        ("", "ext::touch {mark}", False),
    ],
)
async def test_a_submodule_reaches_what_its_repository_could(
    tmp_path: Path, remote: str, url: str, allowed: bool
) -> None:
    library, folder, mark = tmp_path / "library", tmp_path / "origin", tmp_path / "mark"
    for one in (library, folder):
        one.mkdir()
        await git(one, "init", "-q", "-b", "main")
    await commit(library)
    await git(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    url = url.format(library=library.as_uri(), mark=mark)
    (folder / ".gitmodules").write_text(f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n')
    await commit(folder)
    if remote:
        await git(folder, "remote", "add", "origin", remote)
    if allowed:
        assert (await checkout(folder, "HEAD", tmp_path / "clone")).path.joinpath("lib/a.txt").is_file()
        return
    with pytest.raises(GopubError, match=r"GP201 git submodule failed: (.|\n)*transport '(file|ext)' not allowed"):
        await checkout(folder, "HEAD", tmp_path / "clone")
    assert not mark.exists()


@pytest.mark.parametrize(
    "url", ["http://bob:{secret}@127.0.0.1:9/x.git", "https://bob:{secret}@127.0.0.1:9/", "ssh://b:{secret}@[::1]:9/x"]
)
async def test_a_password_of_a_submodule_is_refused_and_never_shown(tmp_path: Path, url: str) -> None:
    """Of a submodule's own submodules only git reads the addresses: what it says of them is shown without."""
    secret = "secret-4711-word"
    inner, outer = await with_submodule(tmp_path / "inner", url.format(secret=secret)), tmp_path / "outer"
    with pytest.raises(SpecError, match="GP958") as caught:
        await checkout(inner, "HEAD", tmp_path / "clone")
    assert secret not in str(caught.value)
    assert str(caught.value.where) == ".gitmodules"
    await with_submodule(outer, inner.as_uri(), await git(inner, "rev-parse", "HEAD"))
    with pytest.raises(GopubError, match=r"GP201 git submodule failed: (.|\n)*(127\.0\.0\.1|::1)") as told:
        await checkout(outer, "HEAD", tmp_path / "clone of outer")
    assert secret not in str(told.value)


async def with_submodule(folder: Path, url: str, at: str = "1" * 40) -> Path:
    """A repository whose commit names a submodule; nobody fetched it."""
    (folder / "lib").mkdir(parents=True)
    await git(folder, "init", "-q", "-b", "main")
    (folder / ".gitmodules").write_text(f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n')
    await git(folder, "update-index", "--add", "--cacheinfo", f"160000,{at},lib")
    await commit(folder)
    return folder


def test_folders_of_this_machine_are_out_of_reach_for_submodules_of_a_repository_elsewhere() -> None:
    assert "file" not in Origin("https://git.example.org/app.git").schemes
    assert "file" not in Origin("git@git.example.org:app.git").schemes
    assert "file" in Origin("file:///srv/app.git").schemes


CALLS = frozenset({"git", "asks", "answered"})
SAFE = frozenset({"commit"})  # what rev-parse gave: hex digits


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, dict[str, ast.expr]]]:
    """Calls of git, and what the names in the same function stand for."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            known = {
                target.id: node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                    yield node, known


def flat(arguments: list[ast.expr], known: dict[str, ast.expr]) -> Iterator[ast.expr]:
    for one in arguments:
        inner = one.value if isinstance(one, ast.Starred) else one
        if isinstance(one, ast.Starred) and isinstance(inner, ast.Name):
            inner = known.get(inner.id, inner)
        if isinstance(inner, ast.Tuple | ast.List):
            yield from flat(inner.elts, known)
        elif isinstance(inner, ast.IfExp):
            yield from flat([ast.Starred(inner.body), ast.Starred(inner.orelse)], known)
        else:
            yield inner


def unguarded(source: str) -> list[str]:
    """Words of git calls that come from somewhere and stand where an option may stand."""
    found = []
    for call, known in calls(ast.parse(source)):
        guarded = False
        for word in flat(call.args[1:], known):
            if isinstance(word, ast.Constant):
                guarded = guarded or word.value in {"--", "--end-of-options"}
            elif not (guarded or _harmless(word)):
                found.append(ast.unparse(word))
    return found


def _harmless(word: ast.expr) -> bool:
    if isinstance(word, ast.Name):
        return word.id in SAFE or word.id.isupper()
    first = word.values[0] if isinstance(word, ast.JoinedStr) else None  # --contains={commit}
    return isinstance(first, ast.Constant) and str(first.value).startswith("--") and str(first.value).endswith("=")


def test_no_call_of_git_takes_a_word_from_outside_for_an_option() -> None:
    files = [path for part in ("gopub", "deployments", "tasks", "flows") for path in (ROOT / part).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): unguarded(path.read_text()) for path in files}
    # The callers' own words pass through these.
    assert {name: words for name, words in found.items() if words} == {"gopub/source/git.py": ["words", "words"]}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ('git(f, "tag", "--delete", *names)', ["names"]),
        ('git(f, "tag", "--delete", "--", *names)', []),
        ('asks(f, "rev-parse", f"{ref}^0")', ["f'{ref}^0'"]),
        ('asks(f, "for-each-ref", f"--contains={commit}")', []),
    ],
)
def test_the_reader_of_calls_finds_what_it_should(call: str, words: list[str]) -> None:
    assert unguarded(f"def g():\n    {call}\n") == words
