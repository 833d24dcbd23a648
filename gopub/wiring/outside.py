"""Opening the outside of one environment: names of gopub.yaml become objects of the core's protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from gopub.clock import Clock, SystemClock
from gopub.fleet.asking import to_edge
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet, FleetConnection
from gopub.health.sources import Closing, LogsConnection, LogSource, MetricSource
from gopub.journal.store import Journal
from gopub.process import Executor
from gopub.release.config import admission_signer
from gopub.spec.connections import built_in
from gopub.spec.models import Environment
from gopub.traffic.door import Connect, KeysLaid, RouterConnection
from gopub.traffic.protocol import EdgeFiles, Router
from gopub.wiring import settings
from gopub.wiring.allowed import Allowed
from gopub.wiring.backends import BACKENDS, DOORS
from gopub.wiring.counting import counters_of
from gopub.wiring.here import here_in
from gopub.wiring.order_keys import open_order_key
from gopub.wiring.ports import Ports
from gopub.wiring.project import Edges, Project, edges_of, fleet_of, hosts_of, house_of
from gopub.wiring.table_keys import open_table_key


def open_fleet(connection: FleetConnection | None = None, *, listed: bool = True) -> Fleet:
    """The way to hosts; OpenSSH where nothing else is said. Where its connection names a key of orders, it is opened.

    It is held against the list of roles here, unless ``listed`` says no: then hosts alone say whether they believe it.

    Raises:
        GopubError: as :func:`gopub.wiring.order_keys.open_order_key`.
    """
    way = connection or _usual()
    signing = way.signing()
    if signing and not listed:
        signing = replace(signing, roles=None)
    return way.open_signed(open_order_key(signing)) if signing else way.open()


def open_router(connection: RouterConnection, edges: Sequence[Host], fleet: Fleet) -> Router:
    """The edges of a connection, over the fleet's own channels; its key is opened at the first table."""
    names, channels = tuple(host.name for host in edges), _channels(edges, fleet)
    signing = connection.signing()
    if signing is None:
        return connection.open(names, channels)
    return connection.open_signed(names, channels, partial(open_table_key, signing))


async def look_at_files(
    edges: Edges, fleet: Fleet, *, install: bool, laid: KeysLaid | None = None
) -> tuple[EdgeFiles, ...]:
    """Whether every edge takes its files, or gopub's new ones and keys, over the fleet's own channels."""
    names, channels = tuple(host.name for host in edges.hosts), _channels(edges.hosts, fleet, by_root=True)
    if laid is None:
        return await edges.connection.look_at_files(names, channels, install=install)
    return await edges.connection.look_at_files(names, channels, install=install, laid=laid)


def _channels(edges: Sequence[Host], fleet: Fleet, *, by_root: bool = False) -> Connect:
    hosts = {host.name: host for host in edges}

    async def connect(name: str) -> Executor:
        return to_edge(await fleet.channel(hosts[name]), name, by_root=by_root)

    return connect


def _usual() -> FleetConnection:
    """The kind that hosts are reached by where a kit says nothing: all of it stands with the hosts."""
    usual = next(iter(DOORS[FleetConnection.door].ours))
    found = built_in(usual, BACKENDS)
    if not isinstance(found, FleetConnection):
        raise TypeError(f"{usual} reaches no host")  # pragma: no cover - the list of backends says so
    return found


@asynccontextmanager
async def open_ports(
    project: Project, allowed: Allowed, *, journal: Journal | None = None, clock: Clock | None = None
) -> AsyncIterator[Ports]:
    """Everything that driving a rollout needs, for an environment that was allowed; it is closed at the end."""
    if not isinstance(allowed, Allowed):
        raise TypeError("ports are opened for an allowed environment alone")
    environment = allowed.environment
    clock = clock or SystemClock()
    way = fleet_of(project)
    fleet: Fleet = open_fleet(way)
    edges = edges_of(project, environment)
    router: Router | None = open_router(edges.connection, edges.hosts, fleet) if edges else None
    metrics, logs = judge_sources(project, environment, edges, router)
    try:
        yield Ports(
            journal=journal or settings.journal(clock),
            clock=clock,
            fleet=fleet,
            hosts=hosts_of(project, environment),
            environment=environment,
            store=project.store(),
            kits=settings.kits_folder(),
            router=router,
            metrics=metrics,
            logs=logs,
            edges=edges.hosts if edges else (),
            house=house_of(project.connections, environment),
            edge_connection=edges.connection if edges else None,
            fleet_connection=None if way.kind == _usual().kind and way.signing() is None else way,
            admission=lambda: admission_signer(environment.admit.statement.key, project.connections),
            here=here_in(project.folder),
        )
    finally:
        await _let_go(metrics)
        if router:
            await router.close()
        await fleet.close()


async def _let_go(source: object) -> None:
    if isinstance(source, Closing):
        await source.aclose()


@asynccontextmanager
async def no_ports(project: Project, env: str, journal: Journal, *, clock: Clock | None = None) -> AsyncIterator[Ports]:
    """What it takes to write into the journal that a release was refused: no host, no edge, no connection."""
    fleet, environment = open_fleet(), project.environment(env)
    try:
        yield Ports(journal, clock or SystemClock(), fleet, (), environment, project.store(), settings.kits_folder())
    finally:
        await fleet.close()


def judge_sources(
    project: Project, environment: Environment, edges: Edges | None, router: Router | None = None
) -> tuple[MetricSource | None, LogSource | None]:
    """Where the judge reads: what the spec says, else the edges themselves and what the router's connection says.

    Without an open ``router`` no edge can be asked, and metrics are what a connection gives.
    """
    logs = environment.judge.logs or (edges.connection.logs if edges else None)
    return (
        counters_of(project, environment, edges, router),
        project.connections.get(logs, LogsConnection).open() if logs else None,
    )
