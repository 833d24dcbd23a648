"""SVG as text: elements, numbers in one spelling, and texts of others that stay texts. Pure.

The same picture is the same bytes. There is no script, no link and nothing that is fetched in it; its colours follow
the reader's light or dark mode.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape

from gopub.telemetry import one_line

WIDTH: Final = 360
"""Units across: at 360 px one unit is one pixel."""
_WIDEST = 720
_STYLE = (
    "svg{--page:#fff;--ink:#1f2328;--faint:#59636e;--grid:#d8dee4;--ours:#b93d00;--theirs:#0550ae;--mark:#7d4e00}"
    "@media(prefers-color-scheme:dark){svg{--page:#0d1117;--ink:#e6edf3;--faint:#9aa4ae;--grid:#30363d;"
    "--ours:#ffa657;--theirs:#79c0ff;--mark:#e3b341}}"
    ".page{fill:var(--page)}text{fill:var(--ink);font:10px system-ui,'Noto Sans CJK SC',sans-serif}"
    ".head{font-weight:600;font-size:12px}.faint{fill:var(--faint)}.mark{fill:var(--mark);stroke:var(--page);stroke-width:3;paint-order:stroke}"
    "path,line{fill:none;stroke:var(--grid);stroke-width:1}"
    ".ours{stroke:var(--ours);stroke-width:1.6}.theirs{stroke:var(--theirs);stroke-width:1.6;stroke-dasharray:5 2}"
    ".more{stroke:var(--ours);stroke-width:1;stroke-dasharray:1 2}"
    ".limit{stroke:var(--mark);stroke-dasharray:6 3}.step{stroke:var(--faint);stroke-dasharray:2 3}"
    ".end{stroke:var(--ink);stroke-width:1.4}.band{stroke:none;opacity:.2}"
    ".band.ours,.dot.ours{fill:var(--ours)}.band.theirs,.dot.theirs{fill:var(--theirs)}"
    ".dot{stroke:none}.dot.more{fill:var(--ours)}.dot.limit{fill:var(--mark)}"
)
"""Lines differ by their strokes as well as by colour."""


def number(value: float) -> str:
    """A coordinate, to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0").replace("-0", "0") if abs(value) < 1 else f"{value:.1f}".removesuffix(".0")


def said(text: str) -> str:
    """Whoever wrote it: one line without what XML, a page or a reader obeys."""
    shown = "".join(char if _is_xml(char) else "�" for char in one_line(text))
    return escape(shown, {'"': "&quot;", "'": "&#39;"})


def _is_xml(char: str) -> bool:
    return "\x20" <= char <= "\ud7ff" or "\ue000" <= char <= "�" or char >= "\U00010000"


def element(name: str, *inner: str, **attributes: str | float) -> str:
    """An element; ``class_`` is class, ``text_anchor`` text-anchor. ``inner`` is markup already."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{said(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{told}>{''.join(inner)}</{name}>" if inner else f"<{name}{told}/>"


def text(x: float, y: float, words: str, *, class_: str = "", anchor: str = "", room: float = WIDTH) -> str:
    """A line of text, cut to ``room`` units."""
    more = {"class_": class_} if class_ else {}
    more |= {"text_anchor": anchor} if anchor else {}
    return element("text", said(fitted(words, room, 7.0 if class_ == "head" else 5.6)), x=x, y=y, **more)


def wide(words: str, em: float = 5.6) -> float:
    """About how many units a text of size 10 takes: a letter one ``em``, a Chinese character nearly two."""
    return sum(em * (1.85 if unicodedata.east_asian_width(char) in "WF" else 1.0) for char in words)


def fitted(words: str, room: float, em: float = 5.6) -> str:
    """As much of it as there is room for."""
    shown = one_line(words)
    if wide(shown, em) <= room:
        return shown
    taken, used = [], em
    for char in shown:
        used += wide(char, em)
        if used > room:
            break
        taken.append(char)
    return f"{''.join(taken)}…"


def wrapped(words: Iterable[str], room: float) -> list[str]:
    """Parts of a sentence in as many lines as they need; a part that is longer than a line is cut."""
    lines: list[str] = []
    for word in words:
        if lines and wide(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [fitted(line, room) for line in lines]


def document(title: str, told: str, body: Iterable[str], height: float) -> str:
    """The whole file; ``told`` is the picture in words, for who does not see it."""
    inside = "".join((
        element("title", said(title), id="gopub-title"), element("desc", said(told), id="gopub-desc"),
        element("style", _STYLE), element("rect", class_="page", width=float(WIDTH), height=height), *body,
    ))  # fmt: skip
    whole = element("svg", inside, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {number(height)}",
                    width="100%", style=f"max-width:{_WIDEST}px", role="img",
                    aria_labelledby="gopub-title gopub-desc")  # fmt: skip
    return f"{whole}\n"
