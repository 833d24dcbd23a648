"""The JSON Schema of the events that a rollout tells: ``python -m gopub.views.notice_schemas`` writes it anew."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gopub.canon import Json
from gopub.journal.schemas import as_text, whole
from gopub.views.notices import payload_schemas


def schema() -> dict[str, Json]:
    """The file ``events.v1.json``: an event's name and payload; each payload stands under ``$defs`` by that name."""
    kinds = payload_schemas()
    one_of: list[Json] = [
        {
            "properties": {"event": {"const": name}, "payload": {"$ref": f"#/$defs/{name}"}},
            "required": ["event", "payload"],
        }
        for name in kinds
    ]
    return whole({"type": "object", "oneOf": one_of, "$defs": kinds}, "events")


if __name__ == "__main__":
    Path(str(files("gopub.schemas")), "events.v1.json").write_text(as_text(schema()), "utf-8")
