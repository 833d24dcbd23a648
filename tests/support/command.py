"""The ``gopub`` command in this process, as a terminal gets it: what it prints, and how it ends."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

from gopub.cli import lazy
from gopub.cli.main import tell_error
from gopub.errors import GopubError


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        return self.out + self.err


@cache
def _command(name: str) -> Any:
    """One command among the names of all others, as ``gopub`` has it when that one is called; made once."""
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    lazy.register(app, [name])
    return typer.main.get_command(app)


def gopub(*words: str) -> Ended:
    """Run it; only an end by an exit code is one, whatever else is raised comes through."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            _command(words[0])(list(words), prog_name="gopub")
        except SystemExit as end:
            return Ended(int(end.code or 0), out.getvalue(), err.getvalue())
        except GopubError as error:
            tell_error(error)
            return Ended(int(error.exit), out.getvalue(), err.getvalue())
    return Ended(0, out.getvalue(), err.getvalue())


def everything(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file below it, by what a write would change."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}
