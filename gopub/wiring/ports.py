"""The outside that a rollout drives, as objects of the core's protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gopub.clock import Clock
from gopub.errors import GopubError
from gopub.evidence.keys import Signer
from gopub.fleet.host import Host
from gopub.fleet.protocol import Fleet, FleetConnection
from gopub.health.sources import LogSource, MetricSource
from gopub.journal.store import Journal
from gopub.process import Result
from gopub.spec.models import Environment
from gopub.store.protocol import ArtifactStore
from gopub.traffic.door import RouterConnection
from gopub.traffic.protocol import Router


def nobody() -> Signer:
    """Where no release enters, nobody signs that it may.

    Raises:
        GopubError: GP354.
    """
    raise GopubError("GP354", "nobody signs admissions here", hint="name a key in admit.statement.key")


Here: TypeAlias = Callable[[Sequence[str], Mapping[str, str], float], Awaitable[Result]]
"""Runs a command beside the driver, in the project's folder: words, more variables, seconds."""


async def nowhere(words: Sequence[str], told: Mapping[str, str], within: float) -> Result:
    """Where no project lies, none of its commands is run.

    Raises:
        GopubError: GP591.
    """
    del told, within
    raise GopubError("GP591", f"{words[0]} would run in the project's folder, which is not known here",
                     hint="run it by hand, where the project lies")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as objects of the core's protocols; opened by ``gopub.wiring.outside``."""

    journal: Journal
    clock: Clock
    fleet: Fleet
    hosts: tuple[Host, ...]
    environment: Environment
    store: ArtifactStore
    kits: Path
    router: Router | None = None
    metrics: MetricSource | None = None
    logs: LogSource | None = None
    edges: tuple[Host, ...] = ()
    house: tuple[Host, ...] = ()
    """All hosts of the inventory, and the edges: who calls through them and is believed."""
    edge_connection: RouterConnection | None = None
    fleet_connection: FleetConnection | None = None
    """How hosts are reached, where a kit must say so: by another way than the one that it means without a word."""
    admission: Callable[[], Signer] = nobody
    """Gives whoever signs admissions; asked when one is made, so that a key which is away stops nothing else."""
    here: Here = nowhere
    """Runs the project's own hooks."""
