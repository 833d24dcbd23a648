"""What a shell may fill in at its prompt: environments, apps, versions, refs, a lab's hosts.

It is asked at every press of a key. So it reads files that lie at hand and git's own list of names, and nothing else:
no journal, no network, no Prefect; whatever goes wrong, nothing is said and nothing is offered. A name that a shell
would take for more than a word is left out: who cloned a stranger's repository must not run its branch names.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from gopub.spec.tree import Node

ASKED = "_GOPUB_COMPLETE"
"""The variable by which a shell's function asks; typer names it after the program."""
_LINES = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
"""What has been typed so far: in bash, and in zsh and fish."""
_WORD = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+/@-]*", re.ASCII)
_MOST = 100
_GIT_WITHIN = 1.0


def asked(environment: Mapping[str, str]) -> bool:
    """Whether a shell asks what it may fill in; for the function itself (``source_…``) a person asks."""
    return environment.get(ASKED, "").startswith("complete_")


def typed(environment: Mapping[str, str]) -> list[str]:
    """The words after the program's name that stand at the prompt."""
    line = next((environment[name] for name in _LINES if environment.get(name)), "")
    return line.split()[1:]


def keep_quiet() -> None:
    """Let nothing reach the prompt but answers."""
    with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


def environments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Those of the gopub.yaml that is named, else of the nearest one."""
    from gopub.spec.tree import Keys, child

    found = child(_project(ctx), "environments")
    return _offered(found.nodes if isinstance(found, Keys) else (), incomplete)


def apps(ctx: typer.Context, incomplete: str) -> list[str]:
    """The app of the gopub.yaml that is named, else of the nearest one."""
    return _offered(filter(None, [_app(_project(ctx))]), incomplete)


def versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the store in the user's state folder holds of this app; where it holds nothing, the repository's tags."""
    from gopub.paths import state_dir

    there: list[str] = []
    if app := _app(_project(ctx)):
        with suppress(OSError):
            there = sorted(one.name for one in (state_dir() / "store" / "apps" / app).iterdir())
    names = there or _git_names("refs/tags")
    if incomplete.startswith("v"):  # as tags have it; a version means the same with and without
        names = [name if name.startswith("v") else f"v{name}" for name in names]
    return _offered(names, incomplete)


def refs(incomplete: str) -> list[str]:
    """Tags and branches of the repository here."""
    return _offered(_git_names("refs/tags", "refs/heads"), incomplete)


def lab_hosts(ctx: typer.Context, incomplete: str) -> list[str]:
    """The hosts of the lab that is named, if it is up."""
    from gopub.lab.state import home_of, load

    layout = load(home_of(str(ctx.params.get("name") or "lab")))
    return _offered((host.name for host in layout.hosts) if layout else (), incomplete)


def _project(ctx: typer.Context) -> Node:
    """The gopub.yaml as it stands, valid or not: one wrong value elsewhere is no reason to offer nothing."""
    from gopub.spec.finding import FILE, find_spec, read_text
    from gopub.spec.reading import read_tree

    named = ctx.params.get("file")
    path = Path(str(named)) if named and Path(str(named)) != Path() else find_spec(Path())
    path = path / FILE if path.is_dir() else path
    return read_tree(read_text(path), path.name)


def _app(project: Node) -> str:
    from gopub.spec.tree import Scalar, child

    found = child(project, "app")
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) else ""


def _git_names(*kinds: str) -> Sequence[str]:
    """Names of refs below these, the newest first."""
    from gopub.process import base_environment, run

    argv = ["git", "for-each-ref", "--sort=-creatordate", f"--count={_MOST}", "--format=%(refname:short)", *kinds]
    done = asyncio.run(run(argv, env=base_environment(), timeout=_GIT_WITHIN, check=False))
    return done.text.splitlines() if done.code == 0 else ()


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    """What begins with what is typed already, and is a mere word to every shell."""
    return [name for name in names if name.startswith(incomplete) and _WORD.fullmatch(name)][:_MOST]
