"""Starting the runs of deliveries that are kept: beside the answers, in order, each once, for as long as it takes.

A webhook's answer waits for its row and for nothing else; from then on the row is this module's. Rows are read anew
whenever one was written and every few seconds, so nothing depends on what a process that was killed had in mind:

- between row and start the row still waits, and is started;
- between start and mark it still waits, and is started again: the engine gives the same run for the same key;
- an order of the same push as another's, from a second webhook or an event beside it, gets that one's run while it has
  not ended: a lane starts them in turn, so the second finds the first. After its end the same push starts anew.

What goes into one env of one app is a **lane**: its runs are started one after the other, oldest first. Lanes go on
beside each other, so many at once, and ask their repositories in places of their own (deployments/api/places.py).
Where a rule says ``queue: latest`` a newer push takes the place of what waits (deployments/api/superseding.py).
What fails is left alone for a while, longer each time: everything, where the engine is away; the lane, where its
repository is, or nothing answers in time, so that the order stays; the one order, where it is that which fails. What
waited a day is given up, with an alarm. What follows a rollout waits for its turn (deployments/api/following.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from deployments.api.following import Lane, its_turn, lane, late, overtaken
from deployments.api.parts import Parts
from deployments.api.pauses import RETRY_EVERY, Pause, Pauses, longer
from deployments.api.places import Places, silent
from deployments.api.superseding import Superseding, take_turn
from deployments.deliveries import Delivery, Start
from deployments.journal import not_older
from deployments.refs import settled
from deployments.starter import LATEST, RunOrder
from gopub.errors import GopubError, LockedError, RefusedError
from gopub.spec.refglob import EVERY
from gopub.telemetry import log
from gopub.tracing.attributes import of_env
from gopub.tracing.context import parse, within
from gopub.tracing.spans import Kind, span

LONGEST_WITHOUT_FILE = 300.0
"""Seconds between two tries while the file of deliveries itself cannot be used."""
GIVE_UP_AFTER = 86400.0
START_WITHIN = 60.0
"""Seconds for one order: the repository and the engine have shorter ones of their own."""
AT_ONCE = 8
_NOT_SOONER = 0.05
_REST = 4.0
"""How often as long as a look at the file took it rests: a long queue must not keep the answers waiting."""

_ENGINE = "the engine"
_LOG = log("hooks")

Made = tuple[str, dict[str, str]]
"""What became of an order: the list in the outcome that it stands in, and what stands there."""


def failing(error: Exception, order: RunOrder) -> str | Lane:
    """What is left alone after this failure: the engine, the order's lane, or the order alone."""
    if isinstance(error, GopubError) and error.code == "GP918":
        return _ENGINE
    if silent(error):
        return lane(order)
    return order.key


class Starting:
    """Starts what waits; one in a process."""

    def __init__(self, parts: Parts, *, within: float = START_WITHIN, at_once: int = AT_ONCE) -> None:
        """Start nothing yet; an order gets ``within`` seconds, and ``at_once`` lanes go on beside each other."""
        self._parts = parts
        self._within = within
        self._asking = Places(parts.clock, at_once)
        self._slots = asyncio.Semaphore(at_once)
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._pauses: Pauses[str | Lane] = Pauses(parts.clock)
        self._made: dict[str, Made] = {}
        self._said: dict[str, str] = {}
        self._finished: set[str] = set()

    async def look(self) -> None:
        """Read what waits, begin what may be tried now, and give up what waited too long."""
        self._finished.clear()
        waiting = await self._parts.deliveries.aside(self._parts.deliveries.waiting)
        todo: dict[Lane, list[tuple[Delivery, RunOrder]]] = {}
        beside: dict[Lane, list[RunOrder]] = {}
        self._leave_to_later(waiting)
        for delivery in waiting:
            if delivery.key in self._finished or await self._is_over(delivery):
                continue
            for order in delivery.orders:
                if order.key not in self._made:
                    beside.setdefault(lane(order), []).append(order)
                if order.key not in self._made and not self._pauses.any_of(order.key):
                    todo.setdefault(lane(order), []).append((delivery, order))
        for where, items in todo.items():
            if where not in self._lanes and not self._pauses.any_of(_ENGINE, where):
                self._begin(where, items, beside[where])

    def _leave_to_later(self, waiting: Sequence[Delivery]) -> None:
        """Of several that wait to follow a rollout into one env only the last is started."""
        orders = {order.key: order for delivery in waiting for order in delivery.orders}
        for key, later in overtaken(waiting).items():
            if key not in self._made and lane(later) not in self._lanes:
                self._made[key] = "refused", late(orders[key], later)
                _LOG.warning("%s starts nothing: %s", key, self._made[key][1]["detail"])

    async def idle(self) -> None:
        """Wait until nothing is being started."""
        while self._lanes:
            await asyncio.wait(list(self._lanes.values()))

    async def stop(self) -> None:
        """Leave what is being started; it still waits in its row."""
        lanes = list(self._lanes.values())
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    def _begin(self, where: Lane, items: Sequence[tuple[Delivery, RunOrder]], beside: Sequence[RunOrder]) -> None:
        task = asyncio.create_task(self._go_through(items, Superseding(self._parts, beside)))
        self._lanes[where] = task
        task.add_done_callback(lambda done: self._ended(where, done))

    def _ended(self, where: Lane, done: asyncio.Task[None]) -> None:
        del self._lanes[where]
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error:
            self._pauses.add(where)
            _LOG.error("starting %s in %s broke off: %r", *where, error or "cancelled")
        self._parts.fresh.set()

    async def _go_through(self, items: Sequence[tuple[Delivery, RunOrder]], beside: Superseding) -> None:
        for delivery, order in items:
            if not await self._try(delivery, order, beside):
                return

    async def _try(self, delivery: Delivery, order: RunOrder, beside: Superseding) -> bool:
        """Start one order; gives whether those after it have their turn."""
        try:
            made = await self._start(delivery, order, beside)
            if made is None:
                return False
        except Exception as error:  # noqa: BLE001 - whatever one meets, it is kept and tried again
            what = failing(error, order)
            self._pauses.add(what)
            self._say_once(delivery, order, error)
            return what == order.key
        self._pauses.end(order.key, lane(order), *((_ENGINE,) if made[0] == "runs" else ()))
        self._made[order.key] = made
        if self._whole(delivery):
            await self._finish(delivery)
        return True

    def _say_once(self, delivery: Delivery, order: RunOrder, error: Exception) -> None:
        """What is away is told at each try; another rollout may go on for a day, and is told once."""
        said = str(error) or "no answer in time"
        if not isinstance(error, LockedError) or self._said.get(order.key) != said:
            _LOG.warning("delivery %s still waits to be started in %s: %s", delivery.key, order.place, said)
        self._said[order.key] = said

    async def _start(self, delivery: Delivery, order: RunOrder, beside: Superseding) -> Made | None:
        """Ask the repository, then the engine, each when it has its turn; None where it may not be tried now."""
        async with self._asking.ask(str(order.parameters.get("repository", ""))):
            if self._left_alone(delivery, order):
                return None
            async with asyncio.timeout(self._within):
                turn = await beside.turn(order)
                refused = None if turn.refused else await look_up(self._parts, delivery, order)
        if turn.refused:
            _LOG.warning("delivery %s starts nothing in %s: %s", delivery.key, order.place, turn.refused["detail"])
            return "refused", turn.refused
        if refused:
            return refused
        async with self._slots:
            if self._left_alone(delivery, order):
                return None
            async with asyncio.timeout(self._within):
                if superseded := await take_turn(self._parts, order, turn):
                    return "refused", superseded
                return await start_one(self._parts, delivery, order)

    def _left_alone(self, delivery: Delivery, order: RunOrder) -> bool:
        return self._pauses.any_of(_ENGINE, lane(order)) or self._too_old(delivery)

    async def _is_over(self, delivery: Delivery) -> bool:
        """Whether nothing is left to start: given up just now, or all started while the file could not be written."""
        if any(lane(order) in self._lanes for order in delivery.orders):
            return False
        if self._whole(delivery):
            await self._finish(delivery)
            return True
        if not self._too_old(delivery):
            return False
        _LOG.error("gave up on delivery %s after a day: %s", delivery.key, delivery.orders)
        await self._finish(delivery, given_up=True)
        return True

    async def _finish(self, delivery: Delivery, **more: bool) -> None:
        made = [self._made[order.key] for order in delivery.orders if order.key in self._made]
        refused = [entry for kind, entry in made if kind == "refused"]
        runs = [entry for kind, entry in made if kind == "runs"]
        outcome: dict[str, Any] = {"runs": runs} | ({"refused": refused} if refused else {}) | more
        await self._parts.deliveries.aside(self._parts.deliveries.finish, delivery.key, outcome)
        self._finished.add(delivery.key)
        for order in delivery.orders:
            self._made.pop(order.key, None)
            self._said.pop(order.key, None)
            self._pauses.end(order.key)

    def _whole(self, delivery: Delivery) -> bool:
        return all(order.key in self._made for order in delivery.orders)

    def _too_old(self, delivery: Delivery) -> bool:
        return self._parts.clock.now() - delivery.received > GIVE_UP_AFTER


async def look_up(parts: Parts, delivery: Delivery, order: RunOrder) -> Made | None:
    """What says that nothing is started: what was pushed must be there, in a branch or a tag that the rule names.

    What a rollout's end starts is published already; there nothing newer may be stable, and it has to be its turn.

    Raises:
        GopubError: GP939 the repository does not answer; GP707, GP708 another rollout is active there.
    """
    if why := await _refusal(parts, order):
        _LOG.warning("delivery %s starts nothing in %s: %s", delivery.key, order.place, why.problem)
        return "refused", {"app": order.app, "env": order.env, "code": why.code, "detail": why.problem}
    return None


async def start_one(parts: Parts, delivery: Delivery, order: RunOrder) -> Made:
    """Start a run, or give the one of the same push; may be done twice, since the key is the same.

    Raises:
        GopubError: the engine does not answer, or refuses.
    """
    before = await parts.deliveries.aside(parts.deliveries.start_of, order)
    if before and before.key != order.key and await _goes_on(parts, before):
        _LOG.info("delivery %s joins run %s of %s: the same push", delivery.key, before.run, before.key)
        return "runs", {"id": before.run, "name": before.name, "app": order.app, "env": order.env}
    with within(parse(order.trace)), span(f"start {order.deployment}", Kind.PRODUCER, of_env(order.app, order.env)):
        run = await parts.starter.start(order)
    await parts.deliveries.aside(parts.deliveries.started, order, run.id, run.name, parts.clock.now())
    if order.queue == LATEST:
        await parts.deliveries.aside(parts.deliveries.keep_last, delivery.key, order, run.id, parts.clock.now())
    _LOG.info(
        "delivery %s started run %s: %s to %s, trace %s", delivery.key, run.id, order.app, order.place, order.trace_id
    )
    return "runs", {"id": run.id, "name": run.name, "app": order.app, "env": order.env}


async def _goes_on(parts: Parts, before: Start) -> bool:
    """Whether that run has not ended; one that was deleted has."""
    run = await parts.starter.run(before.run)
    return run is not None and not run.final


async def _refusal(parts: Parts, order: RunOrder) -> GopubError | None:
    """Why what was pushed may not be released; None where it may be.

    Raises:
        GopubError: GP939 the repository does not answer.
    """
    if not order.ours:
        return None
    if "repository" not in order.parameters:
        return await _downgrade(parts, order) or (await its_turn(parts, order) if order.after else None)
    repository, ref = str(order.parameters["repository"]), str(order.parameters["ref"])
    patterns = tuple(map(str, cast("list[str]", order.parameters.get("refs") or EVERY)))
    try:
        found = await settled(parts.refs, repository, ref, patterns)
    except RefusedError as error:
        return error
    return None if found else GopubError("GP934", f"{order.app}: the repository has no {ref} in any branch or tag")


async def _downgrade(parts: Parts, order: RunOrder) -> GopubError | None:
    """Why a published version may not go where the end of a rollout sends it: a newer one is stable there."""
    try:
        await not_older(parts.downgrade, order.app, order.env, str(order.parameters["version"]))
    except RefusedError as error:
        return error
    return None


async def keep_starting(parts: Parts, *, within: float = START_WITHIN) -> None:
    """Start what waits until cancelled: at once where something is new, else every few seconds."""
    starting = Starting(parts, within=within)
    trouble: Pause | None = None
    try:
        while True:
            parts.fresh.clear()
            since = parts.clock.now()
            try:
                await starting.look()
                trouble = None
            except Exception:  # noqa: BLE001 - a locked file or a full disk is no reason to start nothing ever after
                trouble = longer(trouble, parts.clock.now(), LONGEST_WITHOUT_FILE)
                _LOG.exception("what waits cannot be read or marked; tried again in %gs", trouble.length)
                await parts.clock.sleep(trouble.length)
                continue
            await parts.clock.sleep(rest(parts.clock.now() - since))
            await _something_new(parts)
    finally:
        await starting.stop()


def rest(took: float) -> float:
    """Seconds to rest after a look that took so long; a clock that leaps meanwhile makes it no longer than a retry."""
    return min(max(_NOT_SOONER, _REST * took), RETRY_EVERY)


async def _something_new(parts: Parts) -> None:
    """Wait until a delivery was written or a lane came to its end, or it is time to look in any case."""
    waits = [asyncio.ensure_future(parts.fresh.wait()), asyncio.ensure_future(parts.clock.sleep(RETRY_EVERY))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
