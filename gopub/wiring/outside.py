"""Opening the outside of one environment: names of gopub.yaml become objects of the core's protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gopub.clock import Clock, SystemClock
from gopub.fleet.backends import SshFleet
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet
from gopub.health.backends.journald import JournaldSource
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.sources import LogSource, MetricSource
from gopub.journal.store import Journal
from gopub.process import Executor
from gopub.spec.kinds import S3, Nginx, Prometheus
from gopub.spec.models import Environment
from gopub.store.backends.s3 import S3Store
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.protocol import Router
from gopub.wiring import settings
from gopub.wiring.allowed import Allowed
from gopub.wiring.ports import Ports
from gopub.wiring.project import Edges, Project, edges_of, hosts_of


def open_fleet() -> Fleet:
    """The way to hosts: OpenSSH."""
    return SshFleet()


def open_router(connection: Nginx, edges: Sequence[Host], fleet: Fleet) -> Router:
    """The edges of a connection, over the fleet's own channels."""
    hosts = {host.name: host for host in edges}

    async def connect(name: str) -> Executor:
        return await fleet.channel(hosts[name])

    return NginxRouter(tuple(hosts), connect, socket=connection.socket)


def open_store_of_connection(connection: S3) -> S3Store:
    """An S3 store; ``prepare`` makes its bucket."""
    return S3Store.open(connection)


def open_metrics(connection: Prometheus) -> MetricSource:
    """The Prometheus of a connection."""
    token = connection.token.reveal() if connection.token else None
    return PrometheusSource(connection.url, token=token, timeout=connection.timeout, runtime_match=connection.runtime)


@asynccontextmanager
async def open_ports(
    project: Project, allowed: Allowed, *, journal: Journal | None = None, clock: Clock | None = None
) -> AsyncIterator[Ports]:
    """Everything that driving a rollout needs, for an environment that was allowed; it is closed at the end."""
    if not isinstance(allowed, Allowed):
        raise TypeError("ports are opened for an allowed environment alone")
    environment = allowed.environment
    clock = clock or SystemClock()
    fleet: Fleet = open_fleet()
    edges = edges_of(project, environment)
    router: Router | None = open_router(edges.connection, edges.hosts, fleet) if edges else None
    metrics, logs = judge_sources(project, environment, edges)
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
            edge_connection=edges.connection if edges else None,
        )
    finally:
        if router:
            await router.close()
        await fleet.close()


@asynccontextmanager
async def no_ports(project: Project, env: str, journal: Journal, *, clock: Clock | None = None) -> AsyncIterator[Ports]:
    """What it takes to write into the journal that a release was refused: no host, no edge, no connection."""
    fleet, environment = open_fleet(), project.environment(env)
    try:
        yield Ports(journal, clock or SystemClock(), fleet, (), environment, project.store(), settings.kits_folder())
    finally:
        await fleet.close()


def judge_sources(
    project: Project, environment: Environment, edges: Edges | None
) -> tuple[MetricSource | None, LogSource | None]:
    """Where the judge reads: what the spec says, else what the router's connection says."""
    judge = environment.judge
    metrics = judge.metrics or (edges.connection.metrics if edges else None)
    logs = judge.logs or (edges.connection.logs if edges else None)
    return (
        open_metrics(project.connections.get(metrics, Prometheus)) if metrics else None,
        JournaldSource() if logs else None,
    )
