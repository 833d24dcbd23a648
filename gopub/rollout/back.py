"""Going back, with only what is on the hosts and the edges.

1. Write that we go back (a journal that is down does not stop this).
2. Edges first: stable takes all it can carry.
3. Every host that runs, or may run, the canary gets back what it had, in batches that keep capacity.
4. A host that cannot be confirmed is owed. It leaves the pool as far as the others carry the load (``tables``).
5. Edges get the stable table; one that does not take it is owed too. The env is free; a rolled-back release is
   quarantined, a withdrawn one is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from gopub.errors import GopubError
from gopub.fleet.orders import Record
from gopub.journal import events as ev
from gopub.plan.capacity import largest_batch
from gopub.plan.model import Outcome
from gopub.rollout import hosts
from gopub.rollout.close import close, was_never_judged
from gopub.rollout.hooks import undo_hooks
from gopub.rollout.run import Run
from gopub.rollout.stage import on_each
from gopub.rollout.switch import drain, that_leave, until_left
from gopub.rollout.tables import kept_in, last_table, weight_going_back
from gopub.rollout.turn import edges_first, turn_around

AGAIN = (
    "it was never judged, so it is not quarantined: mend the hosts, or the project's inventory, hosts and connections, "
    "and roll the same version out again; a port or health path that the release itself holds takes a new version"
)
"""What somebody can do after a first release that its hosts did not take."""
TRIES = 3
UNREACHABLE = "GP413"
"""The fleet has tried to connect several times already; the other hosts wait while we ask again."""

NOT_ITS_PROCESS = frozenset({"GP444", "GP447"})
"""What runs is not what ``current`` names."""


async def go_back(run: Run) -> None:
    """Do 2 to 5 for a rollout that was turned around (1); safe to run again after a crash anywhere in it."""
    back = run.state.back
    if run.state.closed or back is None:
        return
    run.hurry()
    if run.state.touched:
        await edges_first(run)  # 2
        await undo_hooks(run, "after")  # what stable cannot live with, before it serves again
        for batch in _batches(run):
            await _bring_back(run, batch)  # 3, 4
        await undo_hooks(run, "before")  # what the release needed, once nobody runs it
        await _stable_only(run)  # 5
        await _end_beside(run)
    close(run, back.outcome, f"{back.reason}; {AGAIN}" if was_never_judged(run.state) else back.reason)
    if run.state.plan:
        await hosts.let_remember(run)


async def withdraw(run: Run, reason: str) -> None:
    """Turn the rollout around because somebody no longer wants it, and go back at once; an ended one stays as it is."""
    run.recorder.settle()  # what interrupted us may have come between an entry and our knowledge of it
    if run.state.closed:
        return
    turn_around(run, Outcome.WITHDRAWN, 0, reason)
    await go_back(run)


def _batches(run: Run) -> tuple[tuple[str, ...], ...]:
    names = run.state.canary
    size = largest_batch(len(run.plan.hosts), run.plan.max_unavailable, run.plan.max_load)
    if _serves_nobody(run):
        size = max(size, len(names))  # all of it may restart at once
    return tuple(tuple(names[i : i + size]) for i in range(0, len(names), size))


def _serves_nobody(run: Run) -> bool:
    """Whether the canary has no traffic any more: the others carry all, and every edge has acknowledged that."""
    if run.ports.router is None or not run.plan.upstream or not run.state.edges_agree:
        return False
    pools = run.pools()
    others = len(run.plan.hosts) - len(run.state.canary)
    return len(pools.at("stable")) == others and not weight_going_back(run.plan, pools)


async def _bring_back(run: Run, batch: Sequence[str]) -> None:
    run.record(
        ev.SwitchIntended(tuple(batch), run.plan.stable.version if run.plan.stable else "", "stable"), must=False
    )
    leaving = that_leave(run, batch)
    out = run.pools().moved(leaving, "out")
    if leaving and (out.at("stable") or out.at("canary")):  # else nobody would be left: they serve until they restart
        await drain(run, leaving, out, weight_going_back(run.plan, out), step=None, growing=False)
    records = await on_each(batch, lambda name: _restore(run, name))
    for name, record in records.items():
        if record.ok:
            run.record(ev.HostSwitched(name, record.values.get("runs", ""), "stable", dict(record.values)), must=False)
        else:
            why = f"{record.code} {record.message}"
            run.record(ev.HostOwed(name, why, _found(record), hosts.refused(record)), must=False)
            run.alarm(f"{name} could not be confirmed: {why}")
    pools = run.pools()
    await run.edges.shift(pools, weight_going_back(run.plan, pools), why="back in", growing=False)


async def _restore(run: Run, name: str) -> Record:
    """Bring one host back; a host that does not answer is asked a few times before it is owed."""
    for attempt in range(TRIES):
        try:
            return await hosts.restore(run, name)
        except GopubError as error:
            if attempt + 1 == TRIES or error.code == UNREACHABLE:
                raise
            await run.ports.clock.sleep(1.0)
    raise AssertionError("unreachable: the loop returns or raises")


async def _end_beside(run: Run) -> None:
    """Stop what was taken back where it still runs beside what serves; failing to is no failure of the way back."""
    known = run.state.hosts.items()
    ends = [name for name, host in known if run.plan.host(name).beside and not host.owed and host.slot is not None]
    await until_left(run, ends)
    for name, record in (await on_each(ends, lambda name: hosts.end_beside(run, name))).items():
        if not record.ok:
            run.alarm(
                f"{name}: what was taken back may still run there, without traffic: {record.code} {record.message}"
            )


def _found(record: Record) -> str:
    """The folder that an owed host named as its current one; empty where its process may be another's."""
    return "" if record.code in NOT_ITS_PROCESS else record.values.get("current", "")


async def _stable_only(run: Run) -> None:
    if run.ports.router is None or not run.plan.upstream:
        return
    pools = run.pools()
    if kept := kept_in(pools, run.state):
        run.alarm(f"{', '.join(kept)} could not be confirmed and still serve: without them too few hosts would be left")
    await run.edges.put(last_table(run.plan, pools), why="stable again", growing=False, patient=True)
