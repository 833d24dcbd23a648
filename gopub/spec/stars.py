"""Patterns with stars: ``*`` stands for any text without ``/``, ``**`` for any text, all else for itself. Pure.

A pattern matches a text as a whole, character by character as it stands: no letter is folded or composed. The time it
takes grows with the length of the text alone, whatever the stars are: every place in the pattern that the text read so
far may have reached is one bit of a number. A regular expression would try the places one after the other, and forty
stars over forty characters do not end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

_DEEP = "\ufdd0"
"""Stands for ``**`` where a pattern is itself what is matched; a noncharacter, which no text needs."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, ready: for each character the places that it stands at, and the places of both stars."""

    at: Mapping[str, int]
    shallow: int
    deep: int
    end: int

    def matches(self, text: str) -> bool:
        """Whether it stands for this text."""
        stars = self.shallow | self.deep
        here = self._past(1, stars)
        for letter in text:
            stay = self.deep if letter in {"/", _DEEP} else stars
            here = self._past((here & self.at.get(letter, 0)) << 1 | here & stay, stars)
            if not here:
                return False
        return bool(here & self.end)

    @staticmethod
    def _past(here: int, stars: int) -> int:
        """With the places behind stars, which stand for nothing as well; no two stars are beside each other."""
        return here | (here & stars) << 1


@cache
def glob(pattern: str) -> Glob:
    """The pattern, made ready."""
    at: dict[str, int] = {}
    shallow = deep = 0
    signs = _signs(pattern)
    for place, sign in enumerate(signs):
        if sign == "*":
            shallow |= 1 << place
        elif sign == "**":
            deep |= 1 << place
        else:
            at[sign] = at.get(sign, 0) | 1 << place
    return Glob(at, shallow, deep, 1 << len(signs))


def _signs(pattern: str) -> list[str]:
    """Letters and stars; stars beside each other are one, and cross a ``/`` where they are more than one star."""
    made: list[str] = []
    for letter in pattern:
        if letter == "*" and made and made[-1] in {"*", "**"}:
            made[-1] = "**"
        else:
            made.append(letter)
    return made


def covers(wide: str, narrow: str) -> bool:
    """Whether all that ``narrow`` stands for, ``wide`` stands for: never wrongly yes, now and then wrongly no.

    A star of the narrow one has to lie within a star of the wide one that is as wide: then so does all it stands for.
    """
    return glob(wide).matches("".join(_DEEP if sign == "**" else sign for sign in _signs(narrow)))


def begins(pattern: str) -> str:
    """What every text begins with that the pattern stands for."""
    return pattern.partition("*")[0]


def has_star(pattern: str) -> bool:
    """Whether it is more than one text."""
    return "*" in pattern
