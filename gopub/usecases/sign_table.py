"""The table that stands between rollouts, signed anew: for a key that is the first one, or takes another's place.

Signing what an edge says would let whoever has one edge have a table of theirs signed for all. So it must be what the
journal says: the one that the rollout left that put it, but for its numbers.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gopub.clock import SystemClock
from gopub.errors import LockedError, RefusedError, UsageError
from gopub.journal.reading import read_env_state, read_state
from gopub.rollout.tables import last_table, pools_of, settled_table
from gopub.wiring import settings
from gopub.wiring.outside import open_fleet, open_router
from gopub.wiring.project import fleet_of, routed
from gopub.wiring.table_keys import open_table_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gopub.journal.state import State
    from gopub.journal.store import Journal
    from gopub.traffic.protocol import EdgeAck, EdgeStatus
    from gopub.traffic.table import RouteTable
    from gopub.wiring.project import Project

SHOWN_WITHIN = 10.0
"""Seconds for an edge to take a signature that its source has."""


async def sign_table(project: Project, env: str) -> tuple[EdgeAck, ...]:
    """Put the table that stands in an env again, signed; every edge acknowledges, none where there is no table.

    Raises:
        UsageError: GP507 the env has no edges; GP522 their connection names no key.
        LockedError: GP708 a rollout is active, which signs what it puts.
        RefusedError: GP523 what an edge holds is not what the journal says.
    """
    edges, traffic = routed(project, env)
    signing = edges.connection.signing()
    if signing is None:
        raise UsageError("GP522", f"the connection {traffic.router!r} names no key that signs tables",
                         hint="add sign: FILE to it in connections.yaml")  # fmt: skip
    fleet = open_fleet(fleet_of(project))
    try:
        router = open_router(edges.connection, edges.hosts, fleet)
        try:
            asked = partial(router.status, project.spec.app, env, traffic.upstream)
            table = known_table(settings.journal(), project.spec.app, env, await asked())
            if table is None:
                return ()
            acks = await router.put(table)
            return await _shown(acks, asked, open_table_key(signing).fingerprint)
        finally:
            await router.close()
    finally:
        await fleet.close()


async def _shown(
    acks: tuple[EdgeAck, ...], asked: Callable[[], Awaitable[tuple[EdgeStatus, ...]]], key: str
) -> tuple[EdgeAck, ...]:
    """The acknowledgements of edges that show the signature: behind a source they take it a moment later."""
    clock = SystemClock()
    end = clock.now() + SHOWN_WITHIN
    while True:
        late = {one.edge for one in await asked() if one.signing is not None and one.signing.key != key}
        if not late or clock.now() >= end:
            break
        await clock.sleep(0.25)
    missing = {ack.edge for ack in acks if ack.ok and ack.edge in late}
    why = f"it does not show the signature within {SHOWN_WITHIN:g}s"
    return tuple(replace(ack, ok=False, error=why) if ack.edge in missing else ack for ack in acks)


def known_table(journal: Journal, app: str, env: str, statuses: Sequence[EdgeStatus]) -> RouteTable | None:
    """The newest table that an edge holds, if it is one that the journal accounts for.

    Raises:
        LockedError, RefusedError: as :func:`sign_table`.
    """
    held = [status.table for status in statuses if status.table and not status.is_source]
    if not held:
        return None
    table = max(held, key=lambda one: one.revision)
    known = read_env_state(journal, app, env)
    if known.active:
        raise LockedError("GP708", f"rollout {known.active} is active in {env}, and signs the tables that it puts",
                          hint="wait for its end")  # fmt: skip
    state = read_state(journal, table.rollout) if table.rollout else None
    if state is None or not accounts_for(state, known.stable, table):
        raise RefusedError(
            "GP523",
            f"the table of {table.upstream} at the edges (revision {table.revision}, of rollout {table.rollout or '?'})"
            " is not one that the journal accounts for, so it is not signed",
            hint="look at it with `gopub route show`; the next rollout or `gopub rollback` puts one that is signed",
        )
    return table


def accounts_for(state: State, stable: str, table: RouteTable) -> bool:
    """Whether a table is the one that this rollout left, with the release that is stable in the env. Pure."""
    plan = state.plan
    if plan is None or (plan.app, plan.env) != (table.app, table.env):
        return False
    pools = pools_of(state)
    forward = state.back is None and plan.release.release == stable
    left = settled_table(plan, pools, "canary", stable) if forward else last_table(plan, pools)
    return replace(left, revision=table.revision).ordered(table.epoch, table.token, table.n) == table
