"""What can happen to a rollout and to an env: the types of journal entries.

An event says what is about to be done (``…Intended``) or what was found. They are a file format: fields are added with
a default, never renamed. ``encode`` and ``decode`` are the only way in and out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from gopub.canon import Json, bounded
from gopub.errors import GopubError
from gopub.journal.built import BuildBegan, BuildEnded
from gopub.journal.enrolled import HostsEnrolled, TrustChanged
from gopub.journal.hooks import HookEnded, HookIntended
from gopub.journal.notices import NoticeDue, NoticeLost, NoticeTaken, NoticeTried
from gopub.journal.stated import Stated
from gopub.plan.model import Outcome, Plan


@dataclass(frozen=True, slots=True)
class Opened:
    """Somebody asked for this release in this env; ``by`` is whom people.yaml takes that for, where it asks.

    ``commit`` is what the release was built from, empty where that was not at hand (a way back).
    """

    rollout: str
    app: str
    env: str
    release: str
    version: str
    reason: str = ""
    project: str = "."
    by: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class SeatTaken:
    """A driver took the seat; orders of lower epochs are refused from now on. ``run`` is its run in the engine."""

    epoch: int
    driver: str
    why: str = "start"
    run: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The admission accepted it: name, result and reason of each check; what was stated, or why nothing was."""

    checks: tuple[str, ...] = ()
    statements: tuple[Stated, ...] = ()
    unstated: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The admission refused it."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan, frozen with its hosts."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Waiting:
    """It waits without a driver, with no canary traffic, for a window or an approval."""

    step: int
    why: str


@dataclass(frozen=True, slots=True)
class Woken:
    """What it waited for is there."""

    step: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class StageIntended:
    """These hosts are about to receive the release; nothing is activated."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostStaged:
    """The release lies complete on the host."""

    host: str
    changed: bool = True


@dataclass(frozen=True, slots=True)
class TableIntended:
    """The edges are about to be given a route table."""

    why: str
    weight: int
    stable: tuple[str, ...]
    canary: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TablePut:
    """The edges' answers, ``name=ok`` or ``name=error``."""

    weight: int
    acks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SwitchIntended:
    """These hosts are about to change what they run; ``to`` is a folder name, empty to stop the unit."""

    hosts: tuple[str, ...]
    to: str
    track: str


@dataclass(frozen=True, slots=True)
class HostSwitched:
    """The host runs ``to``, proven by the digest of its process; ``values`` are the host's own words.

    ``at`` is when it was proven, seconds since the epoch; 0 where nobody wrote it down.
    """

    host: str
    to: str
    track: str
    values: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class HostFailed:
    """A host did not do what it was told; ``code`` tells why, ``values`` what it found."""

    host: str
    verb: str
    code: str
    message: str
    reached: bool = True
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostOwed:
    """A host could not be confirmed; it leaves the pool as far as the others carry the load.

    ``runs`` is the folder that the host itself named as its current one, empty where nobody knows. ``reached`` False:
    it refused nothing, since nobody reached it or it was booting; so it may be tried again unasked.
    """

    host: str
    why: str
    runs: str = ""
    reached: bool = True


@dataclass(frozen=True, slots=True)
class StepReached:
    """Hosts and traffic are as the step says; the bake begins."""

    step: int
    at: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with all it takes to replay it; ``observed``: seconds of the bake until then, by all drivers."""

    step: int
    kind: str
    rule: int
    reason: str
    record: Mapping[str, JsonValue] = field(default_factory=dict)
    observed: float = 0.0


@dataclass(frozen=True, slots=True)
class StepPassed:
    """The step may be left behind: by verdict, or because a person said so."""

    step: int
    by: str = "verdict"


@dataclass(frozen=True, slots=True)
class Asked:
    """A person asks the driver to ``promote:<step index>``, to ``abort``, to ``hold`` or to ``resume``.

    ``run`` is the engine's run whose pause asks for the hold, which the end of that pause ends again. ``verified`` is
    what vouches for the actor's name, empty where nothing does; ``allowed`` the person or group of people.yaml for whom
    he approves, empty where it was not asked. ``alert`` names the alert that holds or is over, if any.
    """

    what: str
    reason: str = ""
    actor: str = ""
    at: float = 0.0
    run: str = ""
    verified: str = ""
    allowed: str = ""
    alert: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The driver goes no step forward since ``by`` asked for it; at ``until`` the rollout is withdrawn."""

    by: str
    reason: str = ""
    at: float = 0.0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """The hold is over: the rollout goes on."""

    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GoingBack:
    """From here on only back: ``rolled back`` quarantines the release, ``withdrawn`` and ``mended`` do not."""

    outcome: Outcome
    rule: int
    reason: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class TrafficOff:
    """No edge that confirmed it sends the canary anything that stable can carry.

    ``edges`` were asked, None where nobody wrote it down; ``missed`` are those that did not confirm it, and what each
    said; ``weight`` is what stable cannot carry.
    """

    at: float
    edges: int | None = None
    missed: Mapping[str, str] = field(default_factory=dict)
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Settling:
    """Every step passed: the release becomes stable on all hosts and edges."""


@dataclass(frozen=True, slots=True)
class WatchBegun:
    """The release serves everywhere, and is watched for ``seconds``; ``then`` is what a breach does."""

    at: float
    seconds: float
    then: str = "rollback"


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look of the watch came to; ``seconds`` is for how long it was watched until then, by all drivers."""

    finding: str
    says: str
    seconds: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a rollout, and the hosts and edges that are owed."""

    outcome: Outcome
    reason: str = ""
    owed: tuple[str, ...] = ()
    owed_edges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvOpened:
    """The env has an active rollout from here on."""

    rollout: str
    release: str


@dataclass(frozen=True, slots=True)
class EnvClosed:
    """The env is free again; ``stable`` and ``stable_version`` name what it runs (empty: unchanged).

    ``owed_edges`` did not take the rollout's last table; None: it put none, so what was owed before still is.
    ``owed_hosts`` could not be confirmed, and why; None: it touched none, as before. Of these nobody had reached the
    ``unreached_hosts``. ``floor`` is the oldest version that may follow a release that was promoted.
    """

    rollout: str
    outcome: Outcome
    stable: str = ""
    stable_version: str = ""
    quarantined: str = ""
    automatic: bool = False
    owed_edges: tuple[str, ...] | None = None
    owed_hosts: Mapping[str, str] | None = None
    unreached_hosts: tuple[str, ...] = ()
    floor: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineCleared:
    """A person allowed a release again."""

    release: str
    reason: str


@dataclass(frozen=True, slots=True)
class HostsAdopted:
    """A person let gopub take the place of what was on these hosts before it; ``undone``: took that back."""

    hosts: tuple[str, ...]
    reason: str = ""
    undone: bool = False


@dataclass(frozen=True, slots=True)
class LogClassMarked:
    """A person said that error lines of this class are harmless, or (``harmless`` False) took that back."""

    name: str
    reason: str = ""
    harmless: bool = True


Event: TypeAlias = (
    Opened | SeatTaken | Admitted | Refused | Planned | Waiting | Woken | StageIntended | HostStaged | TableIntended
    | TablePut | SwitchIntended | HostSwitched | HostFailed | HostOwed | StepReached | Judged | StepPassed | Asked
    | Held | Resumed | GoingBack | TrafficOff | Settling | WatchBegun | Watched | Closed
    | EnvOpened | EnvClosed | QuarantineCleared | HostsAdopted | HostsEnrolled | TrustChanged | HookIntended | HookEnded
    | LogClassMarked | BuildBegan | BuildEnded | NoticeDue | NoticeTried | NoticeTaken | NoticeLost
)  # fmt: skip

_ADAPTERS: Mapping[str, TypeAdapter[Event]] = {kind.__name__: TypeAdapter(kind) for kind in Event.__args__}


def encode(event: Event) -> tuple[str, dict[str, Json]]:
    """The event's type name and its data as JSON values."""
    name = type(event).__name__
    return name, cast("dict[str, Json]", _ADAPTERS[name].dump_python(event, mode="json"))


def decode(name: str, data: Mapping[str, Json]) -> Event:
    """The event again.

    Raises:
        GopubError: GP703 an entry that this version of gopub does not know.
    """
    if name not in _ADAPTERS:
        raise GopubError("GP703", f"the journal holds an event {bounded(name, 60)!r} that this gopub does not know",
                         hint="was it written by a newer version?")  # fmt: skip
    try:
        return _ADAPTERS[name].validate_python(dict(data))
    except ValidationError as error:
        raise GopubError("GP703", f"the journal's event {name} does not fit: {bounded(error.errors()[0]['msg'])}",
                         hint="check the journal with `gopub status --verify`") from error  # fmt: skip


def json_schemas() -> dict[str, Json]:
    """The JSON Schema of every event's data, by type name."""
    return {name: adapter.json_schema() for name, adapter in _ADAPTERS.items()}
