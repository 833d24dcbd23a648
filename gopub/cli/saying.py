"""The one sink of the command line: what people read leaves here, without secrets and with nothing that is obeyed.

Text for people is laid out for the terminal that it goes to; in a pipe it is left as it is, and so are documents.
Nothing is coloured, and no other escape sequence written, where that is not wanted: see ``is_plain``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import IO, TYPE_CHECKING

import typer

from gopub.cli.folding import broken, table
from gopub.telemetry import REDACTOR, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

FRAMED = 64
"""Columns from which on help stands in frames."""


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people; line feeds and tabs stay, every other control character is written out."""
    _put(broken(visible(REDACTOR.clean(text)), _width(_stream(err=err))), err=err)


def say_document(text: str, *, nl: bool = True) -> None:
    """Print a document for programs, such as JSON: the same, and no line is broken."""
    _put(visible(REDACTOR.clean(text)), nl=nl)


def cell(text: object, style: str = "") -> Text:
    """A text for Rich: one line, and as it is: brackets in a plain string would be markup."""
    from rich.text import Text

    return Text(_clean(text), style=style)


def console(*, err: bool = False, width: int | None = None, soft_wrap: bool = False) -> Console:
    """A console that takes nothing for markup; what is printed on it is a ``cell`` or made of cells."""
    from rich.console import Console

    fancy = not is_plain(_stream(err=err))
    return Console(stderr=err, width=width, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False,
                   force_terminal=fancy, color_system="auto" if fancy else None)  # fmt: skip


def say_table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table on stdout, as wide as it is; on a terminal that is narrower, in as many lines as it takes."""
    lines = table(columns, [[_clean(text) for text in row] for row in rows], _width(sys.stdout))
    if is_plain(sys.stdout) or not lines[0]:
        _put("\n".join(lines).strip("\n"))
        return
    out = console(soft_wrap=True)
    for number, line in enumerate(lines):
        out.print(cell(line, "" if number else "bold"))


def say_framed(columns: Sequence[str], rows: Iterable[Iterable[object]], *, title: str, width: int) -> None:
    """Print a table in a frame; ``width`` is that of the page off a terminal."""
    from rich.table import Table

    framed = Table(title=cell(title))
    for name in columns:
        framed.add_column(cell(name), overflow="ellipsis")
    for row in rows:
        framed.add_row(*map(cell, row))
    console(width=_width(sys.stdout) or width).print(framed)


def is_plain(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether no escape sequence may be written: ``NO_COLOR``, a terminal that obeys none, or no terminal."""
    return bool(environment.get("NO_COLOR")) or environment.get("TERM", "dumb") == "dumb" or not stream.isatty()


def keep_plain(environment: MutableMapping[str, str], *streams: IO[str]) -> None:
    """Let what others print for the command, its help and its usage, be as plain; before they are imported.

    A CI system that asks everybody for colours (``FORCE_COLOR``, ``GITHUB_ACTIONS``) gets none in a file either.
    """
    for name in ("FORCE_COLOR", "PY_COLORS"):
        environment.pop(name, None)
    if any(is_plain(stream, environment) for stream in streams):
        environment["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"  # Typer's own name for it


def narrow() -> int:
    """The columns of a terminal that has no room for frames beside the words; 0 where there is room enough."""
    widths = [width for width in map(_width, (sys.stdout, sys.stderr)) if width]
    return min(widths) if widths and min(widths) < FRAMED else 0


def forgive(*streams: IO[str]) -> None:
    """Let a terminal that cannot show a character show its number: an arrow is no reason to end a rollout."""
    for stream in streams:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _put(text: str, *, err: bool = False, nl: bool = True) -> None:
    typer.echo(text, err=err, nl=nl)  # noqa: TID251 - this is where it is said


def _clean(text: object) -> str:
    return one_line(REDACTOR.clean(str(text)))


def _stream(*, err: bool) -> IO[str]:
    return sys.stderr if err else sys.stdout


def _width(stream: IO[str]) -> int:
    """Columns of the terminal; 0 where it is none."""
    try:
        if not stream.isatty():
            return 0
        own = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # closed by now
        return 0
    return shutil.get_terminal_size((own, 24)).columns if "COLUMNS" in os.environ else own
