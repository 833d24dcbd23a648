"""Host patterns: ``web[01:10].example.com``, ``db[a:f]``, ``x[1:9:4]:2222``, ``[2001:db8::1]:22``."""

from __future__ import annotations

import ipaddress
import itertools
import re
from string import ascii_letters

MOST_HOSTS = 100_000  # that one pattern may name

_BRACKETED = re.compile(r"\[([^\[\]]+)\]:(\d+)")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\[\]]*\])+):(\d+)")
_PARTS = re.compile(r"\[([^\[\]]*)\]")
_NAME = re.compile(r"[\w](?:[\w.-]*[\w])?")


def expand(pattern: str) -> tuple[tuple[str, ...], int | None]:
    """The host names that a pattern means, in order, and the port after it.

    Raises:
        ValueError: what is wrong with it.
    """
    body, port = _split_port(pattern)
    if _is_address(body):
        return (body,), port
    names = tuple(_names(body))
    for name in names[:1]:
        if not _NAME.fullmatch(name):
            raise ValueError("that is no host name")
    return names, port


def _split_port(pattern: str) -> tuple[str, int | None]:
    bracketed = _BRACKETED.fullmatch(pattern)
    if bracketed and (_is_address(bracketed[1]) or ":" not in bracketed[1]):
        return bracketed[1], _port(bracketed[2])
    found = _WITH_PORT.fullmatch(pattern)
    return (found[1], _port(found[2])) if found else (pattern, None)


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(f"{text} is no port")
    return port


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _names(body: str) -> list[str]:
    """All combinations of the ranges, the first one changing slowest."""
    pieces = _PARTS.split(body)  # text, range, text, range, …, text
    choices = [_range(piece) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > MOST_HOSTS:
        raise ValueError(f"it names {total} hosts, {MOST_HOSTS} are allowed")
    return ["".join(parts) for parts in itertools.product(*choices)]


def _range(text: str) -> list[str]:
    bounds = text.split(":")
    if len(bounds) not in {2, 3} or not bounds[1]:
        raise ValueError(f"[{text}] is no range; write [first:last] or [first:last:step]")
    first, last, step = bounds[0] or "0", bounds[1], bounds[2] if len(bounds) == 3 else "1"
    if not _digits(step) or int(step) == 0:
        raise ValueError(f"[{text}] has the step {step!r}")
    items = _numbers(text, first, last, int(step)) if _digits(first) else _letters(text, first, last, int(step))
    if not items:
        raise ValueError(f"[{text}] ends before it begins")
    return items


def _numbers(text: str, first: str, last: str, step: int) -> list[str]:
    if not _digits(last):
        raise ValueError(f"[{text}] goes from a number to {last!r}")
    width = 0
    if first.startswith("0") and len(first) > 1:
        width = len(first)
        if len(last) != width:
            raise ValueError(f"[{text}]: with leading zeros, both ends need the same length")
    if (int(last) - int(first)) // step > MOST_HOSTS:
        raise ValueError(f"[{text}] names more than {MOST_HOSTS} hosts")
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]


def _letters(text: str, first: str, last: str, step: int) -> list[str]:
    if not (len(first) == len(last) == 1 and first in ascii_letters and last in ascii_letters):
        raise ValueError(f"[{text}] is neither a range of numbers nor one of single letters")
    return list(ascii_letters[ascii_letters.index(first) : ascii_letters.index(last) + 1 : step])


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
