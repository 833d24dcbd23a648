"""The kinds of connection: what connections.yaml can hold, and what a Prefect Block of the same name carries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from gopub.errors import UsageError
from gopub.spec.fields import PositiveSeconds, Switch, Whole, Word, refuse
from gopub.spec.texts import Endpoint, HttpUrl, LabelName, SelectorText, UserName, VariableName
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

    env: VariableName | None = None
    """The environment variable that holds it."""
    file: LocalPath | None = None
    """The file that holds it."""

    @model_validator(mode="before")
    @classmethod
    def _by_reference(cls, data: Any) -> Any:
        if isinstance(data, SecretRef):
            return data
        if not isinstance(data, Mapping):
            # The value is not shown: it may well be the secret.
            raise refuse("GP143", "a secret never stands in a file", _SECRET_HINT)
        if ("env" in data) == ("file" in data) and not set(data) - {"env", "file"}:
            raise refuse("GP143", "exactly one of env and file is needed", _SECRET_HINT)
        return data

    def reveal(self) -> str:
        """The secret, known to the redaction filter from now on.

        Raises:
            UsageError: GP142 the variable is not set, or the file cannot be read or is empty.
        """
        secret = os.environ.get(self.env, "") if self.env else self._from_file()
        if not secret:
            raise UsageError("GP142", f"{self} holds no secret", hint="set it where gopub runs")
        REDACTOR.learn(secret)
        return secret

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

    kind: str


class Directory(Connection):
    """An artifact store in a folder of this machine."""

    kind: Literal["directory"] = "directory"
    path: LocalPath
    """The folder."""


class S3(Connection):
    """An artifact store in an S3 bucket."""

    kind: Literal["s3"] = "s3"
    endpoint: Endpoint
    """Host, and port where it is not the usual one."""
    bucket: Word
    """The bucket."""
    access_key: SecretRef = SecretRef(env="AWS_ACCESS_KEY_ID")
    """The access key."""
    secret_key: SecretRef = SecretRef(env="AWS_SECRET_ACCESS_KEY")
    """The secret key."""
    region: Word | None = None
    """The region; asked of the server where it is left out."""
    secure: Switch = True
    """TLS."""
    public_endpoint: Endpoint | None = None
    """The endpoint as the hosts see it, where that is another one."""


class Inventory(Connection):
    """An Ansible inventory."""

    kind: Literal["inventory"] = "inventory"
    path: LocalPath
    """The file."""


class Nginx(Connection):
    """Edges: Nginx with the Lua program of gopub."""

    kind: Literal["nginx"] = "nginx"
    inventory: Word
    """A connection of kind inventory, or a path."""
    hosts: SelectorText
    """Which hosts are edges."""
    socket: Word = "/run/gopub/edge.sock"
    """The control socket on an edge."""
    metrics: Word | None = None
    """The connection of kind prometheus that scrapes these edges."""
    logs: Word | None = None
    """The connection of kind journald for the hosts behind."""


class Prometheus(Connection):
    """A Prometheus server."""

    kind: Literal["prometheus"] = "prometheus"
    url: HttpUrl
    """Its address."""
    token: SecretRef | None = None
    """A bearer token."""
    timeout: PositiveSeconds = 10.0
    """How long an answer may take."""
    runtime: dict[LabelName, Word] = Field(default_factory=lambda: {"app": "{app}"})
    """Labels that tell the service's own Go runtime metrics from its neighbours', each with a regular expression."""


class Journald(Connection):
    """The journal of each host, read through SSH."""

    kind: Literal["journald"] = "journald"


class Ssh(Connection):
    """How hosts are reached; ~/.ssh/config fills in what is left out."""

    kind: Literal["ssh"] = "ssh"
    user: UserName | None = None
    """The user."""
    port: Whole | None = Field(None, ge=1, le=65535)
    """The port."""
    key: LocalPath | None = None
    """The private key."""
    known_hosts: LocalPath | None = None
    """Pinned host keys."""
    sudo: Switch = False
    """Whether the host program is run through sudo."""
    proxy_jump: Word | None = None
    """A bastion."""


class Key(Connection):
    """A key pair that signs releases."""

    kind: Literal["key"] = "key"
    private: SecretRef
    """The private key (PEM)."""
    public: LocalPath
    """The public key (PEM)."""


KINDS: dict[str, type[Connection]] = {
    kind.model_fields["kind"].default: kind
    for kind in (Directory, S3, Inventory, Nginx, Prometheus, Journald, Ssh, Key)
}
"""Every kind by its name."""

AnyConnection: TypeAlias = Annotated[
    Directory | S3 | Inventory | Nginx | Prometheus | Journald | Ssh | Key, Field(discriminator="kind")
]
"""One of them, told apart by ``kind``."""
