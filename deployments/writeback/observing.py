"""From deliveries and the journal to what should stand on forges: each read from where reading stopped before.

A push is a delivery's order until a rollout of it is known; from then on the journal tells, also of what somebody
rolled out or back by hand. What is found is written down, and only then how far it was read: what was killed in between
is found again, and is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployments.api.parts import Parts
from deployments.deliveries import Delivery
from deployments.starter import RunOrder
from deployments.writeback.deriving import brought_back, of_order, of_rollout, place_of, run_of
from deployments.writeback.model import DeploymentRecord, Report, Stand
from deployments.writeback.outbox import Outbox
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import DAMAGED, asked, read_env_state, read_state
from gopub.journal.store import Journal
from gopub.journal.streams import asked_of, env_stream, stream_of
from gopub.telemetry import log
from gopub.views.reading import read_seats
from gopub.views.standing import standing

AT_ONCE = 50
"""Deliveries that are looked at in one look: each may ask the engine."""
_LOG = log("writeback")
Lane = tuple[str, str]


class Observing:
    """Writes down what forges should be told."""

    def __init__(self, parts: Parts, outbox: Outbox) -> None:
        """Nothing is read yet."""
        self._parts, self._outbox = parts, outbox
        self._live: dict[Lane, set[str]] = {}
        self._read_to: dict[Lane, int] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    async def deliveries(self) -> int:
        """Look at what pushes came to; gives how many reports are new.

        Raises:
            GopubError: GP915 the file of deliveries, or GP918 the engine, does not answer.
        """
        now, looked, over, new = self._parts.clock.now(), list[str](), list[str](), 0
        aside = self._parts.deliveries.aside
        try:
            for delivery in await aside(self._outbox.unseen, now, AT_ONCE):
                ends = []
                for order in delivery.orders:
                    made, end = await self._order(delivery, order)
                    new += made
                    ends.append(end)
                looked.append(delivery.key)
                over += [delivery.key] if all(ends) else []
        finally:
            await aside(self._outbox.looked, looked, now, over)
        return new

    async def _order(self, delivery: Delivery, order: RunOrder) -> tuple[int, bool]:
        """How many reports of it are new, and whether nothing more will come of it."""
        if order.app not in self._parts.forges or not order.commit:
            return 0, True
        id_ = run_of(order, delivery.outcome)
        run = await self._parts.starter.run(id_) if id_ else None
        place = place_of(self._parts.projects, order.app, order.env)
        report = of_order(order, delivery.outcome, run, place)
        made = await self._parts.deliveries.aside(self._want, order.app, report) if report else False
        return int(made), delivery.outcome is not None and (run is None or bool(run.rollout) or run.final)

    def rollouts(self, journal: Journal) -> int:
        """Look at what rollouts came to; gives how many reports are new.

        Raises:
            GopubError: the journal or the file of deliveries does not answer; the next look begins at the same place.
        """
        return sum(self._look(journal, app, env) for app, env in self._lanes())

    def _lanes(self) -> Iterator[Lane]:
        return ((app, env) for app in self._parts.forges for env in self._parts.projects.apps[app].envs)

    def _look(self, journal: Journal, app: str, env: str) -> int:
        stream, new = env_stream(app, env), 0
        if (app, env) not in self._live:
            self._live[app, env] = self._begin(journal, app, env)
        live = self._live[app, env]
        # From where this process stands: another one on the same file may be further, and may die.
        for entry in journal.read(stream, after=self._read_to[app, env]):
            if isinstance(entry.event, ev.EnvOpened):
                live.add(entry.event.rollout)
            elif isinstance(entry.event, ev.EnvClosed):
                new += self._rollout(journal, app, env, entry.event.rollout)
                new += self._closed(journal, app, env, entry)
                live.discard(entry.event.rollout)
            self._read_to[app, env] = entry.version
            self._parts.deliveries.keep_place(_read_of(stream), entry.version)
        return new + sum(self._rollout(journal, app, env, one) for one in live if self._moved(journal, one))

    def _begin(self, journal: Journal, app: str, env: str) -> set[str]:
        """Where reading begins: where it stopped; at the end the first time, and where the journal is an older one."""
        stream = env_stream(app, env)
        last = journal.versions(stream).get(stream, 0)
        known = self._parts.deliveries.place_of(_read_of(stream))
        self._read_to[app, env] = last if known is None or known > last else known
        self._parts.deliveries.keep_place(_read_of(stream), self._read_to[app, env])
        active = read_env_state(journal, app, env).active
        return {active} if active else set()

    def _moved(self, journal: Journal, rollout: str) -> bool:
        """Whether anything was written of it since the last look."""
        own, people = stream_of(rollout), asked_of(rollout)
        there = (journal.versions(own).get(own, 0), journal.versions(people).get(people, 0))
        moved = self._seen.get(rollout) != there
        self._seen[rollout] = there
        return moved

    def _rollout(self, journal: Journal, app: str, env: str, rollout: str) -> int:
        try:
            state = read_state(journal, rollout)
            if not state.rollout:
                return 0
            stands = standing(state, asked(journal, rollout), self._parts.clock.now())
            commit, run = _commit(journal, app, env, rollout, state.release), _run(journal, rollout)
        except GopubError as error:
            if error.code not in DAMAGED:
                raise
            _LOG.error("no forge is told of %s: %s", rollout, error.problem)
            return 0
        if stands.final:
            self._seen.pop(rollout, None)
        place = place_of(self._parts.projects, app, env)
        return self._want_all(app, of_rollout(state, stands, commit, run, place))

    def _closed(self, journal: Journal, app: str, env: str, entry: Entry) -> int:
        """The record of a release that an end brought back in the place of one that was promoted."""
        event = entry.event
        if not isinstance(event, ev.EnvClosed) or not event.stable:
            return 0
        before = _stable_before(journal.read(env_stream(app, env)), entry.version)
        commit = _commit(journal, app, env, "", event.stable)
        if not before or before == event.stable or not commit or _is_new(journal, event):
            return 0
        place, run = place_of(self._parts.projects, app, env), _run(journal, event.rollout)
        return self._want_all(app, [brought_back(event.rollout, event.stable_version, commit, run, place)])

    def _want_all(self, app: str, reports: Iterable[Report]) -> int:
        return sum([self._want(app, one) for one in reports])

    def _want(self, app: str, report: Report) -> bool:
        now = self._parts.clock.now()
        new = self._outbox.want(app, report, now)
        if new and isinstance(report, DeploymentRecord) and report.state is Stand.SUCCESS:
            self._outbox.replace_others(app, report, now)
        return new


def _read_of(stream: str) -> str:
    """Under which name it is kept how far a stream was read for forges."""
    return f"writeback:{stream}"


def _stable_before(entries: Iterable[Entry], version: int) -> str:
    """What was stable before that entry of an env's stream."""
    closed = (one.event for one in entries if one.version < version and isinstance(one.event, ev.EnvClosed))
    return next((one.stable for one in reversed(list(closed)) if one.stable), "")


def _is_new(journal: Journal, event: ev.EnvClosed) -> bool:
    """Whether the rollout promoted its own release, and brought none back."""
    return read_state(journal, event.rollout).release == event.stable


def _commit(journal: Journal, app: str, env: str, rollout: str, release: str) -> str:
    """What a release was built from, by the rollout itself or the newest one of it into that env; empty: not known."""
    entries = journal.read(env_stream(app, env))
    same = [one.event.rollout for one in reversed(entries)
            if isinstance(one.event, ev.EnvOpened) and one.event.release == release]  # fmt: skip
    for name in (*([rollout] if rollout else []), *same):
        opened = next((one.event for one in journal.read_turns(stream_of(name)) if isinstance(one.event, ev.Opened)),
                      None)  # fmt: skip
        if opened and opened.commit:
            return opened.commit
    return ""


def _run(journal: Journal, rollout: str) -> str:
    """The run that drove it last; empty where none of the engine's did."""
    return next((seat.run for seat in reversed(read_seats(journal, rollout)) if seat.run), "")
