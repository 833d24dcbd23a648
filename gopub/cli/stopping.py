"""What the first Ctrl-C, SIGTERM or SIGHUP does: nothing of somebody else's, and nothing more of ours."""

from __future__ import annotations

from collections.abc import Callable

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal.store import Journal
from gopub.journal.transitions import Phase
from gopub.judge.gates import UNWATCH
from gopub.usecases.ask import ask
from gopub.views.follow import LOOK, Follower

AGAIN = "Ctrl-C again ends at once (then: gopub recover)"


async def stop(
    journal: Journal,
    follower: Follower,
    cancel: Callable[[], object],
    say: Callable[[str], None],
    why: str = "Ctrl-C",
) -> None:
    """Stop what this process does, and only that; runs beside the flow until that ends.

    Before this process has begun a rollout the flow is cancelled, so that it never begins one. Afterwards the rollout
    is asked to go back. A journal that does not answer is asked again: until it does, no step goes forward either.
    """
    cancelled = told = False
    while True:
        try:
            ours = follower.ours()
            if ours is not None:
                if ours.phase is Phase.WATCHING:
                    ask(journal, ours.rollout, UNWATCH, why)
                    say(f"stopping: the watch of {ours.rollout} ends, and its release stays; {AGAIN}")
                elif ours.closed is None:
                    ask(journal, ours.rollout, "abort", why)
                    say(f"stopping safely: {ours.rollout} goes back; {AGAIN}")
                return
            if not cancelled:
                cancelled = True
                say(f"stopping: no rollout was begun here; {AGAIN.partition(' (')[0]}")
                cancel()
        except GopubError as error:
            if not told:
                told = True
                say(f"cannot stop yet, asking again: {error.problem}; {AGAIN}")
        await SystemClock().sleep(LOOK)
