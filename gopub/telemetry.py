"""What leaves as text for people: without secrets, with control characters made visible, at the sink; trace ids."""

from __future__ import annotations

import base64
import json
import logging
import re
import shlex
import unicodedata
import urllib.parse

_SIGNED_QUERY = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+")
_MASK = "**********"
_SHORTEST = 6
"""Characters below which a secret is a word like others, and stays."""
_ARMOUR = re.compile(r"-----[A-Z0-9 ]+-----")
"""The first and the last line of a PEM file, which are no secret."""


class Redactor(logging.Filter):
    """Replaces known secrets, in their usual spellings, in every record that passes."""

    def __init__(self) -> None:
        """Start with no secret known; presigned URL signatures are always masked."""
        super().__init__()
        self._secrets: set[str] = set()

    def learn(self, secret: str) -> None:
        """Mask ``secret`` and each of its lines from now on, in their usual spellings; short words stay."""
        for piece in {secret, *secret.splitlines()}:
            if len(piece.strip()) >= _SHORTEST and not _ARMOUR.fullmatch(piece.strip()):
                self._secrets |= _spellings(piece.strip())

    def clean(self, text: str) -> str:
        """The text with every known secret masked."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return _SIGNED_QUERY.sub(rf"\g<1>{_MASK}", text)

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
    data = secret.encode()
    encoded = base64.b64encode(data).decode()
    quoted = {urllib.parse.quote(secret, safe=""), shlex.quote(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    return {secret, encoded, encoded.rstrip("="), *quoted, *_within(data)}


def _within(data: bytes) -> set[str]:
    """What base64 makes of ``data`` within other bytes, wherever it begins: the characters that are its alone."""
    found = set()
    for before in (0, 1, 2):
        whole = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        found.add(whole[before + 1 : (before + len(data)) * 4 // 3])
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
