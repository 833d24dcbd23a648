"""A rollout that begins ends the watch of the release before: what is watched is promoted, and holds nobody up."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.journal.reading import read_env_state, read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.journal.transitions import Phase
from gopub.judge.gates import UNWATCH
from gopub.plan.model import Outcome
from gopub.rollout.close import close
from gopub.rollout.seat import refuse_held_watch, resume
from gopub.rollout.wish import Wish
from gopub.usecases.ask import ask
from gopub.wiring.ports import Ports

PATIENCE, AGAIN = 60.0, 0.5
"""Seconds that the driver of the watch is waited for: it hears at its next look; and between two questions."""


def watched(journal: Journal, app: str, env: str) -> State | None:
    """The rollout of this env whose release is promoted and watched; None where there is none."""
    active = read_env_state(journal, app, env).active
    state = read_state(journal, active) if active else None
    return state if state is not None and state.phase is Phase.WATCHING else None


async def give_way(ports: Ports, wish: Wish, facts: Mapping[str, HostFacts], epoch: int) -> None:
    """Ask the driver of the watch to end it; one without a driver ends here. What goes back meanwhile goes on with it.

    Whoever begins looks for himself afterwards whether the env is free.

    Raises:
        GopubError: GP701 the journal cannot be written.
        LockedError: GP708 somebody holds the watch, or took it up at this moment.
    """
    journal, state = ports.journal, watched(ports.journal, wish.app, wish.env)
    if state is None:
        return
    refuse_held_watch(journal, state)
    why = f"{wish.version} is rolled out"
    ask(journal, state.rollout, UNWATCH, why, actor=wish.actor, clock=ports.clock)
    until = ports.clock.now() + PATIENCE
    while watched(journal, wish.app, wish.env) is not None and ports.clock.now() < until:
        seated = journal.seated(wish.app, wish.env)
        if seated is None or not seated[1]:
            _end(ports, state.rollout, facts, epoch, why)
            return
        await ports.clock.sleep(AGAIN)


def _end(ports: Ports, rollout: str, facts: Mapping[str, HostFacts], epoch: int, why: str) -> None:
    run = resume(ports, rollout, facts, epoch, why="the watch ends")
    try:
        if run.state.phase is Phase.WATCHING:
            close(run, Outcome.PROMOTED, f"the watch was ended, and nobody drove it: {why}")
    finally:
        with suppress(GopubError):
            ports.journal.renew_seat(run.seat, 0)
