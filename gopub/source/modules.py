"""The rules that a release's Go modules keep.

 1. go.mod lies in the main package's folder or above it, inside the checkout.
 2. ``vendor/`` is there if the rule asks for it and there is anything to vendor, and absent if the rule forbids it.
 3. No ``replace`` points to a folder outside the checkout. One that points inside is accepted only with a
    vendored copy, whose bytes rule 6 compares.
 4. go.mod and go.sum are complete: ``go mod tidy -diff`` finds nothing to change.
 5. What was downloaded is what go.sum says: ``go mod verify``. It does not look at ``vendor/``.
 6. ``vendor/`` is, byte for byte, what the verified modules give (``go build -mod=vendor`` accepts any change).

The build afterwards runs without network: everything it needs was fetched and verified here.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gopub.connecting import said_by_program
from gopub.errors import GopubError, RefusedError, SpecError, Where
from gopub.process import Result
from gopub.source.golang import Toolchain, run_go
from gopub.source.modfile import ModFile, Module, read_mod_file, read_sums
from gopub.source.tree import SourceTree
from gopub.source.vendortree import compare
from gopub.spec.address import hidden

Rule = Literal["auto", "vendor", "proxy"]


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """What was checked: the module's root folder and path, and every module that a build may draw on."""

    root: Path
    module: str
    vendored: bool
    modules: tuple[Module, ...]

    @property
    def mode(self) -> str:
        """The ``-mod=`` of every later Go call."""
        return "vendor" if self.vendored else "readonly"


async def check_modules(tree: SourceTree, rule: Rule, *, toolchain: Toolchain, folder: str = ".") -> ModuleReport:
    """Check the module that the main package in ``folder`` (relative to the checkout) belongs to.

    Raises:
        SpecError: GP210 no go.mod.
        RefusedError: GP211 to GP216, one per rule above; GP233 a file of these is a link that leads out.
        GopubError: GP217 modules cannot be had.
    """
    root = module_root(tree.path, folder)
    _refuse_ways_out(tree.path, root)
    mod_file = await _mod_file(toolchain, root)
    vendored = _vendoring(root, rule, mod_file)
    _check_replacements(mod_file, tree.path, root, vendored=vendored)
    try:
        await _fetch(toolchain, root, vendored=vendored)
    except GopubError as error:
        raise _without_workspace(error, tree.path, root) from error
    sums = root / "go.sum"
    # Not `go list -m all`: it wants the go.mod of modules that no package needs, which nobody fetched.
    modules = read_sums(sums.read_text()) if sums.exists() else ()
    return ModuleReport(root, mod_file.module, vendored, modules)


async def _fetch(toolchain: Toolchain, root: Path, *, vendored: bool) -> None:
    """Rules 4 to 6."""
    await _check_tidy(toolchain, root)
    await _check_downloads(toolchain, root)
    if vendored:
        await _check_vendor(toolchain, root)


def _without_workspace(error: GopubError, checkout: Path, root: Path) -> GopubError:
    """The same error; where modules cannot be had and a go.work lies there, with a word of that."""
    top = checkout.resolve()
    works = (folder / "go.work" for folder in (root, *root.parents) if folder.is_relative_to(top))
    work = next((path for path in works if path.is_file()), None)
    if error.code != "GP217" or work is None:
        return error
    hint = "require a version of each module that it uses, or replace it by its folder and run go mod vendor"
    where = Where(work.relative_to(top).as_posix())
    return GopubError("GP217", f"{error.problem}\na release is built without go.work", hint=hint, where=where)


def module_root(checkout: Path, folder: str) -> Path:
    """Rule 1: the nearest folder with a go.mod, from the main package's folder up to the checkout."""
    top = checkout.resolve()
    start = (top / folder).resolve()
    for candidate in (start, *start.parents):
        if not candidate.is_relative_to(top):
            break
        if (candidate / "go.mod").is_file():
            return candidate
    raise SpecError(
        "GP210",
        f"no go.mod in {folder!r} of the commit, nor above it",
        hint="run go mod init and commit go.mod; the main package lies beside it or below it",
    )


def _refuse_ways_out(checkout: Path, root: Path) -> None:
    """What Go reads here, before anything is in the sandbox, are files of the commit and no links to this machine's."""
    top = checkout.resolve()
    for name in ("go.mod", "go.sum", "vendor", "vendor/modules.txt"):
        if not (root / name).resolve().is_relative_to(top):
            raise RefusedError(
                "GP233",
                f"{name} is a link that leads out of the commit",
                hint="commit the file itself",
                where=Where((root / name).relative_to(top).as_posix()),
            )


def _vendoring(root: Path, rule: Rule, mod_file: ModFile) -> bool:
    there = (root / "vendor" / "modules.txt").is_file()
    if rule == "vendor" and not there and mod_file.requires:  # go mod vendor writes nothing where nothing is required
        raise RefusedError(
            "GP211",
            "source.modules is vendor, and the commit has no vendor/modules.txt",
            hint="run go mod vendor and commit vendor/",
        )
    if rule == "proxy" and there:
        raise RefusedError(
            "GP211",
            "source.modules is proxy, and the commit has a vendor/ folder",
            hint="remove vendor/, or say source.modules: vendor",
        )
    return there


async def _mod_file(toolchain: Toolchain, root: Path) -> ModFile:
    result = await run_go(toolchain, root, "mod", "edit", "-json")
    _require(result, "GP210", "go.mod cannot be read")
    return read_mod_file(result.text)


def _check_replacements(mod_file: ModFile, checkout: Path, root: Path, *, vendored: bool) -> None:
    top = checkout.resolve()
    for replacement in mod_file.local:
        line = f"replace {replacement.path} => {replacement.folder}"
        if not replacement.target(root).is_relative_to(top):
            raise RefusedError(
                "GP212",
                f"{line!r} points outside the repository: nobody can build this commit again",
                hint="publish the module and require a version of it",
                where=Where("go.mod"),
            )
        if not vendored:
            raise RefusedError(
                "GP213",
                f"{line!r} takes a module from a folder, past go.sum",
                hint="require a version of it, or vendor it (go mod vendor): the copy is then compared",
                where=Where("go.mod"),
            )


async def _check_tidy(toolchain: Toolchain, root: Path) -> None:
    result = await run_go(toolchain, root, "mod", "tidy", "-diff", online=True)
    if result.code and result.out.strip():
        raise RefusedError(
            "GP214",
            f"go.mod or go.sum is not what go mod tidy writes:\n{_head(result.text)}",
            hint="run go mod tidy and commit the result",
            where=Where("go.mod"),
        )
    _require(result, "GP217", "go mod tidy -diff failed")


async def _check_downloads(toolchain: Toolchain, root: Path) -> None:
    result = await run_go(toolchain, root, "mod", "download", online=True)
    _require(result, "GP217", "the modules cannot be downloaded")
    result = await run_go(toolchain, root, "mod", "verify")
    if result.code:
        raise _refusal("go mod verify found a module that was changed after its download", result)


async def _check_vendor(toolchain: Toolchain, root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="gopub-vendor-") as scratch:
        fresh = Path(scratch) / "vendor"
        result = await run_go(toolchain, root, "mod", "vendor", "-o", str(fresh), online=True)
        _require(result, "GP217", "go mod vendor failed")
        difference = compare(root / "vendor", fresh)
    if difference:
        raise RefusedError(
            "GP216",
            f"vendor/ is not what the modules give: {difference}",
            hint="run go mod vendor and look at the difference before you commit it",
        )


def _require(result: Result, code: str, what: str) -> None:
    if result.code and b"SECURITY ERROR" in result.err:
        raise _refusal("a module is not what go.sum says", result)
    if result.code:
        found = said_by_program(result.complaint) if code == "GP217" else None
        why = f"{what}; of the server: {found.what}\n" if found else f"{what}: "
        hint = found.hint if found else "run the same go command by hand"
        raise GopubError(code, why + hidden(result.complaint), hint=hint)


def _refusal(what: str, result: Result) -> RefusedError:
    said = f"{what}: {hidden(result.complaint)}"
    return RefusedError("GP215", said, hint="do not build it before you know who changed it")


def _head(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines[:15] + ([f"… and {len(lines) - 15} lines more"] if len(lines) > 15 else []))
