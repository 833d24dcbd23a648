"""Tags that a request must carry, as people write it: ``user-v2 && region-sh && !beta``.

    either = both {("||" | "or") both}
    both   = one {("&&" | "and") one}
    one    = ("!" | "not") one | "(" either ")" | TAG

``and`` binds closer than ``or``; the words are read in any case. A tag is a word of letters, digits, ``.``, ``_`` and
``-`` that begins with a letter or digit, at most 63 of them, and none of the three words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gopub.errors import SpecError

_HINT = 'write it as "user-v2 && region-sh && !beta", with parentheses where && and || meet'
_WORD = re.compile(r"\s*(?:(?P<sign>&&|\|\||[!()])|(?P<word>[A-Za-z0-9][A-Za-z0-9._-]*)|(?P<other>\S))")
_SIGNS = {"&&": "and", "||": "or", "!": "not"}
LONGEST = 1024
_DEEPEST = 32
"""Brackets and negations within each other: far more than anybody reads, and no end of the stack."""

Tags = dict[str, "str | Tags | list[Tags]"]
"""``{"tag": NAME}``, ``{"all": […]}``, ``{"any": […]}`` or ``{"not": …}``."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """and, or, not, (, ), tag; empty at the end."""
    text: str
    column: int


def parse_tags(text: str) -> Tags:
    """Read an expression.

    Raises:
        SpecError: GP151 it is none, with the column (from 1) at which it stops to be one.
    """
    if len(text) > LONGEST:
        raise SpecError("GP151", f"the tags have {len(text)} characters, and {LONGEST} at most", hint=_HINT)
    parser = _Parser(text)
    found = parser.either(0)
    if parser.next.kind:
        raise parser.wrong("`&&` or `||`")
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [_token(match, text) for match in _WORD.finditer(text)]
        self._tokens.append(_Token("", "", len(text) + 1))
        self._at = 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._at]

    def either(self, depth: int) -> Tags:
        return self._joined("or", "any", depth)

    def _joined(self, sign: str, kind: str, depth: int) -> Tags:
        part = self._one if sign == "and" else self._both
        found = [part(depth)]
        while self.next.kind == sign:
            self._at += 1
            found.append(part(depth))
        return found[0] if len(found) == 1 else {kind: found}

    def _both(self, depth: int) -> Tags:
        return self._joined("and", "all", depth)

    def _one(self, depth: int) -> Tags:
        token = self.next
        if depth > _DEEPEST:
            raise SpecError("GP151", f"{self._text!r} is nested deeper than {_DEEPEST}", hint=_HINT)
        if token.kind not in ("not", "(", "tag"):
            raise self.wrong("a tag")
        self._at += 1
        if token.kind == "tag":
            return {"tag": token.text}
        if token.kind == "not":
            return {"not": self._one(depth + 1)}
        found = self.either(depth + 1)
        if self.next.kind != ")":
            raise self.wrong("`)`")
        self._at += 1
        return found

    def wrong(self, wanted: str) -> SpecError:
        """What stands where something else is needed."""
        token = self.next
        found = f"`{token.text}`" if token.text else "its end"
        return SpecError("GP151", f"{self._text!r}: {found} at column {token.column}, not {wanted}", hint=_HINT)


def _token(match: re.Match[str], text: str) -> _Token:
    column = match.start(match.lastgroup or 0) + 1
    word = match["word"]
    if word is None:
        sign = match["sign"] or match["other"]
        return _Token(_SIGNS.get(sign, sign), sign, column)
    if word.lower() in ("and", "or", "not"):
        return _Token(word.lower(), word, column)
    if len(word) > 63:
        raise SpecError("GP151", f"{text!r}: the tag at column {column} has {len(word)} characters, and 63 at most",
                        hint="choose a shorter one")  # fmt: skip
    return _Token("tag", word, column)
