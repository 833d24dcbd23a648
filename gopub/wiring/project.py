"""A folder with a gopub.yaml, and what its names mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.errors import UsageError
from gopub.fleet.host import Host
from gopub.fleet.inventory import Inventory, InventoryConnection
from gopub.fleet.protocol import FleetConnection
from gopub.spec.connections import Connections
from gopub.spec.loader import load_spec
from gopub.spec.models import Environment, ReleaseSpec, Traffic
from gopub.spec.references import environment_names, store_names
from gopub.spec.selector import parse_selector
from gopub.store.backends.directory import Directory
from gopub.store.protocol import ArtifactStore, StoreConnection
from gopub.traffic.door import RouterConnection
from gopub.wiring.backends import BACKENDS
from gopub.wiring.naming import Elsewhere, complete


def open_store_of(spec: ReleaseSpec, connections: Connections) -> ArtifactStore:
    """The artifact store that a spec names."""
    return connections.get(spec.publish.store, StoreConnection).open()


def store_in(folder: Path) -> ArtifactStore:
    """The artifact store in a folder that a person names."""
    return Directory(path=folder).open()


def load_connections(project: Path) -> Connections:
    """Every connection that a project can name, of every kind that there is."""
    return Connections.load(project, BACKENDS)


def inventory_of(connections: Connections, name: str) -> Inventory:
    """The inventory that a name of gopub.yaml means, or a path beside it; read now.

    Raises:
        SpecError: GP140, GP141 it is neither; GP400 to GP403 what is wrong with it.
    """
    found = connections.inventory(name)
    if not isinstance(found, InventoryConnection):
        raise TypeError(f"{found.kind} is no inventory")  # pragma: no cover - the list of backends has checked it
    return found.open()


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
    return Project(file.parent.resolve(), load_spec(file).spec, load_connections(file.parent.resolve()))


@dataclass(frozen=True, slots=True)
class Edges:
    """The router of an environment and what its connection says besides."""

    connection: RouterConnection
    hosts: tuple[Host, ...]


def edges_of(project: Project, environment: Environment) -> Edges | None:
    """The edges in front of an environment's hosts; None without traffic."""
    if environment.traffic is None:
        return None
    connection = project.connections.get(environment.traffic.router, RouterConnection)
    inventory = inventory_of(project.connections, connection.inventory)
    hosts = reached(project, inventory.select(parse_selector(connection.hosts)))
    return Edges(connection, hosts)


def routed(project: Project, env: str) -> tuple[Edges, Traffic]:
    """The edges of an env, and what gopub.yaml says of its traffic.

    Raises:
        UsageError: GP942 there is no such env; GP507 it has no traffic.
    """
    environment = project.environment(env)
    edges = edges_of(project, environment)
    if edges is None or environment.traffic is None:
        raise UsageError("GP507", "this env has no traffic, so there is no edge to ask",
                         hint="add traffic: {router: NAME} to it in gopub.yaml")  # fmt: skip
    return edges, environment.traffic


def hosts_of(project: Project, environment: Environment) -> tuple[Host, ...]:
    """The hosts that an environment selects; none is an error that names the near labels."""
    inventory = inventory_of(project.connections, environment.inventory)
    return reached(project, inventory.select(parse_selector(environment.hosts)))


def house_of(connections: Connections, environment: Environment) -> tuple[Host, ...]:
    """All hosts of an environment's inventory that gopub can work with, and its edges; none without edges."""
    if environment.traffic is None:
        return ()
    router = connections.get(environment.traffic.router, RouterConnection)
    edges = inventory_of(connections, router.inventory).select(parse_selector(router.hosts))
    inventory = inventory_of(connections, environment.inventory)
    known = {host.name: host for host in inventory.hosts if host.name not in inventory.unusable}
    return tuple({**{host.name: host for host in edges}, **known}.values())


def fleet_of(project: Project) -> FleetConnection:
    """How hosts are reached: the connection `ssh`, of whatever kind."""
    return project.connections.get("ssh", FleetConnection)


def reached(project: Project, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """The hosts with what the connection `ssh` says of how to reach them, where the inventory says nothing."""
    defaults = fleet_of(project).options()
    return tuple(replace(host, ssh=host.ssh.over(defaults)) for host in hosts)
