"""The boxes of the rollout chart as Prefect tasks.

Retries are for reads that find the outside away for a moment. What a box decides, and whether it was done already,
is the core's business (gopub.rollout); a batch retries its hosts itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from prefect import get_run_logger
from prefect.client.orchestration import PrefectClient

from gopub.canon import Json
from gopub.clock import SystemClock
from gopub.journal import projects
from gopub.journal.adopt import adopt
from gopub.journal.hooks import When
from gopub.plan.model import PlannedStep
from gopub.rollout import admit as admit_box
from gopub.rollout import back, close, wait
from gopub.rollout import bake as bake_box
from gopub.rollout import hooks as hooks_box
from gopub.rollout import plan as plan_box
from gopub.rollout import reach as reach_box
from gopub.rollout import settle as settle_box
from gopub.rollout import stage as stage_box
from gopub.rollout import switch as switch_box
from gopub.rollout import watch as watch_box
from gopub.rollout.judging import judging
from gopub.rollout.run import Run
from gopub.rollout.stage import stage_batches
from gopub.rollout.switch import switch_batches
from gopub.rollout.wish import Wish
from gopub.usecases import giving_up, post, recover, recover_edges, rollback, start
from gopub.usecases.refuse_downgrade import refuse_downgrade
from gopub.views.summary import summary, summary_if_over
from gopub.wiring import settings
from tasks import announcing, approving, marks, names, pages, pausing, watching
from tasks.asking import said_by, who_asks, whose
from tasks.box import box
from tasks.elsewhere import Elsewhere
from tasks.ends import ended
from tasks.pausing import handing_over, heeding_pause
from tasks.stopping import heeding_cancel
from tasks.storytelling import shown

__all__ = [
    "Wish", "admit", "already_there", "bake", "catching_up", "driving", "drove_before", "ended", "go_back",
    "hooks", "last_project",
    "must_wait", "no_downgrade", "orphans", "plan", "reach", "ready_to_wake", "report", "said_by", "settle", "stage",
    "stage_batches", "steps", "sweep", "switch", "switch_batches", "take_back", "watch",
    "who_asks", "whose",
]  # fmt: skip


@asynccontextmanager
async def driving(wish: Wish) -> AsyncIterator[Run]:
    """Take the seat for the time of the flow, with the lease and the canary's term renewed in the background."""
    here = replace(wish, run=str(next(iter(marks.runs_here()), "")))
    async with (
        watching.watched(),  # until after the end: whoever is killed in it is looked for
        pages.beside(),  # outside of the seat: it waits for a slow server once the seat is free
        handing_over() as left,  # outside of it, too: who goes on needs the seat
        start.open_run(here, Elsewhere()) as run,
        shown(run),  # around the seat, so that the last drawing holds nobody up
        run.driving(),
        heeding_cancel(run),
        heeding_pause(run, left),
    ):
        await marks.tag_runs(run)
        await pages.runs_page(run)
        yield run


def steps(run: Run) -> Iterator[PlannedStep]:
    """The plan's steps, until the rollout turns around."""
    for step in run.plan.steps if run.state.plan else ():
        if run.state.back or run.state.closed:
            return
        yield step


@box(name="admit", patient=True, limit=300)
async def admit(run: Run) -> None:
    """Check the release's evidence against the env's policy."""
    await admit_box.admit(run)


@box(name="plan", limit=300)
async def plan(run: Run) -> None:
    """Freeze hosts and steps, and write the rollback kit."""
    await plan_box.plan(run)
    await bake_box.judge_from_here(run)
    await pages.plan_page(run)


@box(name="wait", limit=60)
async def must_wait(run: Run) -> bool:
    """Whether the rollout waits for its window or an approval; it then has no driver until `promote` wakes it."""
    waits = await wait.must_wait(run)
    if waits:
        await watching.wake_later(run)
    return waits


@box(name="stage", run_name=names.batch, limit=3600)
async def stage(run: Run, batch: Sequence[str]) -> None:
    """Bring the release to one batch of hosts."""
    await stage_box.stage(run, batch)


# No limit: each hook has its own.
@box(name="hooks", limit=None)
async def _hooks(run: Run, when: When) -> None:
    await hooks_box.run_hooks(run, when)


async def hooks(run: Run, when: When) -> None:
    """Run what runs once per rollout: migrations, say, before the first host or after the last one."""
    if run.state.plan and hooks_box.hooks_of(run.ports.environment.compat, when):
        await _hooks(run, when)


# No limit where hosts are switched: each order has its own, and how many batches there are is the fleet's size.
@box(name="switch", run_name=names.batch, limit=None)
async def switch(run: Run, step: PlannedStep, batch: Sequence[str]) -> None:
    """Change what one batch of hosts runs, out of the pool, and bring it in as the canary."""
    await switch_box.switch(run, step, batch)


@box(name="shift", run_name=names.step, limit=600)
async def reach(run: Run, step: PlannedStep) -> None:
    """Shift the traffic to what the step says."""
    await reach_box.reach(run, step)


@box(name="bake", run_name=names.step, limit=None)
async def bake(run: Run, step: PlannedStep) -> None:
    """Observe and judge the step until it may be left, or the rollout turns around."""
    await bake_box.bake(run, step, judging(run))


@box(name="settle", limit=None)
async def settle(run: Run) -> None:
    """Bring what is left to the release, make it stable, prune, and close unless it is watched."""
    await settle_box.settle(run)
    watch_box.begin(run)
    await close.close_promoted(run)


@box(name="watch", limit=None)
async def _watch(run: Run) -> None:
    await watch_box.watch(run)


async def watch(run: Run) -> None:
    """Watch the promoted release, where it asks for that, and close."""
    if watch_box.is_watched(run):
        await _watch(run)


@box(name="go back", limit=None)
async def go_back(run: Run) -> None:
    """Bring stable back, if the rollout was turned around."""
    await back.go_back(run)


@box(name="report", limit=60)
async def report(run: Run) -> dict[str, Json]:
    """What came of it, as plain values."""
    return summary(run)


@box(name="ready to wake", patient=True, limit=60)
async def ready_to_wake(app: str, env: str) -> list[recover.Found]:
    """Each waiting rollout whose gate is open."""
    journal = settings.journal()
    return recover.ready(journal, SystemClock().now(), app, env)


@box(name="orphans", patient=True, limit=60)
async def orphans(app: str, env: str) -> list[recover.Found]:
    """Each active rollout that nobody drives; edges that missed the way back make one when they answer again."""
    journal = settings.journal()
    adopt(journal, settings.kits_folder())
    await recover_edges.mend(journal, SystemClock().now(), Elsewhere(), app, env)
    lost = recover.orphans(journal, app, env)
    giving_up.give_up(journal, (one.rollout for one in lost))
    return lost


# No limit: each look has its own, and a server that is slow must not end `recover` before it looks for orphans.
@box(name="sweep", limit=None)
async def sweep() -> int:
    """Mark the runs whose process is gone, ask for approvals and send events that were lost; gives how many marked."""
    marked = await marks.sweep()
    journal = settings.journal()

    async def look(client: PrefectClient) -> None:
        await approving.settle(client, journal)
        await announcing.send_lost(client, journal, SystemClock().now())
        await watching.settle_wakes(client, journal, SystemClock().now())
        await watching.tidy(client, SystemClock().now())

    await marks.from_prefect("lost events and approvals are not looked for", look, None, marks.SWEEP)
    return marked


@asynccontextmanager
async def catching_up(app: str, env: str) -> AsyncIterator[None]:
    """Tell people beside the body what nobody told them; a service that hangs holds nobody up for long."""
    telling = asyncio.create_task(post.carry_all(settings.journal(), SystemClock().now(), app, env, Elsewhere()))
    try:
        yield
    finally:
        await asyncio.wait({telling}, timeout=post.FINISH)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


@box(name="take back", limit=None)
async def take_back(
    app: str, env: str, to: str, reason: str, actor: str, *, below_floor: bool = False
) -> dict[str, Json]:
    """Roll back at once; see gopub.usecases.rollback."""
    said = get_run_logger()
    result = await rollback.take_back(
        app, env, to=to, reason=reason, actor=actor, below_floor=below_floor, tell=said.info, warn=said.warning
    )
    await pages.back_page(result)
    return result


@box(name="project", patient=True, limit=60)
async def last_project(app: str, env: str) -> str:
    """The folder that the env's last rollout was started from."""
    return projects.last_project(settings.journal(), app, env)


@box(name="no downgrade", patient=True, limit=60)
async def no_downgrade(app: str, env: str, version: str, *, downgrade: bool) -> None:
    """Refuse a version older than the stable one, unless a downgrade was asked for."""
    if not downgrade:
        refuse_downgrade(app, env, version)


@box(name="already there", patient=True, limit=300)
async def already_there(wish: Wish) -> dict[str, Json] | None:
    """The summary of a rollout that would change nothing, so that a second run does nothing."""
    if wish.rollout and (over := summary_if_over(settings.journal(), wish.rollout)):
        return over
    return await start.already_there(wish, Elsewhere())


@box(name="drove before", limit=None)
async def drove_before(app: str, env: str) -> str:
    """The rollout that this very run drove before it was suspended or retried: it goes on with that one."""
    return await pausing.drove_before(app, env)
