"""The small types that gopub.yaml is made of: each refuses a bad value with a code and a hint.

Durations, shares and amounts are text with a unit in the file (``30s``, ``10%``), numbers in Python
(seconds, fractions of 1), and text again in the JSON of the effective spec, so that it reads back equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from gopub import units
from gopub.errors import UsageError

_Value = TypeVar("_Value")
_LONGEST_QUANTITY = 64
_LONGEST_PROBLEM = 400
# Control characters, line separators, surrogates and what no text holds: nothing that can start a new line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def refuse(code: str, problem: str, hint: str = "") -> PydanticCustomError:
    """The error that a validator raises; the loader turns it into a SpecError with the place."""
    if len(problem) > _LONGEST_PROBLEM:  # it shows the value, and the value is a stranger's
        problem = f"{problem[: _LONGEST_PROBLEM // 2]} … {problem[-_LONGEST_PROBLEM // 2 :]}"
    return PydanticCustomError("gopub", "{problem}", {"code": code, "problem": problem, "hint": hint})


def telling(parse: Callable[[Any], _Value]) -> Callable[[Any], _Value]:
    """Make a parser that raises UsageError usable as a pydantic validator."""

    def validate(value: Any) -> _Value:
        try:
            return parse(value)
        except UsageError as error:
            raise refuse(error.code, error.problem, error.hint) from None

    return validate


def matching(pattern: str, code: str, what: str, hint: str) -> Callable[[str], str]:
    """A validator for text that must match ``pattern`` as a whole."""
    compiled = re.compile(pattern)

    def validate(value: str) -> str:
        if not compiled.fullmatch(value):
            raise refuse(code, f"{value!r} is not {what}", hint)
        return value

    return validate


def _one_line(value: str) -> str:
    # A newline would start a second directive in a unit file or an order (systemd, wire format).
    if _CONTROL.search(value):
        raise refuse("GP123", f"{value!r} holds a newline or a control character", "write it on one line")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise refuse("GP101", f"{value!r} has no unit", f'write "{value}s" or "{value}ms"')
    return round(units.seconds(_text(value)), 3)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "text is needed")
    if len(value) > _LONGEST_QUANTITY:  # the patterns that read quantities are slow on long text
        raise refuse("GP116", f"{len(value)} characters are too many for a quantity", "write a number and a unit")
    return value


def _fraction(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        meant = f"{value:g}%" if value >= 1 else say_fraction(value)
        raise refuse("GP102", f"{value!r} has no % sign", f'write it as a percentage, such as "{meant}"')
    return units.fraction(_text(value))


def _chance(value: Any) -> float:
    if isinstance(value, float):
        return value
    return _fraction(value)


def _amount(value: Any) -> units.Amount:
    if isinstance(value, units.Amount):
        return value
    return units.Amount.parse(_text(value) if isinstance(value, str) else value)


def say_fraction(value: float) -> str:
    """Write a fraction of 1 as people do: 0.005 gives ``0.5%``."""
    return f"{value * 100:.10g}%"


def _say_amount(value: units.Amount) -> int | str:
    if value.count is not None:
        return value.count
    return say_fraction(value.share or 0.0)


def _some(value: units.Amount) -> units.Amount:
    if not (value.count or value.share):
        raise refuse("GP121", f"{value} is no host at all", "write at least 1, or more than 0%")
    return value


def _above_zero(value: float) -> float:
    if value <= 0:
        raise refuse("GP121", f"{units.say_seconds(value)} is too short", "write a duration above 0s")
    return value


_DURATION = WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$", "examples": ["30s"]})
_PERCENT = WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$", "examples": ["10%"]})
_SAY_SECONDS = PlainSerializer(units.say_seconds, return_type=str, when_used="json")
_SAY_FRACTION = PlainSerializer(say_fraction, return_type=str, when_used="json")

Line = Annotated[StrictStr, AfterValidator(_one_line)]
"""Text on one line."""

Word = Annotated[Line, Field(min_length=1)]
"""Text on one line that is not empty."""

Whole = StrictInt
"""A whole number; never text, never true or false."""

Switch = StrictBool
"""true or false."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number."""

Seconds = Annotated[float, BeforeValidator(telling(_seconds)), _SAY_SECONDS, _DURATION]
"""A duration with a unit, from 0s, in milliseconds at the finest; seconds in Python."""

PositiveSeconds = Annotated[Seconds, AfterValidator(_above_zero)]
"""A duration above 0s."""

Fraction = Annotated[float, BeforeValidator(telling(_fraction)), _SAY_FRACTION, _PERCENT]
"""A percentage from 0% to 100%; a fraction of 1 in Python."""

Chance = Annotated[
    float,
    BeforeValidator(telling(_chance)),
    _SAY_FRACTION,
    WithJsonSchema({"type": ["number", "string"], "examples": ["1%", 0.01]}),
]
"""A probability: a percentage, or a number such as 0.01."""

HostAmount = Annotated[
    units.Amount,
    BeforeValidator(telling(_amount)),
    AfterValidator(_some),
    PlainSerializer(_say_amount, return_type=int | str, when_used="json"),
    WithJsonSchema({"type": ["integer", "string"], "examples": [1, "10%"]}),
]
"""At least one host: a number, or a share such as 10%."""

Name = Annotated[
    Line,
    AfterValidator(
        matching(
            r"[a-z][a-z0-9-]{0,39}",
            "GP120",
            "a name",
            "use 1 to 40 of a-z, 0-9 and -, with a letter first",
        )
    ),
]
"""The name of an app, an environment or an instance."""
