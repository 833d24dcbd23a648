"""The journey of one release into one env.

    take the seat → admit → plan → (wait for the window) → stage on every host
      → for each step: switch its hosts → shift the traffic → bake → judge
      → settle, or go back

Every box is safe to run again and skips what the journal says is done; trouble in a box turns the rollout around,
and the boxes after it are then not entered. So this chart is also how an interrupted rollout goes on.
"""

from __future__ import annotations

from prefect import flow

from gopub.canon import Json
from tasks import rollout as boxes


@flow(name="rollout", flow_run_name="rollout-{app}-{env}-{version}")
async def rollout(
    app: str,
    env: str,
    version: str,
    project: str = ".",
    reason: str = "",
    actor: str = "",
    automatic: bool = False,
    rollout_id: str = "",
) -> dict[str, Json]:
    """Bring ``version`` of ``app`` into ``env``, judged on the way; ``rollout_id`` goes on with one that is there."""
    request = boxes.Wanted(app, env, version, project, reason, actor, automatic, rollout_id)
    if done := await boxes.already_there(request):
        return done
    async with boxes.driving(request) as run:
        await boxes.admit(run)
        await boxes.plan(run)
        if await boxes.must_wait(run):
            return await boxes.report(run)
        for batch in boxes.stage_batches(run):
            await boxes.stage(run, batch)
        for step in boxes.steps(run):
            for batch in boxes.switch_batches(run, step):
                await boxes.switch(run, step, batch)
            await boxes.reach(run, step)
            await boxes.bake(run, step)
        await boxes.settle(run)
        await boxes.go_back(run)
        return await boxes.report(run)
