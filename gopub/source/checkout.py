"""From a repository and a ref to a clean clone at one commit."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from gopub.errors import GopubError, RefusedError, SpecError, UsageError, Where
from gopub.source.git import Origin, answered, asks, git, lines, origin_of, remote_of, without_password
from gopub.source.reach import require_taken
from gopub.source.refs import as_tagged, resolve
from gopub.source.tree import SourceTree, choose_tag, last_tag
from gopub.spec.address import refuse_password
from gopub.spec.refglob import is_ref

_TAGS = "refs/tags/"
_MODULES = ".gitmodules"


async def checkout(repository: str | Path, ref: str, into: Path, *, refs: Sequence[str] = ()) -> SourceTree:
    """Clone a local or remote repository into the folder ``into`` and check ``ref`` out.

    ``ref`` is a branch, a tag (of a version also without its ``v``), a commit id or ``HEAD``. What is built is always
    the commit, never a working tree. Only the tags at the commit stay in the clone; :func:`settle_version_tag`
    leaves one of them. With ``refs`` the commit must be in a branch or a tag of these patterns.

    Raises:
        UsageError: GP200 an address or ref that cannot be one; GP202 no such ref; GP203 an ambiguous one.
        RefusedError: GP959 it is in none of ``refs``.
        SpecError: GP958 a submodule's address holds a password.
        GopubError: GP201 git failed.
    """
    if not is_ref(ref):
        raise UsageError("GP200", f"{ref!r} cannot be a git ref", hint="give a branch, a tag or a commit id")
    named = origin_of(repository)
    origin = await _rooted(named)
    into.parent.mkdir(parents=True, exist_ok=True)
    await _clone(origin, into)
    ref = await as_tagged(into, ref, origin)
    commit = await resolve(into, ref, origin)
    await require_taken(into, commit, refs)
    plain = await _without_filters(into)
    await git(into, "checkout", "--quiet", "--force", "--detach", commit, "--", settings={**origin.settings, **plain})
    if (into / _MODULES).exists():
        await _refuse_passwords(into, commit)
        home = await _home_of_submodules(into, origin)
        words = ("submodule", "--quiet", "update", "--init", "--recursive")
        settings = {**origin.settings, **home.settings, **plain}
        await git(into, *words, settings=settings, schemes=home.schemes)
    listed = await git(into, "for-each-ref", f"--points-at={commit}", "--format=%(refname:strip=2)", "--", _TAGS)
    tags = lines(listed)
    before = lines(await git(into, "for-each-ref", f"--merged={commit}", "--format=%(refname:strip=2)", "--", _TAGS))
    await _keep_only(into, tags)
    return SourceTree(
        path=into,
        repository=await _public_address(origin, commit),
        commit=commit,
        ref=ref,
        commit_time=int(await git(into, "show", "--no-patch", "--format=%ct", commit, "--")),
        changes=await _changes(origin, commit),
        tags=tuple(tags),
        before=tuple(before),
        folder=named.local.relative_to(origin.local).as_posix() if named.local and origin.local else ".",
    )


async def settle_version_tag(tree: SourceTree, owners: Collection[str]) -> SourceTree:
    """Choose the tag that names the version, see :func:`choose_tag`, and the last one before; others leave the clone.

    Go stamps a tag into the binary, and the bytes must not depend on tags that come later.
    """
    tag = choose_tag(tree.tags, tree.ref, owners)
    await _keep_only(tree.path, [tag] if tag else [])
    return replace(tree, tag=tag, last=last_tag(tree.before, owners))


def require_clean(tree: SourceTree) -> None:
    """Refuse a release of a commit whose working tree holds changes that would not be in it.

    Raises:
        RefusedError: GP204.
    """
    if tree.dirty:
        shown = ", ".join(tree.changes[:5]) + (" …" if len(tree.changes) > 5 else "")
        raise RefusedError(
            "GP204",
            f"the working tree has changes that commit {tree.commit[:12]} does not have: {shown}",
            hint="commit them or put them away (git stash), or leave clean-tree out of source.require",
        )


async def repository_root(folder: Path) -> Path:
    """The root of the repository that a folder lies in.

    Raises:
        UsageError: GP200 when it lies in none, GP207 git does not trust its owner.
        GopubError: GP201 git failed.
    """
    answer = await answered(folder, "rev-parse", "--show-toplevel")
    if answer.code:  # a bare one has no top
        answer = await answered(folder, "rev-parse", "--absolute-git-dir")
    if not answer.code:
        return Path(answer.text)
    raise _no_repository(folder, answer.complaint)


def _no_repository(folder: Path, complaint: str) -> GopubError:
    if "dubious ownership" in complaint:
        return UsageError(
            "GP207",
            f"git refuses {str(folder)!r}, for it belongs to another user: {complaint.splitlines()[0]}",
            hint=f"if you trust it: git config --global --add safe.directory {shlex.quote(str(folder))}",
        )
    if "not a git repository" in complaint or not folder.is_dir():
        return UsageError(
            "GP200", f"{str(folder)!r} is not a git repository", hint="run git init, add and commit first"
        )
    return GopubError("GP201", f"git rev-parse failed: {complaint}", hint="try git status there by hand")


async def _rooted(origin: Origin) -> Origin:
    if origin.local is None:
        return origin
    root = await repository_root(origin.local)
    return Origin(str(root), local=root)


async def _clone(origin: Origin, into: Path) -> None:
    sparing = ["--dissociate"] if origin.local else ["--filter=blob:none"]
    await git(
        into.parent,
        *("clone", "--quiet", "--no-checkout", "--template=", "--origin", "origin", *sparing),
        *("--", origin.address, str(into)),
        settings=origin.settings,
    )


async def _without_filters(clone: Path) -> dict[str, str]:
    """Settings under which no filter of the user's (Git LFS, git-crypt) changes what is checked out."""
    listed = await asks(clone, "config", "--null", "--name-only", "--get-regexp", r"^filter\.") or ""
    filters = {key.removeprefix("filter.").rpartition(".")[0] for key in listed.split("\0") if key}
    none = {"smudge": "", "clean": "", "process": "", "required": "false"}
    return {f"filter.{name}.{key}": value for name in filters for key, value in none.items()}


async def _home_of_submodules(clone: Path, origin: Origin) -> Origin:
    """From where relative addresses of submodules count: what the repository was itself cloned from, as git has it."""
    remote = origin.local and await _remote(origin.local)
    url = origin.local and remote and await asks(origin.local, "remote", "get-url", "--", remote)
    if not url or origin.local is None:
        return origin
    home = origin_of(origin.local / url) if url.startswith(".") else remote_of(url)
    await git(clone, "remote", "set-url", "--", "origin", home.address)
    return home


async def _refuse_passwords(clone: Path, commit: str) -> None:
    """Refuse what the commit says of its submodules where an address of it holds a password: logs would show it."""
    words = ("config", "--null", f"--blob={commit}:{_MODULES}", "--get-regexp", r"^submodule\..*\.url$")
    for entry in filter(None, (await asks(clone, *words) or "").split("\0")):
        try:
            refuse_password(entry.partition("\n")[2])
        except UsageError as error:
            raise SpecError(error.code, error.problem, hint=error.hint, where=Where(_MODULES)) from None


async def _keep_only(clone: Path, tags: Collection[str]) -> None:
    kept = frozenset(f"{_TAGS}{tag}".encode() for tag in tags)
    listed = (await answered(clone, "for-each-ref", "--format=%(refname)", "--", _TAGS)).out.split(b"\n")
    gone = [name for name in listed if name and name not in kept]
    # By standard input: a name may look like an option, or be no text at all, and a command line has a limit.
    await git(clone, "update-ref", "--stdin", "-z", stdin=b"".join(b"delete " + name + b"\0\0" for name in gone))


async def _changes(origin: Origin, commit: str) -> tuple[str, ...]:
    """Changed files and new Go files; other new files (an inventory, notes) cannot be missed by a build."""
    if origin.local is None or await asks(origin.local, "rev-parse", "--verify", "--end-of-options", "HEAD") != commit:
        return ()
    changed = await asks(origin.local, "diff", "--name-only", "-z", "HEAD", "--") or ""
    new = await asks(origin.local, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.go") or ""
    return tuple(sorted(filter(None, (changed + "\0" + new).split("\0"))))


async def _remote(local: Path) -> str | None:
    """Where a repository on this machine comes from: its remote ``origin``, or the only one that it has."""
    names = lines(await asks(local, "remote"))
    return "origin" if "origin" in names else names[0] if len(names) == 1 else None


async def _public_address(origin: Origin, commit: str) -> str:
    """A local clone of a known remote commit is named after the remote; what exists only here says so."""
    if origin.local is None:
        return without_password(origin.address)
    remote = await _remote(origin.local)
    if remote and await asks(origin.local, "for-each-ref", f"--contains={commit}", "--", f"refs/remotes/{remote}/"):
        url = await asks(origin.local, "remote", "get-url", "--", remote)
        if url and not url.startswith(("/", ".", "file:")):
            return without_password(url)
    return origin.local.as_uri()
