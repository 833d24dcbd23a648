"""Backends that a plug-in brings along, by its one line each, do what every store and every fleet must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gopub.fleet.protocol import Fleet, FleetConnection
from gopub.spec.connections import parse_connections
from gopub.store import ArtifactStore
from gopub.store.protocol import StoreConnection
from tests.contracts import test_fleet_contract as of_fleets
from tests.contracts import test_store_contract as of_stores
from tests.contracts.ssh_server import Server, serving
from tests.support.plugin import acme


class TestPluginStore(of_stores.StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
        kinds = acme(tmp_path, monkeypatch)
        made = parse_connections("a: {kind: shelf, folder: store}\n", "c.yaml", tmp_path, kinds)["a"]
        assert isinstance(made, StoreConnection)
        return made.open()

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        return lambda key, data: (tmp_path / "store" / key).write_bytes(data) and None


class TestPluginFleet(of_fleets.TestEveryFleet):
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
