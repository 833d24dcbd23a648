"""Backends that a plug-in brings along, by its one line each, do what every one behind their door must do."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gopub.clock import ManualClock, SystemClock
from gopub.errors import GopubError
from gopub.fleet.inventory import Inventory
from gopub.fleet.protocol import Fleet, FleetConnection
from gopub.health.sources import LogsConnection, MetricsConnection, MetricSource
from gopub.process import Executor, Result, run
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import SecretRef
from gopub.store import ArtifactStore
from gopub.store.protocol import StoreConnection
from gopub.traffic.door import RouterConnection
from gopub.wiring.backends import DOORS, Backends
from tests.contracts import test_alertmanager_contract as of_alerts
from tests.contracts import test_fleet_contract as of_fleets
from tests.contracts import test_inventory_contract as of_inventories
from tests.contracts import test_logs_contract as of_logs
from tests.contracts import test_metrics_contract as of_metrics
from tests.contracts import test_notify_contract as of_notify
from tests.contracts import test_router_contract as of_routers
from tests.contracts import test_secret_contract as of_secrets
from tests.contracts import test_signer_contract as of_signers
from tests.contracts import test_sigstore_contract as of_sigstores
from tests.contracts import test_store_contract as of_stores
from tests.contracts.edge_nginx import Client
from tests.contracts.paper_edge import PaperEdge, paper_edge
from tests.contracts.ssh_server import Server, serving
from tests.contracts.test_inventory_contract import InventoryGround
from tests.contracts.test_logs_contract import LogsGround
from tests.contracts.test_notify_contract import NotifyGround
from tests.contracts.test_secret_contract import SecretGround
from tests.contracts.test_signer_contract import SignerGround
from tests.contracts.test_sigstore_contract import SigstoreGround
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


class TestPluginFleet(of_fleets.ProgramContract):
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


class TestPluginMetrics(of_metrics.ScrapedContract, of_metrics.MetricsContract):
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


def secret_ground(folder: Path, kinds: Backends) -> SecretGround:
    ref = of_secrets.referred("{drawer: middle}", folder, kinds)
    drawers: dict[str, str] = sys.modules["acme_gopub"].DRAWERS
    return SecretGround(
        ref, lambda secret: drawers.update(middle=secret), lambda: drawers.pop("middle") and None, "drawer middle"
    )


class TestPluginSecret(of_secrets.SecretContract):
    KIND = "drawer"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretGround:
        return secret_ground(tmp_path, acme(tmp_path, monkeypatch))


def signer_ground(folder: Path, kinds: Backends) -> SignerGround:
    path = folder / "wax"
    path.write_text(of_signers.a_key())
    made = of_signers.connected("{kind: seal, private: {file: wax}}", folder, kinds)
    return SignerGround(made, lambda pem: path.write_text(pem) and None, path.unlink, str(path))


class TestPluginSigner(of_signers.SignerContract):
    KIND = "seal"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignerGround:
        return signer_ground(tmp_path, acme(tmp_path, monkeypatch))


class TestPluginSigstore(of_sigstores.SigstoreContract):
    KIND = "notary"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigstoreGround:
        kinds = acme(tmp_path, monkeypatch)
        return of_sigstores.in_a_file("{kind: notary, book: trust.json}", tmp_path, kinds)


def inventory_ground(folder: Path, kinds: Backends) -> InventoryGround:
    """The list is the connection itself."""
    fleet = dict(of_inventories.FLEET)
    again: list[str] = []

    def opened() -> Inventory:
        listed = json.dumps([*fleet, *again])
        return of_inventories.connected(
            f"i:\n  kind: names\n  names: {listed}\n  roles: {json.dumps(fleet)}\n", folder, kinds
        )

    def spoil() -> None:
        again.append(7)  # type: ignore[arg-type]

    return InventoryGround(opened, fleet.update, spoil, "c.yaml:3:", lambda: again.append(next(iter(fleet))))


class TestPluginInventory(of_inventories.InventoryContract):
    KIND = "names"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InventoryGround:
        return inventory_ground(tmp_path, acme(tmp_path, monkeypatch))


class Desk:
    """A host with a diary, in a folder of this machine."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.down = name, folder, False
        (folder / "diary").mkdir(parents=True)

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        if self.down:
            raise GopubError("GP413", f"{self.name} cannot be reached")
        return await run(argv, stdin=stdin, cwd=self.folder, check=False)


def logs_ground(folder: Path, kinds: Backends) -> LogsGround:
    made = parse_connections("l: {kind: diary, folder: diary}\n", "c.yaml", folder, kinds)["l"]
    assert isinstance(made, LogsConnection)
    clock = ManualClock(1_000_000.0)
    desks = {name: Desk(name, folder / name) for name in ("h1", "h2")}

    async def say(host: str, unit: str, text: bytes) -> None:
        with (desks[host].folder / "diary" / unit).open("ab") as file:
            file.write(b"%.3f %s\n" % (clock.now(), text))

    return LogsGround(
        made.open,
        desks,
        say,
        clock.now,
        lambda: clock.sleep(1.0),
        lambda host, away: setattr(desks[host], "down", away),
        within=0.0,
    )


class TestPluginLogs(of_logs.LogsContract):
    KIND = "diary"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogsGround:
        return logs_ground(tmp_path, acme(tmp_path, monkeypatch))


def notify_ground(folder: Path, kinds: Backends) -> NotifyGround:
    tower = folder / "tower"
    tower.mkdir()
    made = of_notify.connected("{kind: bell, folder: tower}", folder, kinds)

    def came() -> list[str]:
        return [path.read_text("utf-8") for path in tower.iterdir()] if tower.is_dir() else []

    return NotifyGround(made, came, lambda: shutil.rmtree(tower))


class TestPluginNotify(of_notify.NotifyContract):
    KIND = "bell"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NotifyGround:
        return notify_ground(tmp_path, acme(tmp_path, monkeypatch))


SUITES = {
    "store": of_stores.StoreContract,
    "inventory": of_inventories.InventoryContract,
    "router": of_routers.RouterContract,
    "metrics": of_metrics.MetricsContract,
    "logs": of_logs.LogsContract,
    "fleet": of_fleets.ProgramContract,
    "signer": of_signers.SignerContract,
    "sigstore": of_sigstores.SigstoreContract,
    "notify": of_notify.NotifyContract,
    "secret": of_secrets.SecretContract,
}


@pytest.mark.parametrize("door", [*DOORS, "secret"])
def test_every_backend_of_ours_and_one_of_theirs_runs_the_suite_of_its_door(door: str) -> None:
    ours = DOORS[door].ours if door in DOORS else SecretRef.model_fields
    assert of_alerts.TestAlertmanager.KIND == "alertmanager", "its suite stands in a module of its own"
    theirs = [line.partition(".")[2] for line in LINES if line.startswith(f"{door}.")]
    assert {of.KIND for of in SUITES[door].__subclasses__()} == {*ours, *theirs}
    assert theirs, "a plug-in brings one"
