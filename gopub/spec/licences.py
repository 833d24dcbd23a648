"""Licences that a policy denies, and what an SPDX licence expression of an SBOM comes to. Pure.

An entry is an SPDX id, or a pattern of them (``AGPL-*``); it means that id and no other, except that the ids of before
``-only`` and ``-or-later`` mean what they became. Of ``A OR B`` one that is not denied is enough, of ``A AND B`` both
must be. ``NOASSERTION``, ``NONE``, nothing, a ``LicenseRef-`` and what is no SPDX expression are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.licenses._spdx import LICENSES

from gopub.errors import UsageError
from gopub.spec.stars import Glob, glob, has_star

LONGEST = 500
"""Characters of an expression that is looked into: longer ones are unknown."""
_HINT = "write ids of https://spdx.org/licenses, or patterns of them: AGPL-3.0-only, AGPL-*"
_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+*-]{0,99}")
_GNU = re.compile(r"(?:A|L)?GPL-\d\.\d|GFDL-\d\.\d")
_DEEPEST = 20


def denied_licence(text: str) -> str:
    """An entry of ``deny`` as SPDX writes it.

    Raises:
        UsageError: GP331 it is no licence's id.
    """
    if has_star(text) and _PATTERN.fullmatch(text) and text.strip("*"):
        if not any(map(glob(text.casefold()).matches, LICENSES)):
            raise UsageError("GP331", f"{text!r} is a pattern of no licence's id", hint=_HINT)
        return text
    known = licence_expression(text) if _PATTERN.fullmatch(text) else None
    if known is None:
        raise UsageError("GP331", f"{text!r} is not the id of a licence", hint=_HINT)
    return known


def licence_expression(text: str) -> str | None:
    """The expression as SPDX writes it; None where nobody can say what it comes to."""
    if not text or len(text) > LONGEST or "LicenseRef-" in text or text.count("(") > _DEEPEST:
        return None
    try:
        return str(canonicalize_license_expression(text))
    except (InvalidLicenseExpression, SyntaxError, RecursionError, MemoryError):
        return None


def is_denied(expression: str, deny: Sequence[str]) -> bool:
    """Whether every way to use what has that licence (as :func:`licence_expression` gave it) is denied."""
    words = expression.replace("(", " ( ").replace(")", " ) ").split()
    return _either(words, [glob(_today(one).casefold()) for one in deny])


def _either(words: list[str], deny: Sequence[Glob]) -> bool:
    """``A OR B``; takes what it reads off the front."""
    every = _both(words, deny)
    while words and words[0] == "OR":
        words.pop(0)
        one = _both(words, deny)
        every = every and one
    return every


def _both(words: list[str], deny: Sequence[Glob]) -> bool:
    """``A AND B``."""
    some = _one(words, deny)
    while words and words[0] == "AND":
        words.pop(0)
        one = _one(words, deny)
        some = some or one
    return some


def _one(words: list[str], deny: Sequence[Glob]) -> bool:
    """An id, with an exception or without, or what stands in brackets."""
    if words[0] == "(":
        words.pop(0)
        inner = _either(words, deny)
        words.pop(0)
        return inner
    name = words.pop(0)
    if words and words[0] == "WITH":
        del words[:2]
    spellings = {name.casefold(), _today(name).casefold()}
    return any(one.matches(spelling) for one in deny for spelling in spellings)


def _today(name: str) -> str:
    """``AGPL-3.0`` and ``AGPL-3.0+`` as they are called today."""
    if name.endswith("+"):
        return f"{name[:-1]}-or-later"
    return f"{name}-only" if _GNU.fullmatch(name) else name
