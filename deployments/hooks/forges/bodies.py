"""Bodies of deliveries as values: bounded JSON, read by a model, its mistakes named by their field. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, ValidationError

from gopub.canon import Json, JsonError, bounded, read_json, sha256

LIMIT = 5 * 1024 * 1024
"""Bytes: a push of many commits lists every changed file."""
SECRETS = frozenset({"password", "secret", "sign", "hook"})
"""Fields in which forges send the webhook's own secret: no rule sees them, and no reason can show them."""
_LONGEST_KEY = 200
_Read = TypeVar("_Read", bound=BaseModel)


class Part(BaseModel):
    """A part of a body: what it does not name may be there."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def parsed(model: type[_Read], body: bytes) -> _Read:
    """A body as the model says.

    Raises:
        ValueError: it is no such JSON; the text says which field.
    """
    try:
        read_json(body, limit=LIMIT)
    except JsonError as error:
        raise ValueError(f"body: {error}") from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(bounded(f"{field or 'body'}: {first['msg']}")) from None


def fields_of(body: bytes) -> Mapping[str, Json]:
    """All fields of a body that was parsed before, but for those that hold the webhook's secret."""
    found: Mapping[str, Json] = json.loads(body)
    return {name: value for name, value in found.items() if name not in SECRETS}


def unwrapped(body: bytes, content_type: str) -> bytes:
    """The JSON of a body, which a form may hold as its ``payload``.

    Raises:
        ValueError: the form has none, or several.
    """
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return body
    try:
        found = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10).get("payload", [])
    except ValueError:
        found = []
    if len(found) != 1:
        raise ValueError("body: the form has no field payload, once; choose application/json as its content type")
    return found[0].encode(errors="surrogatepass")


def named(stable: str, body: bytes) -> str:
    """The key of a delivery with that id; without one its body's digest stands for it."""
    if not stable:
        return sha256(body)
    return stable if len(stable) <= _LONGEST_KEY and stable.isprintable() else sha256(stable.encode(errors="replace"))
