"""What people are to be told of a rollout and what became of it, as its stream tells; when each is tried again. Pure.

Each message to each connection is written down before it is handed over, and so is every attempt: another process, or
the next one, sees what is under way and repeats nothing. Who dies between the service's answer and the entry about it
leaves an attempt without an end; it is made again after ``CLAIM``, so a message may come twice then, and is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gopub.journal import notices
from gopub.journal.entry import Entry
from gopub.journal.state import State
from gopub.journal.tries import Tries

CLAIM = 120.0
"""Seconds after which an attempt of which nobody tells the end is made again; more than any takes."""
PAUSES = (10.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds after each attempt that failed; after one more it is given up."""
_HOLDS = frozenset({"approval-needed", "stuck"})
Name = tuple[str, str]
"""What is told, and to whom."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one connection."""

    due: notices.NoticeDue
    at: float
    tries: int = 0
    ready: float = 0.0
    """When it may be tried (again)."""
    taken: bool = False
    given_up: bool = False
    why: str = ""
    """What came back from the last attempt that failed."""

    @property
    def name(self) -> Name:
        """What it is known by."""
        return self.due.key, self.due.to

    @property
    def open(self) -> bool:
        """Whether it is still to be handed over."""
        return not (self.taken or self.given_up)

    @property
    def pause(self) -> float:
        """Seconds until it is tried again after the attempt that is under way; 0 gives it up."""
        return PAUSES[self.tries - 1] if 0 < self.tries <= len(PAUSES) else 0.0


def letters(entries: Iterable[Entry]) -> dict[Name, Letter]:
    """Every message of a rollout, in the order in which they became due; what was due twice is one."""
    found: dict[Name, Letter] = {}
    for entry in entries:
        match entry.event:
            case notices.NoticeDue() as due:
                found.setdefault((due.key, due.to), Letter(due, entry.at))
            case (
                notices.NoticeTried(key=key, to=to)
                | notices.NoticeTaken(key=key, to=to)
                | notices.NoticeLost(key=key, to=to)
            ):
                if known := found.get((key, to)):
                    found[key, to] = _after(known, entry)
            case _:
                continue
    return found


def _after(letter: Letter, entry: Entry) -> Letter:
    match entry.event:
        case notices.NoticeTried():
            return replace(letter, tries=letter.tries + 1, ready=entry.at + CLAIM)
        case notices.NoticeTaken():
            return replace(letter, taken=True, why="")
        case notices.NoticeLost(why=why, after=after):
            return replace(letter, why=why, given_up=after <= 0, ready=entry.at + after)
        case _:
            return letter


def ready(found: Mapping[Name, Letter], now: float) -> list[Letter]:
    """Those that may be handed over now."""
    return [one for one in found.values() if one.open and _ready_at(one, found) <= now]


def opens_at(found: Mapping[Name, Letter]) -> float | None:
    """When the next of them may be; None where none is left."""
    return min((_ready_at(one, found) for one in found.values() if one.open), default=None)


def _ready_at(letter: Letter, found: Mapping[Name, Letter]) -> float:
    """An end overtakes no beginning that may be under way still: it would begin behind its end, for good."""
    begun = found.get((begin_of(letter.due.key), letter.due.to)) if letter.due.over else None
    return max(letter.ready, begun.ready) if begun and begun.open else letter.ready


def ends(found: Mapping[Name, Letter], state: State, tries: Tries) -> list[notices.NoticeDue]:
    """What was told, or still may be, and does not hold any more; once for each."""
    return [
        replace(one.due, key=end_of(one.due.key), over=True)
        for one in found.values()
        if not (one.due.over or one.given_up) and (end_of(one.due.key), one.due.to) not in found
        if _over(one.due, state, tries)
    ]


def end_of(key: str) -> str:
    """Under which key the end of what has this one is told."""
    return f"over/{key}"


def begin_of(key: str) -> str:
    """What it is the end of, where it is the end of something; else the same."""
    return key.removeprefix(end_of(""))


def holds(about: str) -> bool:
    """Whether what is told stays so until somebody does something; the rest has happened."""
    return about in _HOLDS


def _over(due: notices.NoticeDue, state: State, tries: Tries) -> bool:
    if not holds(due.about):
        return False
    if state.closed:
        return True
    _, *why, place = due.key.split("/")
    if why:  # what no driver told: over once one got further
        return int(place) != tries.place
    step = int(place) - 1
    return state.back is not None or step in (state.passed if due.about == "stuck" else state.reached)
