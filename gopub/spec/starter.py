"""The gopub.yaml that `gopub init` writes: seven lines and what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from gopub.errors import UsageError

_TEXT = """\
# How {app} is built, proven and rolled out. `gopub check` shows what this file means in full, defaults included.
# Completion in editors: `gopub check --schema > .gopub.schema.json`, and this line at the top:
#   yaml-language-server: $schema=.gopub.schema.json
app: {app}
build: {main}
environments:
  prod:
    inventory: deploy/hosts.ini           # an Ansible inventory, or the name of a connection
    hosts: role={app}
    health: http://127.0.0.1:8080/healthz # as a host sees itself; 2xx is well
"""
_MODULE = re.compile(r"^module\s+\"?([^\s\"]+)\"?", re.MULTILINE)
_MAJOR = re.compile(r"v\d+|v\d+\.\d+")


def starter(app: str, main: str) -> str:
    """The text of a first gopub.yaml."""
    return _TEXT.format(app=app, main=main)


def module_of(go_mod: str) -> str:
    """The module path in the text of a go.mod; empty where it names none."""
    found = _MODULE.search(go_mod)
    return found[1] if found else ""


def app_of(module: str, folder: str) -> str:
    """A name for the app: the last part of the module path that is no major version, else the folder's name."""
    parts = [part for part in PurePosixPath(module).parts if not _MAJOR.fullmatch(part)]
    name = re.sub(r"[^a-z0-9]+", "-", (parts[-1] if parts else folder).lower()).strip("-")
    return name[:40].rstrip("-") if name[:1].isalpha() else f"app-{name}"[:40].rstrip("-")


def choose_main(packages: Sequence[str], app: str) -> str:
    """The main package to build: the only one, the project's own folder, or the one that is named like the app.

    Raises:
        UsageError: GP148 there is none, or no choice among several is obvious.
    """
    likely = [".", *(package for package in packages if package.rpartition("/")[2] == app)]
    for package in packages if len(packages) == 1 else likely:
        if package in packages:
            return package
    if not packages:
        raise UsageError("GP148", "no main package lies here", hint="run it in the folder of a Go program")
    shown = ", ".join(packages[:8])
    raise UsageError("GP148", f"several main packages lie here: {shown}", hint="choose one with --main")
