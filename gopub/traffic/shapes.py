"""Whether a value has the shape of a route table (GP501): reads ``route_table.json``, as shapes.lua does on the edge.

Each type ``is`` one thing, and what else it says is checked in this order:

string    ``first`` and ``rest`` are classes of characters, ``from`` and ``to`` the length; ``also`` are texts that are
          fine anyway, ``never`` those that are not, ``after`` one of which stands before the rest; ``check`` names what
          data cannot say
whole     a number without a fraction, ``from`` ... ``to``
number    a finite one, ``from`` ... ``to``
flag      true or false
one of    ``values``
object    ``keys`` in their order, each ``optional``, ``or null`` or neither, and no other; then its ``checks``
list      ``of`` a type, ``long``, or ``from`` ... ``to``; ``rising`` are pairs up to that number
either    ``with`` a type where the object has the key ``by``, else ``without``
kind      an object of one key of ``kinds``, at most ``deepest`` within each other

A check is a key whose value is looked at, ``once`` (the value stands in the table once), or a sentence that is said
where something is (``some``: not 0 or empty, ``there``: not null, ``seen`` more than ``most`` times) while what it
needs is ``without``. Patterns are no regular expressions, for Lua has none. What a ``version`` of the file has that
earlier ones had not says ``since`` which: an edge tells its own, and is not asked for more.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from gopub.canon import Json

FILE = "route_table.json"
SCHEMA: Mapping[str, Any] = json.loads(files("gopub.traffic").joinpath(FILE).read_text(encoding="utf-8"))
TYPES: Mapping[str, Kind] = SCHEMA["types"]
_LONGEST_KEY, _LONGEST_VALUE = 60, 200
"""Bytes of what others wrote that a problem repeats."""

Kind = Mapping[str, Any]


class TableError(Exception):
    """What is wrong with a document: GP501 its shape, GP502 what it says."""

    def __init__(self, code: str, reason: str) -> None:
        """``reason`` begins with where."""
        super().__init__(reason)
        self.code, self.reason = code, reason


def shape(name: str, value: Json) -> Counter[str]:
    """How often each type stands in a value, which is of that type.

    Raises:
        TableError: GP501; its place is within the value.
    """
    seen: Counter[str] = Counter()
    _shape(name, value, _Place("", seen))
    return seen


def version_of(value: Json) -> int:
    """The least version of the schema that an edge must have to take a table.

    Raises:
        TableError: GP501.
    """
    return max(int(TYPES[name].get("since", 1)) for name in shape(SCHEMA["root"], value))


@cache
def fits(name: str) -> Callable[[str], bool]:
    """What says of a text whether it has the length and the characters of a type."""
    kind = TYPES[name]
    first = f"[{kind['first']}]" if "first" in kind else ""
    written = re.compile(f"{first}[{kind['rest']}]*")
    least, most = kind.get("from", 0), kind.get("to", math.inf)
    return lambda text: least <= len(text) <= most and written.fullmatch(text) is not None


# Words ------------------------------------------------------------------------------------------------------------


def _shown(value: str | float, most: int) -> str:
    text = value if isinstance(value, str) else f"{value + 0.0:.0f}"  # no -0
    data = text.encode("utf-8", "backslashreplace")
    cut = data[:most].decode("utf-8", "ignore") + ("…" if len(data) > most else "")
    return re.sub(r"[\x00-\x1f\x7f]", lambda char: f"\\x{ord(char[0]):02x}", cut)


def _misshapen(path: str, words: str) -> NoReturn:
    raise TableError("GP501", f"{path or 'the table'} {words}")


def unfit(path: str, words: str, value: str | float = "") -> NoReturn:
    """Refuse what a value says; ``{}`` in the words is the value.

    Raises:
        TableError: GP502.
    """
    said = words.replace("{}", _shown(value, _LONGEST_VALUE)) if "{}" in words else words
    raise TableError("GP502", f"{path} {said}" if path else said)


def below(path: str, key: str) -> str:
    """The place of a key in the object at that place."""
    return f"{path}.{key}" if path else key


# Shape ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands, how many conditions deep, and what was seen before it."""

    path: str
    seen: Counter[str]
    depth: int = 0

    def at(self, path: str, deeper: int = 0) -> _Place:
        return _Place(path, self.seen, self.depth + deeper)


def _shape(name: str, value: Json, place: _Place) -> None:
    kind = TYPES[name]
    place.seen[name] += 1
    match kind["is"]:
        case "object":
            _object(kind, value, place)
        case "list":
            _list(kind, value, place)
        case "either":
            _shape(side_of(kind, value), value, place)
        case "kind":
            _kind(kind, value, place)
        case leaf:
            wrong = _LEAVES[leaf](kind, value)
            if wrong:
                _misshapen(place.path, f"is not {wrong}")


def _as_object(value: Json, path: str) -> Mapping[str, Json]:
    """An empty list is an empty object, too, and the other way round: Lua does not tell them apart."""
    if isinstance(value, Mapping):
        return value
    if value != []:
        _misshapen(path, "is not an object")
    return {}


def _as_list(value: Json, path: str) -> Sequence[Json]:
    if isinstance(value, list | tuple):
        return value
    if value != {}:
        _misshapen(path, "is not a list")
    return ()


def _object(kind: Kind, value: Json, place: _Place) -> None:
    found = _as_object(value, place.path)
    for key, _, *more in kind["keys"]:
        if key not in found and more != ["optional"]:
            _misshapen(below(place.path, key), "is missing")
    for key in sorted(found.keys() - {key for key, *_ in kind["keys"]}):
        _misshapen(below(place.path, _shown(key, _LONGEST_KEY)), "is not known")
    for key, name, *more in kind["keys"]:
        if key in found and not (found[key] is None and more == ["or null"]):
            _shape(name, found[key], place.at(below(place.path, key)))


def _list(kind: Kind, value: Json, place: _Place) -> None:
    found = _as_list(value, place.path)
    if "long" in kind and len(found) != kind["long"]:
        _misshapen(place.path, f"is not {kind['words']}")
    for at, one in enumerate(found):
        _shape(kind["of"], one, place.at(f"{place.path}[{at}]"))


def side_of(kind: Kind, value: Json) -> str:
    """Which of its two types the value is of."""
    name: str = kind["with" if isinstance(value, Mapping) and kind["by"] in value else "without"]
    return name


def _kind(kind: Kind, value: Json, place: _Place) -> None:
    if place.depth == SCHEMA["deepest"]:
        _misshapen(place.path, f"is deeper than {place.depth} conditions")
    found = _as_object(value, place.path)
    if len(found) != 1:
        _misshapen(place.path, "is not one condition")
    ((key, inner),) = found.items()
    if key not in kind["kinds"]:
        _misshapen(below(place.path, _shown(key, _LONGEST_KEY)), "is not known")
    _shape(kind["kinds"][key], inner, place.at(below(place.path, key), 1))


# Leaves: what a value is not ----------------------------------------------------------------------------------------


def as_number(value: Json) -> float | None:
    """The number as an edge reads it, which has no others; infinite where it is too large; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    return True


def _no_number(value: Json) -> str:
    number = as_number(value)
    if number is None:
        return "a number"
    return "" if math.isfinite(number) else "a number that a clock can show"


def _no_whole(value: Json) -> str:
    number = as_number(value)
    return "" if number is not None and number.is_integer() else "a whole number"


_LEAVES: Mapping[str, Callable[[Kind, Json], str]] = {
    "string": lambda _, value: "" if isinstance(value, str) and _is_unicode(value) else "a string",
    "flag": lambda _, value: "" if isinstance(value, bool) else "true or false",
    "whole": lambda _, value: _no_whole(value),
    "number": lambda _, value: _no_number(value),
    "one of": lambda kind, value: "" if isinstance(value, str) and value in kind["values"] else kind["words"],
}
