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
from deployments.writeback.deriving import of_order, of_rollout, place_of, record_of, run_of
from deployments.writeback.model import DeploymentRecord, Report, Stand
from deployments.writeback.outbox import Outbox
from gopub.errors import GopubError
from gopub.journal.entry import Entry
from gopub.journal.reading import DAMAGED
from gopub.journal.store import Journal
from gopub.journal.streams import asked_of, env_stream, stream_of
from gopub.telemetry import log
from gopub.views.reading import closed_by
from gopub.views.told import active_in, brought_back, opened_by, told

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
            if opened := opened_by(entry):
                live.add(opened)
            elif closed := closed_by(entry):
                new += self._rollout(journal, app, env, closed, entry)
                live.discard(closed)
            self._read_to[app, env] = entry.version
            self._parts.deliveries.keep_place(_read_of(stream), entry.version)
        return new + sum(self._moved(journal, app, env, one) for one in live)

    def _begin(self, journal: Journal, app: str, env: str) -> set[str]:
        """Where reading begins: where it stopped; at the end the first time, and where the journal is an older one."""
        stream = env_stream(app, env)
        last = journal.versions(stream).get(stream, 0)
        known = self._parts.deliveries.place_of(_read_of(stream))
        self._read_to[app, env] = last if known is None or known > last else known
        self._parts.deliveries.keep_place(_read_of(stream), self._read_to[app, env])
        active = active_in(journal, app, env)
        return {active} if active else set()

    def _moved(self, journal: Journal, app: str, env: str, rollout: str) -> int:
        """What became of a rollout, where anything was written of it since it was looked at last."""
        own, people = stream_of(rollout), asked_of(rollout)
        there = (journal.versions(own).get(own, 0), journal.versions(people).get(people, 0))
        if self._seen.get(rollout) == there:
            return 0
        new = self._rollout(journal, app, env, rollout)
        self._seen[rollout] = there  # only now: what could not be read is looked at again
        return new

    def _rollout(self, journal: Journal, app: str, env: str, rollout: str, closed: Entry | None = None) -> int:
        """What became of a rollout, and of the release before it where this entry ``closed`` it."""
        place = place_of(self._parts.projects, app, env)
        try:
            found = told(journal, app, env, rollout, self._parts.clock.now())
            back = brought_back(journal, app, env, closed) if closed else None
        except GopubError as error:
            if error.code not in DAMAGED:
                raise
            _LOG.error("no forge is told of %s: %s", rollout, error.problem)
            return 0
        reports = of_rollout(found.state, found.standing, found.commit, found.run, place) if found else ()
        if closed:
            self._seen.pop(rollout, None)
        return self._want_all(app, [*reports, *([record_of(back, place)] if back else [])])

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
