"""What a plan is made of. Frozen values only; nothing here reads or decides.

Sources: DESIGN words (rollout, step, track). Shares of traffic are basis points (0..10 000), times are
seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from gopub.plan.routes import said_of
from gopub.traffic.table import Endpoint

FULL = 10_000
Mode = Literal["judged", "health-only"]
"""What promotion rests on: a verdict on requests, or the health checks alone."""


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    FAILED = "failed"
    MENDED = "mended"


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    """A release by id (64 hex) and version."""

    release: str
    version: str

    @property
    def short(self) -> str:
        """The first 12 characters, as labels and paths carry it."""
        return self.release[:12]


@dataclass(frozen=True, slots=True)
class PlannedHost:
    """A host as the plan froze it: a machine that was replaced has another machine id and is refused.

    ``render`` is this host's render of the new release: templates may name its variables. ``before`` is the folder
    that a rollback brings back: stable's, wherever the host holds it. An ``idle`` host was not on stable and had no
    traffic when the plan was made; it gets none before it runs the new release, or stable.
    """

    name: str
    peer: str
    machine_id: str
    target: str
    render: str
    before: str = ""
    before_digest: str = ""
    idle: bool = False
    pinned: bool = False
    """Whether it was enrolled when the plan was made: then it obeys signed orders alone, and must go on to."""
    beside: bool = False
    """What comes starts beside what serves, on another port, and what served goes on until the rollout is over."""
    slot: str = ""
    """Which of the two slots served when the plan was made; ``peer`` has its port. Empty: the instance's one unit."""

    def folder(self, release: str) -> str:
        """The folder of that release on this host."""
        return f"{release[:12]}-{self.render[:12]}"

    def peer_at(self, port: int) -> str:
        """Where edges reach the process that listens on this port; 0: where they reached it when the plan was made."""
        return f"{self.peer.rpartition(':')[0]}:{port}" if port else self.peer


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A state to reach: ``hosts`` is cumulative, ``weight`` the canary's share in basis points."""

    index: int
    hosts: tuple[str, ...]
    weight: int
    bake: float
    header: tuple[str, str] | None = None
    between: str = ""
    approve: str = ""
    route: str = ""
    """The condition of its rule as one line (``gopub.spec.route.text_of``), where it is more than one header."""

    @property
    def chosen(self) -> bool:
        """Whether a rule chooses the canary's users, so that nobody knows how many there will be."""
        return bool(self.header or self.route)

    @property
    def traffic(self) -> str:
        """Who gets the canary, for people: ``25%``, ``header x-canary: true``, ``tag user-v2 and path /api``."""
        if self.header:
            return f"header {self.header[0]}: {self.header[1]}"
        return said_of(self.route) if self.route else f"{self.weight / 100:g}%"

    @property
    def says(self) -> str:
        """One line for people: ``1 host, 25%``."""
        count = len(self.hosts)
        return f"{count} host{'s' if count != 1 else ''}, {self.traffic}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a rollout will do, decided before anything is done.

    ``binaries`` are (target, digest of the binary); ``archives`` (target, digest, bytes packed, bytes of the binary).
    """

    rollout: str
    app: str
    env: str
    instance: str
    release: ReleaseRef
    stable: ReleaseRef | None
    hosts: tuple[PlannedHost, ...]
    steps: tuple[PlannedStep, ...]
    max_unavailable: int
    max_load: float
    deadline: float
    drain: float
    mode: Mode
    upstream: str = ""
    sticky: str = "address"
    trust: tuple[str, ...] = ()
    latency: Literal["auto", "header", "total"] = "auto"
    warmup: float = 0.0
    windows: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    keep_releases: int = 5
    binaries: tuple[tuple[str, str], ...] = ()
    archives: tuple[tuple[str, str, int, int], ...] = ()
    warmup_seen: bool = False
    """``warmup`` is what stable's own starts took; else it was set, or is the default."""
    keep_stable: int = 0
    """So many hosts at the end of ``hosts`` stay on stable until the last step is passed; then they follow."""
    endpoints: tuple[Endpoint, ...] = ()
    """What the edges count by itself."""
    tag: str | None = None
    """What the edges put into ``x-gray-tag`` of requests that get the canary."""

    floor: str = ""
    """The oldest version that may serve beside or after the release: its own word, else what counted before."""
    before_asks: tuple[tuple[str, str], ...] = ()
    """How hosts are asked about stable, and where it listens, where that is another way than of the release."""
    revision: str = ""
    """Under which name (64 hex) edges count the canary, where it is the stable release with other files."""

    @property
    def counted(self) -> str:
        """Under which name edges count the canary: that of its release, but where stable is counted under that."""
        return self.revision or self.release.release

    @property
    def kept(self) -> tuple[str, ...]:
        """The hosts that stay on stable to the end, for the judge to compare with."""
        return tuple(host.name for host in self.hosts[len(self.hosts) - self.keep_stable :])

    @property
    def unpinned(self) -> tuple[str, ...]:
        """The hosts that do not check who orders."""
        return tuple(host.name for host in self.hosts if not host.pinned)

    def host(self, name: str) -> PlannedHost:
        """The planned host of that name; the caller took the name from this plan."""
        return next(host for host in self.hosts if host.name == name)
