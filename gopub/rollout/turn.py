"""Where a rollout turns around: it is written, and the traffic is off the canary before anything else is done.

Bad answers do not wait for the next box: whoever finds the trouble calls ``turn_back``, and nothing else cuts traffic.
"""

from __future__ import annotations

from gopub.journal import events as ev
from gopub.plan.model import Outcome
from gopub.rollout.run import Run
from gopub.rollout.tables import weight_going_back


async def turn_back(run: Run, outcome: Outcome, rule: int, reason: str) -> None:
    """Write that it goes back, and cut the canary's traffic at once; hosts get back what they had later."""
    turn_around(run, outcome, rule, reason)
    await edges_first(run)


def turn_around(run: Run, outcome: Outcome, rule: int, reason: str) -> None:
    """From here on only back, and in a hurry: the journal is not waited for as long as on the way forward."""
    if run.state.back is None:
        run.hurry()
        run.record(ev.GoingBack(outcome, rule, reason, run.ports.clock.now()), must=False)


async def edges_first(run: Run) -> None:
    """Take the traffic off the canary, as far as stable can carry it, once the rollout has turned around."""
    if run.state.back is None or not run.state.touched or run.state.traffic_off:
        return
    pools = run.pools()
    await run.edges.shift(pools, weight_going_back(run.plan, pools), why="going back", growing=False)
    acks, weight = run.state.acks, run.state.weight
    missed = {edge: said for edge, said in acks.items() if said != "ok"}
    run.record(ev.TrafficOff(run.ports.clock.now(), len(acks), missed, weight if acks else 0), must=False)
