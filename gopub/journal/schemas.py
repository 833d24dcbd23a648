"""The JSON Schemas of what rollouts keep: journal events, plan and late events; made from the types.

``python -m gopub.journal.schemas`` writes them anew. That of the rollback kit, in which connections stand, is
written by ``gopub.wiring.schemas``, which knows their kinds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from gopub.canon import Json
from gopub.journal.events import json_schemas
from gopub.journal.late import LateFile
from gopub.plan.model import Plan

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Mapping[str, Json]:
    """The schemas by file name."""
    return {
        "journal-events.v1.json": events_schema(),
        "plan.v1.json": whole(TypeAdapter(Plan).json_schema(), "plan"),
        "late.v1.json": whole(TypeAdapter(LateFile).json_schema(), "late"),
    }


def events_schema() -> dict[str, Json]:
    """An event as ``{"type": …, "data": …}``; the data of every type stands under ``$defs`` by its name."""
    kinds = cast("dict[str, dict[str, Json]]", json_schemas())
    shared: dict[str, Json] = {}
    for name, schema in kinds.items():
        shared |= cast("dict[str, Json]", schema.get("$defs", {}))
        shared[name] = {key: value for key, value in schema.items() if key != "$defs"}
    one_of: list[Json] = [_event(name) for name in kinds]
    return whole({"oneOf": one_of, "$defs": dict(sorted(shared.items()))}, "journal-events")


def _event(name: str) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {"type": {"const": name}, "data": {"$ref": f"#/$defs/{name}"}},
        "required": ["type", "data"],
    }


def whole(schema: dict[str, Json], name: str) -> dict[str, Json]:
    """The schema with its dialect and its name."""
    return {"$schema": _DIALECT, "$id": f"urn:gopub:schema:{name}.v1", **schema}


def as_text(schema: Json) -> str:
    """The text of a schema file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _write() -> None:
    folder = Path(str(files("gopub.schemas")))
    for name, schema in schemas().items():
        (folder / name).write_text(as_text(schema), "utf-8")


if __name__ == "__main__":
    _write()
