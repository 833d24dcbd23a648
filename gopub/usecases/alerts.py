"""Alerts from outside hold a rollout while they fire, as a person's hold would: growth stops, and nothing else.

What was heard is in the journal beside what people asked, so another process, or the next one, knows it too. A person's
word is the last one: who resumes a rollout overrides every alert that fires then, and is asked again only where one
begins anew. An alert that comes while somebody holds is written down and holds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from gopub.clock import Clock
from gopub.errors import LockedError
from gopub.journal import events as ev
from gopub.journal.reading import asked, read_state
from gopub.journal.store import Journal
from gopub.journal.streams import asked_of
from gopub.judge.gates import HOLD, RESUME

FIRES, OVER = "hold too", "hold no longer"
"""What is written beside a hold that stands: one more fires, or one of several does no longer."""
_TRIES = 20
"""Fewer than a person has: Alertmanager repeats what was turned away, people do not. One receiver writes one after the
other, so these are for the others: a second receiver, people, a driver."""
ACTOR = "alertmanager"
MOST = 200
"""Alerts of one rollout that fire at once and are remembered; behind them none is written that holds nothing."""
MOST_WORDS = 10 * MOST
"""Words about alerts of one rollout behind which only those are written that hold it or let it go on."""
OLDEST = 86400.0
"""Seconds for which an alert has fired that holds nothing any more: it is no news, and may be an old delivery."""
_SAME = 1.0
"""Seconds; a begin that is told to the millisecond once and to the second another time is the same."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: ``name`` is its labels', ``since`` is when it began to fire, ``says`` is for people.

    ``ended`` is when it was over, where that is told: an end that comes late is none of what began after it.
    """

    name: str
    since: float
    fires: bool
    says: str
    ended: float | None = None


def hear(journal: Journal, rollout: str, alerts: Sequence[Alert], clock: Clock) -> tuple[ev.Asked, ...]:
    """Write down what these alerts mean for a rollout; gives what was written, nothing where it holds nothing any more.

    Raises:
        LockedError: GP704 others were quicker, again and again.
        GopubError: the journal cannot be read or written.
    """
    state = read_state(journal, rollout)
    if not state.rollout or state.closed or state.back:
        return ()
    for left in reversed(range(_TRIES)):
        said = asked(journal, rollout)
        new = words_for(said, alerts, clock.now())
        if not new:
            return ()
        try:
            journal.append(asked_of(rollout), len(said), list(new), actor=ACTOR)
        except LockedError:
            if not left:
                raise
        else:
            return new
    return ()


def words_for(said: Sequence[ev.Asked], alerts: Sequence[Alert], now: float) -> tuple[ev.Asked, ...]:
    """What is to be written of these alerts behind what was said already. Pure."""
    book, new = _Book.of(said), list[ev.Asked]()
    for one in alerts:
        words = _begins(book, one, now) if one.fires else _ends(book, one, now)
        for word in words:
            book.add(word)
        new += words
    return tuple(new)


def _begins(book: _Book, alert: Alert, now: float) -> list[ev.Asked]:
    """A hold, or a line beside one; nothing where it was heard before, by whatever came of it."""
    if alert.since <= book.known.get(alert.name, -math.inf) + _SAME:
        return []
    if book.stands and book.full:
        return []
    return [ev.Asked(FIRES if book.stands else HOLD, alert.says, ACTOR, now, alert=_key(alert))]


def _ends(book: _Book, alert: Alert, now: float) -> list[ev.Asked]:
    """The end of the hold where it was the last one, which another takes over where it was not.

    One that was never heard of is written down all the same: its beginning may be on its way still, held up by a
    receiver that was away, and nobody would tell of its end again.
    """
    over = ev.Asked(OVER, alert.says, ACTOR, now, alert=_key(alert))
    mine = book.firing.get(alert.name)
    if not mine:
        unheard = alert.since > book.known.get(alert.name, -math.inf) + _SAME
        fresh = now - alert.since <= OLDEST and book.words < MOST
        return [over] if unheard and fresh else []
    if alert.ended is not None and any(_parted(one.alert)[1] > alert.ended + _SAME for one in mine):
        return []
    over = replace(over, alert=mine[-1].alert)
    if book.stands is None or not book.stands.alert:
        return [over]
    others = next((them[0] for name, them in book.firing.items() if name != alert.name), None)
    if others is None:
        return [replace(over, what=RESUME)]
    its = _parted(book.stands.alert)[0] == alert.name
    return [over, replace(others, what=HOLD, at=now)] if its else [over]


@dataclass(slots=True)
class _Book:
    """What was said, as far as alerts go: it grows word by word, for a delivery may tell of thousands."""

    known: dict[str, float] = field(default_factory=dict)
    """Of each alert that was ever heard of its last beginning."""
    firing: dict[str, list[ev.Asked]] = field(default_factory=dict)
    """Those that fire, as they were told first; a person who resumes takes none of them for a reason any more."""
    stands: ev.Asked | None = None
    """The hold that stands."""
    words: int = 0

    @classmethod
    def of(cls, said: Iterable[ev.Asked]) -> _Book:
        book = cls()
        for one in said:
            book.add(one)
        return book

    @property
    def full(self) -> bool:
        return len(self.firing) >= MOST or self.words >= MOST_WORDS

    def add(self, one: ev.Asked) -> None:
        if one.what in (HOLD, RESUME):
            self.stands = one if one.what == HOLD else None
        if not one.alert:
            if one.what == RESUME:
                self.firing.clear()
            return
        self.words += 1
        name, since = _parted(one.alert)
        self.known[name] = max(since, self.known.get(name, since))
        if one.what not in (HOLD, FIRES):
            self.firing.pop(name, None)
        elif all(one.alert != its.alert for its in self.firing.get(name, ())):
            self.firing.setdefault(name, []).append(one)


def _key(alert: Alert) -> str:
    return f"{alert.name}@{alert.since:.3f}"


def _parted(key: str) -> tuple[str, float]:
    name, _, since = key.rpartition("@")
    return name, float(since)
