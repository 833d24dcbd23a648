"""A rollout's world whose project tells a room what became of it; what came is in ``EARS["room"]``."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.spec.loader import load_spec
from tests.support.rollout_world import World, in_memory


def told_in_a_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Make the world with its project in ``folder``; the room's ear is the test's to put there."""
    in_memory(monkeypatch)
    made = World(folder)
    made.at_home(monkeypatch)
    home = folder / "project"
    spec = (home / "gopub.yaml").read_text()
    (home / "gopub.yaml").write_text(spec.replace("traffic: edge}", "traffic: edge, notify: [room]}"))
    with (home / "connections.yaml").open("a") as file:
        file.write("room: {kind: memory-room, ear: room}\n")
    made.project = str(home)
    made.environment = load_spec(home / "gopub.yaml").spec.environments["lab"]
    return made
