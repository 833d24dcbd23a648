"""``queue: latest``: of what waits to go into one env only the newest push does, and one goes on at a time.

Which push is the newer one the repository says, not the order in which webhooks came: of one branch the commit at which
it stands now; while that was not delivered yet, the one that has the others in its history; of tags the highest
version. Pushes to two branches, or to a branch and a tag, are never compared.

What is decided of an order is written down before it is acted on, and the first decision stands: of two processes, or
after a kill, no order is both started and superseded, and none by one that is superseded itself. A run that no worker
took up yet is canceled for a newer push; one that was taken up is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deployments.api.parts import Parts
from deployments.deliveries import Delivery, LastPush
from deployments.refs import Branch
from deployments.starter import LATEST, RunOrder
from gopub.errors import GopubError
from gopub.source.versions import is_older
from gopub.spec.projects import VERSION
from gopub.telemetry import log
from gopub.usecases.refuse_following import refuse_unbegun

SUPERSEDED = "GP738"
"""A newer push took the place of one that waited."""
_TAGS = "refs/tags/"
_LOG = log("hooks")


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of an order before it is started: why it never is, and the push that was started there last.

    ``replaces``: that one is older, and gives way where no worker took it up.
    """

    refused: dict[str, str] | None = None
    last: LastPush | None = None
    replaces: bool = False


class Superseding:
    """Compares the orders that wait for one env; made anew for each look."""

    def __init__(self, parts: Parts, waiting: Iterable[RunOrder]) -> None:
        """Ask nobody yet."""
        self._parts, self._waiting = parts, [one for one in waiting if one.queue == LATEST]
        self._known: dict[tuple[str, frozenset[str]], Branch] = {}

    async def turn(self, order: RunOrder) -> Turn:
        """What is to become of an order.

        Raises:
            GopubError: GP939 the repository does not answer, GP915 the file of deliveries cannot be used.
        """
        if order.queue != LATEST:
            return Turn()
        aside, file = self._parts.deliveries.aside, self._parts.deliveries
        decided = await aside(file.decided, order.key)
        if decided:
            return Turn(json.loads(decided))
        last = await aside(file.last_push, order)
        others = [one for one in self._waiting if one.key != order.key] + ([last.order] if last else [])
        newer = None if decided is not None else await self._newer(order, others)
        if newer is None:
            older = last is not None and await self._newer(last.order, [order]) is not None
            return Turn(last=last, replaces=older)
        instead = f"run {last.run}" if last and newer.key == last.order.key else f"the order {newer.key}"
        found = refusal(order, newer, instead)
        said = await aside(file.decide, order.key, json.dumps(found), self._parts.clock.now(), newer.key)
        return Turn(json.loads(said)) if said else Turn(last=last)

    async def _newer(self, order: RunOrder, others: Sequence[RunOrder]) -> RunOrder | None:
        same = [one for one in others if comparable(order, one)]
        if not same:
            return None
        repository = str(order.parameters["repository"])
        if order.pushed.startswith(_TAGS):
            there = await self._parts.refs.named(repository, [one.pushed for one in same])
            known = [one for one in same if one.pushed in there]
            return newest_tag(order, known, self._parts.projects.apps[order.app].version_tag)
        commits = frozenset(one.commit for one in (order, *same))
        key = (order.pushed, commits)
        if key not in self._known:
            self._known[key] = await self._parts.refs.branch(repository, order.pushed, sorted(commits))
        return newest_push(order, same, self._known[key])


def comparable(order: RunOrder, other: RunOrder) -> bool:
    """Whether one of both may supersede the other: tags each other, and pushes those to the same branch."""
    if other.queue != LATEST:
        return False
    if order.pushed.startswith(_TAGS):
        return other.pushed.startswith(_TAGS) and other.pushed != order.pushed
    return other.pushed == order.pushed and other.commit != order.commit


def newest_push(order: RunOrder, others: Sequence[RunOrder], branch: Branch) -> RunOrder | None:
    """The push to the same branch that supersedes an order; None where none does. Pure.

    What the branch does not have any more supersedes nothing, and is superseded by nothing: it is refused.
    """
    if order.commit == branch.head or order.commit not in branch.held:
        return None
    at_head = next((one for one in reversed(others) if one.commit == branch.head), None)
    if at_head or order.commit in branch.ends:
        return at_head
    return next((one for one in reversed(others) if one.commit in branch.ends), None)


def newest_tag(order: RunOrder, others: Sequence[RunOrder], template: str) -> RunOrder | None:
    """The tag that supersedes another one: that of the highest version, where it is higher. Pure."""
    found: RunOrder | None = None
    for one in others:
        if is_older(_version((found or order).pushed, template), _version(one.pushed, template)):
            found = one
    return found


def _version(ref: str, template: str) -> str:
    before, _, after = template.partition(VERSION)
    return ref.removeprefix(_TAGS).removeprefix(before).removesuffix(after)


def refusal(order: RunOrder, newer: RunOrder, instead: str) -> dict[str, str]:
    """What is told of an order that a newer push took the place of."""
    detail = f"{_what(newer)} is newer than {_what(order)} and takes its place: {instead}"
    return {"app": order.app, "env": order.env, "code": SUPERSEDED, "detail": detail}


def _what(order: RunOrder) -> str:
    name = order.pushed.removeprefix("refs/heads/")
    return order.pushed.removeprefix(_TAGS) if order.pushed.startswith(_TAGS) else f"{order.commit[:12]} of {name}"


async def take_turn(parts: Parts, order: RunOrder, turn: Turn) -> dict[str, str] | None:
    """Let an order be the one that goes on; gives why it is not, where that was decided meanwhile.

    Raises:
        LockedError: GP708 what was started before is not over.
        GopubError: GP918 the engine does not answer, GP915 the file of deliveries cannot be used.
    """
    if order.queue != LATEST:
        return None
    last = turn.last
    if last and last.order.key != order.key and not (order.same and last.order.same == order.same):
        await _wait_or_replace(parts, order, last, replaces=turn.replaces)
    said = await parts.deliveries.aside(parts.deliveries.decide, order.key, "", parts.clock.now())
    found: dict[str, str] | None = json.loads(said) if said else None
    return found


async def _wait_or_replace(parts: Parts, order: RunOrder, last: LastPush, *, replaces: bool) -> None:
    run = await parts.starter.run(last.run)
    if run is None or run.final:
        return
    why = refusal(last.order, order, f"the order {order.key}")
    if not replaces or not await parts.starter.cancel_unbegun(last.run, f"{SUPERSEDED} {why['detail']}"):
        refuse_unbegun(run.name, order.app, order.place)
    _LOG.info("run %s is canceled before it began: %s", last.run, why["detail"])
    await parts.deliveries.aside(parts.deliveries.tell_superseded, last.delivery, why)


async def waits_in_queue(parts: Parts, delivery: Delivery) -> str:
    """What a delivery waits for whose env is busy; empty where it waits for nothing that is known."""
    for order in delivery.orders if delivery.outcome is None else ():
        if order.queue != LATEST:
            continue
        try:
            last = await parts.deliveries.aside(parts.deliveries.last_push, order)
            run = await parts.starter.run(last.run) if last and last.order.key != order.key else None
        except GopubError:
            return ""
        if run is not None and not run.final:
            return f"the run {run.name} into {order.place} of {order.app}, started before, is not over"
    return ""
