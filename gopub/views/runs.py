"""Which of an engine's runs drove which rollout: the journal names the run of every driver that took the seat. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.gates import HOLD


@dataclass(frozen=True, slots=True)
class SeatView:
    """A driver that took the seat, and the engine's run that it was."""

    run: str
    why: str
    epoch: int
    driver: str


def seats_of(history: Iterable[ev.Event]) -> tuple[SeatView, ...]:
    """The runs that drove a rollout, in the order in which they came, each as it sat there last."""
    taken = (event for event in history if isinstance(event, ev.SeatTaken) and event.run)
    return tuple({one.run: SeatView(one.run, one.why, one.epoch, one.driver) for one in taken}.values())


def handed_on(seats: Iterable[SeatView], asked: Iterable[ev.Asked], run: str) -> str:
    """The run that goes on for this one, whose pause held the rollout: it ended as it should; empty where none does."""
    sat = [one.run for one in seats]
    if run not in sat or sat[-1] == run or not any(one.what == HOLD and one.run == run for one in asked):
        return ""
    return sat[-1]


def over_since(entries: Iterable[Entry], before: float) -> float:
    """When the rollout came to its end, where that was before a time (seconds since the epoch); else 0."""
    ends = [one.at for one in entries if isinstance(one.event, ev.Closed)]
    return ends[-1] if ends and ends[-1] < before else 0.0


def unseated(entries: Iterable[Entry], run: str, before: float) -> bool:
    """Whether another run took this one's seat before that time (seconds since the epoch), and has it still."""
    seats = [(one.at, one.event.run) for one in entries if isinstance(one.event, ev.SeatTaken)]
    if not seats or run not in (seat for _, seat in seats):
        return False
    at, last = seats[-1]
    return last != run and at < before
