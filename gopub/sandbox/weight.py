"""How much text a value can become, and how much an operation would make: computed before it is done. Pure.

A weight is in characters. Values that are shared count as often as they are reached, since a text made of them
would repeat them: a list of a hundred references to a long text weighs a hundred long texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2.utils import Namespace

from gopub.sandbox.fault import BudgetError

MOST_TEXT = 1024 * 1024  # characters of what a template makes, and of any value on the way
MOST_NUMBER = 100_000  # as an argument of a filter or method (widths, counts)
MOST_BITS = 4096  # of a whole number
_WIDEST_JSON = 16
_WIDE = re.compile(r"\d{5,}|:[^{}]*\{")  # a width of five digits in a format, or one that is computed
_STARRED = re.compile(r"%[^%a-zA-Z]*\*")  # a width that is an argument
_KEYED = re.compile(r"%\((.*?)\)", re.DOTALL)
_NUMBERS = re.compile(r"\d+")
_WORDS = (str, bytes)


def weight(*values: object) -> int:
    """The characters of all these values together; stops counting once they are more than ``MOST_TEXT``."""
    total, todo = 0, list(values)
    while todo and total <= MOST_TEXT:
        value = todo.pop()
        total += _own(value)
        if total <= MOST_TEXT:
            todo.extend(_inside(value))
    return total


def _own(value: object) -> int:
    if isinstance(value, _WORDS):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 3 + 1
    if isinstance(value, range):
        return 7 * len(value)
    return 2 + (2 * len(value) if isinstance(value, list | tuple | Mapping | set | frozenset) else 0)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    if isinstance(value, Namespace):
        return (object.__getattribute__(value, "_Namespace__attrs"),)
    return value if isinstance(value, list | tuple | set | frozenset) else ()


def kept(value: Any) -> Any:
    """The value, if it is small enough to be kept.

    Raises:
        BudgetError: it is not.
    """
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise BudgetError(f"it makes a number of more than {MOST_BITS} bits")
    if weight(value) > MOST_TEXT:
        raise BudgetError(f"it makes a value of more than {MOST_TEXT} characters")
    return value


def refuse_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse ``left operator right`` where that would be huge.

    Raises:
        BudgetError: it would.
    """
    if operator == "**" and not (abs(right) <= 64 and abs(left) <= MOST_NUMBER):
        raise BudgetError("a power is too large")
    if operator == "*" and max(_repeated(left, right), _repeated(right, left)) > MOST_TEXT:
        raise BudgetError("a repetition is too long")
    if operator == "*" and isinstance(left, int) and isinstance(right, int):
        _refuse_bits(left.bit_length() + right.bit_length())
    if operator == "+" and not isinstance(left, int) and weight(left, right) > MOST_TEXT:
        raise BudgetError(f"it makes a value of more than {MOST_TEXT} characters")
    if operator == "%" and isinstance(left, _WORDS):
        refuse_percent(left, right)


def _refuse_bits(bits: int) -> None:
    if bits > MOST_BITS:
        raise BudgetError(f"it makes a number of more than {MOST_BITS} bits")


def _repeated(value: object, times: object) -> int:
    if isinstance(times, int) and isinstance(value, str | bytes | list | tuple):
        return weight(value) * max(times, 0)
    return 0


def refuse_width(*values: object) -> None:
    """Refuse numbers that are too large as widths and counts.

    Raises:
        BudgetError: one is.
    """
    for value in values:
        if isinstance(value, int) and abs(value) > MOST_NUMBER and not isinstance(value, bool):
            shown = str(value) if value.bit_length() < 128 else "a number"
            raise BudgetError(f"{shown} is too large for a filter or a method")


def refuse_percent(pattern: str | bytes, values: object) -> None:
    """Refuse ``pattern % values`` where that would be long.

    Raises:
        BudgetError: it would.
    """
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    _refuse_pattern(text)
    if isinstance(values, Mapping):
        filled = sum(weight(values.get(key)) for key in _KEYED.findall(text))
    else:
        filled = weight(values)
    _refuse_length(text, filled)


def refuse_format(pattern: str, args: Iterable[object], named: Mapping[str, object]) -> None:
    """Refuse ``pattern.format(*args, **named)`` where that would be long.

    Raises:
        BudgetError: it would.
    """
    _refuse_pattern(pattern)
    largest = max((weight(value) for value in (*args, *named.values())), default=0)
    _refuse_length(pattern, pattern.count("{") * largest)


def _refuse_pattern(pattern: str) -> None:
    if _WIDE.search(pattern) or _STARRED.search(pattern):
        raise BudgetError(f"a width in {pattern[:40]!r} is too large")


def _refuse_length(pattern: str, filled: int) -> None:
    if len(pattern) + filled + sum(int(digits) for digits in _NUMBERS.findall(pattern)) > MOST_TEXT:
        raise BudgetError(f"it makes a value of more than {MOST_TEXT} characters")


def refuse_growth(name: str, value: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Refuse a filter or method of a text that would make much more than it was given.

    Args:
        name: the filter or the method, such as ``join``.
        value: what it is applied to: of the method ``join``, the separator.
        args: positional arguments.
        named: the others.

    Raises:
        BudgetError: it would.
    """
    estimate = _GROWS.get(name)
    if estimate and estimate(value, *args, **named) > MOST_TEXT:
        raise BudgetError(f"{name} makes a value of more than {MOST_TEXT} characters")


def _join(items: Any, d: Any = "", attribute: Any = None) -> int:
    del attribute
    return weight(items) + (len(items) if hasattr(items, "__len__") else 1) * weight(d)


def _replace(text: Any, old: Any, new: Any, count: Any = None) -> int:
    del count
    found = str(text).count(str(old)) if not isinstance(text, bytes) else text.count(old)
    return weight(text) + found * weight(new)


def _indent(text: Any, width: Any = 4, first: Any = False, blank: Any = False) -> int:
    del first, blank
    wide = width if isinstance(width, int) else weight(width)
    return weight(text) + (str(text).count("\n") + 1) * wide


def _wordwrap(text: Any, *args: Any, **named: Any) -> int:
    return weight(text) + (len(str(text)) + 1) * weight(*args[2:], named.get("wrapstring", ""))


def _urlize(text: Any, *args: Any, **named: Any) -> int:
    links = sum(str(text).count(mark) for mark in "./@:") + 1
    return weight(text) + links * weight(*args, *named.values())


def _tojson(value: Any, indent: Any = None) -> int:
    return weight(value) * min(max(int(indent or 0) - _WIDEST_JSON, 1), MOST_TEXT)


def _tabs(text: Any, tabsize: Any = 8) -> int:
    tab = "\t" if isinstance(text, str) else b"\t"
    return weight(text) + int(text.count(tab)) * int(tabsize)


def _translate(text: Any, table: Any, *_: Any, **__: Any) -> int:
    largest = max((weight(one) for one in table.values()), default=0) if isinstance(table, Mapping) else 1
    return len(text) * max(largest, 1)


_GROWS: Mapping[str, Callable[..., int]] = {
    "join": _join,
    "replace": _replace,
    "indent": _indent,
    "wordwrap": _wordwrap,
    "urlize": _urlize,
    "tojson": _tojson,
    "expandtabs": _tabs,
    "translate": _translate,
}
