"""The tags of a request: read from its headers, kept in its context, written into those that it makes.

Texts of headers have one character for a byte, as ISO 8859-1 reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from urllib.parse import unquote

HEADER = "x-gray-tag"
"""The header, and the metadata key, that carries the tags: a list with commas."""
BAGGAGE = "baggage"
"""W3C baggage, which libraries for tracing pass on as well."""
MEMBER = "gray.tags"
"""The member of the baggage that carries the tags, with ``,`` written as ``%2C`` between them."""

MOST_TAGS = 64
LONGEST_LIST = 4096
MOST_MEMBERS = 64
LONGEST_BAGGAGE = 8192

Tags = tuple[str, ...]
"""Sorted, each once: ``"user-v2" in current()``."""

_OURS = "gray."
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BLANKS = " \t"


class MalformedError(ValueError):
    """Not a list of tags: nothing is to be concluded from it."""


def parse(*lines: str) -> Tags:
    """Read the lines of the header as one list. Blanks around a tag and empty places do not count.

    Raises:
        MalformedError: a word is no tag, or the list is too long.
    """
    text = ",".join(lines)
    if len(text) > LONGEST_LIST:
        raise MalformedError(f"{len(text)} characters, and {LONGEST_LIST} at most")
    words = [word for word in (part.strip(_BLANKS) for part in text.split(",")) if word]
    if len(words) > MOST_TAGS or not all(_TAG.fullmatch(word) for word in words):
        raise MalformedError("a word of it is no tag, or there are too many")
    return tuple(sorted(set(words)))


def incoming(header: Sequence[str], baggage: Sequence[str]) -> Tags:
    """The tags of a request, by the lines of its header and its baggage; a malformed list is none.

    The header is the word of the edge; the baggage counts only where there is no header, since proxies between may
    have taken that one off.
    """
    try:
        return parse(*header) if header else parse(_member(baggage))
    except MalformedError:
        return ()


def outgoing(baggage: Iterable[str], tags: Tags) -> tuple[str, str]:
    """What a request within the house is to carry: the header, and one line of baggage; each empty where there is none.

    Our member replaces an older one; the members of others are kept as they are. Where there is no room for ours
    within the limits of W3C, others come first, and the header alone carries the tags.
    """
    kept = [part for part in _members(baggage) if _split(part)[0] != MEMBER]
    if tags:
        ours = f"{MEMBER}={'%2C'.join(tags)}"
        if len(",".join(kept)) + 1 + len(ours) <= LONGEST_BAGGAGE and len(kept) < MOST_MEMBERS:
            kept.append(ours)
    return ",".join(tags), ",".join(kept)


def outside(baggage: Iterable[str]) -> str:
    """The one line of baggage of a request that leaves the house: without any member of gray traffic.

    Those that edges write for themselves are among them.
    """
    return ",".join(part for part in _members(baggage) if not _split(part)[0].startswith(_OURS))


def is_gray(name: str) -> bool:
    """Whether a header, or a key of metadata, is one of gray traffic: none of them leaves the house."""
    return name.lower().startswith("x-gray-")


def _member(lines: Sequence[str]) -> str:
    """The value of our member; of a baggage that is longer than W3C baggage gets there is none."""
    if sum(map(len, lines)) + max(0, len(lines) - 1) > LONGEST_BAGGAGE:
        return ""
    for part in _members(lines)[:MOST_MEMBERS]:
        name, value = _split(part)
        if name == MEMBER:
            return "" if _BROKEN.search(value) else unquote(value, "latin-1")
    return ""


def _members(lines: Iterable[str]) -> list[str]:
    return [part for part in (part.strip(_BLANKS) for line in lines for part in line.split(",")) if part]


def _split(part: str) -> tuple[str, str]:
    """Name and value, without properties."""
    name, _, value = part.partition(";")[0].partition("=")
    return name.strip(_BLANKS), value.strip(_BLANKS)


_CURRENT: ContextVar[Tags] = ContextVar("gopub_gray_tags", default=())


def current() -> Tags:
    """The tags of the request that this task or thread works for; none where it works for none."""
    return _CURRENT.get()


@contextmanager
def carrying(tags: Tags) -> Iterator[None]:
    """Work for a request that carries these tags: for a job whose message brought them along, and for tests."""
    token = _CURRENT.set(tags)
    try:
        yield
    finally:
        with suppress(ValueError):  # a task that is closed from outside ends in another context: nothing to take back
            _CURRENT.reset(token)


def adopt(tags: Tags) -> None:
    """Carry them from here to the end of the task that is running, which belongs to one request alone."""
    _CURRENT.set(tags)
