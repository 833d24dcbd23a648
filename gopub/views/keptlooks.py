"""The records that a rollout's journal kept, read at one door; what is damaged is refused with its place. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gopub.errors import UsageError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.between import Looks, looks_from_json
from gopub.judge.replay import record_from_json
from gopub.judge.verdict import VerdictRecord


def kept_records(rollout: str, entries: Sequence[Entry]) -> list[tuple[VerdictRecord, Looks | None]]:
    """Each kept record, and the bare counts between it and the one before; verdicts without a record are left out.

    Raises:
        UsageError: GP601, with the rollout, the number of the entry, and the field.
    """
    found: list[tuple[VerdictRecord, Looks | None]] = []
    for entry in entries:
        kept = entry.event.record if isinstance(entry.event, ev.Judged) else {}
        if "record" in kept:
            try:
                found.append((record_from_json(kept["record"]), looks_from_json(kept.get("looks"))))
            except UsageError as error:
                raise placed(error, place(rollout, entry.version)) from error
    return found


def place(rollout: str, number: int) -> str:
    """Where in a journal something stands."""
    return f"rollout {rollout}, entry {number}"


def placed(error: UsageError, where: str) -> UsageError:
    """The same error with its place before it."""
    return UsageError(error.code, f"{where}: {error.problem}", hint=error.hint)
