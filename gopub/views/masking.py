"""What of a rendered file is a secret, and is masked where the file is shown. Pure.

Values that `ansible-vault` encrypted never get into a file: a template that uses one is an error (GP407). What is left
are values in the clear, which are known by their names: in the inventory, and in the files themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from gopub.canon import Json
from gopub.fleet.vaulted import Vaulted
from gopub.telemetry import Redactor

MASK = "**********"
_WORDS = r"pass(?:wor[dt]|wd|phrase)|secret|token|credential|api[_-]?key|private[_-]?key|access[_-]?key|signing[_-]?key"
SOUNDS = re.compile(rf"{_WORDS}|[_-]p(?:w|ass)\b|^p(?:w|ass)$", re.IGNORECASE)
"""A name of which the value is taken for a secret."""
_NAMED = re.compile(
    rf"(?P<head>(?:[\w.-]*(?:{_WORDS})[\w.-]*|\b[\w.-]*[_-]p(?:w|ass)|(?<![\w-])p(?:w|ass))"
    r"[\"']?(?:\s*[:=]\s*|\s+(?=[^\s:=])))(?P<told>\S.*)?$",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(://[^\s/:@\"']*:)[^\s@\"']+(?=@)")
_BEGIN, _END = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"), re.compile(r"-----END [A-Z0-9 ]*-----")
_BELOW = frozenset({"", "|", ">", "|-", ">-", "|+", ">+", "{", "["})
"""What stands behind a name whose value is in the lines below it."""


def secrets_of(variables: Mapping[str, Json]) -> Iterator[str]:
    """The values of an inventory's variables whose names say that they are secrets, at any depth."""
    for name, value in variables.items():
        yield from _leaves(value) if SOUNDS.search(name) else _within(value)


def _within(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from secrets_of(value)
    elif isinstance(value, list):
        for one in value:
            yield from _within(one)


def _leaves(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool | Vaulted):
        yield str(value)


def masked(lines: Sequence[str], known: Redactor) -> list[str]:
    """The lines of a file, as many as before, without what is a secret."""
    shown: list[str] = []
    key, depth = False, -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        key = key or bool(_BEGIN.search(line))
        if key or (depth >= 0 and line.strip() and indent > depth):
            shown.append(f"{line[:indent]}{MASK}")
            key = key and not _END.search(line)
            continue
        depth = depth if depth >= 0 and not line.strip() else -1
        found = _NAMED.search(line)
        told = (found.group("told") or "").strip() if found else ""
        if found and told in _BELOW:
            depth = indent
        told_of = f"{line[: found.end('head')]}{MASK}" if found and told not in _BELOW else line
        shown.append(_LOGIN.sub(rf"\g<1>{MASK}", known.clean(told_of)))
    return shown


def difference(before: str, after: str, known: Redactor, *, context: int = 3) -> tuple[str, ...]:
    """The hunks of a unified diff of both texts, masked; a secret that changes shows that it does, and nothing else.

    A line that gives way to one with a secret is masked whole: it held the one of before, which nobody here knows.
    """
    old, new = before.splitlines(), after.splitlines()
    old_shown, new_shown = masked(old, known), masked(new, known)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, at, to, other, until in matcher.get_opcodes():
        if kind == "replace" and any(new[n] != new_shown[n] for n in range(other, until)):
            old_shown[at:to] = [line if line != old[at + n] else MASK for n, line in enumerate(old_shown[at:to])]
    hunks: list[str] = []
    for group in matcher.get_grouped_opcodes(context):
        first, last = group[0], group[-1]
        hunks.append(f"@@ -{_span(first[1], last[2])} +{_span(first[3], last[4])} @@")
        for tag, at, to, other, until in group:
            if tag == "equal":
                hunks += [f" {line}" for line in new_shown[other:until]]
                continue
            hunks += [f"-{line}" for line in old_shown[at:to]]
            hunks += [f"+{line}" for line in new_shown[other:until]]
    return tuple(hunks)


def _span(start: int, stop: int) -> str:
    many = stop - start
    return f"{start + 1}" if many == 1 else f"{start + (many > 0)},{many}"
