"""What is so on a host, and what it still needs: facts in, orders out; on what follows, nothing more is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gopub.canon import Json, bounded
from gopub.errors import GopubError
from gopub.fleet.enrolled import Enrolment
from gopub.fleet.keeping import Known, surplus
from gopub.fleet.orders import ENTERS, Order, Record, Verb
from gopub.fleet.slots import Slots
from gopub.fleet.standing import Standing

_UNIT_PREFIX, _FILE_PREFIX = "unit.", "file."


@dataclass(frozen=True, slots=True)
class ReleaseDir:
    """A release folder on a host: the ids of release and render, in full where the host knows them."""

    release: str
    render: str
    binary: str = ""

    @property
    def name(self) -> str:
        """The folder's name under ``releases/``."""
        return f"{self.release[:12]}-{self.render[:12]}"


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What systemd and /proc say of the instance's unit.

    ``listening`` are TCP ports of the main process, and of the unit's processes that run the same file.
    """

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    main_pid: int = 0
    n_restarts: int = 0
    invocation: str = ""
    exe: str = ""
    exe_digest: str = ""
    listening: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is so on a host for one instance.

    ``half`` names an order that was let in and never ended, as ``verb:folder``; the next order to this host
    finishes or undoes it. ``releases`` are the names of complete release folders, newest first. ``enrolled`` is None on
    a host that takes orders from whoever may log in.
    """

    host: str
    machine_id: str
    boot_id: str = ""
    hostname: str = ""
    arch: str = ""
    kernel: str = ""
    free_bytes: int = 0
    free_inodes: int = 0
    current: ReleaseDir | None = None
    previous: str = ""
    releases: tuple[str, ...] = ()
    epoch: int = 0
    token: str = ""
    n: int = 0
    half: str | None = None
    unit: UnitFacts = field(default_factory=UnitFacts)
    standing: Standing = field(default_factory=Standing)
    enrolled: Enrolment | None = None
    mode: str = ""
    """How what runs was switched to (``gopub.fleet.modes``); empty where a host does not tell."""
    unit_raw: str = ""
    """SHA-256 of the unit in the folder of what runs, as it was rendered."""
    took_in: str = ""
    """The folder whose files the process took in after it was started with another one's, as it confirmed."""
    files: tuple[tuple[str, str], ...] = ()
    """Path and digest of each file that was rendered for ``current``; none where an older program answers."""
    slots: Slots = field(default_factory=Slots)

    @property
    def seen(self) -> int:
        """The highest epoch that a new seat has to go above: of orders, and of what was admitted or gone back from.

        They differ where the controller's key is new: orders begin anew then, and admissions do not.
        """
        return max(self.epoch, self.enrolled.admits if self.enrolled else 0)

    @property
    def runs(self) -> str:
        """The folder whose binary the unit's process proves to run, empty when it runs something else or nothing."""
        if self.current is None or self.unit.active != "active":
            return ""
        inside = f"/releases/{self.current.name}/" in self.unit.exe or self.took_in == self.current.name
        return self.current.name if inside and self.unit.exe_digest == self.current.binary else ""

    @classmethod
    def parse(cls, record: Record) -> HostFacts:
        """Read the record of the verb ``facts``.

        Raises:
            GopubError: GP416 when a figure is missing or is none; the record's own code when it is not ok.
        """
        if not record.ok:
            raise record.error()
        try:
            return _facts(record.host, record.values)
        except (KeyError, ValueError) as error:
            raise GopubError("GP416", f"{record.host}: its facts are damaged: {bounded(str(error), 80)}") from error

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/facts.v1.json says."""
        current: Json = None
        if self.current:
            current = {name: getattr(self.current, name) for name in ("release", "render", "binary")}
        unit: dict[str, Json] = {name: getattr(self.unit, name) for name in UnitFacts.__slots__}
        plain = {name: getattr(self, name) for name in HostFacts.__slots__}
        lists: dict[str, Json] = {"releases": list(self.releases), "current": current, "files": dict(self.files)}
        unit |= {"listening": list(self.unit.listening)}
        lists["enrolled"] = self.enrolled.to_json() if self.enrolled else None
        return plain | lists | {"unit": unit, "standing": self.standing.to_json(), "slots": self.slots.to_json()}


def _facts(host: str, said: Mapping[str, str]) -> HostFacts:
    return HostFacts(
        host=host,
        machine_id=said["machine_id"],
        boot_id=said["boot_id"],
        hostname=said["hostname"],
        arch=said["arch"],
        kernel=said["kernel"],
        free_bytes=int(said["free_bytes"]),
        free_inodes=int(said["free_inodes"]),
        current=_current(said),
        previous=said["previous"],
        releases=tuple(said["releases"].split()),
        epoch=int(said["epoch"]),
        token=said["token"],
        n=int(said["n"]),
        half=said["half"] or None,
        unit=_unit(said),
        standing=Standing.parse(said),
        enrolled=Enrolment.parse(said),
        mode=said.get("mode", ""),
        unit_raw=said.get("unit_raw", ""),
        took_in=said.get("took_in", ""),
        files=tuple(
            (key.removeprefix(_FILE_PREFIX), text) for key, text in sorted(said.items()) if key.startswith(_FILE_PREFIX)
        ),
        slots=Slots.parse(said),
    )


def _current(said: Mapping[str, str]) -> ReleaseDir | None:
    if not said["current"]:
        return None
    release, _, render = said["current"].partition("-")
    return ReleaseDir(said["current_release"] or release, said["current_render"] or render, said["current_digest"])


def _unit(said: Mapping[str, str]) -> UnitFacts:
    of = {key.removeprefix(_UNIT_PREFIX): text for key, text in said.items() if key.startswith(_UNIT_PREFIX)}
    return UnitFacts(
        load=of["load"],
        active=of["active"],
        sub=of["sub"],
        main_pid=int(of["main_pid"]),
        n_restarts=int(of["n_restarts"]),
        invocation=of["invocation"],
        exe=of["exe"],
        exe_digest=of["exe_digest"],
        listening=tuple(int(port) for port in of["listening"].split(",") if port),
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a host is to be brought to: one release with one render, and the arguments of each verb.

    ``digests`` has ``archive``, ``binary`` and ``files``; ``arguments`` maps a verb to its arguments. ``keep`` releases
    stay of those that ``known`` does not call bad. ``admission`` is what an enrolled host asks for before a release
    enters.
    """

    app: str
    env: str
    instance: str
    release: str
    render: str
    digests: Mapping[str, str]
    arguments: Mapping[Verb, Mapping[str, str]] = field(default_factory=dict)
    keep: int = 5
    reason: str = ""
    known: Known = field(default_factory=Known)
    admission: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The release folder's name."""
        return f"{self.release[:12]}-{self.render[:12]}"


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to order: epoch and token of the seat, and the last ``n`` that was used."""

    epoch: int
    token: str
    n: int = 0


def needs(facts: HostFacts, wanted: Wanted) -> tuple[Verb, ...]:
    """The verbs that bring the host to the release; none when it is there and proves it."""
    staged = wanted.folder in facts.releases
    there = facts.runs == wanted.folder and facts.half is None
    verbs: list[Verb] = []
    if not staged:
        verbs.append("stage")
    if not there:
        verbs += ["switch", "verify"]
    return (*verbs, "prune") if _surplus(facts, wanted) else tuple(verbs)


def _surplus(facts: HostFacts, wanted: Wanted) -> tuple[str, ...]:
    """The folders that pruning removes once the host is there."""
    now = facts.current.name if facts.current else ""
    after = facts.releases if wanted.folder in facts.releases else (wanted.folder, *facts.releases)
    previous = now if now != wanted.folder else facts.previous
    return surplus(after, now=wanted.folder, previous=previous, keep=wanted.keep, known=wanted.known)


def order(facts: HostFacts, wanted: Wanted, verb: Verb, fence: Fence) -> Order:
    """The order for one verb, numbered one after ``fence.n``."""
    return Order(
        verb=verb,
        host=facts.host,
        machine_id=facts.machine_id,
        instance=wanted.instance,
        app=wanted.app,
        env=wanted.env,
        epoch=fence.epoch,
        token=fence.token,
        n=fence.n + 1,
        release=wanted.release,
        render=wanted.render,
        digests=wanted.digests if verb == "stage" else {"binary": wanted.digests["binary"]},
        arguments=wanted.arguments.get(verb, {"remove": " ".join(_surplus(facts, wanted))} if verb == "prune" else {}),
        reason=wanted.reason,
        admission=wanted.admission if verb in ENTERS else {},
    )


def host_steps(facts: HostFacts, wanted: Wanted, fence: Fence) -> tuple[Order, ...]:
    """The orders that bring a host to a release; on the facts that follow from them there are none."""
    return tuple(
        order(facts, wanted, verb, Fence(fence.epoch, fence.token, fence.n + index))
        for index, verb in enumerate(needs(facts, wanted))
    )
