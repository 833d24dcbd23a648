"""From the document back to the table: every key must be known, present and of its kind (GP501)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from gopub.canon import Json, bounded
from gopub.errors import UsageError
from gopub.traffic.check import validate
from gopub.traffic.conditions import Condition
from gopub.traffic.shapes import condition
from gopub.traffic.table import Endpoint, Lapse, Latency, Peer, RouteTable, Rule, Side, Track

String = Annotated[str, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]

_KINDS = {
    "string_type": "a string",
    "string_unicode": "a string",  # half of a pair of surrogates
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "an object",
}
_SHAPE = ("missing", "extra_forbidden")


def _header(value: Json) -> Condition:
    return condition({"header": value})


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Peer(_Object):
    host: String
    address: String
    since: Number = 0.0


class _Track(_Object):
    release: String
    peers: tuple[_Peer, ...]
    tag: String = ""

    def value(self) -> Track:
        peers = ((one.host, one.address, one.since if "since" in one.model_fields_set else None) for one in self.peers)
        return Track(
            self.release, tuple(Peer(*one) for one in peers), self.tag if "tag" in self.model_fields_set else None
        )


class _Rule(_Object):
    """``{id, header}``, or ``{id, when}`` with the track and the time of its end."""

    id: String
    header: Annotated[Condition | None, BeforeValidator(_header)] = None
    when: Annotated[Condition | None, BeforeValidator(condition)] = None
    to: Side = "canary"
    until: Number | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, value: Json) -> Json:
        if isinstance(value, Mapping) and "id" in value:
            if "when" not in value and "header" not in value:
                raise PydanticCustomError("condition", "{reason}", {"reason": ".header is missing"})
            for key in sorted({"header"} & value.keys() if "when" in value else {"to", "until"} & value.keys()):
                raise PydanticCustomError("condition", "{reason}", {"reason": f".{key} is not known"})
        return value

    def value(self) -> Rule:
        found = self.when or self.header
        assert found is not None  # noqa: S101 - the one form has it
        return Rule(self.id, found, self.to, self.until if "until" in self.model_fields_set else None)


class _Endpoint(_Object):
    match: String
    slow: Number = 0.0

    def value(self) -> Endpoint:
        return Endpoint(self.match, self.slow if "slow" in self.model_fields_set else None)


class _Table(_Object):
    schema_: Literal["gopub/route-table/v1"] = Field(alias="schema")
    app: String
    env: String
    upstream: String
    revision: Whole
    epoch: Whole
    token: String
    n: Whole
    rollout: String
    salt: String
    sticky: String
    weight: Whole
    stable: _Track | None
    canary: _Track | None
    canary_until: Number | None
    lapse: Lapse
    rules: tuple[_Rule, ...]
    trust: tuple[String, ...]
    fallback: Annotated[bool, Strict()]
    latency: Latency = "auto"
    warmup: Number = 0.0
    weight_from: Whole = 0
    endpoints: tuple[_Endpoint, ...] = ()

    def value(self) -> RouteTable:
        return RouteTable(
            **self.model_dump(exclude={"schema_", "stable", "canary", "rules", "endpoints"}),
            stable=self.stable.value() if self.stable else None,
            canary=self.canary.value() if self.canary else None,
            rules=tuple(one.value() for one in self.rules),
            endpoints=tuple(one.value() for one in self.endpoints),
        )


def from_json(value: Json) -> RouteTable:
    """Read a document that ``to_json`` wrote, here or on an edge, and check it.

    Raises:
        UsageError: GP501 the shape is wrong; GP502 the table contradicts itself.
    """
    try:
        table = _Table.model_validate(value).value()
    except ValidationError as error:
        raise UsageError("GP501", _say(_first(error.errors())), hint="see docs/reference/route-table.md") from None
    validate(table)
    return table


def _first(errors: Sequence[ErrorDetails], depth: int = 0) -> ErrorDetails:
    """The one that the edge finds: an object's keys before what stands in them."""
    keys = [one for one in errors if len(one["loc"]) == depth + 1 and one["type"] in _SHAPE]
    if keys:
        known = [one for one in keys if one["type"] == "missing"]
        return known[0] if known else min(keys, key=lambda one: str(one["loc"][-1]))
    first = errors[0]
    if len(first["loc"]) <= depth + 1:
        return first
    return _first([one for one in errors if one["loc"][depth] == first["loc"][depth]], depth + 1)


def _say(error: ErrorDetails) -> str:
    kind, *place = error["type"], *error["loc"]
    if kind == "extra_forbidden":
        place[-1] = bounded(str(place[-1]), 60)
    path = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place)[1:] if place else "the table"
    if kind == "condition":
        return path.removesuffix(".header") + str(error["ctx"]["reason"])  # which says of a header that it is one
    if kind in _SHAPE:
        return f"{path} is {'missing' if kind == 'missing' else 'not known'}"
    if kind == "literal_error":
        expected = str(error["ctx"]["expected"]).replace("'", '"' if path == "schema" else "")
        return f"{path} is not {expected}"
    if kind == "float_type" and type(error["input"]) is int:
        return f"{path} is not a number that a clock can show"
    return f"{path} is not {_KINDS[kind]}"
