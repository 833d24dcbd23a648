"""Opening the outside of one environment: names of gopub.yaml become objects of the core's protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.clock import Clock, SystemClock
from gopub.drive import settings
from gopub.drive.admitting import Allowed
from gopub.drive.naming import Elsewhere, complete
from gopub.errors import UsageError
from gopub.fleet.backends import SshFleet
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.inventory import load_inventory
from gopub.fleet.protocol import Fleet
from gopub.health.backends.journald import JournaldSource
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.sources import LogSource, MetricSource
from gopub.process import Executor
from gopub.rollout.journal import Journal
from gopub.rollout.run import Ports
from gopub.spec.connections import Connections
from gopub.spec.kinds import S3, Connection, Directory, Nginx, Prometheus, Ssh
from gopub.spec.loader import load_spec
from gopub.spec.models import Environment, ReleaseSpec
from gopub.spec.references import environment_names, store_names
from gopub.spec.selector import parse_selector
from gopub.store.backends import open_store
from gopub.store.backends.s3 import S3Store
from gopub.store.protocol import ArtifactStore
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.protocol import Router


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


def open_store_of(spec: ReleaseSpec, connections: Connections) -> ArtifactStore:
    """The artifact store that a spec names."""
    found: Connection = connections.get(spec.publish.store, Directory, S3)
    if not isinstance(found, (Directory, S3)):
        raise TypeError(f"{found.kind} is no store")  # pragma: no cover - `get` has checked it
    return open_store(found)


def open_metrics(connection: Prometheus) -> MetricSource:
    """The Prometheus of a connection."""
    token = connection.token.reveal() if connection.token else None
    return PrometheusSource(connection.url, token=token, timeout=connection.timeout, runtime_match=connection.runtime)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a gopub.yaml, and what its names mean."""

    folder: Path
    spec: ReleaseSpec
    connections: Connections

    def store(self) -> ArtifactStore:
        """The artifact store that the spec names."""
        return open_store_of(self.spec, self.connections)

    async def naming_store(self, elsewhere: Elsewhere | None) -> Project:
        """The same, with the store's name looked for elsewhere where no file gives it."""
        found = await complete(self.connections, lambda _: store_names(self.spec), elsewhere)
        return replace(self, connections=found)

    async def naming(self, environment: Environment, elsewhere: Elsewhere | None) -> Project:
        """The same, with the names of an environment looked for elsewhere where no file gives them."""
        found = await complete(self.connections, lambda known: environment_names(environment, known), elsewhere)
        return replace(self, connections=found)

    def environment(self, name: str) -> Environment:
        """An environment of the spec.

        Raises:
            UsageError: GP942 there is none of that name.
        """
        found = self.spec.environments.get(name)
        if found is None:
            known = ", ".join(self.spec.environments) or "none"
            raise UsageError("GP942", f"{self.spec.app} has no environment {name!r}; it has: {known}",
                             hint="pass --env NAME")  # fmt: skip
        return found


def open_project(folder: str | Path) -> Project:
    """Read the gopub.yaml of a folder (or that file itself) and the connections beside it."""
    path = Path(folder)
    file = path if path.is_file() else path / "gopub.yaml"
    return Project(file.parent.resolve(), load_spec(file).spec, Connections.load(file.parent.resolve()))


@dataclass(frozen=True, slots=True)
class Edges:
    """The router of an environment and what its connection says besides."""

    connection: Nginx
    hosts: tuple[Host, ...]


def edges_of(project: Project, environment: Environment) -> Edges | None:
    """The edges in front of an environment's hosts; None without traffic."""
    if environment.traffic is None:
        return None
    connection = project.connections.get(environment.traffic.router, Nginx)
    inventory = load_inventory(project.connections.inventory(connection.inventory))
    hosts = reached(project, inventory.select(parse_selector(connection.hosts)))
    return Edges(connection, hosts)


def hosts_of(project: Project, environment: Environment) -> tuple[Host, ...]:
    """The hosts that an environment selects; none is an error that names the near labels."""
    inventory = load_inventory(project.connections.inventory(environment.inventory))
    return reached(project, inventory.select(parse_selector(environment.hosts)))


def reached(project: Project, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """The hosts with what the connection `ssh` says of how to reach them, where the inventory says nothing."""
    told = project.connections.get("ssh", Ssh)
    defaults = SshOptions(told.user, told.port, told.key, told.known_hosts, told.sudo, jump=told.proxy_jump)
    return tuple(replace(host, ssh=host.ssh.over(defaults)) for host in hosts)


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
