"""A host as the inventory knows it, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gopub.canon import Json

GROUP = "group"
"""The label that has every group of a host as a value, whatever its variables say."""
MAGIC = frozenset({"inventory_hostname", "inventory_hostname_short"})
"""Labels that every host has from its name, whatever its variables say: so Ansible has it."""


@dataclass(frozen=True, slots=True)
class SshOptions:
    """How a host is reached over SSH; what is not said here comes from ``~/.ssh/config`` and OpenSSH's defaults.

    ``known_hosts`` pins the host keys (default: ``~/.ssh/known_hosts``); ``jump`` is ``[user@]host[:port]``, or
    several with commas between them, or ``none``; ``proxy_command`` is a program whose standard streams lead to the
    host; ``sudo`` runs the host program as root.
    """

    user: str | None = None
    port: int | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    sudo: bool = False
    jump: str | None = None
    proxy_command: str | None = None

    def over(self, other: SshOptions) -> SshOptions:
        """These options, and those of ``other`` where these say nothing; the way to a host is one of them."""
        way = self if self.jump or self.proxy_command else other
        return SshOptions(
            user=self.user or other.user,
            port=self.port or other.port,
            key=self.key or other.key,
            known_hosts=self.known_hosts or other.known_hosts,
            sudo=self.sudo or other.sudo,
            jump=way.jump,
            proxy_command=way.proxy_command,
        )


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its name in the inventory, where it answers, and what is known of it.

    ``labels`` are its scalar variables as text; ``groups`` are all groups it is in, ``all`` included.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    variables: Mapping[str, Json] = field(default_factory=dict)
    ssh: SshOptions = field(default_factory=SshOptions)

    @property
    def selectable(self) -> dict[str, str | frozenset[str]]:
        """The labels as a selector sees them: ``group`` has every group as a value, and a host knows its name."""
        short = self.name.partition(".")[0]
        return {**self.labels, "inventory_hostname": self.name, "inventory_hostname_short": short, GROUP: self.groups}
