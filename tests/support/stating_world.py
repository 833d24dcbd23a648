"""A project whose policy says who signs admissions, and a list of roles beside it."""

from __future__ import annotations

from pathlib import Path

from gopub.clock import Clock, SystemClock
from gopub.evidence.roles import Role
from gopub.release.config import local_keys
from gopub.usecases.make_keys import make_keys
from tests.releases import SPEC
from tests.support.admission_world import Shop


def policy(shop: Shop, admit: str) -> None:
    """Let the project ask that; what it says of one environment stands at the end of its file."""
    shop.spec(f"{SPEC}    admit: {admit}\n")


def roles(shop: Shop, lasting: float = 10 * 365 * 86400.0, clock: Clock | None = None) -> Path:
    """A list in the project, its root beside it, and the release's key in it."""
    keys = shop.project / "keys"
    (keys / Role.RELEASE).mkdir(parents=True)
    for name in ("gopub.key", "gopub.pub"):
        (keys / Role.RELEASE / name).write_bytes((local_keys() / name).read_bytes())
        (keys / Role.RELEASE / name).chmod(0o600)
    make_keys(keys, lasting, clock or SystemClock())
    return keys


KNOWN = "roles: {file: keys/roles, root: keys/root/gopub.pub}"
