"""Log score: the probability that the canary's error lines are worse than those of stable, with a stated prior.

1.  Each class of error lines (``loglines``) is counted per request on both tracks while both run, and has an
    e-process of its own (``eprocess``), tempered by the spread of the stable hosts.
2.  A class counts only with at least ``FLOOR`` events on the canary and more than ``RATIO`` times the stable rate, in
    the whole rollout or of late (half-life ``LATE``); else the test would find a reliable 1.1 times and call it worse.
    A mark at three times would miss half of all that are three times as many, and all that begin late.
3.  E is the average over classes with weights 1/(k(k+1)) in order of first appearance on either track: classes are not
    known beforehand, and these weights sum to 1 whatever comes.
4.  The score is π·E/(π·E + 1 - π) with the prior π = 0.1 %. So 0.85 needs E ≥ 5 661: with an innocent canary it is
    reached in at most 0.018 % of all rollouts.
5.  New templates count as well, all together: a template that was on no track before, in this rollout or in the
    minutes before it, is found first on the canary with the probability n/(n + m) at most, if lines are exchangeable;
    one that both tracks show in the same reading is stable's, which keeps that bound whatever its rate is. So a canary
    that fails in many ways, a few times each, is found. What there is no room for is not new, and neither is the past.
6.  Error lines alone can blame a release, so they have a share of α of their own, a tenth: whatever mark a team writes
    down, E must reach 10/α as well (``least``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from gopub.health.dispersion import Dispersion, Tally
from gopub.health.eprocess import NOTHING, Process, against_stable, log_sum
from gopub.health.logarticle import Glimpse, ThreeTimes, newest, three_times
from gopub.health.logevents import OTHER, other_of
from gopub.health.logexamples import examples
from gopub.health.logsurge import ALERT, Surge, bet, usual, worth
from gopub.health.samples import LogCounts

PRIOR = 1e-3
LOG_SHARE = 0.1
"""Of α."""
FLOOR = 5
RATIO = 2.0
LATE = 4.0
"""Seconds."""
MARGIN = 0.25
MAX_CLASSES = 300
MAX_KINDS = 100
"""Templates and kinds of error that are told apart. Nothing is ever put out for another one, so no class that is known
becomes a new one; beyond, a class is one of the others. Levels are few, and always have room."""
OVERFLOW = f"template:{OTHER}"
NOVEL = "new:templates"
MOST_KNOWN = 1000
"""Templates of before that are remembered, by the beginning of their digest."""


@dataclass(frozen=True, slots=True)
class ClassState:
    """One class of error lines so far."""

    process: Process = field(default_factory=Process)
    canary: Tally = field(default_factory=Tally)
    stable: Tally = field(default_factory=Tally)
    spread: Dispersion = field(default_factory=Dispersion)
    late: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Events and requests of late, the canary's and stable's."""
    bets: tuple[float, ...] = ()
    """On a surge: see ``logsurge``."""


@dataclass(frozen=True, slots=True)
class LogState:
    """All classes in order of first appearance, and the requests that the lines belong to."""

    order: tuple[str, ...] = ()
    classes: Mapping[str, ClassState] = field(default_factory=dict)
    canary_requests: int = 0
    stable_requests: int = 0
    known: tuple[str, ...] = ()
    """Templates that stable wrote before the rollout, as ``mark`` has them."""
    newest: tuple[Glimpse, ...] = ()
    """The readings of the last ten seconds, where the article's rule is asked for."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """A line of each of the first classes, for people."""


@dataclass(frozen=True, slots=True)
class LogClass:
    """One class on both tracks."""

    name: str
    canary: int
    stable: int
    log_e: float
    counted: bool
    """Whether it passes the floor of (2)."""


@dataclass(frozen=True, slots=True)
class LogScore:
    """The score in [0, 1], and the classes that speak loudest."""

    value: float
    log_e: float
    canary_requests: int
    stable_requests: int
    classes: tuple[LogClass, ...] = ()
    surge: Surge | None = None
    """The loudest of the classes that rise; None where none does."""
    article: tuple[ThreeTimes, ...] = ()
    """What the article's rule fires on, where it is asked for."""


@dataclass(frozen=True, slots=True)
class LogReading:
    """New lines of both tracks, and how many requests each host had in the same time."""

    start: float
    end: float
    canary: tuple[LogCounts, ...]
    stable: tuple[LogCounts, ...]
    requests: Mapping[str, int]


def fold_logs(state: LogState, reading: LogReading, *, article: bool = False) -> LogState:
    """Take in one reading; without requests on both tracks there is nothing to compare, and nothing changes."""
    n = sum(reading.requests.get(counts.host, 0) for counts in reading.canary)
    m = sum(reading.requests.get(counts.host, 0) for counts in reading.stable)
    if not n or not m:
        return state
    ours, theirs = _by_class(reading.canary), _by_class(reading.stable)
    glimpse = Glimpse(reading.start, reading.end, n, m, _totals(ours), _totals(theirs))
    order = _order(state.order, {*ours, *theirs})
    if new := _new(state, order):
        ours[NOVEL] = _first_on(ours, new - theirs.keys())
        theirs[NOVEL] = _first_on(theirs, new)
        order = order if NOVEL in order else _order(state.order, {*ours, *theirs})
    known = {name: state.classes.get(name, ClassState()) for name in order}
    read = _Read(reading, n, m, state.stable_requests, _tallies(reading, {}))
    return LogState(
        order=order,
        classes={name: _step(known[name], read, _fit(ours, name, order), _fit(theirs, name, order)) for name in order},
        canary_requests=state.canary_requests + n,
        stable_requests=state.stable_requests + m,
        known=state.known,
        newest=newest((*state.newest, glimpse)) if article else (),
        examples=examples(state.examples, (*reading.canary, *reading.stable), order),
    )


def remember(state: LogState, classes: Iterable[str]) -> LogState:
    """With what stable wrote before the rollout: that is known, and never new."""
    marks = dict.fromkeys((*state.known, *map(mark, sorted(classes))))
    return replace(state, known=tuple(marks)[:MOST_KNOWN])


def mark(name: str) -> str:
    """A class in eight characters; were two alike, one of them would be known that is not."""
    return sha256(name.encode(errors="replace")).hexdigest()[:8]


def _new(state: LogState, order: tuple[str, ...]) -> frozenset[str]:
    seen = {*state.order, OVERFLOW}
    fresh = (name for name in order[len(state.order) :] if _kind(name) == "template" and name not in seen)
    return frozenset(name for name in fresh if mark(name) not in state.known)


def _first_on(found: Mapping[str, Mapping[str, int]], new: Iterable[str]) -> dict[str, int]:
    """How many of the new templates each host has, each counted once."""
    hosts: dict[str, int] = {}
    for name in new:
        if host := min((one for one, number in found.get(name, {}).items() if number), default=None):
            hosts[host] = hosts.get(host, 0) + 1
    return hosts


def log_score(state: LogState) -> LogScore:
    """The score of everything read so far."""
    classes = tuple(class_of(name, state.classes[name]) for name in state.order)
    terms = [-math.log(len(state.order) + 1)]  # what the weights leave for classes not seen yet, at E = 1
    terms += [
        (log_e if found.counted else min(0.0, log_e)) - math.log(k * (k + 1))
        for k, (found, log_e) in enumerate(((found, found.log_e) for found in classes), start=1)
    ]
    log_e = log_sum(terms)
    loud = sorted((found for found in classes if found.canary), key=lambda found: -found.log_e)
    return LogScore(
        value=_probability(log_e),
        log_e=log_e,
        canary_requests=state.canary_requests,
        stable_requests=state.stable_requests,
        classes=tuple(loud[:10]),
        surge=_surge(state),
        article=three_times(state.newest)[:10],
    )


def alerts(state: LogState) -> bool:
    """Whether some class may be rising: then the next look reads again."""
    return any(worth(one.bets) - weight > ALERT for weight, one in _weighed(state) if one.bets)


def _weighed(state: LogState) -> Iterator[tuple[float, ClassState]]:
    """Each class with the logarithm of what its part of the coin is divided by."""
    return ((math.log(k * (k + 1)), state.classes[name]) for k, name in enumerate(state.order, start=1))


def _surge(state: LogState) -> Surge | None:
    """The loudest class; what it is worth is that of all that rise together."""
    rising = [
        (worth(one.bets) - weight, name, one)
        for name, (weight, one) in zip(state.order, _weighed(state), strict=True)
        if one.bets and _stands_out(*one.late)
    ]
    if not rising:
        return None
    _, name, one = max(rising, key=lambda found: found[0])
    return Surge(name, log_sum([found[0] for found in rising]), *one.late)


def least(alpha: float) -> float:
    """The lowest score that condemns within the log's own share of α."""
    return _probability(-math.log(LOG_SHARE * alpha))


def again_from(score: LogScore) -> LogScore:
    """With the value computed from E anew."""
    return replace(score, value=_probability(score.log_e))


def _probability(log_e: float) -> float:
    odds = math.log(PRIOR / (1 - PRIOR)) + log_e
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, odds))))


def _by_class(read: Sequence[LogCounts]) -> dict[str, dict[str, int]]:
    out: dict[str, dict[str, int]] = {}
    for counts in read:
        for name, number in counts.classes.items():
            out.setdefault(name, {})[counts.host] = number
    return out


def _totals(found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(hosts.values()) for name, hosts in found.items()}


def _order(known: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
    """General classes before special ones within one reading; beyond the limits those of a kind are one."""
    new = sorted(seen - set(known), key=lambda name: (_RANK.get(_kind(name), 3), name))
    room = {kind: most - sum(_kind(name) == kind for name in known) for kind, most in _ROOM.items()}
    order = list(known)
    for name in new:
        kind = _kind(name)
        named = name if room.get(kind, 1) > 0 else other_of(name)
        if kind in room:
            room[kind] -= 1
        if named not in order:
            order.append(named)
    return tuple(order)


_NO_HOST: Mapping[str, int] = {}
_RANK = {"level": 0, "error": 1, "new": 2}
_ROOM = {"error": MAX_KINDS, "template": MAX_CLASSES}


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _fit(found: Mapping[str, Mapping[str, int]], name: str, order: tuple[str, ...]) -> Mapping[str, int]:
    hosts = dict(found.get(name, _NO_HOST))
    if name.endswith(f":{OTHER}"):
        for other in (one for one in set(found) - set(order) if other_of(one) == name):
            for host, number in found[other].items():
                hosts[host] = hosts.get(host, 0) + number
    return hosts


@dataclass(frozen=True, slots=True)
class _Read:
    """One reading: requests of the canary, of stable, of stable before it, and stable's hosts without a bad event."""

    reading: LogReading
    n: int
    m: int
    past: int
    well: Mapping[str, Tally]


def _tallies(reading: LogReading, bad: Mapping[str, int]) -> dict[str, Tally]:
    hosts = (counts.host for counts in reading.stable)
    return {host: Tally(bad.get(host, 0), reading.requests.get(host, 0)) for host in hosts}


def _step(state: ClassState, read: _Read, ours: Mapping[str, int], theirs: Mapping[str, int]) -> ClassState:
    n, m, reading = read.n, read.m, read.reading
    x, y = sum(ours.values()), sum(theirs.values())
    phi = state.spread.phi if x or y or state.bets else 1.0  # φ of before this reading
    ratios = against_stable(x, n, y, m, MARGIN) if x or y else NOTHING  # most classes have no line in most readings
    return ClassState(
        process=state.process.step(ratios, phi, reading.start),
        canary=state.canary + Tally(x, n),
        stable=state.stable + Tally(y, m),
        spread=state.spread.add(_tallies(reading, theirs) if y else read.well, reading.end),
        late=_fade(state.late, (x, n, y, m), reading.end - reading.start),
        bets=bet(state.bets, x, n * usual(state.stable.bad, read.past, (y, m)), phi) if x or state.bets else (),
    )


def _fade(
    before: tuple[float, float, float, float], new: tuple[int, int, int, int], seconds: float
) -> tuple[float, float, float, float]:
    """Half of what was, for each ``LATE`` that has passed, and what is new."""
    left, (x, n, y, m) = 0.5 ** (max(0.0, seconds) / LATE), new
    a, b, c, d = before
    return round(a * left + x, 3), round(b * left + n, 3), round(c * left + y, 3), round(d * left + m, 3)


def _stands_out(x: float, n: float, y: float, m: float) -> bool:
    return x >= FLOOR and x * m > RATIO * y * n


def class_of(name: str, state: ClassState) -> LogClass:
    """What is known of a class so far."""
    x, n, y, m = state.canary.bad, state.canary.exposed, state.stable.bad, state.stable.exposed
    return LogClass(
        name=name,
        canary=x,
        stable=y,
        log_e=state.process.log_e,
        counted=_stands_out(x, n, y, m) or _stands_out(*state.late),
    )
