"""What is found of a release that serves everywhere: whether it burns the error budget, and whether that is its doing.

Pure. Beside it nothing is left to compare with: all hosts run it. So a breach alone does not say whose it is.

1.  **Processes.** A quarter of the hosts (one at the least) whose process died, does not run, is another one or fails
    its probe: the release's doing, whatever the counters say. A host that does not answer says nothing;
    nor does one whose ``current`` names another release, which somebody else put there: that is told, no more.
2.  **No data** and **too few requests** are answers of their own: nothing is concluded.
3.  **A breach** is a pair of windows (``health.burn``: 14.4 times over an hour and 5 minutes, 6 times over 6 hours and
    30 minutes) that both burn at the factor, by errors or by slow answers; a window that reaches back before the
    release served everywhere begins there, and its short one shrinks with it. Where fewer than ``min_requests`` came
    in the short one, those before them count as well until so many are together. A breach is put down to something
    else than the release where
    a.  the release before failed at least half as often: it was so before;
    b.  most edges, or most hosts, do not see it: it is theirs;
    c.  it came on all hosts within the same half minute, after the release had served well everywhere for
        ``CALM``: what a release does by itself over time comes host by host, for they were not started together. So
        does what all versions meet: an edge, a dependency.
    Else it is the release's. On a single host (c) tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gopub.health.burn import LEAST, PAIRS, Spent, counts, rate
from gopub.health.course import Counted, Course, Slice
from gopub.health.observation import Totals
from gopub.health.samples import ProcessHealth
from gopub.health.slo import P95_SHARE
from gopub.judge.hosts import elsewhere, say_elsewhere
from gopub.units import say_about, say_seconds

CALM = 300.0
"""Seconds for which a release has served well everywhere before what comes on all hosts at once is not its doing."""
AT_ONCE = 30.0
"""Seconds within which it came on all hosts."""
SHORTEST, PART = 300.0, 1 / 6
"""The short window of a pair is this part of the long one as far as that reaches, but so many seconds at the least: it
says that it is going on."""
DEAD_SHARE = 0.25
"""Of the hosts."""


class Finding(StrEnum):
    """What a look came to."""

    GOOD = "good"
    QUIET = "too few requests"
    BLIND = "no data"
    OUTSIDE = "not the release"
    BREACH = "breach"


@dataclass(frozen=True, slots=True)
class Rules:
    """The SLO as shares that may fail, None where it says nothing; how many requests are needed; when it began."""

    errors: float | None
    slow: bool
    min_requests: int
    begun: float
    pairs: Sequence[tuple[float, float, float]] = PAIRS[:2]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: what was counted until then, why nothing was, how processes are, and what was before."""

    now: float
    course: Course
    hosts: tuple[ProcessHealth, ...]
    past: Totals = field(default_factory=Totals)
    no_data: str = ""
    health_only: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What it came to, in words with its figures."""

    finding: Finding
    says: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """Errors or slow answers: how they are counted, and what the SLO allows."""

    name: str
    allowed: float
    slow: bool

    def spent(self, seconds: float, counted: Counted) -> Spent:
        bad, of = (counted.slow, counted.timed) if self.slow else (counted.errors, counted.attempts)
        return Spent(seconds, of, bad)

    def before(self, past: Totals) -> Spent:
        bad, of = (past.stable_slow, past.stable_timed) if self.slow else (past.stable_errors, past.stable_requests)
        return Spent(0.0, of, bad)


@dataclass(frozen=True, slots=True)
class _Burn:
    kind: _Kind
    factor: float
    long: Spent
    short: Spent
    window: Slice


def look(seen: Seen, rules: Rules) -> Found:
    """What this look comes to (1, 2, 3); hosts that somebody else switched are told unless there is a breach."""
    found, others = _look(seen, rules), say_elsewhere(elsewhere(seen.hosts))
    return (
        Found(Finding.OUTSIDE, f"{others}; {found.says}") if others and found.finding is not Finding.BREACH else found
    )


def _look(seen: Seen, rules: Rules) -> Found:
    if dead := _dead(seen.hosts):
        return Found(Finding.BREACH, dead)
    if seen.health_only:
        return Found(Finding.GOOD, "its processes are well; there is no router whose answers could be counted")
    if seen.no_data:
        return Found(Finding.BLIND, f"no data: {seen.no_data}")
    if (burn := _burning(seen, rules)) is not None:
        other = _not_the_release(burn, seen, rules)
        return Found(Finding.OUTSIDE if other else Finding.BREACH, f"{_say(burn)}; {other or _blamed(burn, seen)}")
    whole = seen.course.since(rules.begun).all
    if whole.attempts < rules.min_requests:
        few = f"{whole.attempts} requests since it serves everywhere, {rules.min_requests} are needed"
        return Found(Finding.QUIET, f"too few to say anything: {few}")
    failed = f"{whole.errors} of {whole.attempts} requests failed"
    if whole.errors and seen.now - rules.begun > SHORTEST:  # else what was bad and is over would be called good alone
        now = seen.course.since(seen.now - SHORTEST).all
        failed += f" ({now.errors} of {now.attempts} in the last {say_seconds(SHORTEST)})"
    slow = f", {whole.slow} of {whole.timed} were slower than the SLO" if rules.slow else ""
    return Found(Finding.GOOD, f"{failed}{slow}")


def _dead(hosts: Sequence[ProcessHealth]) -> str:
    bad = {host.host: problem for host in hosts if _says(host) and (problem := _problem(host))}
    if len(bad) < max(1, math.ceil(len(hosts) * DEAD_SHARE)):
        return ""
    said = "; ".join(f"{name}: {problem}" for name, problem in list(bad.items())[:5])
    return f"{len(bad)} of {len(hosts)} hosts are not well ({said})"


def _says(host: ProcessHealth) -> bool:
    return host.reachable and host.other is None


def _problem(host: ProcessHealth) -> str:
    wrong = (
        (not host.active, "the unit is not active"),
        (host.restarts > 0, f"the process died and was restarted {host.restarts} times"),
        (not host.exe_ok, "the process that serves is not the signed binary"),
        (not host.probe_ok, "the health probe fails"),
    )
    return ", ".join(text for is_wrong, text in wrong if is_wrong)


def _kinds(rules: Rules) -> tuple[_Kind, ...]:
    errors = (_Kind("errors", rules.errors, slow=False),) if rules.errors else ()
    return (*errors, _Kind("slow answers", P95_SHARE, slow=True)) if rules.slow else errors


def _burning(seen: Seen, rules: Rules) -> _Burn | None:
    for factor, long, short in rules.pairs:
        whole = min(long, seen.now - rules.begun)
        going_on = seen.now - min(short, max(SHORTEST, whole * PART))
        all_of_it, now = seen.course.since(seen.now - whole), seen.course.since(going_on)
        enough = now
        if now.all.attempts < rules.min_requests:
            enough = seen.course.last(going_on, rules.min_requests, seen.now - whole)
        for kind in _kinds(rules):
            of_all, of_now, lately = (
                kind.spent(one.end - one.start, one.all) for one in (all_of_it, now, enough)
            )  # fmt: skip
            burns = all(rate(one, kind.allowed) >= factor for one in (of_all, of_now, lately))
            if burns and all(counts(one, kind.allowed, rules.min_requests) for one in (of_all, lately)):
                return _Burn(kind, factor, of_all, lately, enough)
    return None


def _not_the_release(burn: _Burn, seen: Seen, rules: Rules) -> str:
    """What else it is put down to (3a to 3c); empty where it is the release's."""
    return (
        _as_before(burn, seen.past)
        or _of_some(burn, burn.window.edges, "edge")
        or _of_some(burn, burn.window.hosts, "host")
        or _at_once(burn, seen, rules)
    )


def _as_before(burn: _Burn, past: Totals) -> str:
    before = burn.kind.before(past)
    if not counts(before, 0.0, 1) or _share(before) < _share(burn.short) / 2:
        return ""
    return f"it was so before: the release before had {_percent(before)} of {before.attempts:.0f}"


def _of_some(burn: _Burn, places: Mapping[str, Counted], what: str) -> str:
    busy = {name: burn.kind.spent(0.0, one) for name, one in places.items()}
    busy = {name: one for name, one in busy.items() if one.attempts >= LEAST}
    bad = sorted(name for name, one in busy.items() if rate(one, burn.kind.allowed) >= burn.factor)
    if len(busy) < 2 or len(bad) * 2 > len(busy) or not bad:
        return ""
    named = ", ".join(bad[:5])
    return f"only {named} of {len(busy)} {what}s {'see' if what == 'edge' else 'show'} it"


def _at_once(burn: _Burn, seen: Seen, rules: Rules) -> str:
    """Whether it came on all hosts together after a calm; each host's beginning is the first slice of this episode."""
    began: dict[str, float] = {}
    over = set[str]()
    for one in reversed(seen.course.slices):
        for host, counted in one.hosts.items():
            spent = burn.kind.spent(0.0, counted)
            if host in over or spent.attempts < LEAST:
                continue
            if rate(spent, burn.kind.allowed) >= burn.factor:
                began[host] = one.start
            else:
                over.add(host)
    busy = [host for host, counted in burn.window.hosts.items() if burn.kind.spent(0.0, counted).attempts >= LEAST]
    first, last = min(began.values(), default=rules.begun), max(began.values(), default=rules.begun)
    calm = first - max(rules.begun, seen.course.slices[0].start)
    if len(busy) < 2 or not set(busy) <= began.keys() or last - first > AT_ONCE or calm < CALM:
        return ""
    return (
        f"it came on all {len(busy)} hosts within {say_seconds(AT_ONCE)}, after {say_about(calm)} in which the release "
        "served well: that looks like an edge or something that all versions depend on"
    )


def _blamed(burn: _Burn, seen: Seen) -> str:
    before = burn.kind.before(seen.past)
    if not before.attempts:
        return "nothing else explains it"
    return f"nothing else explains it: the release before had {_percent(before)} of {before.attempts:.0f}"


def _say(burn: _Burn) -> str:
    spent = [
        f"{rate(one, burn.kind.allowed):.3g} times over {say_about(one.seconds)}" for one in (burn.long, burn.short)
    ]
    fast = " and ".join(dict.fromkeys(spent))
    what = f"{burn.short.errors:.0f} of {burn.short.attempts:.0f}"
    verb = "were slower than the SLO" if burn.kind.slow else "failed"
    return f"the error budget burns too fast, {fast} by {burn.kind.name} ({what} {verb})"


def _share(spent: Spent) -> float:
    return spent.errors / spent.attempts if spent.attempts else 0.0


def _percent(spent: Spent) -> str:
    return f"{100 * _share(spent):.3g} %"
