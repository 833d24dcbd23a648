"""What Prefect's buttons, a dead process and a breach do to a promoted release that is watched."""

from __future__ import annotations

import os
import signal

from gopub.journal import events as ev
from gopub.journal.reading import read_env_state
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome
from tests.flows.held.shown import Shown
from tests.flows.memory import WATCHED
from tests.flows.serverkit import CLOCK, PATIENCE, until
from tests.support.rollout_world import NEW, OLD


async def watched(shown: Shown, env: str) -> str:
    """Start a rollout as the form does; gives its run once its release is promoted and watched."""
    run = await shown.baking(env)

    async def there() -> bool:
        return shown.state(env).phase is Phase.WATCHING

    await until(f"{env} is watched", there, seen=lambda: shown.seen(run))
    return run


async def cancel_in_the_watch_brings_the_release_before_back(shown: Shown):
    """As it does in a bake: whoever cancels wants it gone, and blames nobody."""
    run = await watched(shown, "watched-cancelled")
    assert " of 1m, good: " in await shown.described(
        run, "hello-watched-cancelled-rollout", "promoted, and watched until"
    )
    await shown.stack.ask("POST", f"/flow_runs/{run}/set_state", json={"state": {"type": "CANCELLING"}})
    closed = await shown.closed("watched-cancelled")
    assert (closed.outcome, closed.owed) == (Outcome.WITHDRAWN, ())
    assert closed.reason.startswith("aborted: its flow run was cancelled by ")
    assert (await shown.stack.ended(run))["state_type"] == "CANCELLED"
    known = read_env_state(shown.journal, "hello", "watched-cancelled")
    assert (known.active, known.stable, known.quarantine) == ("", OLD, frozenset())


async def suspend_in_the_watch_prolongs_it_and_resume_ends_it_well(shown: Shown):
    run = await watched(shown, "watched-suspended")
    await shown.set_state(run, "PAUSED", "Suspended")
    await shown.held("watched-suspended")
    await CLOCK.sleep(WATCHED)
    state = shown.state("watched-suspended")
    assert (state.phase, state.back) == (Phase.WATCHING, None)
    assert state.watched and state.watched.finding == "good"
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("watched-suspended")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted", "Gone on with")


async def a_process_that_dies_in_the_watch_is_followed_by_one_that_goes_on(shown: Shown):
    run = await watched(shown, "watched-killed")
    [seat] = [event for event in shown.events("watched-killed") if isinstance(event, ev.SeatTaken)]
    os.kill(int(seat.driver.rpartition(":")[2]), signal.SIGKILL)
    closed = await shown.closed("watched-killed", within=3 * PATIENCE)
    assert (closed.outcome, closed.reason) == (Outcome.PROMOTED, "")
    seats = [event for event in shown.events("watched-killed") if isinstance(event, ev.SeatTaken)]
    assert len(seats) > 1, "another took over"
    assert seats[0].run == run
    assert read_env_state(shown.journal, "hello", "watched-killed").stable == NEW


async def a_breach_in_the_watch_is_red(shown: Shown):
    """Without a router to count at, it is the hosts' processes that are watched."""
    run = await watched(shown, "watched-bad")
    (shown.bad / "watched-bad").touch()
    closed = await shown.closed("watched-bad")
    assert closed.outcome is Outcome.ROLLED_BACK
    assert "4 of 4 hosts are not well" in closed.reason
    assert (await shown.named(run, "Rolled back"))["state_type"] == "FAILED"


STORIES = [
    cancel_in_the_watch_brings_the_release_before_back,
    suspend_in_the_watch_prolongs_it_and_resume_ends_it_well,
    a_process_that_dies_in_the_watch_is_followed_by_one_that_goes_on,
    a_breach_in_the_watch_is_red,
]
