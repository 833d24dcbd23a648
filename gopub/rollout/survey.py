"""What hosts and edges say of themselves before anything is planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet
from gopub.spec.models import Environment
from gopub.traffic.protocol import EdgeStatus
from gopub.wiring.ports import Ports

HOSTS_ANSWER_WITHIN = 8.0
"""Seconds that a rollout under way waits for a silent host's facts: a dead host must not keep a canary in traffic."""


def is_settled(status: EdgeStatus, release: str, hosts: Collection[str]) -> bool:
    """Whether an edge answers and has one track, the release's, with all of these hosts."""
    table = status.table
    if status.error or table is None or table.stable is None or table.canary is not None:
        return False
    return table.stable.release == release and {peer.host for peer in table.stable.peers} == set(hosts)


async def read_facts(fleet: Fleet, hosts: Sequence[Host], instance: str) -> dict[str, HostFacts]:
    """What is so on every host; all must answer before anything is planned.

    Raises:
        GopubError: GP720 names the hosts that did not, and why.
    """
    facts, silent = await ask_all(fleet, hosts, instance)
    insist(facts, silent)
    return facts


async def loose_edges(ports: Ports) -> tuple[str, ...]:
    """The edges that check no orders, asked where the environment wants that they do.

    One that does not answer is told where its tables are read, and one that nobody logs in to is told nothing by us.
    """
    if ports.environment.require != "enrolled":
        return ()

    async def one(edge: Host) -> str:
        try:
            return "" if await (await ports.fleet.channel(edge)).enrolled() else edge.name
        except GopubError:
            return ""

    return tuple(filter(None, await asyncio.gather(*map(one, ports.edges))))


async def ask_all(
    fleet: Fleet,
    hosts: Sequence[Host],
    instance: str,
    *,
    patience: float | None = None,
    answered: Callable[[str], None] | None = None,
) -> tuple[dict[str, HostFacts], dict[str, GopubError]]:
    """Facts of the hosts that answer (within ``patience`` seconds, if given), and why the others do not.

    ``answered`` is told of each host that is no longer waited for.
    """
    facts: dict[str, HostFacts] = {}
    silent: dict[str, GopubError] = {}

    async def one(host: Host) -> None:
        try:
            async with asyncio.timeout(patience):
                facts[host.name] = await (await fleet.channel(host)).facts(instance)
        except GopubError as error:
            silent[host.name] = error
        except TimeoutError:
            problem = f"{host.name} ({host.address}) did not answer within {patience:g}s"
            silent[host.name] = GopubError("GP415", problem, hint="ask the host again")
        if answered:
            answered(host.name)

    await asyncio.gather(*(one(host) for host in hosts))
    return {host.name: facts[host.name] for host in hosts if host.name in facts}, silent


def insist(facts: Mapping[str, HostFacts], silent: Mapping[str, GopubError]) -> None:
    """All must have answered before anything is planned.

    Raises:
        GopubError: GP720 names the hosts that did not, and why.
    """
    if silent:
        said = "; ".join(f"{name}: {error.code} {error.problem}" for name, error in silent.items())
        total = len(facts) + len(silent)
        raise GopubError("GP720", f"{len(silent)} of {total} hosts did not answer ({said})",
                         hint="mend them, or leave them out of `hosts:`; nothing was changed")  # fmt: skip


async def edge_epoch(ports: Ports, app: str, env: str, environment: Environment) -> int:
    """The highest epoch that an edge has seen."""
    return max((status.epoch for status in await statuses_of(ports, app, env, environment)), default=0)


async def statuses_of(ports: Ports, app: str, env: str, environment: Environment) -> tuple[EdgeStatus, ...]:
    """What every edge of the environment holds; none where it has no traffic."""
    if ports.router is None or environment.traffic is None:
        return ()
    return await ports.router.status(app, env, environment.traffic.upstream)
