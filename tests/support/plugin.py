"""A distribution of somebody else's with a backend of each kind: one module, and one line for each backend."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gopub.wiring.backends import BACKENDS, GROUP, Backends

MODULE = Path(__file__).with_name("acme_gopub.py").read_text("utf-8")
LINES = {
    "secret.drawer": "acme_gopub:Drawer",
    "store.shelf": "acme_gopub:Shelf",
    "inventory.names": "acme_gopub:Names",
    "router.paper": "acme_gopub:Paper",
    "metrics.abacus": "acme_gopub:Abacus",
    "logs.diary": "acme_gopub:Diary",
    "fleet.pigeon": "acme_gopub:Pigeon",
    "signer.seal": "acme_gopub:Seal",
    "sigstore.notary": "acme_gopub:Notary",
    "notify.bell": "acme_gopub:Bell",
}


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, lines: dict[str, str]) -> Backends:
    """Put a distribution of that name, version 1.0, on the path; gives the backends that there are now."""
    BACKENDS.names()  # those of this process are read once: whoever asks them later knows none that a test installs
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
