"""Write the schemas of gopub.yaml and ``gopub check --json``: ``python -m gopub.spec.schema``.

That of connections.yaml is made by ``gopub.wiring.schemas``, which knows the kinds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from gopub.canon import Json
from gopub.spec.effective import SCHEMA_VERSION
from gopub.spec.models import ReleaseSpec

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def generate() -> dict[str, Mapping[str, Json]]:
    """The schemas by file name, made from the models."""
    spec = ReleaseSpec.model_json_schema(by_alias=True)
    # What another key gives by default is no duty of the file (models.fill_from_siblings).
    _optional(spec, "Environment", "instance")
    _optional(spec, "Traffic", "upstream", "port")
    return {
        "gopub.v1.json": {"$schema": _DRAFT, **spec, "title": "gopub.yaml"},
        "check.v1.json": {"$schema": _DRAFT, **_check(spec), "title": "gopub check --json"},
    }


def _check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What effective.as_document makes: the effective spec is a gopub.yaml itself."""
    whole = {key: value for key, value in spec.items() if key != "$defs"}
    amount = {"type": "integer", "minimum": 0}
    counted = {"type": "object", "properties": {"matched": amount, "of": amount},
               "required": ["matched", "of"], "additionalProperties": False}  # fmt: skip
    properties = {
        "schema_version": {"const": SCHEMA_VERSION},
        "file": {"type": "string", "description": "The gopub.yaml that was read."},
        "spec": {"$ref": "#/$defs/ReleaseSpec", "description": "Every value, defaults included."},
        "origins": {"type": "object", "additionalProperties": {"type": "string"},
                    "description": "For each value its place, such as gopub.yaml:14:7, or `default`."},
        "hosts": {"type": "object", "additionalProperties": counted,
                  "description": "For each environment how many hosts of the inventory its selector means."},
        "judged_on": {"type": "object", "additionalProperties": {"type": ["string", "null"]},
                      "description": "For each environment the connection whose metrics decide; null: health-only."},
    }  # fmt: skip
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
            "$defs": {**spec["$defs"], "ReleaseSpec": whole}}  # fmt: skip


def _optional(schema: dict[str, Any], name: str, *keys: str) -> None:
    definition = schema["$defs"][name]
    mapping = next(form for form in definition.get("anyOf", [definition]) if "properties" in form)
    mapping["required"] = [key for key in mapping["required"] if key not in keys]


def as_text(schema: Mapping[str, Json]) -> str:
    """The schema as it is kept."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files into gopub/schemas of this checkout."""
    folder = Path(str(files("gopub.schemas")))
    for name, made in generate().items():
        (folder / name).write_text(as_text(made), "utf-8")


if __name__ == "__main__":
    main()
