"""What every Block has in common: it becomes the connection of its kind."""

from __future__ import annotations

from typing import Any, ClassVar

from prefect.blocks.core import Block
from pydantic import PrivateAttr, SecretStr
from pydantic_core import Url

from gopub.spec.kinds import Connection, SecretRef
from gopub.telemetry import REDACTOR

DOCUMENTATION: Any = Url("https://docs.prefect.io/v3/concepts/blocks")


class BlockSecret(SecretRef):
    """A secret that a Block holds: the engine gave it to this process, so there is no variable and no file."""

    _held: SecretStr = PrivateAttr()

    @classmethod
    def holding(cls, secret: SecretStr) -> BlockSecret:
        """Make a reference to a secret that is at hand."""
        made = cls.model_construct()
        made._held = secret  # noqa: SLF001 - our own; a private attribute never shows in a dump
        return made

    def reveal(self) -> str:
        """The secret, known to the redaction filter from now on."""
        secret = self._held.get_secret_value()
        REDACTOR.learn(secret)
        return secret

    def __str__(self) -> str:
        """What is referred to."""
        return "a Prefect Block"


class ConnectionBlock(Block):
    """A connection on a Prefect server; ``connection`` is the kind that it becomes."""

    connection: ClassVar[type[Connection]]

    def to_connection(self) -> Connection:
        """The connection as connections.yaml would have given it.

        Raises:
            pydantic.ValidationError: a value that the kind refuses.
        """
        names = [name for name in self.connection.model_fields if name != "kind"]
        values = {name: _held(getattr(self, name)) for name in names}
        return self.connection.model_validate({name: value for name, value in values.items() if value is not None})


def _held(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _held(one) for name, one in value.items()}
    return BlockSecret.holding(value) if isinstance(value, SecretStr) else value
