"""The boxes of the chart, each safe to run again: stage, reach, settle.

What the journal says is done is not done again; what it says was intended is asked from the host, whose program
answers a repeated order with what it already did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gopub.errors import GopubError
from gopub.fleet.orders import Record
from gopub.rollout import events as ev
from gopub.rollout import hosts
from gopub.rollout.boxes import Trouble, box, obey_abort
from gopub.rollout.holding import stand
from gopub.rollout.machine import to_stage, to_switch
from gopub.rollout.model import FULL, Outcome, PlannedStep
from gopub.rollout.plan import largest_batch
from gopub.rollout.run import Run
from gopub.rollout.tables import Place, Pools, may_leave, settled_table, warming, weight_on_the_way
from gopub.rollout.transitions import Phase
from gopub.traffic.protocol import in_flight

BATCH = 50
"""Hosts that one task works on at a time."""
DRAIN_LOOK = 0.1
"""Seconds between two looks at the requests in flight."""


async def take_over(run: Run) -> None:
    """Learn what the edges hold; where a canary serves, put its table in force again under our seat.

    The driver before us may have been gone for longer than the canary's term. A canary that nobody wants any more, or
    that not every edge would take over, gets no new term: it is taken back as after any other trouble.
    """
    silent = await run.claim_edges()
    await _take_over(run, silent)


@box
async def _take_over(run: Run, silent: Mapping[str, str]) -> None:
    if not run.pools().at("canary"):
        return
    if silent:
        text = "; ".join(f"{edge}: {error}" for edge, error in silent.items())
        raise GopubError("GP715", f"an edge does not answer, so the canary is not taken over ({text})",
                         hint="the canary has traffic only where every edge has acknowledged")  # fmt: skip
    reached = [step for step in run.plan.steps if step.index in run.state.reached]
    await run.shift(run.pools(), run.state.weight, why="taken over", step=reached[-1] if reached else None)


def stage_batches(run: Run) -> tuple[tuple[str, ...], ...]:
    """Hosts that do not hold the release yet, in batches."""
    return _cut(to_stage(run.state), BATCH)


@box
async def stage(run: Run, batch: Sequence[str]) -> None:
    """Bring the release to these hosts; nothing is activated, and what runs is untouched."""
    batch = tuple(name for name in batch if name in to_stage(run.state))
    if not batch:
        return
    await stand(run)
    run.insist_on_edges()
    run.record(ev.StageIntended(batch))
    records = await on_each(batch, lambda name: hosts.stage(run, name))
    for name, record in records.items():
        run.record(_failed(name, record) if not record.ok else ev.HostStaged(name, record.changed))
    _stop_at_failure(records)


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
    run.insist_on_edges()
    before = run.state.weight
    run.record(ev.SwitchIntended(batch, run.plan.release.version, "canary"))
    out = run.pools().moved(batch, "out")
    await drain(run, batch, out, weight_on_the_way(out, before, step), step=_rules(run, step))
    records = await on_each(batch, lambda name: hosts.switch(run, name))
    settle_records(run, records, "canary")
    _stop_at_failure(records)
    pools = run.pools()
    await run.shift(pools, weight_on_the_way(pools, before, step), why=f"{_say(batch)} in", step=_rules(run, step))


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


@box
async def reach(run: Run, step: PlannedStep) -> None:
    """Shift the traffic to what the step says and begin its bake."""
    if step.index in run.state.reached:
        return
    await stand(run)
    run.insist_on_edges()
    pools = run.pools()
    weight = FULL if not pools.at("stable") else step.weight
    await run.shift(pools, weight, why=f"step {step.index + 1}: {step.says}", step=step)
    run.record(ev.StepReached(step.index, run.ports.clock.now()))


async def drain(
    run: Run, batch: Sequence[str], out: Pools, weight: int, *, step: PlannedStep | None, growing: bool = True
) -> None:
    """Stop sending to these hosts and wait until nothing is in flight there, at most the plan's drain time."""
    if run.ports.router is None or not run.plan.upstream or run.plan.drain <= 0:
        return
    await run.shift(out, weight, why=f"{_say(batch)} out", step=step, growing=growing)
    end = run.ports.clock.now() + run.plan.drain
    while (left := await _in_flight(run, batch)) != 0:
        if run.ports.clock.now() >= end:
            what = "an unknown number of" if left is None else left
            run.alarm(f"{what} requests were still in flight on {_say(batch)} after {run.plan.drain:g}s")
            return
        await run.ports.clock.sleep(DRAIN_LOOK)


@box
async def settle(run: Run) -> None:
    """Bring what is left to the new release, make it stable on the edges, and prune."""
    await stand(run)
    if run.state.phase is not Phase.SETTLING:
        run.record(ev.Settling())
    everyone = PlannedStep(len(run.plan.steps), tuple(run.state.hosts), FULL, 0.0)
    for batch in switch_batches(run, everyone):
        await _switch(run, everyone, batch)
    await stand(run)
    serving = run.pools().at("canary")
    await run.put(settled_table(run.plan, serving, run.plan.release.release), why="settled", growing=True)
    await on_each(serving, lambda name: hosts.prune(run, name))


async def _in_flight(run: Run, batch: Sequence[str]) -> int | None:
    """Requests that these hosts still hold; None while an edge cannot be asked."""
    router = run.ports.router
    if router is None:
        return 0
    statuses = await router.status(run.plan.app, run.plan.env, run.plan.upstream)
    return in_flight(statuses, batch)


async def on_each(names: Sequence[str], work: Callable[[str], Awaitable[Record]]) -> dict[str, Record]:
    """Do the work on all hosts at once; a host that cannot be reached answers with a failed record."""

    async def one(name: str) -> Record:
        try:
            return await work(name)
        except GopubError as error:
            return hosts.unreached(name, error)

    return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))


def _failed(name: str, record: Record) -> ev.HostFailed:
    return ev.HostFailed(name, record.verb, record.code, record.message, hosts.was_reached(record))


def _stop_at_failure(records: dict[str, Record]) -> None:
    bad = {name: record for name, record in records.items() if not record.ok}
    if not bad:
        return
    text = "; ".join(f"{name}: {record.code} {record.message}" for name, record in bad.items())
    if all(hosts.was_reached(record) and hosts.blames_release(record) for record in bad.values()):
        raise Trouble(Outcome.ROLLED_BACK, 1, text)
    raise Trouble(Outcome.WITHDRAWN, 1, text)


def _rules(run: Run, step: PlannedStep) -> PlannedStep | None:
    """The header rule stays in force while the hosts of a later step come in."""
    earlier = [s for s in run.plan.steps if s.index < step.index and s.index in run.state.reached]
    return earlier[-1] if earlier else None


def _say(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} hosts"


def _cut(names: Sequence[str], size: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[i : i + size]) for i in range(0, len(names), size))
