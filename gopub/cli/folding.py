"""How text is laid out for a terminal's width: between words, and with characters that take two columns. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

NARROWEST = 20
"""Columns below which nothing is laid out: nobody reads there."""
DEEPER = 2
"""Columns by which the rest of a line stands further in than its beginning."""
GAP = 2
"""Columns between two columns of a table."""
CLOSING = frozenset("，。、；：？！）」』】》")
"""What never begins a line."""
_PART = re.compile(r"[ \t]+|[^ \t]+")


def cells(text: str) -> int:
    """How many columns a terminal takes for it: two for a wide character, none for one that joins the one before."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def broken(text: str, width: int) -> str:
    """Each line broken where it is wider, between words or wide characters; the rest stands a little further in.

    A word that is wider than a whole line, such as a path, stays whole: a terminal breaks it, and what is copied from
    there is right. A width of 0, or one in which nobody reads, leaves all as it is.
    """
    if width < NARROWEST or (len(text) <= width and text.isascii() and "\n" not in text):
        return text
    return "\n".join(part for line in text.split("\n") for part in _folded(line, width))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int = 0) -> list[str]:
    """The lines of a table, the first its head; where not even the words fit beside each other, a block for each row.

    A width of 0 is no limit.
    """
    whole = [columns, *rows]
    natural = [max(cells(row[i]) for row in whole) for i in range(len(columns))]
    room = width - GAP * (len(columns) - 1)
    if not width or sum(natural) <= room:
        return [_row(row, natural) for row in whole]
    least = [max(_longest_word(row[i]) for row in whole) for i in range(len(columns))]
    if sum(least) > room:
        return [""] + [line for row in rows for line in [*_block(columns, row, width), ""]]
    return [line for row in whole for line in _tall_row(row, _shared(least, natural, room))]


def _cells(char: str) -> int:
    if unicodedata.east_asian_width(char) in "WF":
        return 2
    return 0 if unicodedata.category(char) in ("Mn", "Me") else 1


def _folded(line: str, width: int) -> Iterator[str]:
    if cells(line) <= width:
        yield line
        return
    start = len(line) - len(line.lstrip(" "))
    indent = " " * min(start + DEEPER, width // 2)
    now, used, gap = line[:start], start, ""
    for part in _parts(line[start:]):
        if part[0] in " \t":
            gap = part
            continue
        wide = cells(part)
        if used + cells(gap) + wide > width and now.strip():
            yield now
            now, used, gap = indent, len(indent), ""
        now, used, gap = now + gap + part, used + cells(gap) + wide, ""
    yield now


def _parts(line: str) -> Iterator[str]:
    """Spaces and words in turn; a wide character is a word of its own, for its scripts know no spaces."""
    for part in _PART.findall(line):
        yield from [part] if part.isascii() else _split_wide(part)


def _split_wide(word: str) -> Iterator[str]:
    now = ""
    for char in word:
        begins = _cells(char) == 2 or (_cells(char) == 1 and _cells(now[:1] or "a") == 2)
        if now and begins and char not in CLOSING:
            yield now
            now = ""
        now += char
    if now:
        yield now


def _longest_word(text: str) -> int:
    return max((cells(part) for part in _parts(text)), default=0)


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True))
    return (" " * GAP).join(padded).rstrip()


def _tall_row(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """A row of which some cells take several lines."""
    columns = [list(_in_cell(text, width)) for text, width in zip(row, widths, strict=True)]
    for i in range(max(map(len, columns))):
        yield _row([column[i] if i < len(column) else "" for column in columns], widths)


def _in_cell(text: str, width: int) -> Iterator[str]:
    now = ""
    for part in _parts(text):
        if now and cells(now + part) > width:
            yield now.rstrip()
            now = ""
        now += part if now or part[0] not in " \t" else ""
    yield now.rstrip()


def _shared(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Widths between the least and the natural ones that fill the room: who needs more gets more."""
    left, wanted = room - sum(least), sum(natural) - sum(least)
    return [low + (high - low) * left // wanted for low, high in zip(least, natural, strict=True)]


def _block(columns: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """One row as lines of its own: ``stable: 1.2.0``."""
    for name, text in zip(columns, row, strict=True):
        yield from _folded(f"{name}: {text}", width)
