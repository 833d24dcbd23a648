"""How often drivers took a rollout over and got no further, and since when it waits, as its stream tells. Pure.

A driver that dies leaves no word of it: all that is seen is the next one taking the seat at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import State

_FURTHER = (ev.Opened, ev.Admitted, ev.Planned, ev.Waiting, ev.HostStaged, ev.HostSwitched, ev.StepReached,
            ev.StepPassed, ev.Settling, ev.WatchBegun, ev.Watched,
            ev.GoingBack, ev.TrafficOff, ev.HostOwed)  # fmt: skip
"""What only a driver writes that got somewhere. An intent is written again by each, and is none."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What drivers came to: ``place`` is the last entry that went further, ``times`` drivers took the seat since.

    ``waits_since`` is when the rollout began to wait without a driver; None where it does not.
    """

    place: int = 0
    times: int = 0
    first: float = 0.0
    """When the first of them took it; 0 where none did."""
    last: float = 0.0
    """When anything was written."""
    waits_since: float | None = None

    def after(self, entry: Entry, before: State) -> Tries:
        """With one more entry; ``before`` is the rollout as it stood until then."""
        now = replace(self, last=entry.at, waits_since=self._waits(entry))
        if _goes_further(entry.event, before):
            return replace(now, place=entry.version, times=0, first=0.0)
        if not isinstance(entry.event, ev.SeatTaken):
            return now
        return replace(now, times=self.times + 1, first=self.first if self.times else entry.at)

    @property
    def span(self) -> float:
        """Seconds from the first of them to what was written last."""
        return self.last - self.first if self.times else 0.0

    def _waits(self, entry: Entry) -> float | None:
        match entry.event:
            case ev.Waiting():
                return entry.at if self.waits_since is None else self.waits_since
            case ev.Woken() | ev.GoingBack() | ev.Closed():
                return None
            case _:
                return self.waits_since


def _goes_further(event: ev.Event, before: State) -> bool:
    """A look does where it observed the bake for longer than all before it, or while a person holds the rollout."""
    if isinstance(event, ev.Judged):
        return before.held is not None or event.observed > before.observed.get(event.step, 0.0)
    return isinstance(event, _FURTHER)
