"""What a rollout tells other programs: events with names, resources and payloads, drawn from the journal. Pure.

The journal is the source. A notice's id follows from the entry that it is of and from what it says, so one that was
lost can be sent again, and one that was sent twice is one; what was told of an entry that a driver took into its grave,
with the journal away, is not taken for that of the entry that stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import TypeAdapter

from gopub.canon import Json, canonical
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import State, advance
from gopub.plan.model import Outcome
from gopub.views.verdict import VerdictView, because, verdict_view


@dataclass(frozen=True, slots=True)
class Opened:
    """``gopub.rollout.opened``: somebody asked for this release in this environment."""

    version: str
    release: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waits:
    """``gopub.rollout.waiting``: without a driver and without canary traffic, for a window or an approval."""

    step: int
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """``gopub.rollout.step``: hosts and traffic are as the step says; ``weight`` in per cent, steps counted from 1."""

    step: int
    steps: int
    hosts: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """``gopub.rollout.verdict``: another one than before; counts and times that move make no other one."""

    step: int
    kind: str
    rule: int
    says: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """``gopub.rollout.promoted``, ``.rolled-back``, ``.withdrawn``, ``.refused``, ``.failed``, ``.mended``."""

    version: str
    reason: str
    owed: tuple[str, ...]
    owed_edges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Switched:
    """``gopub.host.switched``: the host runs this folder, proven by its process."""

    host: str
    runs: str
    track: str


@dataclass(frozen=True, slots=True)
class HostFailed:
    """``gopub.host.failed``: it did not do what it was told."""

    host: str
    verb: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class HostOwed:
    """``gopub.host.owed``: it could not be confirmed."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """``gopub.approval.needed``: this step begins once one of these approves it."""

    step: int
    steps: int
    approvers: str


@dataclass(frozen=True, slots=True)
class Published:
    """``gopub.release.published``: it is in the store, whole and signed; of the release, not of a rollout."""

    app: str
    version: str
    release: str
    commit: str
    files: int


PUBLISHED = "gopub.release.published"
Payload: TypeAlias = Opened | Waits | Step | Verdict | Ended | Switched | HostFailed | HostOwed | ApprovalNeeded
_NAMES: Mapping[type[Payload], str] = {
    Opened: "gopub.rollout.opened", Waits: "gopub.rollout.waiting", Step: "gopub.rollout.step",
    Verdict: "gopub.rollout.verdict", Switched: "gopub.host.switched", HostFailed: "gopub.host.failed",
    HostOwed: "gopub.host.owed", ApprovalNeeded: "gopub.approval.needed",
}  # fmt: skip
_ADAPTERS: Mapping[type[Payload], TypeAdapter[Payload]] = {
    kind: TypeAdapter(kind) for kind in cast("tuple[type[Payload], ...]", Payload.__args__)
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One event: ``at`` is when its entry was written; ``related`` are resource ids by their role."""

    id: UUID
    name: str
    at: float
    rollout: str
    app: str
    env: str
    related: tuple[tuple[str, str], ...]
    payload: Payload

    def data(self) -> dict[str, Json]:
        """The payload as JSON values."""
        return _data(self.payload)


def _data(payload: Payload) -> dict[str, Json]:
    return cast("dict[str, Json]", _ADAPTERS[type(payload)].dump_python(payload, mode="json"))


def names() -> tuple[str, ...]:
    """Every name that a notice can have."""
    return tuple(payload_schemas())


def payload_schemas() -> dict[str, Json]:
    """The JSON Schema of every payload by the event's name."""
    known = {name: kind for kind, name in _NAMES.items()} | {_ended(outcome): Ended for outcome in Outcome}
    of_rollouts = {name: cast("Json", _ADAPTERS[kind].json_schema()) for name, kind in known.items()}
    return {PUBLISHED: cast("Json", TypeAdapter(Published).json_schema()), **of_rollouts}


@dataclass(slots=True)
class Noticing:
    """Draws the notices of one rollout, entry by entry from its first on."""

    state: State = field(default_factory=State)
    entries: int = 0
    matter: tuple[str, ...] = ()
    needed: frozenset[int] = frozenset()
    unread: ev.Judged | None = None
    """The last verdict that is known and whose matter was not looked at: there may be thousands."""

    def known(self, entry: Entry) -> None:
        """Take in an entry whose notices nobody wants; looks before it may be left out (`Journal.read_turns`)."""
        self.entries = entry.version
        self.state = advance(self.state, entry.event)
        match entry.event:
            case ev.Judged() as judged:
                self.unread = judged
                if gate_is_closed(judged):
                    self.needed |= {judged.step + 1}
            case ev.Waiting(step=step):
                self.needed |= {step}
            case _:
                return

    def after(self, entry: Entry) -> tuple[Notice, ...]:
        """Those of one more entry."""
        self.entries += 1
        self.state = advance(self.state, entry.event)
        return tuple(self._notice(entry, number, one) for number, one in enumerate(self._payloads(entry)))

    def _notice(self, entry: Entry, number: int, payload: Payload) -> Notice:
        state = self.state
        name = _NAMES.get(type(payload)) or _ended(cast("ev.Closed", entry.event).outcome)
        where = f"approval/{payload.step}" if isinstance(payload, ApprovalNeeded) else f"{self.entries}/{number}"
        told = canonical(_data(payload)).decode()
        unique = uuid5(NAMESPACE_URL, f"gopub:{entry.stream}/{where}/{name}/{told}")
        host = [("host", f"gopub.host.{payload.host}")] if isinstance(payload, Switched | HostFailed | HostOwed) else []
        related = (
            ("app", f"gopub.app.{state.app}"),
            ("env", f"gopub.env.{state.app}.{state.env}"),
            ("release", f"gopub.release.{state.release}"),
            *host,
        )
        return Notice(unique, name, entry.at, state.rollout, state.app, state.env, related, payload)

    def _payloads(self, entry: Entry) -> Iterable[Payload]:
        steps = self.state.plan.steps if self.state.plan else ()
        match entry.event:
            case ev.Opened() as event:
                yield Opened(event.version, event.release, entry.actor, event.reason)
            case ev.Waiting(step=step, why=why):
                yield Waits(step + 1, why)
                yield from self._needed(step)
            case ev.StepReached(step=step):
                yield Step(step + 1, len(steps), steps[step].hosts, steps[step].weight / 100)
            case ev.Judged() as judged:
                yield from self._verdict(judged)
                if gate_is_closed(judged):
                    yield from self._needed(judged.step + 1)
            case ev.HostSwitched(host=host, to=to, track=track):
                yield Switched(host, to, track)
            case ev.HostFailed() as failed:
                yield HostFailed(failed.host, failed.verb, failed.code, failed.message)
            case ev.HostOwed(host=host, why=why):
                yield HostOwed(host, why)
            case ev.Closed() as closed:
                why = because(self.state.verdict, closed.reason)
                yield Ended(self.state.release_version, why, closed.owed, closed.owed_edges)
            case _:
                return

    def _verdict(self, judged: ev.Judged) -> Iterable[Payload]:
        if self.unread is not None:
            self.matter, self.unread = _matter(self.unread, verdict_view(self.unread)), None
        view = verdict_view(judged)
        if (matter := _matter(judged, view)) != self.matter:
            self.matter = matter
            yield Verdict(judged.step + 1, judged.kind, judged.rule, view.says, judged.reason)

    def _needed(self, step: int) -> Iterable[Payload]:
        """Once for each step that waits for a person."""
        steps = self.state.plan.steps if self.state.plan else ()
        if step < len(steps) and steps[step].approve and step not in self.needed:
            self.needed |= {step}
            yield ApprovalNeeded(step + 1, len(steps), steps[step].approve)


def notices(entries: Iterable[Entry], since: float = 0.0) -> tuple[Notice, ...]:
    """All of a rollout's, from its first entry on; of those that were written before ``since`` none."""
    noticing, made = Noticing(), list[Notice]()
    for entry in entries:
        if entry.at < since:
            noticing.known(entry)
        else:
            made += noticing.after(entry)
    return tuple(made)


def _matter(judged: ev.Judged, view: VerdictView) -> tuple[str, ...]:
    return (str(judged.step), *view.matter)


def gate_is_closed(judged: ev.Judged) -> bool:
    """Whether nothing but a gate keeps the rollout in this step."""
    record = judged.record.get("record")
    history = record.get("history") if isinstance(record, Mapping) else None
    return judged.kind == "PROMOTE" and isinstance(history, Mapping) and bool(history.get("gate"))


def _ended(outcome: Outcome) -> str:
    return f"gopub.rollout.{outcome.value.replace(' ', '-')}"
