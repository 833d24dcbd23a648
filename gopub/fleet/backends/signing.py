"""The key of orders, as a connection names it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_serializer

from gopub.fleet.protocol import OrderSigning
from gopub.spec.kinds import LocalPath, SecretRef


class OrderSign(BaseModel):
    """What signs the orders to enrolled hosts."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    key: LocalPath
    """The file with the private key (PEM) of the role controller."""
    passphrase: SecretRef | None = None
    """What opens that key, where it has a passphrase."""
    roles: LocalPath | None = None
    """The list of roles; the key must be a controller there."""

    @field_serializer("passphrase")
    def _where(self, secret: SecretRef | None) -> dict[str, str] | None:
        """As a kit is read back: by variable or file. What only a Block or a plug-in knows a kit does not."""
        if secret is None or not (secret.env or secret.file):
            return None
        return {"env": secret.env} if secret.env else {"file": str(secret.file)}

    @property
    def signing(self) -> OrderSigning:
        """The same, for whoever opens it."""
        return OrderSigning(self.key, self.passphrase, self.roles)
