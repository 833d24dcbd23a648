"""What an edge's status says of the source of its tables."""

from __future__ import annotations

from gopub.canon import Json, bounded
from gopub.traffic.protocol import EdgeSource


def read_source(answer: Json) -> EdgeSource | None:
    """Pick it out of ``/v1/status``; None where nobody watches one, and where it cannot be read: it decides nothing."""
    said = answer.get("source") if isinstance(answer, dict) else None
    if not isinstance(said, dict):
        return None
    kind, up, what = said.get("kind"), said.get("up"), said.get("what")
    since, last, refused = _number(said.get("since")), _number(said.get("last")), _number(said.get("refused"))
    if not isinstance(kind, str) or not isinstance(up, bool) or not isinstance(what, str):
        return None
    return EdgeSource(bounded(kind, 20), up, since, last, int(refused), bounded(what, 400))


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
