"""What a way back did while the journal was down: kept beside the kits until the journal takes it.

Without it a process that ends would be the only one who knew. The journal would still say that the rollout goes
forward, and `recover` would put the canary back into traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from gopub.canon import JsonError, bounded, read_json
from gopub.errors import GopubError
from gopub.journal.events import Event, decode, encode
from gopub.journal.private import write_private


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


@dataclass(frozen=True, slots=True)
class LateFile:
    """The same as a file: each event is its type's name and its data, as ``journal-events`` says."""

    rollout: str
    app: str
    env: str
    version: int
    events: tuple[tuple[str, dict[str, JsonValue]], ...]
    actor: str
    trace: str
    schema: Literal["gopub/late/v1"] = "gopub/late/v1"


_ADAPTER = TypeAdapter(LateFile)
LARGEST = 64 << 20
"""Bytes of a file of late entries."""


def keep(folder: Path, late: Late) -> None:
    """Write them whole or not at all; an earlier file of this rollout is replaced.

    Raises:
        OSError: Not even that can be written.
    """
    events = cast("tuple[tuple[str, dict[str, JsonValue]], ...]", tuple(encode(event) for event in late.events))
    file = LateFile(late.rollout, late.app, late.env, late.version, events, late.actor, late.trace)
    write_private(_path(folder, late.rollout), _ADAPTER.dump_json(file))


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
            whole = path.read_bytes()
            read_json(whole, limit=LARGEST)
            file = _ADAPTER.validate_json(whole)
            events = tuple(decode(name, data) for name, data in file.events)
            yield Late(file.rollout, file.app, file.env, file.version, events, file.actor, file.trace)
        except (OSError, JsonError, ValidationError) as error:
            why = bounded(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else error
            raise GopubError("GP703", f"{path} cannot be understood: {why}",
                             hint="it tells how a rollout went back; see `gopub status`") from error  # fmt: skip


def _path(folder: Path, rollout: str) -> Path:
    return folder / f"late-{rollout}.json"
