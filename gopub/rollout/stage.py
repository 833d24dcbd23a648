"""The box that brings a release to hosts: nothing is activated, what runs is untouched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gopub.errors import GopubError
from gopub.fleet.orders import Record
from gopub.journal import events as ev
from gopub.journal.state import to_stage
from gopub.judge.hosts import say_elsewhere
from gopub.plan.model import Outcome
from gopub.rollout import hosts
from gopub.rollout.box import Trouble, box
from gopub.rollout.failing import say_failures
from gopub.rollout.holding import stand
from gopub.rollout.run import Run

BATCH = 50
"""Hosts that one task works on at a time."""


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
    run.edges.insist()
    run.record(ev.StageIntended(batch))
    records = await on_each(batch, lambda name: hosts.stage(run, name))
    for name, record in records.items():
        run.record(_failed(name, record) if not record.ok else ev.HostStaged(name, record.changed))
    _stop_at_failure(run, records)


async def on_each(names: Sequence[str], work: Callable[[str], Awaitable[Record]]) -> dict[str, Record]:
    """Do the work on all hosts at once; a host that cannot be reached answers with a failed record."""

    async def one(name: str) -> Record:
        try:
            return await work(name)
        except GopubError as error:
            return hosts.unreached(name, error)

    return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))


def _failed(name: str, record: Record) -> ev.HostFailed:
    return ev.HostFailed(
        name, record.verb, record.code, record.message, hosts.was_reached(record), values=dict(record.values)
    )


def _stop_at_failure(run: Run, records: dict[str, Record]) -> None:
    bad = {name: record for name, record in records.items() if not record.ok}
    if not bad:
        return
    text = say_failures([_failed(name, record) for name, record in bad.items()], len(run.plan.hosts))
    folders = {name: hosts.folder_of(run, name) for name in bad}
    if all(hosts.was_reached(record) and hosts.blames_release(record, folders[name]) for name, record in bad.items()):
        raise Trouble(Outcome.ROLLED_BACK, 1, text)
    named = {name: hosts.other_current(record, folders[name]) for name, record in bad.items()}
    others = say_elsewhere({name: current for name, current in named.items() if current is not None})
    raise Trouble(Outcome.WITHDRAWN, 1, f"{text}; {others}" if others else text)


def _cut(names: Sequence[str], size: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[i : i + size]) for i in range(0, len(names), size))
