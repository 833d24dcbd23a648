"""Who changed whom the hosts of an env trust, and when, by the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gopub.evidence.frame import moment
from gopub.journal.enrolled import HostsEnrolled, TrustChanged
from gopub.journal.events import Closed, Opened
from gopub.journal.streams import env_stream
from gopub.telemetry import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gopub.canon import Json
    from gopub.journal.entry import Entry
    from gopub.journal.store import Journal


@dataclass(frozen=True, slots=True)
class Change:
    """One entry: when (seconds since 1970), in which env, who, what in words, and the whole event."""

    at: float
    env: str
    actor: str
    says: str
    event: HostsEnrolled | TrustChanged

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        event: dict[str, Json] = {"type": type(self.event).__name__, "data": _plain(self.event)}
        return {"at": self.at, "env": self.env, "actor": self.actor, "says": self.says, "event": event}


def read_trust(journal: Journal, app: str, envs: tuple[str, ...]) -> tuple[Change, ...]:
    """Every change of trust in these envs, the oldest first.

    Raises:
        GopubError: GP701, GP704 the journal cannot be read.
    """
    found = [one for env in envs for entry in journal.read(env_stream(app, env)) if (one := _change(env, entry))]
    return tuple(sorted(found, key=lambda one: one.at))


def beside(journal: Journal, entries: Sequence[Entry]) -> tuple[Change, ...]:
    """What a rollout rested on: the last change of trust before it was asked for, and all until its end.

    Raises:
        GopubError: GP701, GP704 the journal cannot be read.
    """
    asked = next((entry for entry in entries if isinstance(entry.event, Opened)), None)
    if asked is None or not isinstance(asked.event, Opened):
        return ()
    ends = [entry.at for entry in entries if isinstance(entry.event, Closed)]
    known = read_trust(journal, asked.event.app, (asked.event.env,))
    before = [one for one in known if one.at < asked.at]
    return (*before[-1:], *(one for one in known if asked.at <= one.at and (not ends or one.at <= max(ends))))


def beside_lines(changes: Sequence[Change]) -> list[str]:
    """The same for people; none where nobody changed anything."""
    if not changes:
        return []
    return [
        "whom hosts trust was changed:",
        *(one_line(f"{moment(one.at)}  {one.actor}: {one.says}") for one in changes),
    ]


def _change(env: str, entry: Entry) -> Change | None:
    event = entry.event
    if isinstance(event, (HostsEnrolled, TrustChanged)):
        return Change(entry.at, env, entry.actor, says(event), event)
    return None


def says(event: HostsEnrolled | TrustChanged) -> str:
    """The event in words."""
    hosts = ", ".join(event.hosts)
    if isinstance(event, HostsEnrolled):
        under = f" under the roots {', '.join(one[:16] for one in event.roots)}" if event.roots else ""
        why = f": {event.reason}" if event.reason else ""
        return f"{'unenrolled' if event.undone else 'enrolled'} {hosts}{under}{why}"
    keys = ", ".join(one[:16] for one in event.controllers)
    what = f"program {event.program[:16]}" if event.program else f"list of roles {event.serial}, orders by {keys}"
    if event.intended:
        return f"{event.what}: {what}; brought from now on"
    owed = f"; owed to {', '.join(event.owed)}" if event.owed else ""
    return f"{event.what}: {what}; taken by {hosts}{owed}"


def _plain(event: HostsEnrolled | TrustChanged) -> dict[str, Json]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(event).items()}
