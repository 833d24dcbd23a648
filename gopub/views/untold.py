"""What people were to be told in the last day and were not: what is still tried, and what was given up."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal.outbox import letters
from gopub.journal.store import Journal
from gopub.journal.streams import told_of
from gopub.telemetry import one_line
from gopub.views.amounts import clock
from gopub.views.reading import under_way_since

LOOKED_BACK = 86400.0
"""Seconds for which it is remembered."""


@dataclass(frozen=True, slots=True)
class Untold:
    """One message that one connection did not take yet, or never; ``again`` is None where it was given up."""

    rollout: str
    to: str
    title: str
    tries: int
    why: str
    again: float | None

    def says(self, now: float) -> str:
        """For people, on one line."""
        end = f"tried again at {clock(self.again, now)}" if self.again is not None else "given up"
        times = "once" if self.tries == 1 else f"{self.tries} times"
        return one_line(f"{self.to} was not told: {self.title}; tried {times}: {self.why}; {end}")

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {"rollout": self.rollout, "to": self.to, "title": self.title, "tries": self.tries, "why": self.why,
                "given_up": self.again is None}  # fmt: skip


def read_untold(journal: Journal, now: float, app: str = "", env: str = "") -> list[Untold]:
    """Each (of this app and env, if given) that failed at least once; what cannot be read says nothing."""
    found: list[Untold] = []
    with suppress(GopubError):
        for rollout in under_way_since(journal, now - LOOKED_BACK, app, env):
            for one in letters(journal.read(told_of(rollout))).values():
                if one.why and not one.taken:
                    again = None if one.given_up else one.ready
                    found.append(Untold(rollout, one.due.to, one.due.title, one.tries, one.why, again))
    return found
