"""Canonical JSON, digests, and one strict reader for JSON that others wrote.

The same value always gives the same bytes. What comes from outside (manifests, bundles, statements, journald, edges,
requests) is read by :func:`read_json`: it is bounded in size, depth, number of values and digits, and says what
is wrong without repeating a byte of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from typing_extensions import TypeAliasType

# A named alias: pydantic cannot follow a recursive one without a name.
Json = TypeAliasType(
    "Json",
    "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None",
)

MAX_DEPTH = 64
"""How deep lists and mappings may stand in each other; the deepest of our own formats has 14."""
MAX_DIGITS = 64
"""Characters of one number: more than any float or size needs, and far too few to take time."""


class JsonError(ValueError):
    """Why a text is no JSON that is read here; never holds a byte of the text."""


def read_json(data: bytes | str, *, limit: int, depth: int = MAX_DEPTH, values: int | None = None) -> Any:
    """Read JSON that others wrote: UTF-8 of at most ``limit`` bytes, nothing that two readers could read differently.

    ``values`` bounds how many members and elements there can be before any is made: a few bytes become
    a hundred in memory.

    Raises:
        JsonError: too large, too deep, too many values, no UTF-8, no JSON, a key that stands twice, NaN, a number that
            is no finite float or has too many digits, half of a surrogate pair.
    """
    if len(data) > limit:
        raise JsonError(f"it is larger than {limit} bytes")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start} is not UTF-8") from None
    opened = text.count("[") + text.count("{")
    if values is not None and opened + text.count(",") > values:
        raise JsonError(f"it has more than {values} values")
    try:
        found = _READER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise JsonError(f"it is nested deeper than {depth}") from None
    if opened > depth and _deeper(found, depth):
        raise JsonError(f"it is nested deeper than {depth}")
    if "\\u" in text or (isinstance(data, str) and not text.isascii()):
        _refuse_surrogates(found)
    return found


def _deeper(found: object, depth: int) -> bool:
    """Whether a value nests deeper; walks level by level, for a walk by calls would end where the depth does."""
    level = [found]
    for _ in range(depth):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _refuse_surrogates(found: object) -> None:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise JsonError("it has half of a surrogate pair") from None


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > MAX_DIGITS or not math.isfinite(value := float(digits)):
        raise JsonError("a number is too large or too long")
    return value


def _constant(_: str) -> NoReturn:
    raise JsonError("NaN and Infinity are not JSON")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("a key stands twice")
    return found


_READER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant)


def bounded(text: str, most: int = 200) -> str:
    """What others said, as an error may repeat it: bounded, and without what moves a terminal's cursor."""
    shown = text[: most + 1]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def canonical(value: Json) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8, and no NaN: what ids and hashes are taken over.

    Raises:
        ValueError: a float that JSON cannot carry.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def b64(data: bytes) -> str:
    """Base64 as bundles have it: with padding, on one line."""
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    """Hex digest, 64 characters."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Json) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return sha256(canonical(value))


def sha256_file(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
