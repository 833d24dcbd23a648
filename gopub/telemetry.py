"""What leaves as text for people: without secrets, with control characters made visible, at the sink; trace ids."""

from __future__ import annotations

import base64
import json
import logging
import re
import shlex
import unicodedata
import urllib.parse
from collections.abc import Iterable
from itertools import chain

_SIGNED_QUERY = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+")
_MASK = "**********"
_SHORTEST = 6
"""Characters below which a secret is a word like others, and stays."""
_FEW = 64
"""Secrets that are looked for one by one, which is quicker while they are few."""
_ARMOUR = re.compile(r"-----[A-Z0-9 ]+-----")
"""The first and the last line of a PEM file, which are no secret."""
_ORDINARY = re.compile(r"[A-Za-z]?[a-z]{1,11}:?")
"""A line of a secret of several that is a word like others (``users:``, ``password``): masked, it would be so in
every sentence and document."""


class Redactor(logging.Filter):
    """Replaces known secrets, in their usual spellings, in every record that passes."""

    def __init__(self) -> None:
        """Start with no secret known; presigned URL signatures are always masked."""
        super().__init__()
        self._secrets: dict[str, tuple[str, ...]] = {}
        """By their first characters, the longest first: a text is gone through once, however many there are."""

    def learn(self, secret: str) -> None:
        """Mask ``secret`` and each of its lines from now on, in their usual spellings; short words stay.

        A line of a JSON document may hold the lines of a key, with a backslash and an n between: each is one, too.
        """
        lines = {line.strip() for text in (secret, secret.replace("\\n", "\n")) for line in text.splitlines()}
        lines = {line for line in lines if not _ORDINARY.fullmatch(line) and not _ARMOUR.fullmatch(line)}
        known = set(chain.from_iterable(self._secrets.values()))
        for piece in {secret.strip(), *lines}:
            known |= _spellings(piece) if len(piece) >= _SHORTEST else set()
        starts: dict[str, list[str]] = {}
        for one in sorted(known, key=len, reverse=True):
            starts.setdefault(one[:_SHORTEST], []).append(one)
        self._secrets = {start: tuple(found) for start, found in starts.items()}

    def clean(self, text: str) -> str:
        """The text with every known secret masked; where two of them overlap, all that is of either."""
        return _SIGNED_QUERY.sub(rf"\g<1>{_MASK}", self._masked(text))

    def _masked(self, text: str) -> str:
        shown: list[str] = []
        until = 0
        for at in self._places(text):
            found = self._secrets.get(text[at : at + _SHORTEST], ())
            length = next((len(one) for one in found if text.startswith(one, at)), 0)
            if length and at >= until:
                shown += text[until:at], _MASK
            until = max(until, at + length) if length else until
        return "".join((*shown, text[until:]))

    def _places(self, text: str) -> Iterable[int]:
        """Where in the text a secret may begin; a few are looked for, of many every place is looked up."""
        if len(self._secrets) > _FEW:
            return range(len(text) - _SHORTEST + 1)
        starts = [re.escape(start) for start in self._secrets if start in text]
        return (match.start() for match in re.finditer(f"(?={'|'.join(starts)})", text)) if starts else ()

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean message, arguments and traceback text in place; never drops a record."""
        record.msg, record.args = visible(self.clean(record.getMessage())), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = visible(self.clean(record.exc_text))
        return True


def _spellings(secret: str) -> set[str]:
    """As it is; quoted for a URL, a shell, JSON and Python; in base64, also within ``user:password``."""
    data = secret.encode(errors="surrogateescape")  # a variable of the environment may hold any bytes
    encoded = base64.b64encode(data).decode()
    quoted = {urllib.parse.quote(data, safe=""), shlex.quote(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    return {secret, encoded, encoded.rstrip("="), *quoted, *_within(data)}


def _within(data: bytes) -> set[str]:
    """What base64 makes of ``data`` within other bytes, wherever it begins: the characters that are its alone."""
    found = set()
    for before in (0, 1, 2):
        whole = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        first = (before * 4 + 2) // 3  # rounded up: a character that is half the bytes' before is not ours alone
        found.add(whole[first : (before + len(data)) * 4 // 3])
    return found


REDACTOR = Redactor()


def visible(text: str) -> str:
    """The text with every character that a terminal or a page would obey, hide or reorder by written out.

    Reasons, actors, log lines of hosts and values of inventories are somebody else's: an escape sequence among them
    could rename a window, move the cursor over a verdict or turn a line around. Each becomes its JSON escape, so that
    JSON stays JSON and means the same. Line feeds, tabs and the spaces of other scripts stay.
    """
    return text if text.isprintable() else "".join(_visible(char) for char in text)


def one_line(text: str) -> str:
    """The same where a line must stay one: line feeds and tabs are written out as well."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _visible(char: str) -> str:
    if char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs":
        return char
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def log(name: str) -> logging.Logger:
    """The logger ``gopub.<name>``, redacted."""
    logger = logging.getLogger(f"gopub.{name}")
    if REDACTOR not in logger.filters:
        logger.addFilter(REDACTOR)
    return logger
