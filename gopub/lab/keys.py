"""SSH keys of a lab: one for its user, one per host, pinned from the first moment."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from gopub.lab.layout import LabHost, Layout
from gopub.lab.state import write


def private_key(path: Path) -> str:
    """The ed25519 private key in this file (OpenSSH form), made first where it is missing."""
    if not path.exists():
        write(
            path, asyncssh.generate_private_key("ssh-ed25519", comment="gopub-lab").export_private_key().decode(), 0o600
        )
    return path.read_text()


def public_key(path: Path) -> str:
    """The public half of the key in ``path``, without its comment."""
    text = asyncssh.import_private_key(private_key(path)).export_public_key().decode()
    return " ".join(text.split()[:2])


def host_key_path(layout: Layout, host: LabHost) -> Path:
    """Host keys lie in the state folder, so that a rebuilt host keeps the key that is pinned."""
    return layout.home / "host-keys" / host.name


def pinned(layout: Layout) -> dict[str, str]:
    """Host name → public key of every host."""
    return {host.name: public_key(host_key_path(layout, host)) for host in layout.hosts}
