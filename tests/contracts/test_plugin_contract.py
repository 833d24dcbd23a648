"""Backends that a plug-in brings along, by its one line each, do what every one behind their door must do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.fleet.protocol import Fleet, FleetConnection
from gopub.health.sources import MetricsConnection, MetricSource
from gopub.process import Executor
from gopub.spec.connections import parse_connections
from gopub.store import ArtifactStore
from gopub.store.protocol import StoreConnection
from gopub.traffic.door import RouterConnection
from gopub.wiring.backends import DOORS
from tests.contracts import test_fleet_contract as of_fleets
from tests.contracts import test_metrics_contract as of_metrics
from tests.contracts import test_router_contract as of_routers
from tests.contracts import test_store_contract as of_stores
from tests.contracts.edge_nginx import Client
from tests.contracts.paper_edge import PaperEdge, paper_edge
from tests.contracts.ssh_server import Server, serving
from tests.support.plugin import LINES, acme


class TestPluginStore(of_stores.StoreContract):
    KIND = "shelf"

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
        kinds = acme(tmp_path, monkeypatch)
        made = parse_connections("a: {kind: shelf, folder: store}\n", "c.yaml", tmp_path, kinds)["a"]
        assert isinstance(made, StoreConnection)
        return made.open()

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        return lambda key, data: (tmp_path / "store" / key).write_bytes(data) and None


class TestPluginFleet(of_fleets.FleetContract):
    KIND = "pigeon"

    @pytest.fixture(autouse=True)
    def _own_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "home").mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    @pytest.fixture
    async def server(self, tmp_path: Path) -> AsyncIterator[Server]:
        async with serving(tmp_path) as made:
            yield made

    @pytest.fixture
    async def fleet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
        kinds = acme(tmp_path, monkeypatch)
        made = parse_connections("ssh: {kind: pigeon}\n", "c.yaml", tmp_path, kinds)["ssh"]
        assert isinstance(made, FleetConnection)
        fleet = made.open()
        yield fleet
        await fleet.close()


class PaperWorld:
    """The proxies of two machines, and the plug-in's router over them."""

    def __init__(self, connection: RouterConnection, edges: Mapping[str, PaperEdge]) -> None:
        self.edges, self.down = edges, set[str]()
        self.router = connection.open(tuple(edges), self._connect)

    async def _connect(self, name: str) -> Executor:
        if name in self.down:
            raise GopubError("GP413", f"{name} cannot be reached")
        return self.edges[name]

    async def ask(self, edge: str, path: str = "/") -> tuple[int, str]:
        answer = await Client(self.edges[edge].port, keep=False).ask(path)
        return answer.status, of_routers.host_of(answer)

    def set_apart(self, seconds: float) -> None:
        for edge in self.edges.values():
            edge.set_clock(seconds)

    def now(self) -> float:
        return SystemClock().now()

    def break_off(self, edge: str) -> None:
        self.down.add(edge)

    def mend(self, edge: str) -> None:
        self.down.discard(edge)


class TestPluginRouter(of_routers.RouterContract):
    KIND = "paper"

    @pytest.fixture
    async def world(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PaperWorld]:
        text = "r: {kind: paper, folder: paper, inventory: all, hosts: role=edge}\n"
        made = parse_connections(text, "c.yaml", tmp_path, acme(tmp_path, monkeypatch))["r"]
        assert isinstance(made, RouterConnection)
        async with paper_edge(tmp_path / "e1") as one, paper_edge(tmp_path / "e2") as two:
            yield PaperWorld(made, {"e1": one, "e2": two})


class TestPluginMetrics(of_metrics.MetricsContract):
    KIND = "abacus"

    @pytest.fixture
    def connection(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MetricsConnection:
        kinds = acme(tmp_path, monkeypatch)
        made = parse_connections("m: {kind: abacus, file: series}\n", "c.yaml", tmp_path, kinds)["m"]
        assert isinstance(made, MetricsConnection)
        return made

    @pytest.fixture
    def source(self, connection: MetricsConnection, tmp_path: Path) -> MetricSource:
        every = of_metrics.filled().samples.items()
        rows = [{"name": name, "labels": dict(labels), "samples": points} for (name, labels), points in every]
        (tmp_path / "series").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return connection.open()

    @pytest.fixture
    def nothing(self, connection: MetricsConnection) -> MetricSource:
        return connection.open()


SUITES = {
    "store": of_stores.StoreContract,
    "fleet": of_fleets.FleetContract,
    "router": of_routers.RouterContract,
    "metrics": of_metrics.MetricsContract,
}


@pytest.mark.parametrize("door", SUITES)
def test_every_backend_of_ours_and_one_of_theirs_runs_the_suite_of_its_door(door: str) -> None:
    theirs = [line.partition(".")[2] for line in LINES if line.startswith(f"{door}.")]
    assert {of.KIND for of in SUITES[door].__subclasses__()} == {*DOORS[door].ours, *theirs}
