"""Laying out a rollout that only goes back: one that a rollback asks for, or one that mends edges and hosts.

It has a plan without a way forward, its hosts stand where they were found, and its first act is the way back. It is
written whole or not at all, so that whoever finds it, after a crash at any point, finds one that goes back.
"""

from __future__ import annotations

from collections.abc import Iterable

from gopub.journal import events as ev
from gopub.journal.seat import Seat
from gopub.journal.state import State, fold
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.model import Outcome, Plan


def begin_backwards(
    journal: Journal,
    plan: Plan,
    *,
    outcome: Outcome,
    reason: str,
    now: float,
    project: str,
    after: int,
    actor: str,
    trace: str,
    owed: Iterable[ev.HostOwed] = (),
    on_release: Iterable[str] = (),
    unknown: Iterable[str] = (),
    seat: Seat | None = None,
) -> State:
    """Write the rollout of this plan, and give its state.

    Args:
        journal: where it is written.
        plan: what it goes back from and to.
        outcome: as what it ends.
        reason: why it is begun; also why it goes back.
        now: when it turns around.
        project: for `recover`, which goes on with it if its driver dies.
        after: the version of the env's stream that this was decided on.
        actor: who asks.
        trace: its trace id.
        owed: hosts that are owed from the start.
        on_release: the hosts that are brought back: they run, or may run, what is to go.
        unknown: hosts that are brought back as well, and are in no pool until they are.
        seat: that of the driver that begins it; without one it waits for `recover`.

    Raises:
        LockedError: GP704 another rollout began at this moment, GP705 the seat was taken.
        GopubError: GP701 the journal cannot be written, GP702, GP733 this cannot be laid out.
    """
    rollout, release, names = plan.rollout, plan.release, tuple(unknown)
    events: list[ev.Event] = [
        ev.Opened(rollout, plan.app, plan.env, release.release, release.version, reason, project),
        *((ev.SeatTaken(seat.epoch, seat.holder, "rollback"),) if seat else ()),
        ev.Planned(plan),
        *(ev.HostSwitched(name, release.version, "canary") for name in on_release),
        *owed,
        ev.SwitchIntended(names, plan.stable.version if plan.stable and names else "", "stable"),
        ev.GoingBack(outcome, 0, reason, now),
    ]
    state = fold(events)  # what cannot follow is refused before it is written
    parts: list[tuple[str, int, list[ev.Event]]] = [
        (env_stream(plan.app, plan.env), after, [ev.EnvOpened(rollout, release.release)]),
        (stream_of(rollout), 0, events),
    ]
    journal.append_all(parts, actor=actor, trace=trace, seat=seat)
    return state
