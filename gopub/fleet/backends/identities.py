"""What there is to log in with: key files, certificates, and the agent; ``gopub.fleet.offers`` says in which order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from gopub.errors import GopubError
from gopub.fleet.keyfiles import openssh_parts, seems_locked
from gopub.fleet.offers import KeyFile, Offer, State, advice, offers, troubles
from gopub.fleet.sshconfig import Settings

USUAL = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa", "id_dsa")


@dataclass(slots=True)
class Wallet:
    """The keys of one login; each is taken out once."""

    files: tuple[KeyFile, ...]
    left: list[Offer]
    held: dict[bytes, asyncssh.SSHKeyPair]
    certificates: list[asyncssh.SSHCertificate]
    agent: asyncssh.SSHAgentClient | None = None
    shown: int = 0
    minted: asyncssh.SSHKeyPair | None = None
    """A key with a certificate of this moment, which is shown first."""

    def take(self) -> Sequence[asyncssh.SSHKeyPair]:
        """The next key to show, with its certificate if it has one; none when all were shown."""
        if self.minted is not None:
            minted, self.minted = self.minted, None
            self.shown += 1
            return [minted]
        while self.left:
            offer = self.left.pop(0)
            with suppress(OSError, ValueError):
                key = self.held[offer.public] if offer.public else str(offer.path)
                pairs = list(asyncssh.load_keypairs([key], None, self.certificates))
                self.shown += len(pairs)
                return pairs
        return ()

    def complaint(self) -> str:
        """Why others were not shown."""
        return "; ".join(troubles(self.files, tuple(self.held)))

    def advice(self) -> str:
        """What to do when none was accepted."""
        return advice(self.files, tuple(self.held), shown=self.shown)

    def close(self) -> None:
        """Leave the agent."""
        if self.agent:
            self.agent.close()


async def wallet(name: str, key: Path | None, settings: Settings, *, patience: float) -> Wallet:
    """All that may be shown to that host: ``key`` is the inventory's; the agent has ``patience`` seconds to answer.

    Raises:
        GopubError: GP414 ``key`` belongs to a user who is not there.
    """
    files = _files(name, key, settings)
    agent, held = await _agent(settings, patience)
    order = offers(files, tuple(held), only_named=settings.identities_only)
    return Wallet(files, list(order), held, _certificates(settings, files), agent)


def certified(minted: asyncssh.SSHKeyPair) -> Wallet:
    """One certificate, and nothing beside it: no standing key is shown where certificates are asked for."""
    return Wallet((), [], {}, [], minted=minted)


def _files(name: str, key: Path | None, settings: Settings) -> tuple[KeyFile, ...]:
    named = [*([_home(name, key)] if key else ()), *map(_expanded, settings.identities or ())]
    usual = [] if key or settings.identities is not None else [_expanded(f"~/.ssh/{one}") for one in USUAL]
    return (*(look(path) for path in named), *(look(path, named=False) for path in usual))


def look(path: str, *, named: bool = True) -> KeyFile:
    """What there is of a key; its public half is known without a passphrase from ``.pub`` or OpenSSH's own format."""
    public = _public(Path(f"{path}.pub"))
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError):
        return KeyFile(path, State.MISSING, public, named)
    with suppress(ValueError, asyncssh.Error):
        return KeyFile(path, State.READY, asyncssh.import_private_key(data).public_data, named)
    if seems_locked(data):
        return KeyFile(path, State.LOCKED, openssh_parts(data)[1] or public, named)
    alone = _public(Path(path))
    return KeyFile(path, State.PUBLIC if alone else State.DAMAGED, alone or public, named)


def _public(path: Path) -> bytes | None:
    try:
        return asyncssh.read_public_key(str(path)).public_data
    except (OSError, ValueError):
        return None


def _home(name: str, key: Path) -> str:
    try:
        return str(key.expanduser())
    except RuntimeError as error:  # ~user, and there is no such user
        raise GopubError("GP414", f"{name}: the key {key} cannot be used: {error}") from error


def _expanded(text: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        return text


def _certificates(settings: Settings, files: Sequence[KeyFile]) -> list[asyncssh.SSHCertificate]:
    found = []
    for path in (*map(_expanded, settings.certificates), *(f"{file.path}-cert.pub" for file in files)):
        with suppress(OSError, ValueError):
            found.append(asyncssh.read_certificate(path))
    return found


async def _agent(
    settings: Settings, patience: float
) -> tuple[asyncssh.SSHAgentClient | None, dict[bytes, asyncssh.SSHKeyPair]]:
    """The agent and what it holds; one that does not answer holds nothing, as for ssh."""
    path = settings.one.get("identityagent") or os.environ.get("SSH_AUTH_SOCK", "")
    if not path or path == "none":
        return None, {}
    try:
        async with asyncio.timeout(patience):
            agent = await asyncssh.connect_agent(_expanded(path))
    except (OSError, ValueError, asyncssh.Error):
        return None, {}
    try:
        async with asyncio.timeout(patience):
            keys = await agent.get_keys()
    except (OSError, ValueError, asyncssh.Error):
        agent.close()
        return None, {}
    return agent, {pair.public_data: pair for pair in keys}
