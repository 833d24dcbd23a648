"""When and where logs are read during a rollout: rarely while nothing is wrong, at each look once something may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.health.config import JudgeConfig
from gopub.health.logscore import LogReading
from gopub.health.samples import LogCounts, NoData, TrackWindow, Window
from gopub.health.sources import BEFORE, LogSource, LogTarget

STABLE_HOSTS = 5
"""As many stable hosts are read at most; every canary host is."""
PAST = 600.0
"""Seconds before the rollout in which what stable wrote is learnt: that is known, and never new."""


@dataclass(frozen=True, slots=True)
class LogOutcome:
    """What became of one look at the logs; ``blind``: there is no log score now, and ``note`` says why."""

    reading: LogReading | None = None
    note: str = ""
    blind: bool = False
    known: tuple[str, ...] = ()
    """Classes that stable wrote before the rollout, where they were asked for."""


class LogWatch:
    """Remembers since when each host is read, and how many requests it had since the last reading."""

    def __init__(self, source: LogSource | None, config: JudgeConfig) -> None:
        """Take the source; None means that no logs are configured."""
        self._source, self._config = source, config
        self._began = self._last = 0.0
        self._tried: float | None = None
        self._learnt: set[str] = set()
        self._requests: dict[tuple[str, str], int] = {}
        self._outcome = LogOutcome(note="logs not read yet", blind=True)

    def start(self, at: float) -> None:
        """Lines before ``at`` are not judged."""
        self._began = self._last = at

    def count(self, window: Window) -> None:
        """Remember the requests that the next lines belong to."""
        for track in (window.canary, window.stable):
            if track:
                self._count(track)

    def _count(self, track: TrackWindow) -> None:
        for host in track.hosts:
            key = (track.release, host.host)
            self._requests[key] = self._requests.get(key, 0) + host.attempts

    async def read(self, at: float, targets: Sequence[LogTarget], *, urgent: bool) -> LogOutcome:
        """Read what is due; between two readings the outcome of the last one stands.

        After a reading that failed the next one waits, however urgent it is: a host that hangs must not slow each look.
        """
        if self._source is None:
            return LogOutcome(note="no log source", blind=True)
        soon = self._tried is not None and 0 <= at - self._tried < self._config.log_every
        if soon and (not urgent or self._outcome.note):
            return LogOutcome(note=self._outcome.note, blind=self._outcome.blind)
        ours = [target for target in targets if target.release == self._config.canary]
        theirs = sorted((target for target in targets if target.release == self._config.stable), key=lambda t: t.host)
        if not ours or not theirs:
            return LogOutcome(note="no hosts on both tracks to compare the logs of", blind=True)
        chosen, self._tried = (*ours, *theirs[:STABLE_HOSTS]), at
        reading = asyncio.gather(*(self._source.read(target, self._began) for target in chosen))
        known = await self._before(chosen[len(ours) :])
        self._outcome = replace(self._take(at, await reading), known=known)
        return self._outcome

    async def _before(self, stable: Sequence[LogTarget]) -> tuple[str, ...]:
        """The classes of the time before, asked for once for each stable host, and read apart from all else."""
        new = [target for target in stable if target.host not in self._learnt]
        self._learnt.update(target.host for target in new)
        past = (replace(target, release=f"{target.release}{BEFORE}") for target in new)
        answers = await asyncio.gather(*(self._source.read(one, self._began - PAST) for one in past if self._source))
        return tuple({name for answer in answers if isinstance(answer, LogCounts) for name in answer.classes})

    def _take(self, at: float, answers: Sequence[LogCounts | NoData]) -> LogOutcome:
        read = [answer for answer in answers if isinstance(answer, LogCounts)]
        notes = [answer.reason for answer in answers if isinstance(answer, NoData)]
        notes += [note for counts in read for note in counts.notes]
        ours = tuple(counts for counts in read if counts.release == self._config.canary)
        theirs = tuple(counts for counts in read if counts.release == self._config.stable)
        note = "; ".join(notes)
        if not ours or not theirs:
            return LogOutcome(note=note, blind=True)
        requests = {counts.host: self._requests.pop((counts.release, counts.host), 0) for counts in read}
        began, self._last = self._last, at
        return LogOutcome(LogReading(began, at, ours, theirs, requests), note)
