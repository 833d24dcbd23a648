"""The small types that sources are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

from gopub.spec.fields import Word, matching
from gopub.spec.kinds import SecretRef


def _where(secret: SecretRef | None) -> dict[str, str] | None:
    if secret is None or not (secret.env or secret.file):
        return None  # what only a Block or a plug-in knows
    return {"env": secret.env} if secret.env else {"file": str(secret.file)}


KeptSecret = Annotated[SecretRef, PlainSerializer(_where)]
"""A secret that a kit is read back with: by variable or file."""

Prefix = Annotated[
    Word,
    AfterValidator(
        matching(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", "GP129", "a prefix of keys",
                 'write it as "gopub/prod", without a slash at its ends')
    ),
]  # fmt: skip
"""What stands before the upstream in a key."""

FolderOnEdge = Annotated[
    Word,
    AfterValidator(matching(r"/[A-Za-z0-9._/@+-]{1,200}", "GP116", "a whole path", 'write it as "/srv/gopub/tables"')),
]
"""A folder on an edge; the watcher reads it as one word."""
