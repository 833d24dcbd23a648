"""A key pair in files, or a private key in the environment."""

from __future__ import annotations

from typing import Literal

from gopub.evidence.keys import KeySigner, SignerConnection
from gopub.spec.kinds import LocalPath, SecretRef


class Key(SignerConnection):
    """A key pair that signs releases."""

    kind: Literal["key"] = "key"
    private: SecretRef
    """The private key (PEM)."""
    public: LocalPath
    """The public key (PEM)."""
    passphrase: SecretRef | None = None
    """What opens the private key, where it has a passphrase."""

    def open(self) -> KeySigner:
        """Load the private key.

        Raises:
            GopubError: GP300, GP301 the key cannot be used.
            UsageError: GP142 a secret is not where it is said to be.
        """
        passphrase = self.passphrase.reveal() if self.passphrase else None
        if self.private.file is not None:
            return KeySigner.load(self.private.file, passphrase=passphrase)
        return KeySigner.parse(self.private.reveal().encode(), name=str(self.private), passphrase=passphrase)
