"""A value that is there and that nobody may use."""

from __future__ import annotations

from typing import Any, NoReturn

from jinja2 import UndefinedError


class Encrypted:
    """The value in a template: refuses whatever a template does with a value but to ask whether it is defined."""

    def __init__(self, name: str, why: str) -> None:
        self._gopub_name, self._gopub_why = name, why

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UndefinedError(f"{self._gopub_name!r} {self._gopub_why}")

    __str__ = __repr__ = __html__ = __format__ = __bytes__ = __hash__ = __bool__ = _refuse
    __len__ = __iter__ = __contains__ = __getitem__ = __call__ = __int__ = __float__ = __index__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pos__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _refuse

    def __reduce__(self) -> tuple[type[Encrypted], tuple[str, str]]:
        """Travel to the child by its parts."""
        return Encrypted, (self._gopub_name, self._gopub_why)

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        self._refuse()
