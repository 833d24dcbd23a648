"""What every model of gopub.yaml has in common: frozen, closed, and short forms."""

from __future__ import annotations

from typing import Any, ClassVar, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Model(BaseModel):
    """A mapping of gopub.yaml; unknown keys are refused and a scalar is short for its first key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True)

    scalar_is_first: ClassVar[bool] = True
    """False where no scalar may stand for the mapping."""

    @classmethod
    def first_key(cls) -> str:
        """The key that a scalar stands for."""
        name, field = next(iter(cls.model_fields.items()))
        return field.alias or name

    @model_validator(mode="before")
    @classmethod
    def _scalar_for_first_key(cls, data: Any) -> Any:
        """Widen ``health: URL`` to ``health: {http: URL}``."""
        if not cls.scalar_is_first or not isinstance(data, (str, int, float)):
            return data
        listed = get_origin(next(iter(cls.model_fields.values())).annotation) is tuple
        return {cls.first_key(): [data] if listed else data}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Tell editors about the short form, too."""
        made = handler.resolve_ref_schema(handler(schema))
        made["title"] = cls.__name__
        if cls.scalar_is_first:
            first = next(iter(cls.model_fields.values())).annotation
            kinds = ["boolean"] if first is bool else ["string", "number", "integer"]
            return {"anyOf": [{"type": kinds}, made]}
        return made
