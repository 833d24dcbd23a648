"""The boxes of the chart, each safe to run again: stage, reach, settle.

What the journal says is done is not done again; what it says was intended is asked from the host, whose program
answers a repeated order with what it already did.
"""

from __future__ import annotations

from collections.abc import Sequence

from gopub.fleet.orders import Record
from gopub.journal import events as ev
from gopub.journal.state import to_switch
from gopub.plan.capacity import largest_batch
from gopub.plan.model import PlannedStep
from gopub.rollout import hosts
from gopub.rollout.box import box, obey_abort
from gopub.rollout.holding import stand
from gopub.rollout.run import Run
from gopub.rollout.stage import BATCH, _cut, _failed, _stop_at_failure, on_each
from gopub.rollout.tables import Place, Pools, left_addresses, may_leave, warming, weight_on_the_way
from gopub.traffic.protocol import in_flight, in_flight_at

DRAIN_LOOK = 0.1
"""Seconds between two looks at the requests in flight."""


def switch_batches(run: Run, step: PlannedStep) -> tuple[tuple[str, ...], ...]:
    """The hosts that this step adds, as many at a time as capacity allows."""
    missing = to_switch(run.state, step.hosts)
    size = largest_batch(len(run.plan.hosts), run.plan.max_unavailable, run.plan.max_load)
    if run.plan.stable is None:
        size = BATCH  # nothing serves yet, so nothing can become unavailable
    return _cut(missing, size)


@box
async def switch(run: Run, step: PlannedStep, batch: Sequence[str]) -> None:
    """Take these hosts out of the pool, let them finish, change what they run, prove it, and bring them in."""
    await _switch(run, step, batch)


async def _switch(run: Run, step: PlannedStep, batch: Sequence[str]) -> None:
    batch = tuple(name for name in batch if name in to_switch(run.state, step.hosts))
    if not batch:
        return
    await stand(run)
    await _until_warm(run, batch)
    run.edges.insist()
    before = run.state.weight
    run.record(ev.SwitchIntended(batch, run.plan.release.version, "canary"))
    if leaving := that_leave(run, batch):
        out = run.pools().moved(leaving, "out")
        await drain(run, leaving, out, weight_on_the_way(out, before, step), step=_rules(run, step))
    records = await on_each(batch, lambda name: hosts.switch(run, name))
    settle_records(run, records, "canary")
    _stop_at_failure(run, records)
    pools = run.pools()
    await run.edges.shift(
        pools, weight_on_the_way(pools, before, step), why=f"{_say(batch)} in", step=_rules(run, step)
    )


def that_leave(run: Run, batch: Sequence[str]) -> tuple[str, ...]:
    """Which of these hosts are out of the pool while they switch: all but those where old and new run side by side."""
    return tuple(name for name in batch if not run.plan.host(name).beside)


async def until_left(run: Run, names: Sequence[str]) -> None:
    """Wait until what is about to be stopped beside what serves holds no request any more, at most the plan's drain.

    No edge sends it anything new. Where an edge does not count by address all of that time is waited for.
    """
    router, slots = run.ports.router, run.ports.environment.service.ports or ()
    left = left_addresses(run.plan, run.pools(), names, slots)
    if router is None or not run.plan.upstream or not left:
        return
    end, held = run.ports.clock.now() + run.plan.drain, None
    while run.ports.clock.now() < end:
        statuses = await router.status(run.plan.app, run.plan.env, run.plan.upstream)
        if (held := in_flight_at(statuses, left)) == 0:
            return
        await run.ports.clock.sleep(DRAIN_LOOK)
    if held:
        run.alarm(f"{held} requests were still in flight at {_say(left)} after {run.plan.drain:g}s")


async def _until_warm(run: Run, batch: tuple[str, ...]) -> None:
    """Wait where the others could not carry these hosts' share because some of them have just begun to warm up."""
    if run.ports.router is None or not run.plan.upstream:
        return
    while ends := warming(run.state, now := run.ports.clock.now()):
        if may_leave(run.state, batch, now):
            return
        obey_abort(run)
        await run.ports.clock.sleep(min(1.0, min(ends.values()) - now))


def settle_records(run: Run, records: dict[str, Record], track: Place) -> None:
    """Write what the hosts answered to a switch."""
    for name, record in records.items():
        if record.ok:
            now = run.ports.clock.now()
            run.record(ev.HostSwitched(name, record.values.get("runs", ""), track, dict(record.values), now))
        else:
            run.record(_failed(name, record))


async def drain(
    run: Run, batch: Sequence[str], out: Pools, weight: int, *, step: PlannedStep | None, growing: bool = True
) -> None:
    """Stop sending to these hosts and wait until nothing is in flight there, at most the plan's drain time."""
    if run.ports.router is None or not run.plan.upstream or run.plan.drain <= 0:
        return
    await run.edges.shift(out, weight, why=f"{_say(batch)} out", step=step, growing=growing)
    end = run.ports.clock.now() + run.plan.drain
    while (left := await _in_flight(run, batch)) != 0:
        if run.ports.clock.now() >= end:
            what = "an unknown number of" if left is None else left
            run.alarm(f"{what} requests were still in flight on {_say(batch)} after {run.plan.drain:g}s")
            return
        await run.ports.clock.sleep(DRAIN_LOOK)


async def _in_flight(run: Run, batch: Sequence[str]) -> int | None:
    """Requests that these hosts still hold; None while an edge cannot be asked."""
    router = run.ports.router
    if router is None:
        return 0
    statuses = await router.status(run.plan.app, run.plan.env, run.plan.upstream)
    return in_flight(statuses, batch)


def _rules(run: Run, step: PlannedStep) -> PlannedStep | None:
    """The step's rule stays in force while the hosts of a later step come in."""
    earlier = [s for s in run.plan.steps if s.index < step.index and s.index in run.state.reached]
    return earlier[-1] if earlier else None


def _say(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} hosts"
