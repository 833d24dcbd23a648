"""What follows a rollout into the next environment: when it has its turn there, and when a later one takes its place.

One rollout at a time is all that an environment has. What follows another one waits for it, and of several that wait
for one environment the last one counts: what stood in staging before has nothing to say any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deployments.api.parts import Parts
from deployments.deliveries import Delivery
from deployments.starter import RunOrder
from gopub.errors import GopubError, LockedError, RefusedError
from gopub.usecases.refuse_following import LATE, refuse_unbegun

Lane = tuple[str, str]
"""What goes into one env of one app."""


def lane(order: RunOrder) -> Lane:
    """Where an order goes."""
    return order.app, order.env


def overtaken(waiting: Iterable[Delivery]) -> dict[str, RunOrder]:
    """The keys of orders that follow a rollout, each with the last one behind it into the same env. Pure."""
    orders = [order for delivery in waiting for order in delivery.orders if order.after]
    last = {lane(order): order for order in orders}
    return {order.key: later for order in orders if (later := last[lane(order)]).key != order.key}


def late(order: RunOrder, later: RunOrder) -> dict[str, str]:
    """What is told of an order that a later one took the place of."""
    detail = f"{order.after} waited to be followed into {order.env}, and {later.after} ended since: that one counts"
    return {"app": order.app, "env": order.env, "code": LATE, "detail": detail}


async def its_turn(parts: Parts, order: RunOrder) -> RefusedError | None:
    """Whether an order that follows a rollout may be started now; gives why it never may.

    A run that was started there and has no rollout yet counts as one: its process may take a while to begin.

    Raises:
        LockedError: GP707, GP708 not now.
        GopubError: GP701, GP918 the journal or the engine does not answer.
    """
    last = await parts.deliveries.aside(parts.deliveries.last_of, order)
    run = await parts.starter.run(last.run) if last and last.key != order.key else None
    if run is not None and not run.final:
        refuse_unbegun(run.name, order.app, order.env)
    try:
        await asyncio.to_thread(parts.following, order.app, order.env, order.after)
    except RefusedError as error:
        return error
    return None


async def waits_for(parts: Parts, delivery: Delivery) -> str:
    """What a delivery waits for that follows a rollout, or in a queue; empty where that is nothing that is known."""
    for order in delivery.orders if delivery.outcome is None else ():
        if order.after:
            try:
                await its_turn(parts, order)
            except LockedError as error:
                return error.problem
            except GopubError:
                return ""
    return ""
