"""What stands behind a name: the doors of the outside, and what gopub itself must know of each connection behind one.

A door (store, inventory, router, …) is a class here. Its kinds are subclasses that the backends bring along, each in
its own module above; nothing below ``wiring`` knows them by name. Whoever reads names is given a :class:`Kinds`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, ModelWrapValidatorHandler, ValidationInfo, model_validator

from gopub.errors import UsageError
from gopub.spec.fields import Word, refuse
from gopub.spec.texts import SelectorText, VariableName
from gopub.telemetry import REDACTOR

_SECRET_HINT = "write {env: NAME} or {file: PATH}"  # noqa: S105 - it is a hint


def _local_path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, (str, Path)) or not str(value):
        raise refuse("GP116", "a path is needed", "name a file or a folder")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise refuse(
            "GP122", f"{str(value)!r} names a home directory that is unknown", "write the whole path"
        ) from None
    base = (info.context or {}).get("base")
    return Path(base) / path if base is not None else path


LocalPath = Annotated[Path, BeforeValidator(_local_path)]
"""A path on this machine; ``~`` is the home directory, and a relative one starts beside its file."""


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SecretRef(_Closed):
    """Where a secret lies; the secret itself never stands in a file of ours."""

    # A plug-in's way is a subclass with a field of the name of its kind, under which a file says where, and an open().

    door: ClassVar[str] = "secret"
    env: VariableName | None = None
    """The environment variable that holds it."""
    file: LocalPath | None = None
    """The file that holds it."""

    @model_validator(mode="before")
    @classmethod
    def _by_reference(cls, data: Any) -> Any:
        if isinstance(data, SecretRef) or cls is not SecretRef:
            return data
        if not isinstance(data, Mapping):
            # The value is not shown: it may well be the secret.
            raise refuse("GP143", "a secret never stands in a file", _SECRET_HINT)
        if ("env" in data) == ("file" in data) and not set(data) - {"env", "file"}:
            raise refuse("GP143", "exactly one of env and file is needed", _SECRET_HINT)
        return data

    @model_validator(mode="wrap")
    @classmethod
    def _of_a_plug_in(cls, data: Any, handler: ModelWrapValidatorHandler[SecretRef], info: ValidationInfo) -> SecretRef:
        kinds: Kinds | None = (info.context or {}).get("kinds")
        given = set(data) if isinstance(data, Mapping) else set()
        if cls is SecretRef and kinds and len(given) == 1 and not given & {"env", "file"}:
            made = kinds.find_secret(str(next(iter(given))))
            if made is not None:
                return made.model_validate(data, context=info.context)
        return handler(data)

    def reveal(self) -> str:
        """The secret, known to the redaction filter from now on.

        Raises:
            UsageError: GP142 the variable is not set, or the file cannot be read or is empty.
        """
        secret = self.open()
        if not secret:
            raise UsageError("GP142", f"{self} holds no secret", hint="set it where gopub runs")
        REDACTOR.learn(secret)
        return secret

    def open(self) -> str:
        """The secret as it lies there; empty where there is none."""
        return os.environ.get(self.env, "") if self.env else self._from_file()

    def _from_file(self) -> str:
        try:
            return self.file.read_text("utf-8").rstrip("\r\n") if self.file else ""
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or "").lower() if isinstance(error, OSError) else "not UTF-8"
            raise UsageError("GP142", f"{self} cannot be read: {why}", hint="mend the file or its rights") from None

    def __str__(self) -> str:
        """What is referred to."""
        return f"environment variable {self.env}" if self.env else f"file {self.file}"


class Connection(_Closed):
    """One entry of connections.yaml."""

    door: ClassVar[str] = ""
    """Which part of the outside it leads to."""
    kind: str


class StoreKind(Connection):
    """Where releases are kept."""

    door: ClassVar[str] = "store"


class InventoryKind(Connection):
    """Who the hosts are."""

    door: ClassVar[str] = "inventory"


class RouterKind(Connection):
    """What gives requests to hosts."""

    door: ClassVar[str] = "router"
    counts: ClassVar[bool] = False
    """Whether edges of this kind can be asked themselves for what they count."""
    inventory: Word
    """A connection of kind inventory, or a path."""
    hosts: SelectorText
    """Which hosts are edges."""
    metrics: Word | None = None
    """The connection of kind prometheus that scrapes these edges; without one the judge has what the edges say."""
    logs: Word | None = None
    """The connection of kind journald, logfile or otlp for the hosts behind."""


class MetricsKind(Connection):
    """Where counters come from."""

    door: ClassVar[str] = "metrics"


class LogsKind(Connection):
    """Where error lines come from."""

    door: ClassVar[str] = "logs"


class FleetKind(Connection):
    """How hosts are reached."""

    door: ClassVar[str] = "fleet"


class SignerKind(Connection):
    """What signs releases."""

    door: ClassVar[str] = "signer"


class SigstoreKind(Connection):
    """Whose certificates are believed."""

    door: ClassVar[str] = "sigstore"


class NotifyKind(Connection):
    """What carries messages to people."""

    door: ClassVar[str] = "notify"


INVENTORY_FILE = "inventory"
"""The kind that a path stands for where gopub.yaml names one in place of an inventory."""


def kind_of(model: type[Connection]) -> str:
    """The name of a kind; empty for a door."""
    field = model.model_fields["kind"]
    return "" if field.is_required() else str(field.default)


class Kinds(Protocol):
    """The kinds that there are; ``gopub.wiring.backends`` has them."""

    def names(self, door: str = "") -> tuple[str, ...]:
        """The kinds of a door, or all of connections; nothing is loaded for it."""
        ...

    def find_secret(self, kind: str) -> type[SecretRef] | None:
        """How a plug-in refers to secrets, by its name; None where there is none of that name.

        Raises:
            GopubError: GP968 it cannot be used.
        """
        ...

    def find(self, kind: str) -> type[Connection] | None:
        """The model of a kind; None where there is none of that name.

        Raises:
            GopubError: GP968 it is a plug-in's, and cannot be used.
        """
        ...
