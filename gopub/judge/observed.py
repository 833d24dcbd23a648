"""How much of a bake was observed. Pure.

A bake is time in which somebody looked and there was something to see. What lies between two looks of a driver counts,

1. if it is no longer than looks are apart: a stopped driver, a suspended machine, a clock that was set saw nothing;
2. if every canary host answered for its process at the look that ends it;
3. as far as the newest counts, and the newest request on the canary, are no older than a third of the bake (or 5 s).

A rollout without a judge has the first two. Requests are not asked for where they do not decide: with an approval, and
for a first release. A service with few requests bakes longer, for what nobody used was not tried; one request in every
third of the bake keeps the clock going.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.health.observation import Observation
from gopub.health.samples import ProcessHealth
from gopub.judge.verdict import Policy
from gopub.units import say_about

SHARE = 1 / 3
"""The share of a bake for which there may be no request, or no counts, before its clock stops."""
LOOKS = 5.0
"""So many looks may be missing at most, or a quarter of the bake's time."""
LEAST = 5.0
"""Seconds that may lie between two looks, or be silent, however short the bake: hosts and sources are slow."""
MOST = 30.0
"""Seconds after which no pace of a large fleet explains a gap: the canary's term on the edges is over then."""


@dataclass(frozen=True, slots=True)
class BakeClock:
    """The clock of one step's bake, in one driver's hands; every time is seconds.

    ``seconds`` is what was observed, by earlier drivers too; the rest begins anew with each driver. ``stands`` says why
    the clock did not go on for longer than it may, empty while it goes.
    """

    bake: float
    look: float
    seconds: float = 0.0
    last: float | None = None
    gap: float = 0.0
    counts: float = 0.0
    request: float = 0.0
    ran: float = 0.0
    missed: float = 0.0
    """How much of the time since the look before nobody looked."""
    stands: str = ""

    def looked(self, seen: Observation, policy: Policy, *, approved: bool = False) -> BakeClock:
        """After one more look; the first one of a driver only starts the clock."""
        at = seen.at
        fresh = self._fresh(seen)
        if self.last is None:
            return replace(fresh, last=at, counts=at, request=at, ran=at, missed=0.0)
        gap, silent = at - self.last, _silent(seen.hosts)
        watched = 0 < gap <= self._longest(gap)
        until = at if policy.health_only else min(at, fresh.counts + self._patience)
        if not (policy.health_only or policy.first or approved):
            until = min(until, fresh.request + self._patience)
        gained = max(0.0, until - self.last) if watched and not silent else 0.0
        ran = at if gained else min(self.ran, at)
        why = silent or ("" if not watched else _why(fresh, at, until)) or "nobody looked"
        return replace(
            fresh,
            seconds=self.seconds + gained,
            last=at,
            gap=gap,
            ran=ran,
            missed=0.0 if watched else max(0.0, gap),
            stands=why if at - ran > self._patience else "",
        )

    @property
    def _patience(self) -> float:
        return max(LEAST, SHARE * self.bake)

    def _fresh(self, seen: Observation) -> BakeClock:
        counts = seen.at if seen.no_data is None else min(self.counts, seen.at)
        request = self.request if seen.idle is None else max(self.request, seen.at - seen.idle)
        return replace(self, counts=counts, request=min(request, seen.at))

    def _longest(self, gap: float) -> float:
        """How long this gap may be; the looks at a large fleet take long, but all of them do."""
        usual = max(LEAST, 2 * self.look, min(LOOKS * self.look, self.bake / 4))
        return max(usual, min(2 * self.gap, MOST)) if gap < MOST else usual


def _silent(hosts: Sequence[ProcessHealth]) -> str:
    names = [host.host for host in hosts if not host.reachable]
    if not hosts:
        return "no host was asked"
    return f"no answer from {', '.join(names)}" if names else ""


def _why(clock: BakeClock, at: float, until: float) -> str:
    if until >= at:
        return ""
    if clock.counts < clock.request:
        return f"no counts for {say_about(at - clock.counts)}"
    return f"no request on the canary for {say_about(at - clock.request)}"
