"""Whose failures a host's failures are: counts of a host that does not answer are the host's, not its release's. Pure.

E cannot be unfolded, so counts are folded only after it is known that their host lived through them:

1. A window waits until every canary host, and every stable host with attempts that got no answer, has answered a
   question that was asked after the window's end. The canary's hosts are asked at each look, so nothing waits as long
   as they answer; stable hosts are asked when something failed there, a look later.
2. A host that answers after another boot died in between. Its counts from before are set aside.
3. A host that is silent for ``WAITED_FOR`` seconds keeps nobody waiting any longer: its counts are set aside then.
4. A process that ended while its host lived is the release's business, and rule 1's.

Whole windows wait, in order: what happened to both tracks at the same time must be folded together. What waits dies
with the driver, as all that happens without one; what was set aside is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.health.samples import APART_CLASSES, ERROR_CLASSES, ProcessHealth, RawSeries

WAITED_FOR = 10.0
"""Seconds that counts wait for a host that does not answer."""
ASKED = 10
"""Stable hosts that are asked at one look at most, those that failed most."""
UNANSWERED = ("connect", "timeout", "cut")
"""What an attempt meets at a host that is gone."""


@dataclass(frozen=True, slots=True)
class Aside:
    """One host that died or fell silent, and what was set aside of it.

    ``deaths`` counts boots that it did not have before; ``silent`` is for how many seconds it has not answered.
    ``silent_attempts`` and ``silent_errors`` are of this silence, the others of the whole rollout.
    """

    host: str
    canary: bool
    deaths: int = 0
    attempts: int = 0
    errors: int = 0
    silent: float = 0.0
    silent_attempts: int = 0
    silent_errors: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one host's life; survives the driver."""

    canary: bool
    boot: str = ""
    born: float = 0.0
    """When it was first seen under its present boot, if it had another one before."""
    silent_since: float | None = None
    deaths: int = 0
    attempts: int = 0
    errors: int = 0
    silent_attempts: int = 0
    silent_errors: int = 0


Standings = Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Gained:
    """What every series gained between two looks."""

    start: float
    end: float
    series: tuple[RawSeries, ...]
    releases: frozenset[str] = field(default_factory=frozenset)
    """Those that any edge counts at all."""
    gathered: float | None = None
    """As in ``Window``."""


@dataclass(frozen=True, slots=True)
class Warming:
    """Answers of hosts that were still warming up: their latency is in no figure, all else is."""

    timed: int = 0
    slow: int = 0
    """Of these, above what counts as slow."""
    stable_timed: int = 0
    """Of stable's hosts, when they were started: what the edges still know of it. No figure has them either."""
    stable_slow: int = 0

    def plus(self, more: Warming) -> Warming:
        """With more answers of the canary's hosts; stable's stand as they are."""
        return replace(self, timed=self.timed + more.timed, slow=self.slow + more.slow)


def heard(
    standings: Standings, canary: Iterable[ProcessHealth], stable: Iterable[ProcessHealth], at: float
) -> Standings:
    """With what hosts that were asked after ``at`` answered."""
    known = dict(standings)
    for ours, answers in ((True, canary), (False, stable)):
        for answer in answers:
            before = known.get(answer.host, Standing(ours))
            if before.canary != ours:  # it runs another release now: its life begins anew
                before = Standing(ours, before.boot)
            known[answer.host] = _heard(before, answer, at)
    return known


def _heard(before: Standing, answer: ProcessHealth, at: float) -> Standing:
    if not answer.reachable:
        return replace(before, silent_since=at if before.silent_since is None else min(before.silent_since, at))
    spoke = replace(before, silent_since=None, silent_attempts=0, silent_errors=0, boot=answer.boot or before.boot)
    if before.boot and answer.boot and before.boot != answer.boot:
        return replace(spoke, born=at, deaths=before.deaths + 1)
    return spoke


def settled(
    standings: Standings, waiting: Sequence[Gained], canary: Sequence[ProcessHealth], stable: Sequence[ProcessHealth],
    at: float,
) -> tuple[Standings, tuple[Gained, ...], tuple[Gained, ...]]:  # fmt: skip
    """The standings, what may be folded now (without what was set aside), and what waits on."""
    ready: list[Gained] = []
    asked = {answer.host for answer in (*canary, *stable)}
    for number, gained in enumerate(waiting):
        if _waits(gained, standings, asked, at):
            return standings, tuple(ready), tuple(waiting[number:])
        gone = frozenset(host for host, standing in standings.items() if _gone(standing, gained, at))
        standings = _put_aside(standings, gained, gone)
        ready.append(replace(gained, series=tuple(one for one in gained.series if one.host not in gone)))
    return standings, tuple(ready), ()


def _gone(standing: Standing, gained: Gained, at: float) -> bool:
    silent = standing.silent_since is not None and at - standing.silent_since >= WAITED_FOR
    return silent or gained.start < standing.born


def _waits(gained: Gained, standings: Standings, asked: set[str], at: float) -> bool:
    busy = {one.host for one in gained.series if any(one.classes.values())}
    silent = (standings[host].silent_since for host in busy if host in standings)
    if any(since is not None and at - since < WAITED_FOR for since in silent):
        return True
    return gained.end >= at and not set(suspects(gained, standings)) <= asked


def suspects(gained: Gained, standings: Standings) -> tuple[str, ...]:
    """The hosts, the canary's apart, whose life has to be asked for: attempts there got no answer."""
    lost: dict[str, float] = {}
    for one in gained.series:
        if one.host not in standings or not standings[one.host].canary:
            lost[one.host] = lost.get(one.host, 0.0) + sum(one.classes.get(name, 0.0) for name in UNANSWERED)
    worst = sorted((-count, host) for host, count in lost.items() if count)
    return tuple(host for _, host in worst[:ASKED])


def _put_aside(standings: Standings, gained: Gained, gone: frozenset[str]) -> Standings:
    known = dict(standings)
    for one in (one for one in gained.series if one.host in gone):
        attempts = round(sum(count for name, count in one.classes.items() if name not in APART_CLASSES))
        errors = round(sum(one.classes.get(name, 0.0) for name in ERROR_CLASSES))
        was = known[one.host]
        silent = was.silent_since is not None
        known[one.host] = replace(
            was,
            attempts=was.attempts + attempts,
            errors=was.errors + errors,
            silent_attempts=was.silent_attempts + (attempts if silent else 0),
            silent_errors=was.silent_errors + (errors if silent else 0),
        )
    return known


def told(standings: Standings, at: float) -> tuple[Aside, ...]:
    """The hosts that died, are silent, or of which something was set aside."""
    return tuple(
        Aside(host, one.canary, one.deaths, one.attempts, one.errors,
              0.0 if one.silent_since is None else max(0.0, at - one.silent_since),
              one.silent_attempts, one.silent_errors)
        for host, one in sorted(standings.items())
        if one.deaths or one.attempts or one.silent_since is not None
    )  # fmt: skip
