"""What the answers to the team's own queries mean: differences of counters, values of gauges. Pure, but for its memory.

Counters are read as they are. A series that is seen for the first time is a starting point, and so is one that fell: in
a sum, nobody can tell a process that began anew from one that went away. So it is once more where it then rises by as
much at once: who went away may have returned with all of its past. What is gone and comes back by itself goes on from
where it was. All begins anew where another server answers, whose scrapes are of other moments, and so does the sum of a
track whose hosts are others. So nothing is counted that was not seen to happen, and nothing twice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.health.config import OwnTarget
from gopub.health.dispersion import Tally
from gopub.health.samples import NoData, ResolvedQuery

MOST_SERIES = 2000
"""Series of an answer; a fleet has as many hosts at most, and a metric is a value of each."""
MOST = 1e15
"""Above it a float no longer holds each whole number."""
LARGEST = 1e29
"""What may be summed and multiplied and stays a number."""
READINGS = 3
"""Of a gauge, before it is compared: one is a moment."""
HORIZON = 60.0
"""Seconds over which a gauge is averaged."""
_DUST = 1e-6
_FALLS = 16
"""Falls of a series that are remembered."""


@dataclass(frozen=True, slots=True)
class OwnSeries:
    """One series of an answer: all its labels as one text, the host among them (empty: none), and its value."""

    labels: str
    host: str
    value: float


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """What a query gave for one track."""

    series: tuple[OwnSeries, ...] = ()
    queries: tuple[ResolvedQuery, ...] = ()
    found: int = 0
    """How many series there were, where not all of them are kept."""
    server: str = ""
    """Which of several servers says so."""


def malformed(answer: OwnAnswer, kind: str) -> str:
    """Why an answer is no figure of this kind; empty where it is one."""
    series = answer.series
    if not series:
        return "it gives no series"
    if (many := max(len(series), answer.found)) > MOST_SERIES:
        return f"it gives {many} series, {MOST_SERIES} at most: write sum by (host) (…)"
    if len({bool(one.host) for one in series}) > 1:
        return "some of its series have the label host and some have not"
    if kind == "gauge" and (twice := _twice(one.host for one in series)):
        where = f"on {twice} it gives" if twice != " " else "it gives"
        return f"{where} several values: write avg by (host) (…), max or sum"
    return next((found for one in series if (found := _no_figure(one, kind))), "")


def _no_figure(one: OwnSeries, kind: str) -> str:
    where = f" on {one.host}" if one.host else ""
    if not math.isfinite(one.value) or abs(one.value) > LARGEST:
        return f"it gives {one.value}{where}, which is no value"
    return f"it gives {one.value:g}{where}, which is no count" if kind != "gauge" and not 0 <= one.value <= MOST else ""


def _twice(hosts: Iterable[str]) -> str:
    seen = set[str]()
    for host in hosts:
        if host in seen:
            return host or " "
        seen.add(host)
    return ""


@dataclass(slots=True)
class Counters:
    """One query on one track: what each series was when it was last seen."""

    last: dict[str, float] = field(default_factory=dict)
    fell: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By how much a series fell each time, until it rose by as much at once."""
    server: str = ""
    hosts: tuple[str, ...] = ()

    def gained(self, answer: OwnAnswer, hosts: Iterable[str] = ()) -> Mapping[str, float]:
        """What each host counted since; one that is only beginning is not in it. ``hosts``: who was asked about."""
        asked, found = tuple(sorted(hosts)), dict[str, float]()
        if answer.server != self.server:
            self.last, self.fell = {}, {}
        for one in answer.series:
            moved = not one.host and asked != self.hosts
            gain = None if moved else self._gain(one.labels, one.value)
            if moved:
                self.fell.pop(one.labels, None)
            self.last[one.labels] = one.value
            if gain is not None:
                found[one.host] = found.get(one.host, 0.0) + gain
        self.server, self.hosts = answer.server, asked
        return found

    def _gain(self, labels: str, value: float) -> float | None:
        before, fell = self.last.get(labels), self.fell.get(labels, ())
        if before is None:
            return None
        if value < before:
            self.fell[labels] = (*fell, before - value)[-_FALLS:]
            return None
        gain = value - before
        if fell and gain >= min(fell):
            self.fell[labels] = tuple(by for by in fell if by > gain)
            return None
        return gain


@dataclass(slots=True)
class Gauges:
    """A gauge on one track over the last minute."""

    kept: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)

    def add(self, answer: OwnAnswer, at: float) -> None:
        """One reading more; a clock that was set back begins anew."""
        if self.kept and at < self.kept[-1][0]:
            self.kept.clear()
        self.kept.append((at, {one.host: one.value for one in answer.series}))
        self.kept[:] = [(then, values) for then, values in self.kept if at - then <= HORIZON]

    def means(self) -> Mapping[str, float]:
        """Of each host that was in the newest reading, where there were ``READINGS``."""
        if len(self.kept) < READINGS:
            return {}
        return {host: _mean([v[host] for _, v in self.kept if host in v]) for host in sorted(self.kept[-1][1])}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def tallies(bad: Mapping[str, float], of: Mapping[str, float], *, part: bool) -> Mapping[str, Tally] | str:
    """Both host by host, or all of a track where one of them knows no hosts; why not, where they are no counts.

    ``part``: what is bad is a part of ``of``.
    """
    if ("" in bad) != ("" in of):
        bad, of = ({"": sum(counts.values())} if counts else {} for counts in (bad, of))
    found: dict[str, Tally] = {}
    for host in sorted(bad.keys() & of.keys()):
        where = f" on {host}" if host else ""
        for value in (bad[host], of[host]):
            if abs(value - round(value)) > _DUST * max(1.0, value):
                return f"it counted {value:g}{where}, and events come whole"
        if part and round(bad[host]) > round(of[host]):
            return f"it counted {bad[host]:.0f} of {of[host]:.0f}{where}: `query` must be a part of `per`"
        found[host] = Tally(round(bad[host]), round(of[host]))
    return found


def _of(answer: OwnAnswer | NoData | None, ours: Collection[str]) -> OwnAnswer | NoData | None:
    if not isinstance(answer, OwnAnswer):
        return answer
    return replace(answer, series=tuple(one for one in answer.series if one.host in ours))


@dataclass(frozen=True, slots=True)
class TrackAnswers:
    """Both answers for one track; no query is asked for a track without hosts."""

    query: OwnAnswer | NoData | None = None
    per: OwnAnswer | NoData | None = None

    def wrong(self, target: OwnTarget) -> str:
        """Why there are no figures; empty where there are, or nothing was asked."""
        for answer, name in ((self.query, ""), (self.per, "`per`: ")):
            if isinstance(answer, NoData):
                return f"{name}{answer.reason}"
            if answer is not None and (found := malformed(answer, target.kind)):
                return f"{name}{found}"
        return ""

    @property
    def empty(self) -> bool:
        """Whether no series came where some were asked for: those of a new process are not scraped yet."""
        return any(isinstance(one, OwnAnswer) and not one.series for one in (self.query, self.per))

    def of(self, hosts: Iterable[str]) -> TrackAnswers:
        """Without series that name a host which was not asked about: another env may run the same release."""
        ours = {"", *hosts}
        return TrackAnswers(*(_of(answer, ours) for answer in (self.query, self.per)))

    def strangers(self, hosts: Iterable[str]) -> int:
        """How many hosts have series that were not asked about."""
        found = [answer for answer in (self.query, self.per) if isinstance(answer, OwnAnswer)]
        return len({one.host for answer in found for one in answer.series} - {"", *hosts})

    def silent(self, hosts: Iterable[str]) -> tuple[str, ...]:
        """Which of these hosts have no series, where hosts have series at all."""
        found = [answer for answer in (self.query, self.per) if isinstance(answer, OwnAnswer)]
        named = [{one.host for one in answer.series} for answer in found]
        return tuple(host for host in sorted(hosts) if any("" not in names and host not in names for names in named))
