"""Events on the Prefect server, on which automations can be hung: what they are says `gopub.views.notices`.

Prefect sends each at most once, from a queue of its own: nothing here waits for a server. The journal is the source:
what is not on the server a minute later, `recover` sends again under the same id, and the server keeps one of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.orchestration import PrefectClient
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventIDFilter, EventOccurredFilter
from prefect.exceptions import EventTooLarge

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal.entry import Entry
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.release.model import Release
from gopub.telemetry import REDACTOR, log
from gopub.views.follow import own_from
from gopub.views.notices import PUBLISHED, Notice, Noticing, Published, notices
from gopub.views.reading import under_way_since

UNDER_WAY = 60.0
"""Seconds that an event may be under way to the server."""
LOOKED_BACK = 3600.0
"""Seconds for which lost events are looked for."""
_AT_ALL = timedelta(days=180)
"""What Prefect itself looks back where it is not told how far."""
_AT_ONCE = 50
_LONGEST = 10_000
"""Characters of one text: somebody's reason may be a file, and a server takes a megabyte and a half."""
_log = log("events")


class Announcer:
    """Sends what one driver writes; what was there before it took its seat was its predecessor's to send."""

    def __init__(self, entries: Sequence[Entry], told: Callable[[Sequence[Notice]], None]) -> None:
        """Send what this driver wrote to take its seat, the last of ``entries``; ``told`` gets all that is sent later.

        The entries are all that the journal holds, but for looks that another look followed.
        """
        self._noticing, self._told = Noticing(), told
        begin = own_from(entries)
        for entry in entries[:begin]:
            self._noticing.known(entry)
        for entry in entries[begin:]:
            announce(self._noticing.after(entry))

    def heard(self, entry: Entry) -> None:
        """One more entry."""
        made = self._noticing.after(entry)
        announce(made)
        self._told(made)


def announce(made: Iterable[Notice]) -> None:
    """Give them to Prefect's queue. One that is too large for the server is told in the log, and stops no other."""
    for one in made:
        try:
            _emit(one)
        except EventTooLarge as error:
            _log.warning("%s of %s is not told as an event: %s", one.name, one.rollout, error)


def _emit(one: Notice) -> None:
    emit_event(
        event=one.name,
        resource={
            "prefect.resource.id": f"gopub.rollout.{one.rollout}",
            "prefect.resource.name": one.rollout,
            "gopub.app": one.app,
            "gopub.env": one.env,
        },
        related=[{"prefect.resource.id": name, "prefect.resource.role": role} for role, name in one.related],
        occurred=datetime.fromtimestamp(one.at, UTC),
        payload=masked(one.data()),
        id=one.id,
    )


def announce_release(release: Release) -> None:
    """That a release is in the store. It is of no journal: who missed it asks the store."""
    payload = asdict(Published(release.app, release.version, release.release_id, release.commit,
                               len(tuple(release.files()))))  # fmt: skip
    emit_event(
        event=PUBLISHED,
        resource={
            "prefect.resource.id": f"gopub.release.{release.release_id}",
            "prefect.resource.name": f"{release.app} {release.version}",
            "gopub.app": release.app,
        },
        related=[{"prefect.resource.id": f"gopub.app.{release.app}", "prefect.resource.role": "app"}],
        payload=payload,
        id=uuid5(NAMESPACE_URL, f"gopub:release/{release.release_id}"),
    )


def masked(data: dict[str, Json]) -> dict[str, Json]:
    """Without secrets, in whatever text of it they stand, and no text so long that the server takes no event of it."""
    return {key: _masked(value) for key, value in data.items()}


def _masked(value: Json) -> Json:
    if isinstance(value, str):
        text = REDACTOR.clean(value)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return [_masked(one) for one in value] if isinstance(value, list) else value


async def send_lost(client: PrefectClient, journal: Journal, now: float) -> int:
    """Send again what the last hour's rollouts told and the server does not have; gives how many."""
    wanted = {one.id: one for one in recent(journal, now) if one.at < now - UNDER_WAY}
    found: set[UUID] = set()
    for ids in _chunks(tuple(wanted)):
        since = datetime.fromtimestamp(now, UTC) - _AT_ALL  # that an approval is missing may be told anew hours later
        some = EventFilter(id=EventIDFilter(id=list(ids)), occurred=EventOccurredFilter(since=since))
        found |= {one.id for one in (await client.read_events(some, limit=_AT_ONCE)).events}
    lost = [one for known, one in wanted.items() if known not in found]
    announce(lost)
    if lost:
        _log.info("%d events were lost on their way to Prefect and are sent again", len(lost))
    return len(lost)


def recent(journal: Journal, now: float) -> Iterator[Notice]:
    """What rollouts told in the last hour; one whose entries cannot be understood tells nothing."""
    since = now - LOOKED_BACK
    for rollout in under_way_since(journal, since):
        try:
            yield from notices(journal.read_turns(stream_of(rollout), since), since)
        except GopubError as error:
            _log.warning("what %s told is not known: %s", rollout, error.problem)


def _chunks(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (ids[begin : begin + _AT_ONCE] for begin in range(0, len(ids), _AT_ONCE))
