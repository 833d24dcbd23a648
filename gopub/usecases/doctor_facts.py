"""What `gopub doctor` saw, as plain values: looked at at the edges, judged in `gopub.usecases.doctor`.

A part that is None or empty was not there to be looked at; what could not be looked at is in ``unseen``, with why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gopub.canon import Json


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at, and why."""

    what: str
    why: str
    late: bool = False
    """It did not end in its time, and may still be at it."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that Prefect's server stands on: what is installed, and what gopub asks for."""

    name: str
    installed: str
    wanted: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Server:
    """The Prefect server that is set up; ``trouble``: why it was not reached, in words. ``url`` has no password."""

    url: str
    trouble: str = ""
    refuses_login: bool = False
    version: str = ""
    client: str = ""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """Those that gopub needs, by their dotted names."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that was read: by how many seconds it is ahead of this machine's, give or take ``within``."""

    whose: str
    ahead: float
    within: float = 1.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of the pool: seconds since it was heard of, and whether the server counts it as there."""

    name: str
    heard: float
    online: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs wait: the pool, or a queue of it (``queue``); ``limit`` None means none."""

    queue: str = ""
    there: bool = True
    paused: bool = False
    limit: int | None = None
    busy: int = 0
    """Runs that are under way in it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A concurrency limit: its places, those that are taken, and how many runs there are that could have taken them."""

    name: str
    there: bool = True
    limit: int = 0
    taken: float = 0
    could: int = 0


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment, against what `gopub setup` would make of it."""

    name: str
    there: bool = True
    paused: bool = False
    differs: tuple[str, ...] = ()
    """Which of its parts are otherwise."""
    scheduled: bool = False
    """Whether setup gives it a schedule."""
    paused_schedule: str = ""
    """The id of that schedule, where it is paused."""
    coming: int = 0
    """Runs that the server made for later."""
    version: str = ""
    """The gopub that set it up."""
    ran: str = ""
    """The gopub that executed its newest run."""


@dataclass(frozen=True, slots=True)
class Automation:
    """An automation that setup makes."""

    name: str
    id: str = ""
    there: bool = True
    enabled: bool = True
    same: bool = True


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run that does not get on: ``state`` is Late, Pending or Running; seconds since it should have."""

    run: str
    name: str
    state: str
    since: float


@dataclass(frozen=True, slots=True)
class JournalSeen:
    """The journal: where it lies, without a password; why it cannot be opened; the disk below it, if it is a file."""

    place: str
    trouble: str = ""
    hint: str = ""
    size: int = 0
    free: int | None = None
    left: tuple[Left, ...] = ()
    untold: tuple[str, ...] = ()
    """Who was not told of what in the last day, each in a sentence."""
    there: bool = True
    """Whether it is there at all; it is a file that nothing has made yet, or that is lost."""
    named: bool = False
    """Whether GOPUB_JOURNAL names it: it is no default place."""
    unwritable: str = ""
    """Why it takes no entry, where it can be read: somebody holds it, or its disk is read-only."""


@dataclass(frozen=True, slots=True)
class Left:
    """A rollout that nobody drives; seconds since its driver's lease ended."""

    rollout: str
    app: str
    env: str
    since: float
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """A named connection, or a host: ``trouble`` is empty where it answers; ``says`` is what was seen."""

    name: str
    kind: str
    says: str = ""
    trouble: str = ""
    hint: str = ""
    late: bool = False
    """As that of `Unseen`."""


@dataclass(frozen=True, slots=True)
class Obeys:
    """Whom a host or an edge obeys: ``roles`` is the serial of its list, None where it is unpinned.

    ``own``: whether the program that lies there is the one of this gopub.
    """

    host: str
    roles: int | None = None
    own: bool = True


@dataclass(frozen=True, slots=True)
class Receiver:
    """`gopub serve`, where it should answer."""

    url: str
    trouble: str = ""
    waiting: int = 0
    """Deliveries that are not started yet."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was seen."""

    gopub: str
    packages: tuple[Package, ...] = ()
    server: Server | None = None
    clocks: tuple[Clock, ...] = ()
    workers: tuple[Worker, ...] | None = None
    places: tuple[Place, ...] = ()
    limits: tuple[Held, ...] = ()
    deployed: tuple[Deployed, ...] = ()
    automations: tuple[Automation, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    journal: JournalSeen | None = None
    connections: tuple[Connected, ...] = ()
    obeying: tuple[Obeys, ...] = ()
    """Of every host that let us in."""
    receiver: Receiver | None = None
    houses: tuple[str, ...] = ()
    """Whose marks forms and automations on the server bear: each projects.yaml that `gopub setup` was called with."""
    named: str = ""
    """The server that `--server` names, where the environment names no such one: what is to be done names it, too."""
    unseen: tuple[Unseen, ...] = ()
