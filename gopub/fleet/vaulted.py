"""Values that only ``ansible-vault`` can read: they may lie in an inventory, and are an error where they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import UndefinedError

from gopub.canon import Json
from gopub.errors import Where

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
        return Encrypted(name)
    if isinstance(value, Mapping):
        return {key: _sealed(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sealed(f"{name}[{number}]", item) for number, item in enumerate(value)]
    return value


class Encrypted:
    """The value in a template: refuses whatever a template does with a value but to ask whether it is defined."""

    def __init__(self, name: str) -> None:
        self._gopub_name = name

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UndefinedError(f"{self._gopub_name!r} {ENCRYPTED}")

    __str__ = __repr__ = __html__ = __format__ = __bytes__ = __hash__ = __bool__ = _refuse
    __len__ = __iter__ = __contains__ = __getitem__ = __call__ = __int__ = __float__ = __index__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pos__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _refuse

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        self._refuse()
