"""The last box on the way forward: the release everywhere, stable on the edges, old ones pruned."""

from __future__ import annotations

from gopub.journal import events as ev
from gopub.journal.reading import known_of
from gopub.journal.transitions import Phase
from gopub.plan.model import FULL, PlannedStep
from gopub.rollout import hosts
from gopub.rollout.box import box
from gopub.rollout.holding import stand
from gopub.rollout.run import Run
from gopub.rollout.stage import on_each
from gopub.rollout.switch import _switch, switch_batches, until_left
from gopub.rollout.tables import settled_table


@box
async def settle(run: Run) -> None:
    """Bring what is left to the new release, make it stable on the edges, and prune."""
    if run.state.phase is Phase.WATCHING:
        return
    await stand(run)
    if run.state.phase is not Phase.SETTLING:
        run.record(ev.Settling())
    everyone = PlannedStep(len(run.plan.steps), tuple(run.state.hosts), FULL, 0.0)
    for batch in switch_batches(run, everyone):
        await _switch(run, everyone, batch)
    await stand(run)
    pools = run.pools()
    serving = pools.at("canary")
    await run.edges.put(settled_table(run.plan, pools, "canary", run.plan.release.release), why="settled", growing=True)
    await until_left(run, serving)
    known = known_of(run.ports.journal, run.plan)
    for name, record in (await on_each(serving, lambda name: hosts.prune(run, name, known))).items():
        if not record.ok:  # no failure of the rollout, but a disk fills in silence otherwise
            run.alarm(f"{name} keeps old releases: {record.code} {record.message}")
