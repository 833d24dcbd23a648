"""What may follow what in a rollout: one table, state × event → state. Pure.

It holds what drivers write, and nothing else; ``machine`` folds by it and refuses the rest, ``drawing`` draws it.
Beyond the forward way there are two ways of going back: a rollout turns around, or one is *laid out* that only goes
back (``gopub rollback`` with none under way, edges that missed a way back). Whoever adopts a rollback that was carried
out without the journal closes what it took back, wherever that stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from gopub.journal import events as ev
from gopub.journal.hooks import HookEnded, HookIntended
from gopub.plan.model import Outcome


class Phase(StrEnum):
    """Where a rollout stands; the value is what people read."""

    NEW = "not open"
    OPENED = "opened"
    REFUSED = "refused"
    ADMITTED = "admitted"
    PLANNED = "planned"
    WAITING = "waiting"
    MOVING = "between steps"
    BAKING = "baking"
    SETTLING = "settling"
    WATCHING = "watching"
    LAID_OUT = "laid out to go back"
    LEAVING = "withdrawn untouched"
    GOING_BACK = "going back"
    CLOSED = "closed"


Key: TypeAlias = type[ev.Event] | Outcome
"""A type of event; for ``Closed`` its outcome."""


def key_of(event: ev.Event) -> Key:
    """Under which key the table has an event."""
    return event.outcome if isinstance(event, ev.Closed) else type(event)


def say_key(key: Key) -> str:
    """``Held``, ``Closed (promoted)``."""
    return f"Closed ({key.value})" if isinstance(key, Outcome) else key.__name__


def _row(here: Phase, stays: tuple[Key, ...], goes: Mapping[Key, Phase]) -> Mapping[Key, Phase]:
    return {**dict.fromkeys(stays, here), **goes}


P = Phase
_EDGES: tuple[Key, ...] = (ev.TableIntended, ev.TablePut)
_HOLD: tuple[Key, ...] = (ev.SeatTaken, ev.Held, ev.Resumed)
_HOOK: tuple[Key, ...] = (HookIntended, HookEnded)
_SWITCH: tuple[Key, ...] = (ev.SwitchIntended, ev.HostSwitched, ev.HostFailed)
_UNTOUCHED: Mapping[Key, Phase] = {ev.GoingBack: P.LEAVING, Outcome.ROLLED_BACK: P.CLOSED}
_TOUCHED: Mapping[Key, Phase] = {ev.GoingBack: P.GOING_BACK, Outcome.ROLLED_BACK: P.CLOSED}

TABLE: Mapping[Phase, Mapping[Key, Phase]] = {
    P.NEW: {ev.Opened: P.OPENED},
    P.OPENED: _row(P.OPENED, (ev.SeatTaken,), {
        ev.Admitted: P.ADMITTED, ev.Refused: P.REFUSED, ev.Planned: P.LAID_OUT, **_UNTOUCHED}),
    P.REFUSED: _row(P.REFUSED, (ev.SeatTaken, ev.Refused), {  # its driver died: the next one asks admission again
        ev.Admitted: P.ADMITTED, Outcome.REFUSED: P.CLOSED, **_UNTOUCHED}),
    P.ADMITTED: _row(P.ADMITTED, (ev.SeatTaken, ev.Admitted), {  # what was stated has expired: it is asked again
        ev.Refused: P.REFUSED, ev.Planned: P.PLANNED, **_UNTOUCHED}),
    P.PLANNED: _row(P.PLANNED, (*_HOLD, ev.StageIntended, ev.HostStaged, ev.HostFailed), {
        ev.Waiting: P.WAITING, ev.SwitchIntended: P.MOVING, HookIntended: P.MOVING, **_UNTOUCHED}),
    P.WAITING: _row(P.WAITING, (*_HOLD, ev.Waiting), {ev.Woken: P.PLANNED, **_UNTOUCHED}),
    P.MOVING: _row(P.MOVING, (*_HOLD, *_SWITCH, *_EDGES, *_HOOK, ev.Judged), {  # judged: while somebody holds it
        ev.StepReached: P.BAKING, ev.Settling: P.SETTLING, **_TOUCHED}),
    P.BAKING: _row(P.BAKING, (*_HOLD, *_EDGES, ev.Judged), {ev.StepPassed: P.MOVING, **_TOUCHED}),
    P.SETTLING: _row(P.SETTLING, (*_HOLD, *_SWITCH, *_EDGES, ev.Judged), {
        ev.WatchBegun: P.WATCHING, Outcome.PROMOTED: P.CLOSED, **_TOUCHED}),
    P.WATCHING: _row(P.WATCHING, (*_HOLD, ev.Watched), {Outcome.PROMOTED: P.CLOSED, **_TOUCHED}),
    P.LAID_OUT: _row(P.LAID_OUT, (ev.SeatTaken, ev.HostSwitched, ev.HostOwed, ev.SwitchIntended), _TOUCHED),
    P.LEAVING: _row(P.LEAVING, (ev.SeatTaken,), {Outcome.WITHDRAWN: P.CLOSED, Outcome.ROLLED_BACK: P.CLOSED}),
    P.GOING_BACK: _row(
        P.GOING_BACK, (ev.SeatTaken, ev.SwitchIntended, ev.HostSwitched, ev.HostOwed, *_EDGES, *_HOOK, ev.TrafficOff),
        dict.fromkeys((Outcome.ROLLED_BACK, Outcome.WITHDRAWN, Outcome.MENDED), P.CLOSED)),
    P.CLOSED: {},
}  # fmt: skip
