"""Values that only ``ansible-vault`` can read: they may lie in an inventory, and are an error where they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gopub.canon import Json
from gopub.errors import Where
from gopub.sandbox import Encrypted

ENCRYPTED = "is encrypted with ansible-vault"


class Vaulted(str):
    """Stands for such a value; its text says what it is, and nothing of what is in it."""

    __slots__ = ("where",)
    where: Where

    @classmethod
    def at(cls, where: Where) -> Vaulted:
        """The value of that place."""
        made = cls(f"({ENCRYPTED})")
        made.where = where
        return made


def seal(variables: Mapping[str, Json]) -> dict[str, Any]:
    """The variables for a template: what is encrypted is there, and an error as soon as the template uses it."""
    return {name: _sealed(name, value) for name, value in variables.items()}


def _sealed(name: str, value: Json) -> Any:
    if isinstance(value, Vaulted):
        return Encrypted(name, ENCRYPTED)
    if isinstance(value, Mapping):
        return {key: _sealed(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sealed(f"{name}[{number}]", item) for number, item in enumerate(value)]
    return value
