"""The files of an env's edges, and the keys that sign their tables: laid so that no table that stands is lost by it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gopub.errors import RefusedError, UsageError
from gopub.traffic.door import KeysLaid
from gopub.wiring.outside import look_at_files, open_fleet, open_router
from gopub.wiring.project import fleet_of, routed
from gopub.wiring.table_keys import believed_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gopub.evidence.keys import PublicKey
    from gopub.traffic.protocol import EdgeFiles, EdgeStatus
    from gopub.usecases.enrol_host import Way
    from gopub.wiring.project import Project

_KEY = re.compile(r"[0-9a-f]{64}")


async def files_of(
    project: Project, env: str, *, install: bool, off: Sequence[str] = (), way: Way | None = None
) -> tuple[EdgeFiles, ...]:
    """Whether every edge takes its files, or gopub's new ones and keys (``install``); ``off`` are keys to take off.

    ``way`` says how root is reached on edges, where that is not how they are reached anyway: an enrolled one runs no
    program for its user gopub.

    Raises:
        UsageError: GP507 the env has no edges; GP524 ``off`` names what is no key, or the one that signs here.
        RefusedError: GP527 a table that stands would not be used after a start of the edge.
        GopubError: GP300, GP301 a key cannot be used.
    """
    edges, traffic = routed(project, env)
    if way is not None:
        edges = replace(edges, hosts=tuple(way.of(host) for host in edges.hosts))
    fleet = open_fleet(fleet_of(project))
    try:
        laid = _laid(believed_keys(edges.connection), off) if install else KeysLaid()
        if laid == KeysLaid():
            return await look_at_files(edges, fleet, install=install)
        router = open_router(edges.connection, edges.hosts, fleet)
        try:
            asked = partial(router.status, project.spec.app, env, traffic.upstream)
            if any(_older(status) for status in await asked()):  # it cannot say yet whose tables stand there
                files = await look_at_files(edges, fleet, install=True)
                if not all(one.fine for one in files):
                    return files
            refuse_loss(await asked(), laid)
            return await look_at_files(edges, fleet, install=install, laid=laid)
        finally:
            await router.close()
    finally:
        await fleet.close()


def _older(status: EdgeStatus) -> bool:
    return not status.error and not status.is_source and status.signing is None


def _laid(keys: Sequence[PublicKey], off: Sequence[str]) -> KeysLaid:
    laid = KeysLaid(tuple((key.fingerprint, key.pem) for key in keys), tuple(off))
    for name in off:
        if not _KEY.fullmatch(name):
            raise UsageError("GP524", f"{name!r} is no key's fingerprint, 64 digits in hex",
                             hint="`gopub route show --json` has them, under signing.keys")  # fmt: skip
        if name in dict(laid.keys):
            raise UsageError("GP524", f"key {name[:16]} is to be believed here, so it cannot be taken off",
                             hint="take it out of sign and keys of the nginx connection first")  # fmt: skip
    return laid


def refuse_loss(statuses: Sequence[EdgeStatus], laid: KeysLaid) -> None:
    """Refuse keys under which an edge would, after its next start, not use a table that stands. Pure.

    Raises:
        RefusedError: GP527; also where an edge does not say what stands there.
    """
    names = [name for name, _ in laid.keys]
    for status in statuses:
        if not status.is_source and (status.error or status.signing is None):
            why = status.error or "it says nothing of signatures"
            raise RefusedError("GP527", f"what stands on edge {status.edge} is not known ({why}): keys could lose it",
                               hint="bring it back, or take it out of the connection's hosts")  # fmt: skip
    found = {status.edge: status.signing.lost(names, laid.off) for status in statuses if status.signing}
    if any(found.values()):
        said = "; ".join(f"edge {edge}: {', '.join(upstreams)}" for edge, upstreams in found.items() if upstreams)
        raise RefusedError(
            "GP527",
            f"tables that stand are not signed by a key that would be believed then ({said}): the edge's next start"
            " would not use them, and answer 503",
            hint="sign them first: gopub route sign, in every project whose upstream is named",
        )
