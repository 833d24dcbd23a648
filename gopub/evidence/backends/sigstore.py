"""A Sigstore instance: whose certificates, logs and times are believed, where to sign, and how a token is had."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from gopub.errors import UsageError
from gopub.evidence.trust import LARGEST, SignsWith, SigstoreConnection, Ticket, Trust, public_config, read_trust
from gopub.spec.fields import refuse
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.telemetry import REDACTOR

_AMBIENT = "ambient"
_TOKEN = "SIGSTORE_ID_TOKEN"  # noqa: S105 - the name of a variable
_ASKS = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_BY_CI = ("GITLAB_CI", _TOKEN, "GITHUB_ACTIONS", _ASKS, "ACTIONS_ID_TOKEN_REQUEST_URL")
"""By what GitLab and GitHub give a token to a job."""


class AmbientToken(SecretRef):
    """The token that the CI gives to whoever asks in a job of it."""

    def open(self) -> str:
        """Nothing: the process that signs asks for it."""
        return ""

    def __str__(self) -> str:
        """What is referred to."""
        return "what the CI gives"


def _or_ambient(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"const": _AMBIENT})


class Sigstore(SigstoreConnection):
    """A Sigstore instance."""

    kind: Literal["sigstore"] = "sigstore"
    trust: LocalPath | None = None
    """Its client trust config, or its trusted root (JSON), with which nothing can be signed."""
    instance: Literal["public-good", "staging"] | None = None
    """Instead of a trust config: the instance at sigstore.dev, as sigstore-python knows it."""
    token: SecretRef | None = Field(None, json_schema_extra=_or_ambient)
    """The OIDC token for its certificates; `ambient`: what the CI gives; without it that in SIGSTORE_ID_TOKEN."""

    @field_validator("token", mode="before")
    @classmethod
    def _by_word(cls, given: Any) -> Any:
        return AmbientToken() if given == _AMBIENT else given

    @model_validator(mode="after")
    def _one_of_them(self) -> Sigstore:
        if (self.trust is None) == (self.instance is None):
            hint = "write the file of a private instance in trust, or instance: public-good"
            raise refuse("GP365", "exactly one of trust and instance is needed", hint)
        return self

    def open(self, name: str) -> Trust:
        """Read the trust config."""
        return read_trust(self._config(), file=self._file, name=name)

    def signs_with(self, name: str) -> SignsWith:
        """Read trust config and token."""
        data = self._config()
        trust = read_trust(data, file=self._file, name=name)
        return SignsWith(data.decode(), trust, self._ticket())

    @property
    def _file(self) -> str:
        return str(self.trust) if self.trust else f"the instance {self.instance}"

    def _config(self) -> bytes:
        if self.instance is not None:
            return public_config(staging=self.instance == "staging")
        if self.trust is None:
            return b""
        try:
            with self.trust.open("rb") as file:
                return file.read(LARGEST + 1)
        except OSError as error:
            why = (error.strerror or "").lower()
            raise UsageError("GP318", f"the trust config {str(self.trust)!r} cannot be read: {why}",
                             hint="name the file in the connection's `trust`") from error  # fmt: skip

    def _ticket(self) -> Ticket:
        if isinstance(self.token, AmbientToken):
            given = {name: os.environ[name] for name in _BY_CI if name in os.environ}
            for secret in (_TOKEN, _ASKS):
                REDACTOR.learn(given.get(secret, ""))
            return Ticket(ambient=given)
        return Ticket((self.token or SecretRef(env=_TOKEN)).reveal().strip())
