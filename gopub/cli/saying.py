"""The one sink of the command line: what people read leaves here, without secrets and with nothing that is obeyed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

import typer

from gopub.telemetry import REDACTOR, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text or a JSON document; line feeds and tabs stay, every other control character is written out."""
    typer.echo(visible(REDACTOR.clean(text)), err=err, nl=nl)  # noqa: TID251 - this is where it is said


def cell(text: object, style: str = "") -> Text:
    """A text for Rich: one line, and as it is: brackets in a plain string would be markup."""
    from rich.text import Text

    return Text(one_line(REDACTOR.clean(str(text))), style=style)


def console(*, err: bool = False, width: int | None = None, soft_wrap: bool = False) -> Console:
    """A console that takes nothing for markup; what is printed on it is a ``cell`` or made of cells."""
    from rich.console import Console

    return Console(stderr=err, width=width, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)


def say_table(columns: Sequence[str], rows: Iterable[Iterable[object]], *, title: str = "", width: int = 0) -> None:
    """Print a table on stdout: with a title in a frame, else bare; ``width`` is that of the page off a terminal."""
    from rich.table import Table

    table = Table(title=cell(title)) if title else Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(cell(name), overflow="ellipsis" if title else "fold")
    for row in rows:
        table.add_row(*map(cell, row))
    out = console()
    out = out if out.is_terminal or not width else console(width=width)
    out.print(table)


def forgive(*streams: IO[str]) -> None:
    """Let a terminal that cannot show a character show its number: an arrow is no reason to end a rollout."""
    for stream in streams:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
