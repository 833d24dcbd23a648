"""What a forge has to say of its webhooks, and what a delivery of any of them comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from deployments.hooks.signing import HookSecrets
from gopub.spec.refglob import is_commit, is_ref
from gopub.spec.when import Event

Kind = Literal["branch", "tag"]

Headers = Mapping[str, str]
"""Of a request, by lower-case names."""
ZEROS = "0"
_PREFIXES: Mapping[str, Kind] = {"refs/heads/": "branch", "refs/tags/": "tag"}


@dataclass(frozen=True, slots=True)
class Push:
    """A branch or a tag of a repository stands at ``commit``; ``event`` is what told so, with all its fields.

    ``project`` is the repository's path on the forge, ``addresses`` are those that it is cloned from. ``commit`` is
    empty where a forge names a tag alone: a tag is released by its name.
    """

    kind: Kind
    name: str
    commit: str
    project: str
    addresses: tuple[str, ...]
    user: str
    event: Event = field(default=Event("gitlab", "", {}), compare=False, repr=False)

    @property
    def ref(self) -> str:
        """The full name."""
        return f"refs/{'tags' if self.kind == 'tag' else 'heads'}/{self.name}"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid delivery that starts nothing, and why."""

    reason: str


class Forge(Protocol):
    """One forge."""

    @property
    def shown(self) -> str:
        """Its name for people."""

    def refusal(self, secrets: HookSecrets, headers: Headers, body: bytes, now: float) -> str | None:
        """Why this delivery is not from the holder of ``secrets``; None when it is.

        ``now`` are seconds since the epoch. The reason is for our log, not for the sender.
        """

    def key(self, headers: Headers, body: bytes) -> str:
        """What a repeated delivery has in common with the first one."""

    def read(self, headers: Headers, body: bytes) -> Push | Ignored:
        """Read a delivery of any kind.

        Raises:
            ValueError: the body is none of this forge's events; the text says which field.
        """


def pushed(ref: str) -> tuple[Kind, str]:
    """The kind and the name of a full ref.

    Raises:
        ValueError: it is neither a branch nor a tag.
    """
    for prefix, kind in _PREFIXES.items():
        name = ref.removeprefix(prefix)
        if name != ref and is_ref(ref):
            return kind, name
    raise ValueError("ref: it is neither a branch nor a tag")


def is_gone(commit: str) -> bool:
    """Whether it is the commit of forty zeros by which forges tell of a deletion."""
    return bool(commit) and not commit.strip(ZEROS)


def check_commits(**fields: str) -> None:
    """Insist that these are ids of commits.

    Raises:
        ValueError: one is none; the text names its field.
    """
    for name, value in fields.items():
        if not is_commit(value):
            raise ValueError(f"{name}: it is no commit id of 40 or 64 hex digits")
