"""Hosts that stay on stable until a rollout's last bake is over: what that is for, and what it costs, in words. Pure.

With all hosts on the new release nothing is left to compare it with: an incident that all share looks like a bad
release. A kept host tells them apart. It keeps its even share of the traffic, and follows at the end: judged by its
health alone, for by then the release is.
"""

from __future__ import annotations

from collections.abc import Sequence

from gopub.plan.model import FULL, PlannedStep
from gopub.units import say_seconds

MOST_NAMES = 5
"""Hosts that are named; of more only how many."""
FIRST = "rollout.keep_stable keeps no host in a first release: there is no stable to keep"
UNCOUNTED = "rollout.keep_stable keeps no host: nothing counts the requests, so nothing is compared"


def cost(steps: Sequence[PlannedStep], total: int, keep: int, deadline: float, names: Sequence[str] = ()) -> str:
    """What keeping so many of ``total`` hosts on stable means for their users and for how long; "" where none is."""
    if not keep or not steps:
        return ""
    last = steps[-1]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    who = f" ({', '.join(names[:MOST_NAMES])}{more})" if names else ""
    share = f"{(FULL - last.weight) / 100:g}% of the traffic"
    both = f"both releases serve for {say_seconds(sum(step.bake for step in steps))} at least"
    return (
        f"{keep} of {total} hosts{who} stay{'s' if keep == 1 else ''} on stable with {share}, to compare with, until "
        f"step {last.index + 1} is passed: {both} and {say_seconds(deadline)} at most; then "
        f"{'it follows, judged by its' if keep == 1 else 'they follow, judged by their'} health alone"
    )


def fewer(keep: int, wanted: int) -> str:
    """That fewer hosts are kept than were asked for, as the end of a sentence; a host without stable keeps none."""
    return f"; rollout.keep_stable is {wanted}, and no more hosts run stable" if keep < wanted else ""


def kept_last(names: Sequence[str], on_stable: Sequence[str], keep: int) -> tuple[str, ...]:
    """The hosts in the order in which they switch: those to keep at the end, and they run stable where so many do."""
    kept = [name for name in names if name in on_stable][-keep:] if keep else []
    return (*(name for name in names if name not in kept), *kept)
