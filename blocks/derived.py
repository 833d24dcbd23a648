"""The Block of a kind that has none written by hand: its fields, with their words, and its secrets masked."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from blocks.connection import DOCUMENTATION, ConnectionBlock
from gopub.spec.kinds import Connection, SecretRef, kind_of


def block_of(connection: type[Connection]) -> type[ConnectionBlock]:
    """The Block that becomes this connection; a plug-in registers it by its ``register_type_and_schema()``."""
    kind = kind_of(connection)
    fields = {name: field for name, field in connection.model_fields.items() if name != "kind"}
    made: dict[str, Any] = {
        "__module__": __name__,
        "__doc__": connection.__doc__,
        "__annotations__": {name: _type(field) for name, field in fields.items()},
        "_block_type_name": f"gopub {kind}",
        "_block_type_slug": slug_of(kind),
        "_documentation_url": DOCUMENTATION,
        "connection": connection,
        **{name: _field(field) for name, field in fields.items()},
    }
    return type(connection.__name__, (ConnectionBlock,), made)


def slug_of(kind: str) -> str:
    """Under which name a server knows the Blocks of a kind."""
    return f"gopub-{kind}"


def _type(field: FieldInfo) -> Any:
    kinds = (field.annotation, *get_args(field.annotation))
    held: Any = SecretStr if SecretRef in kinds else field.annotation
    if get_origin(field.annotation) is dict and SecretRef in kinds:
        held = dict[str, SecretStr]
    return held if field.is_required() else held | None


def _field(field: FieldInfo) -> Any:
    said = field.description
    return Field(description=said) if field.is_required() else Field(None, description=said)
