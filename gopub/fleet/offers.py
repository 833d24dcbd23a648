"""Which keys a login offers, and in which order. Pure.

A server counts every key that it is shown, and ends the login after a few (``MaxAuthTries``, 6). So what was named
comes first, and what an agent holds beside that comes last, or not at all with ``IdentitiesOnly``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """What there is of a key in a file."""

    READY = "can be used"
    LOCKED = "has a passphrase, and no agent holds it"
    PUBLIC = "is a public key, and no agent holds its private one"
    MISSING = "is not there"
    DAMAGED = "cannot be read as a key"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key that somebody named, or one of the usual names; ``public`` is what an agent would know it by."""

    path: str
    state: State
    public: bytes | None = None
    named: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """One key to show: the agent's with these public bytes, or the one in a file."""

    public: bytes | None = None
    path: str | None = None


def offers(files: Sequence[KeyFile], agent: Sequence[bytes], *, only_named: bool) -> tuple[Offer, ...]:
    """The keys in order, each once: named ones (by way of the agent where it holds them), then the agent's others."""
    return tuple(dict.fromkeys(_offers(files, agent, only_named=only_named)))


def _offers(files: Sequence[KeyFile], agent: Sequence[bytes], *, only_named: bool) -> Iterator[Offer]:
    held = set(agent)
    for usual in (False, True):  # the usual names are no wish of anybody's: after the agent, as nobody chose them
        if usual and not only_named:
            yield from (Offer(public=public) for public in agent)
        for file in files:
            if file.named is usual:
                continue
            if file.public in held:
                yield Offer(public=file.public)
            elif file.state is State.READY:
                yield Offer(path=file.path)


def troubles(files: Sequence[KeyFile], agent: Sequence[bytes]) -> tuple[str, ...]:
    """Why keys in files are not offered, worth telling when nobody was let in; ssh, too, passes over them."""
    held = set(agent)
    return tuple(
        f"{file.path} {file.state.value}"
        for file in files
        if file.state is not State.READY and file.public not in held and (file.named or file.state is not State.MISSING)
    )


def advice(files: Sequence[KeyFile], agent: Sequence[bytes], *, shown: int) -> str:
    """What to do when nobody was let in."""
    held = set(agent)
    locked = next((one.path for one in files if one.state is State.LOCKED and one.public not in held), None)
    if locked:
        return f"give it to an agent (`ssh-add {locked}`) where gopub runs: it asks for no passphrase"
    if not shown:
        return "name a key in the inventory, in ~/.ssh/config (IdentityFile), or give one to an agent"
    return "which key and user does the inventory name, and is that key in the user's authorized_keys?"
