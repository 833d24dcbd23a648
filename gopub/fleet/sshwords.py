"""The words of an OpenSSH client configuration: lines, quotes, patterns and tokens, as ssh(1) reads them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gopub.canon import bounded
from gopub.errors import UsageError, Where

_KEYWORD = re.compile(r'\s*(?:"([^"]*)"|([^\s="]+))(?:\s*=\s*|\s+|$)')
_WORD = re.compile(r"""\s*(?:(#).*|((?:\\["'\\ ]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'])+))""")
_PART = re.compile(r"""\\(["'\\ ])|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(.)""", re.DOTALL)
_ESCAPED = re.compile(r"""\\(["'\\])""")
_ENVIRONMENT = re.compile(r"\$\{([^}]*)\}")
_TOKEN = re.compile("%(.?)")
_TIME = re.compile(r"([0-9]{1,9})([smhdw]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
WHOLE = frozenset({"proxycommand", "remotecommand", "localcommand", "knownhostscommand"})
"""Options whose value is the rest of the line, quotes and all."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something; an Include also has the files that it names."""

    option: str
    words: tuple[str, ...]
    where: Where
    files: tuple[tuple[Line, ...], ...] = ()

    def including(self, files: Iterable[tuple[Line, ...]]) -> Line:
        """The same line with what its files say."""
        return replace(self, files=tuple(files))


def wrong(where: Where, why: str) -> UsageError:
    """The error for a line that nobody can act on."""
    return UsageError(
        "GP352",
        f"the SSH configuration cannot be read: {bounded(why)}",
        hint="mend the line; `ssh -G HOST` reads the same file",
        where=where,
    )


def lines(text: str, file: str) -> Iterator[Line]:
    """The lines of a file, without comments and empty ones.

    Raises:
        UsageError: GP352 a quote that is not closed.
    """
    for number, raw in enumerate(text.splitlines(), 1):
        where = Where(file, number)
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _KEYWORD.match(line)
        if not found:
            raise wrong(where, f"{line!r} does not begin with an option")
        option, rest = (found[1] or found[2] or "").lower(), line[found.end() :]
        yield Line(option, (rest,) if option in WHOLE and rest else tuple(words(rest, where)), where)


def words(text: str, where: Where) -> Iterator[str]:
    """Words as ssh splits them: both quotes, a backslash before a quote, a comment at the end.

    Raises:
        UsageError: GP352 a quote that is not closed.
    """
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _WORD.match(text, at)
        if not found:
            raise wrong(where, "a quote is not closed")
        if found[1]:
            return
        yield "".join(_plain(part) for part in _PART.finditer(found[2]))
        at = found.end()


def _plain(part: re.Match[str]) -> str:
    quoted = part[2] if part[2] is not None else part[3]
    return _ESCAPED.sub(r"\1", quoted) if quoted is not None else part[1] or part[4]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns is the name's, and none with ``!`` before it is."""
    found = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if _is(name, pattern.removeprefix("!")):
            if negated:
                return False
            found = True
    return found


def _is(name: str, pattern: str) -> bool:
    if "*" not in pattern and "?" not in pattern:  # nearly all of a long file
        return name == pattern
    return bool(_regex(pattern).fullmatch(name))


def _regex(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in re.sub(r"\*+", "*", pattern)), re.DOTALL)


def filled(text: str, tokens: Mapping[str, str], where: Where) -> str:
    """The text with ``%h`` and its like filled in.

    Raises:
        UsageError: GP352 a token that does not stand for anything there.
    """

    def fill(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in tokens:
            raise wrong(where, f"{found[0]!r} in {text!r} stands for nothing here")
        return tokens[found[1]]

    return _TOKEN.sub(fill, text)


def with_environment(text: str, environment: Mapping[str, str], where: Where) -> str:
    """The text with ``${NAME}`` filled in.

    Raises:
        UsageError: GP352 the variable is not set.
    """

    def fill(found: re.Match[str]) -> str:
        if found[1] not in environment:
            raise wrong(where, f"the variable {found[1]!r} is not set")
        return environment[found[1]]

    return _ENVIRONMENT.sub(fill, text)


def seconds(text: str) -> float | None:
    """A time as ssh writes it, ``90`` or ``1m30s``; None: it is none."""
    parts = _TIME.findall(text.lower())
    if not parts or "".join(map("".join, parts)) != text.lower():
        return None
    return float(sum(int(number) * _UNITS[unit] for number, unit in parts))
