"""The journey of one release into one env.

    take the seat → admit → plan → (wait for the window) → stage on every host
      → for each step: switch its hosts → shift the traffic → bake → judge
      → settle → (watch), or go back

Every box is safe to run again and skips what the journal says is done; trouble in a box turns the rollout around,
and the boxes after it are then not entered. So this chart is also how an interrupted rollout goes on.
"""

from __future__ import annotations

from prefect import flow

from gopub import __version__
from gopub.canon import Json
from tasks import rollout as boxes
from tasks.telling import plainly
from tasks.tracing import traced


@flow(name="rollout", version=__version__, retries=0, flow_run_name="rollout-{app}-{env}-{version}")
@plainly
@traced
async def rollout(
    app: str,
    env: str,
    version: str,
    project: str = "",
    reason: str = "",
    actor: str = "",
    automatic: bool = False,
    rollout_id: str = "",
) -> dict[str, Json]:
    """Bring a published version into an environment, judged on the way.

    Args:
        app: The app, as its gopub.yaml calls it.
        env: The environment, such as prod.
        version: The version, such as 1.4.0; `release` or `deploy` published it before.
        project: The folder on the worker with gopub.yaml and connections. Empty: where the last rollout came from.
        reason: Why; it stands in the journal.
        actor: Who asks; it stands in the journal. Empty: the user of the worker.
        automatic: Nobody asked for it. Such starts are refused after three rollbacks in a row.
        rollout_id: Go on with this rollout instead of starting one; `recover` and `promote` use it.
    """
    folder = project or await boxes.last_project(app, env)
    known = rollout_id or await boxes.drove_before(app, env)
    wish = boxes.Wish(
        app=app,
        env=env,
        version=version,
        project=folder,
        reason=reason,
        actor=boxes.said_by(actor),
        by="" if known else await boxes.whose(actor),
        automatic=automatic,
        rollout=known,
    )
    if done := await boxes.already_there(wish):
        return await boxes.ended(done)
    async with boxes.driving(wish) as run:
        await boxes.admit(run)
        await boxes.plan(run)
        if not await boxes.must_wait(run):
            for batch in boxes.stage_batches(run):
                await boxes.stage(run, batch)
            await boxes.hooks(run, "before")
            for step in boxes.steps(run):
                for batch in boxes.switch_batches(run, step):
                    await boxes.switch(run, step, batch)
                await boxes.reach(run, step)
                await boxes.bake(run, step)
            await boxes.hooks(run, "after")
            await boxes.settle(run)
            await boxes.watch(run)
            await boxes.go_back(run)
        done = await boxes.report(run)
    return await boxes.ended(done)  # once the seat is free: a server that is silent keeps nobody from it
