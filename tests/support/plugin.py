"""A distribution of somebody else's with a backend of each kind: one module, and one line for each backend."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gopub.wiring.backends import GROUP, Backends

MODULE = '''
from typing import Literal

from gopub.evidence.keys import KeySigner, SignerConnection
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.inventory import Inventory, InventoryConnection
from gopub.fleet.protocol import FleetConnection
from gopub.health.samples import NoData
from gopub.health.sources import LogsConnection, MetricsConnection
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.store.backends.directory import DirectoryStore
from gopub.store.protocol import StoreConnection
from gopub.traffic.door import RouterConnection
from gopub.traffic.protocol import EdgeAck, EdgeStatus


class Shelf(StoreConnection):
    """A shelf."""

    kind: Literal["shelf"] = "shelf"
    folder: LocalPath
    """The folder."""
    label: str = "none"
    """A label."""

    def open(self):
        return DirectoryStore(self.folder)


class Names(InventoryConnection):
    """Hosts by their names."""

    kind: Literal["names"] = "names"
    names: tuple[str, ...]
    """The names."""

    def open(self):
        return Inventory("names", tuple(Host(name, name, labels={"role": "app"}) for name in self.names))


class Paper(RouterConnection):
    """Edges on paper."""

    kind: Literal["paper"] = "paper"

    def open(self, edges, connect):
        return PaperRouter(edges)


class PaperRouter:
    def __init__(self, edges):
        self.edges = edges

    async def put(self, table):
        return tuple(EdgeAck(edge, True, table.revision) for edge in self.edges)

    async def status(self, app, env, upstream):
        return tuple(EdgeStatus(edge) for edge in self.edges)

    async def close(self):
        pass


class Abacus(MetricsConnection):
    """Counters on an abacus."""

    kind: Literal["abacus"] = "abacus"
    token: SecretRef | None = None
    """Who may look."""

    def open(self):
        return Silent()


class Diary(LogsConnection):
    """Lines of a diary."""

    kind: Literal["diary"] = "diary"

    def open(self):
        return Silent()


class Silent:
    async def counters(self, app, env, releases, at):
        return NoData("an abacus says nothing")

    history = runtime = counters

    async def read(self, target, since):
        return NoData("a diary says nothing")


class Pigeon(FleetConnection):
    """Pigeons."""

    kind: Literal["pigeon"] = "pigeon"
    loft: str = "loft"
    """Where they live."""

    def options(self):
        return SshOptions(user=self.loft)

    def open(self):
        return SshFleet()


class Seal(SignerConnection):
    """A seal."""

    kind: Literal["seal"] = "seal"
    private: SecretRef
    """The private key."""

    def open(self):
        return KeySigner.parse(self.private.reveal().encode())


class Drawer(SecretRef):
    """A drawer."""

    drawer: str
    """Which one."""

    def open(self):
        return {"top": "of-the-top-drawer"}.get(self.drawer, "")

    def __str__(self):
        return f"drawer {self.drawer}"
'''
LINES = {
    "secret.drawer": "acme_gopub:Drawer",
    "store.shelf": "acme_gopub:Shelf",
    "inventory.names": "acme_gopub:Names",
    "router.paper": "acme_gopub:Paper",
    "metrics.abacus": "acme_gopub:Abacus",
    "logs.diary": "acme_gopub:Diary",
    "fleet.pigeon": "acme_gopub:Pigeon",
    "signer.seal": "acme_gopub:Seal",
}


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, lines: dict[str, str]) -> Backends:
    """Put a distribution of that name, version 1.0, on the path; gives the backends that there are now."""
    site = folder / f"site-{name}"
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(module)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *(f"{k} = {v}" for k, v in lines.items()), ""]))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return Backends()


def acme(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Backends:
    """The distribution with a backend behind every door."""
    return install(folder, monkeypatch, "acme_gopub", MODULE, LINES)


def loaded(name: str) -> ModuleType | None:
    """The module, where it has been imported."""
    return sys.modules.get(name)
