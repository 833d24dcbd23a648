"""What a way back did while the journal was down: kept beside the kits until the journal takes it.

Without it a process that ends would be the only one who knew. The journal would still say that the rollout goes
forward, and `recover` would put the canary back into traffic.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gopub.errors import GopubError
from gopub.rollout.events import Event, decode, encode

SCHEMA = "gopub/late/v1"


@dataclass(frozen=True, slots=True)
class Late:
    """Events that belong behind the first ``version`` ones of a rollout's stream."""

    rollout: str
    app: str
    env: str
    version: int
    events: tuple[Event, ...]
    actor: str
    trace: str


def keep(folder: Path, late: Late) -> None:
    """Write them whole or not at all; an earlier file of this rollout is replaced.

    Raises:
        OSError: Not even that can be written.
    """
    data = {
        "schema": SCHEMA, "rollout": late.rollout, "app": late.app, "env": late.env, "version": late.version,
        "events": [encode(event) for event in late.events], "actor": late.actor, "trace": late.trace,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, late.rollout)
    draft = path.with_suffix(".part")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def drop(folder: Path, rollout: str) -> None:
    """The journal has them now."""
    _path(folder, rollout).unlink(missing_ok=True)


def found(folder: Path) -> Iterator[Late]:
    """All that were kept.

    Raises:
        GopubError: GP703 a file is damaged, or of a later gopub.
    """
    for path in sorted(folder.glob("late-*.json")):
        try:
            data = json.loads(path.read_text("utf-8"))
            events = tuple(decode(name, fields) for name, fields in data["events"])
            yield Late(data["rollout"], data["app"], data["env"], int(data["version"]), events, data["actor"],
                       data["trace"])  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GopubError("GP703", f"{path} cannot be understood: {error}",
                             hint="it tells how a rollout went back; see `gopub status`") from error  # fmt: skip


def _path(folder: Path, rollout: str) -> Path:
    return folder / f"late-{rollout}.json"
