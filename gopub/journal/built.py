"""What the journal holds of releases being made: one stream for each build, from its plan to how it ended.

Prefect's history is purged, and a build that failed leaves nothing in the store: here both can be counted for as long
as the journal is kept. No build depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BuildOutcome = Literal["published", "again", "failed"]


@dataclass(frozen=True, slots=True)
class BuildBegan:
    """A commit is about to be built as this version; ``committed`` are seconds since the epoch."""

    app: str
    version: str
    commit: str
    committed: float = 0.0
    run: str = ""


@dataclass(frozen=True, slots=True)
class BuildEnded:
    """It is in the store, ``again`` (it was there before, so nothing was built), or it failed, and by which code."""

    app: str
    outcome: BuildOutcome
    release: str = ""
    code: str = ""
    seconds: float = 0.0
