"""Which classes of error lines an env knows: from what the newest rollouts remembered of their logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.health.logscore import ClassState, LogClass, LogState, class_of
from gopub.health.wire import from_json
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import harmless_of
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.telemetry import REDACTOR, one_line

NEWEST = 20
"""Rollouts that are looked through."""


@dataclass(frozen=True, slots=True)
class KnownClass:
    """A class as the newest rollout that had it saw it; ``since`` is when the first one that had it began."""

    found: LogClass
    canary_requests: int
    stable_requests: int
    since: str
    rollout: str
    rollouts: int = 1
    harmless: bool = False
    example: str = ""
    """A line of it, as far as one is kept."""

    def to_json(self) -> Json:
        """For ``--json``."""
        one = self.found
        return {
            "class": _shown(one.name), "canary": one.canary, "stable": one.stable, "counted": one.counted,
            "canary_requests": self.canary_requests, "stable_requests": self.stable_requests,
            "since": self.since, "rollout": self.rollout, "rollouts": self.rollouts,
            "harmless": self.harmless, "example": _shown(self.example),
        }  # fmt: skip


def read_classes(journal: Journal, app: str, env: str) -> tuple[KnownClass, ...]:
    """The classes of the newest rollouts into an env, those that most rollouts had first, and all that are marked.

    Lines of a marked class are not counted, so newer rollouts do not know it; a mark that none of them shows would
    hold for ever and be seen nowhere.

    Raises:
        UsageError: GP941 the journal knows no rollout into it.
    """
    opened = [entry for entry in journal.read(env_stream(app, env)) if isinstance(entry.event, ev.EnvOpened)]
    if not opened:
        raise UsageError("GP941", f"no rollout of {app!r} into {env!r} is known", hint="`gopub history` lists them")
    known: dict[str, KnownClass] = {}
    for entry in opened[-NEWEST:]:
        if isinstance(entry.event, ev.EnvOpened):
            for new in _classes(entry, entry.event.rollout, journal.read(stream_of(entry.event.rollout))):
                old = known.get(new.found.name)
                known[new.found.name] = (
                    replace(new, since=old.since, rollouts=old.rollouts + 1, example=new.example or old.example)
                    if old
                    else new
                )
    marked = harmless_of(journal, app, env)
    unseen = {name: KnownClass(class_of(name, ClassState()), 0, 0, "", "", rollouts=0) for name in marked - set(known)}
    known = {name: replace(one, harmless=name in marked) for name, one in (known | unseen).items()}
    return tuple(sorted(known.values(), key=lambda one: (-one.rollouts, one.found.name)))


def is_known(journal: Journal, app: str, env: str, name: str) -> bool:
    """Whether one of the newest rollouts had it, or it is marked."""
    try:
        return any(one.found.name == name for one in read_classes(journal, app, env))
    except UsageError:  # no rollout is known
        return False


def class_lines(classes: Sequence[KnownClass]) -> list[str]:
    """The table that people read."""
    lines = [f"{'rollouts':>8}  {'since':10}  {'canary':>14}  {'stable':>14}  class"]
    for one in classes:
        ours = f"{one.found.canary}/{one.canary_requests}"
        theirs = f"{one.found.stable}/{one.stable_requests}"
        loud = "  (harmless)" if one.harmless else "  (stands out)" if one.found.counted else ""
        since = one.since[:10]
        lines.append(f"{one.rollouts:>8}  {since:10}  {ours:>14}  {theirs:>14}  {_shown(one.found.name)}{loud}")
        if one.example:
            lines.append(f"{'':>8}  {'':10}  {'':>14}  {'':>14}    such as: {_shown(one.example)}")
    return lines


def _classes(opened: Entry, rollout: str, entries: Sequence[Entry]) -> Iterator[KnownClass]:
    state = next((found for entry in reversed(entries) if (found := _logs(entry.event)) is not None), None)
    for name in state.order if state else ():
        if state and name in state.classes:
            yield KnownClass(
                class_of(name, state.classes[name]),
                state.canary_requests,
                state.stable_requests,
                opened.when,
                rollout,
                example=state.examples.get(name, ""),
            )


def _logs(event: ev.Event) -> LogState | None:
    """What a verdict kept of the logs; None where it kept nothing, or what this version does not know."""
    memory = event.record.get("observer") if isinstance(event, ev.Judged) else None
    logs = memory.get("logs") if isinstance(memory, Mapping) else None
    try:
        return from_json(LogState, logs) if logs else None
    except UsageError:
        return None


def _shown(name: str) -> str:
    """A service wrote it: without secrets, and nothing that a terminal obeys."""
    return one_line(REDACTOR.clean(name))
