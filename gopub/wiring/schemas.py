"""The JSON Schemas in which connections stand: ``python -m gopub.wiring.schemas`` writes them anew."""

from __future__ import annotations

from functools import reduce
from importlib.resources import files
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from gopub.canon import Json
from gopub.journal.kit import Kit
from gopub.journal.schemas import as_text, whole
from gopub.wiring.backends import BACKENDS

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def generate() -> dict[str, dict[str, Json]]:
    """The schemas by file name, of our own kinds."""
    every: Any = Annotated[reduce(or_, BACKENDS.ours().values()), Field(discriminator="kind")]
    connections = TypeAdapter(dict[str, every]).json_schema(by_alias=True)
    return {
        "connections.v1.json": {"$schema": _DRAFT, **connections, "title": "connections.yaml"},
        "kit.v1.json": whole(_kit(), "kit"),
    }


def _kit() -> dict[str, Any]:
    """Edges of our own kinds; how hosts are reached is said of plug-ins' kinds alone, and of those only that it is."""
    schema = TypeAdapter(Kit).json_schema(by_alias=True)
    definitions: dict[str, Any] = schema["$defs"]
    del definitions["RouterConnection"], definitions["FleetConnection"]
    routers = [kind for kind in BACKENDS.ours().values() if kind.door == "router"]
    for kind in routers:
        made = kind.model_json_schema(by_alias=True)
        definitions |= made.pop("$defs", {}) | {kind.__name__: made}
    schema["$defs"] = dict(sorted(definitions.items()))
    refs = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in routers]
    schema["properties"]["router"]["anyOf"] = [*refs, {"type": "null"}]
    of_a_kind = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    schema["properties"]["fleet"]["anyOf"] = [of_a_kind, {"type": "null"}]
    return schema


def main() -> None:
    """Write the files into gopub/schemas of this checkout."""
    folder = Path(str(files("gopub.schemas")))
    for name, made in generate().items():
        (folder / name).write_text(as_text(made), "utf-8")


if __name__ == "__main__":
    main()
