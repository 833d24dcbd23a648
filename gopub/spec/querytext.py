"""What can be said of a query of the team's own without a Prometheus: its places, its brackets, its quotes. Pure.

``{{ release }}`` and ``{{ hosts }}`` stand for values that are known once a rollout looks. They are put into strings of
PromQL, and names may only have characters that mean nothing there, so no value becomes a part of the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gopub.spec.near import did_you_mean

PLACES = ("release", "hosts", "app", "env")
"""What a query may leave open: the track's release, its hosts, and whose they are."""
TRACK = ("release", "hosts")
"""Of these, what is another on canary and stable."""
_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_RATES = re.compile(
    r"\b(i?rate|increase|i?delta|deriv|changes|resets|predict_linear|histogram_(?:quantile|avg|fraction)"
    r"|(?:sum|avg|count|present|stddev|stdvar|quantile|mad)_over_time)\s*\("
)
"""What gives no counter; the last, least or greatest of a counter over a time is one."""
_NO_EVENTS = re.compile(r"\b[a-zA-Z_:][\w:]*_(bytes|seconds|milliseconds)_(total|sum)\b")
_CLOSES: Mapping[str, str] = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a query, and what to write."""

    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A string of the query with what stands before it, or (``quote`` empty) what stands after the last one."""

    before: str
    quote: str
    inside: str
    closed: bool = True


def mistake(query: str, *, counts: bool) -> Mistake | None:
    """The first mistake of a query; ``counts``: it must give a counter as it is."""
    pieces = list(_pieces(query))
    return (
        _unknown(query)
        or next((found for piece in pieces if (found := _of_piece(piece))), None)
        or _brackets(pieces)
        or _for_both(query)
        or (_no_counter("".join(piece.before for piece in pieces)) if counts else None)
    )


def filled(query: str, values: Mapping[str, str]) -> str:
    """The query with a value in each place; a value is put in as it is."""
    return _PLACE.sub(lambda found: values[found[1]], query)


def _pieces(query: str) -> Iterator[_Piece]:
    """The strings of PromQL: in double and single quotes with escapes, in backticks without."""
    start = at = 0
    while at < len(query):
        quote = query[at]
        if quote not in "\"'`":
            at += 1
            continue
        end = at + 1
        while end < len(query) and query[end] != quote:
            end += 2 if query[end] == "\\" and quote != "`" else 1
        yield _Piece(query[start:at], quote, query[at + 1 : end], end < len(query))
        start = at = end + 1
    yield _Piece(query[start:], "", "")


def _unknown(query: str) -> Mistake | None:
    for found in _PLACE.finditer(query):
        if found[1] not in PLACES:
            known = ", ".join(f"{{{{ {name} }}}}" for name in PLACES)
            hint = did_you_mean(found[1], PLACES, otherwise=f"known here: {known}")
            return Mistake(f"nothing is known for {{{{ {found[1]} }}}}", hint)
    left = _PLACE.sub("", query)
    if "{{" in left or "}}" in left:
        return Mistake("a {{ or }} has no partner", "a place is {{ release }} or {{ hosts }}, within quotes")
    return None


def _of_piece(piece: _Piece) -> Mistake | None:
    if found := _PLACE.search(piece.before):
        return Mistake(f"{found[0]} stands outside of quotes", f'write it as a label\'s value: host=~"{found[0]}"')
    if not piece.closed:
        return Mistake(f"the string that {piece.quote} begins has no end", f"close it with {piece.quote}")
    found = _PLACE.search(piece.inside)
    if found and piece.quote == "`":
        return Mistake(f"{found[0]} stands in backticks", "write double quotes: names are escaped for these")
    is_list = any(one[1] == "hosts" for one in _PLACE.finditer(piece.inside))
    if is_list and not piece.before.rstrip().endswith(("=~", "!~")):
        return Mistake("{{ hosts }} is a list, and no label equals a list", 'write host=~"{{ hosts }}"')
    return None


def _brackets(pieces: list[_Piece]) -> Mistake | None:
    open_ones: list[str] = []
    for character in "".join(piece.before for piece in pieces):
        if character in _CLOSES.values():
            open_ones.append(character)
        elif character in _CLOSES and (not open_ones or open_ones.pop() != _CLOSES[character]):
            return Mistake(f"a {character} closes what was not opened", "try the query in Prometheus' own page")
    if open_ones:
        return Mistake(f"a {open_ones[-1]} is never closed", "try the query in Prometheus' own page")
    return None


def _for_both(query: str) -> Mistake | None:
    if any(found[1] in TRACK for found in _PLACE.finditer(query)):
        return None
    text = "it gives the same for canary and stable"
    return Mistake(text, 'choose the track: release="{{ release }}", or host=~"{{ hosts }}"')


def _no_counter(text: str) -> Mistake | None:
    if found := _RATES.search(text):
        return Mistake(f"{found[1]}() gives no counter", "leave it away: gopub takes the differences itself, exactly")
    if found := _NO_EVENTS.search(text):
        return Mistake(f"{found[0]} counts no events", "what is bad must be counted one by one; else use kind: gauge")
    return None
