"""What people are told of a rollout that nobody drives, whose drivers die, or that waits for too long. Pure.

A verdict is an entry of the journal; here nothing is written, and that is the news. Each is told once, and again only
where the rollout got further in between: the key names the last entry that did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gopub.journal import events as ev
from gopub.journal.state import State
from gopub.journal.transitions import Phase
from gopub.journal.tries import Tries
from gopub.judge.gates import closed_gate, held_until, hold_of, opens_at
from gopub.views.news import STUCK_AFTER, Loss, Lost, News

TOLD_AFTER = 3
"""Drivers in a row that got no further before people are told."""
GIVEN_UP_AFTER = 10
"""Drivers in a row that got no further before the rollout is taken back. One that ends in the ordinary way because a
store or an edge is away turns the rollout around itself; these said nothing."""
GIVEN_UP_WITHIN = 540.0
"""Seconds from the first of them to the last, at the least: `recover` starts one a minute, a service that is started
again and again, or a person who tries, starts ten in one, and a look that goes further takes longer than that."""
_LEFT = frozenset({Phase.SETTLING, Phase.WATCHING, Phase.LAID_OUT})


@dataclass(frozen=True, slots=True)
class Seen:
    """A rollout and what its stream does not say: whether it is driven, when the last lease ended, who asked what."""

    state: State
    tries: Tries
    asked: Sequence[ev.Asked]
    driven: bool
    lease_end: float
    now: float


def absence(seen: Seen) -> tuple[News, ...]:
    """What is to be told of it now."""
    if not seen.state.rollout or seen.state.closed:
        return ()
    return tuple(News(f"stuck/{lost.why}/{seen.tries.place}", ("stuck",), seen.now, seen.state, _step(seen), lost)
                 for lost in _losses(seen))  # fmt: skip


def gives_up(state: State, tries: Tries, asked: Sequence[ev.Asked]) -> bool:
    """Whether a rollout whose drivers die is to be taken back.

    Not one that goes back already or is held by somebody, and none that every step has passed: to go on is less than
    to go back there.
    """
    stays = state.closed or state.back or state.phase in _LEFT or hold_of(asked)
    died = tries.times >= GIVEN_UP_AFTER and tries.span >= GIVEN_UP_WITHIN
    return not stays and died and not any(one.what == "abort" for one in asked)


def may_go_on(state: State, asked: Sequence[ev.Asked], now: float) -> bool:
    """Whether a rollout that waits without a driver may go on now."""
    if state.plan is None or state.step is None:
        return False
    if any(one.what == "abort" for one in asked):
        return True
    if hold := hold_of(asked):
        return now >= held_until(state.plan, state.reached, hold)
    return closed_gate(state.plan, state.step.index, asked, now) is None


def _losses(seen: Seen) -> Iterator[Lost]:
    if seen.tries.times >= TOLD_AFTER:
        yield Lost(Loss.DIES, seen.tries.last, seen.tries.times)
    elif not seen.driven and (since := _alone_since(seen)) is not None:
        yield Lost(Loss.NOBODY, since)
    if (waits := seen.tries.waits_since) is not None and _for_too_long(seen, waits):
        yield Lost(Loss.WAITS, waits)


def _alone_since(seen: Seen) -> float | None:
    """When somebody ought to have taken it up; None where that is not long ago, or it waits and may."""
    then = seen.now - STUCK_AFTER
    if seen.state.waiting:
        before = [one for one in seen.asked if one.at <= then]
        late = may_go_on(seen.state, before, then) and may_go_on(seen.state, seen.asked, seen.now)
        return then if late else None
    since = seen.lease_end if 0 < seen.lease_end <= seen.now else seen.tries.last
    return since if since <= then else None


def _for_too_long(seen: Seen, since: float) -> bool:
    """Whether a person is waited for, for longer than the environment lets a rollout take from its first bake on."""
    state = seen.state
    if state.plan is None or state.step is None or hold_of(seen.asked):
        return False
    alone = opens_at(state.plan, state.step.index, seen.asked, seen.now) is None
    return alone and not may_go_on(state, seen.asked, seen.now) and seen.now - since >= state.plan.deadline


def _step(seen: Seen) -> int | None:
    return seen.state.step.index if seen.state.step else None
