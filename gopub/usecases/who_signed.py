"""Whose signature somebody asks for on a command line: a key's, or an identity's in a trust config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gopub.errors import UsageError
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.named import NamedVerifier
from gopub.evidence.signers import IdentityRule
from gopub.evidence.trust import LARGEST, SigstoreConnection, Trust, read_trust
from gopub.evidence.verifier import KeyVerifier, Verifier
from gopub.rollout.policy import accepted_key
from gopub.spec.connections import Connections
from gopub.spec.loader import read_signer


def asked_for(given: Mapping[str, str], connections: Connections) -> Verifier:
    """Who believes them and nobody else; without a word about it, the local key.

    ``given`` has the keys of an entry of ``admit.signed``, and the same rules; ``trust`` may be a file as well.

    Raises:
        SpecError: GP327, GP328 what is given is nobody; GP140, GP141 there is no such connection of kind sigstore.
        UsageError: GP729 the key cannot be read; GP318 the trust config.
    """
    told = {name: value for name, value in given.items() if value}
    if not told.keys() - {"key"}:
        return KeyVerifier(accepted_key(told.get("key", "")))
    signer = read_signer(told)
    trust = _trust(signer.trust or "", connections)
    if signer.key is not None:
        return KeyVerifier(accepted_key(signer.key), trust)
    return NamedVerifier(
        KeylessVerifier(trust), (IdentityRule(signer.identity or "", signer.issuer or "", trust.name),)
    )


def _trust(named: str, connections: Connections) -> Trust:
    """A connection, else a file of that name."""
    file = Path(named)
    if connections.has(named) or not file.is_file():
        return connections.get(named, SigstoreConnection).open(named)
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise UsageError("GP318", f"the trust config {named!r} cannot be read: {why}", hint="is it yours?") from error
    return read_trust(data, file=named, name=file.name)
