"""From the document back to the table: every key must be known, present and of its kind (GP501)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gopub.canon import Json, bounded
from gopub.errors import UsageError
from gopub.traffic.check import validate
from gopub.traffic.table import SCHEMA, Lapse, Latency, Peer, RouteTable, Rule, Track

T = TypeVar("T")
Reader = Callable[[Json, str], T]

_HINT = "see docs/reference/route-table.md"


def from_json(value: Json) -> RouteTable:
    """Read a document that ``to_json`` wrote, here or on an edge, and check it.

    Raises:
        UsageError: GP501 the shape is wrong; GP502 the table contradicts itself.
    """
    doc = _object(value, "the table", _FIELDS, optional=("latency", "warmup", "weight_from"))
    if doc["schema"] != SCHEMA:
        raise _wrong("schema", f'"{SCHEMA}"')
    table = RouteTable(
        app=_string(doc["app"], "app"),
        env=_string(doc["env"], "env"),
        upstream=_string(doc["upstream"], "upstream"),
        revision=_integer(doc["revision"], "revision"),
        epoch=_integer(doc["epoch"], "epoch"),
        token=_string(doc["token"], "token"),
        n=_integer(doc["n"], "n"),
        rollout=_string(doc["rollout"], "rollout"),
        salt=_string(doc["salt"], "salt"),
        sticky=_string(doc["sticky"], "sticky"),
        weight=_integer(doc["weight"], "weight"),
        stable=_maybe(doc["stable"], "stable", _track),
        canary=_maybe(doc["canary"], "canary", _track),
        canary_until=_maybe(doc["canary_until"], "canary_until", _number),
        lapse=_lapse(doc["lapse"]),
        rules=_list(doc["rules"], "rules", _rule),
        trust=_list(doc["trust"], "trust", _string),
        fallback=_boolean(doc["fallback"], "fallback"),
        latency=_latency(doc.get("latency", "auto")),
        warmup=_number(doc.get("warmup", 0.0), "warmup"),
        weight_from=_integer(doc.get("weight_from", 0), "weight_from"),
    )
    validate(table)
    return table


_FIELDS = (
    "schema", "app", "env", "upstream", "revision", "epoch", "token", "n", "rollout", "salt", "sticky",
    "weight", "stable", "canary", "canary_until", "lapse", "rules", "trust", "fallback",
)  # fmt: skip


def _wrong(path: str, kind: str) -> UsageError:
    return UsageError("GP501", f"{path} is not {kind}", hint=_HINT)


def _object(value: Json, path: str, fields: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise _wrong(path, "an object")
    prefix = "" if path == "the table" else f"{path}."
    for name in fields:
        if name not in value:
            raise UsageError("GP501", f"{prefix}{name} is missing", hint=_HINT)
    for name in sorted(value):
        if name not in fields and name not in optional:
            raise UsageError("GP501", f"{prefix}{bounded(name, 60)} is not known", hint=_HINT)
    return value


def _string(value: Json, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a string")
    return value


def _integer(value: Json, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(path, "a whole number")
    return value


def _number(value: Json, path: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(path, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _wrong(path, "a number that a clock can show") from None


def _boolean(value: Json, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false")
    return value


def _lapse(value: Json) -> Lapse:
    if value == "stable":
        return "stable"
    if value == "keep":
        return "keep"
    raise _wrong("lapse", "stable or keep")


def _latency(value: Json) -> Latency:
    for known in ("auto", "header", "total"):
        if value == known:
            return known
    raise _wrong("latency", "auto, header or total")


def _maybe(value: Json, path: str, read: Reader[T]) -> T | None:
    return None if value is None else read(value, path)


def _list(value: Json, path: str, read: Reader[T]) -> tuple[T, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(path, "a list")
    return tuple(read(item, f"{path}[{at}]") for at, item in enumerate(value))


def _track(value: Json, path: str) -> Track:
    doc = _object(value, path, ("release", "peers"))
    return Track(release=_string(doc["release"], f"{path}.release"), peers=_list(doc["peers"], f"{path}.peers", _peer))


def _peer(value: Json, path: str) -> Peer:
    doc = _object(value, path, ("host", "address"), optional=("since",))
    since = _number(doc["since"], f"{path}.since") if "since" in doc else None
    return Peer(_string(doc["host"], f"{path}.host"), _string(doc["address"], f"{path}.address"), since)


def _rule(value: Json, path: str) -> Rule:
    doc = _object(value, path, ("id", "header"))
    header = _object(doc["header"], f"{path}.header", ("name", "value"))
    return Rule(
        id=_string(doc["id"], f"{path}.id"),
        header_name=_string(header["name"], f"{path}.header.name"),
        header_value=_string(header["value"], f"{path}.header.value"),
    )
