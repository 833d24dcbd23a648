"""Values that only ``ansible-vault`` can read: they may lie in an inventory, and are an error where they are used."""

from __future__ import annotations

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
