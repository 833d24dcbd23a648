"""One entry of the journal, as it is read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gopub.journal.events import Event


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal."""

    seq: int
    stream: str
    version: int
    event: Event
    actor: str
    trace: str
    at: float
    hash: str

    @property
    def when(self) -> str:
        """RFC 3339, UTC."""
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
