"""What was counted: raw counters as a metric source gives them, and windows, the counts between two looks.

A release is named by the first 12 characters of its id, as in the labels of the edge's metrics. Times are seconds since
the epoch. Errors are answers of class 5xx, failed connections, timeouts and answers that the peer cut off; 4xx is the
client's doing and no error. An answer that the client left is no attempt at all: nobody knows how it would have ended.
How often that happens is counted apart (``left``) and compared between the tracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import zip_longest
from operator import add
from typing import cast

from gopub.health.uses import ProcessUse

ERROR_CLASSES = ("5xx", "connect", "timeout", "cut")
APART_CLASSES = ("left",)
"""Neither attempts nor errors; see ``leaving``."""
_NO = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per latency bucket, not cumulative: ``counts[i]`` lie in ``(bounds[i-1], bounds[i]]``, the last above all.

    ``bounds`` are seconds, ascending and finite; there is one count more than bounds, or neither.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """All observations."""
        return sum(self.counts)

    def above(self, bound: float) -> int:
        """How many lie above ``bound``, which must be one of the bounds."""
        return sum(self.counts[self.bounds.index(bound) + 1 :]) if self.bounds else 0

    def bound_at(self, value: float) -> float | None:
        """The smallest bound that is not below ``value``, else the largest; None without buckets."""
        return next((bound for bound in self.bounds if bound >= value), self.bounds[-1] if self.bounds else None)

    def __add__(self, other: Histogram) -> Histogram:
        """Both together; an empty one is neutral.

        Raises:
            ValueError: the bounds differ.
        """
        if not self.counts or not other.counts:
            return self if self.counts else other
        if self.bounds != other.bounds:
            raise ValueError(f"histograms with other bounds: {self.bounds} and {other.bounds}")
        return Histogram(self.bounds, tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))


@dataclass(frozen=True, slots=True)
class HostCounts:
    """One host within a window: attempts, how many failed, how many were timed, how many of those were slow.

    ``late`` of ``late_timed``: slower than stable's own 95th percentile, where ``slow`` is held against an SLO.
    ``left``: answers that clients left before the end, besides the attempts. ``failed``: the errors by their class.
    """

    host: str
    attempts: int
    errors: int
    timed: int = 0
    slow: int = 0
    late_timed: int = 0
    late: int = 0
    left: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)


EndpointRow = tuple[int, int, int, int]
"""One endpoint on one group of hosts: attempts, errors, timed, slow."""


@dataclass(frozen=True, slots=True)
class TrackWindow:
    """One release within a window: its hosts and the latency of all of them together."""

    release: str
    hosts: tuple[HostCounts, ...] = ()
    latency: Histogram = Histogram()
    endpoints: tuple[tuple[EndpointRow, ...], ...] = ()
    """Of each declared endpoint, in their order, each group of hosts (``endpoints``)."""

    @property
    def attempts(self) -> int:
        """Requests that an edge sent to this release."""
        return sum(host.attempts for host in self.hosts)

    @property
    def errors(self) -> int:
        """Attempts that failed: 5xx, connect, timeout, cut."""
        return sum(host.errors for host in self.hosts)

    @property
    def failed(self) -> Mapping[str, int]:
        """Errors by their class."""
        return _sum(*(host.failed for host in self.hosts))

    @property
    def left(self) -> int:
        """Answers that clients left before the end; none of the attempts."""
        return sum(host.left for host in self.hosts)

    @property
    def timed(self) -> int:
        """Requests in the latency histogram."""
        return sum(host.timed for host in self.hosts)

    @property
    def slow(self) -> int:
        """Timed requests above the slow threshold."""
        return sum(host.slow for host in self.hosts)

    @property
    def error_rate(self) -> float | None:
        """Errors ÷ attempts; None without attempts."""
        return self.errors / self.attempts if self.attempts else None


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two looks on both tracks; None is a track without any series."""

    start: float
    end: float
    canary: TrackWindow | None
    stable: TrackWindow | None
    gathered: float | None = None
    """Over how many seconds this was counted, where every edge was scraped longer ago than the look before."""

    @property
    def seconds(self) -> float:
        """Over how many this was counted."""
        return self.end - self.start if self.gathered is None else self.gathered


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """What the host itself says of the process that should serve; the driver gives it in at each look.

    ``restarts`` counts automatic restarts since the switch. ``probe_ok`` is False only after the driver's own retries.
    ``reachable`` False means that the host did not answer: the other fields are then unknown, not bad.
    """

    host: str
    active: bool = True
    restarts: int = 0
    exe_ok: bool = True
    probe_ok: bool = True
    detail: str = ""
    reachable: bool = True
    memory: float | None = None
    """Resident memory of the unit's main process, bytes; None where the host does not say."""
    boot: str = ""
    """The boot id of the host; empty where it does not say."""
    files: float | None = None
    """Descriptors that process holds, connections that came in left out; None where the host does not say."""
    use: ProcessUse | None = None
    """What it uses; None where the host says none of it."""
    other: str | None = None
    """What ``current`` names there where somebody else switched the host, empty for nothing; the other fields then say
    nothing of the release. None: it names the release, or the host does not say."""


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A question as it was really asked, so that a verdict can be explained and asked again.

    ``answer`` is a short digest of the answer (12 hex digits), or the reason why there was none.
    """

    text: str
    at: float
    series: int
    answer: str


@dataclass(frozen=True, slots=True)
class NoData:
    """No usable answer, and why: never to be read as "nothing bad happened"."""

    reason: str
    queries: tuple[ResolvedQuery, ...] = ()


@dataclass(frozen=True, slots=True)
class RawSeries:
    """Counters of one release on one host as one edge exports them, since that edge started."""

    edge: str
    release: str
    host: str
    classes: Mapping[str, float]
    cumulative: Mapping[float, float] = field(default_factory=dict)
    """Latency: upper bound in seconds (``inf`` for all) → requests not slower."""
    warming: Mapping[float, float] = field(default_factory=dict)
    """The same of answers that the edge counts apart, for the host warmed up when it was asked; empty where it counts
    none apart: it is older, or was not told."""
    endpoints: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Declared endpoint and ``ok``, ``error``, ``fine`` or ``slow`` → how many; empty where the edge counts none."""


@dataclass(frozen=True, slots=True)
class CounterSnapshot:
    """All counters of one (app, env) at one moment."""

    at: float
    series: tuple[RawSeries, ...]
    edges: Mapping[str, float]
    """Edge → time of its newest sample; an edge is its identity, or what it is scraped as where it tells none."""
    interval: float | None = None
    """Seconds between two scrapes, as seen."""
    notes: tuple[str, ...] = ()
    queries: tuple[ResolvedQuery, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Edge → what people know it by, where that is another text."""
    follows: Mapping[str, str] = field(default_factory=dict)
    """Edge → what it was before it was restarted, where it is another one since."""
    identified: frozenset[str] = frozenset()
    """Edges that say who they are, and are others once they are restarted: what one counts never falls, so lower
    counters are an older reading, by a server that is behind."""
    held: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """Edge, release and host → since when what was read of it is older than what was read before."""


@dataclass(frozen=True, slots=True)
class EdgeAnswer:
    """What one edge said when it was asked for its counters, at the moment of its answer by our own clock.

    ``series`` bear its ``identity``. ``age``: seconds since its counters began; None where it does not say. ``error``
    says why there is no answer, ``older`` that its program cannot give one.
    """

    edge: str
    at: float = 0.0
    identity: str = ""
    age: float | None = None
    series: tuple[RawSeries, ...] = ()
    error: str = ""
    older: bool = False


@dataclass(frozen=True, slots=True)
class PausesSpent:
    """Collection pauses since the process started where there is no histogram: how many, and seconds of all together.

    ``longest``: seconds of the longest of late, as long as the process remembers; None where it does not say.
    """

    count: float
    total: float
    longest: float | None = None


@dataclass(frozen=True, slots=True)
class RuntimeSample:
    """What the runtime of one host's process exports; None where it exports nothing."""

    host: str
    at: float
    heap: float | None = None
    """Live heap after the last collection, bytes."""
    pauses: Mapping[float, float] = field(default_factory=dict)
    """Collection pauses since the process started: upper bound in seconds (``inf`` for all) → pauses not longer."""
    used: float | None = None
    """Heap with its garbage, bytes."""
    spent: PausesSpent | None = None
    """Where there are no ``pauses``."""
    born: float | None = None
    """When the process began, seconds since the epoch."""
    resident: float | None = None
    """Resident memory, bytes."""
    files: float | None = None
    """Open files, connections too."""


@dataclass(frozen=True, slots=True)
class RuntimeSnapshot:
    """Runtime metrics of every host that exposes them; empty when none does."""

    at: float
    hosts: tuple[RuntimeSample, ...] = ()
    queries: tuple[ResolvedQuery, ...] = ()


@dataclass(frozen=True, slots=True)
class LogCounts:
    """New error lines of one host by class; ``cursor`` is where the next reading starts."""

    host: str
    release: str
    classes: Mapping[str, int]
    lines: int
    cursor: str
    notes: tuple[str, ...] = ()
    examples: Mapping[str, str] = field(default_factory=dict, compare=False)
    """A line of each class, as it was written; for people, and nothing is concluded from it."""


def sum_windows(windows: Iterable[Window]) -> Window | None:
    """Several windows as one from the first start to the last end; None when there are none."""
    parts = tuple(windows)
    if not parts:
        return None
    start, end = min(part.start for part in parts), max(part.end for part in parts)
    longest = max(part.seconds for part in parts)
    return Window(
        start=start,
        end=end,
        canary=sum_tracks(part.canary for part in parts),
        stable=sum_tracks(part.stable for part in parts),
        gathered=longest if longest > end - start else None,
    )


def sum_tracks(tracks: Iterable[TrackWindow | None]) -> TrackWindow | None:
    """Windows of one release as one, host by host; None when all of them are None."""
    parts = tuple(track for track in tracks if track is not None)
    if not parts:
        return None
    hosts: dict[str, list[HostCounts]] = {}
    for part in parts:
        for counts in part.hosts:
            hosts.setdefault(counts.host, []).append(counts)
    latency = _sum_histograms([part.latency for part in parts if part.latency.counts])
    counted = tuple(_sum_counts(hosts[name]) for name in sorted(hosts))
    return TrackWindow(parts[-1].release, counted, latency, _sum_endpoints([part.endpoints for part in parts]))


def _sum_endpoints(parts: Sequence[tuple[tuple[EndpointRow, ...], ...]]) -> tuple[tuple[EndpointRow, ...], ...]:
    """Endpoint by endpoint and group by group; what one part lacks is 0."""
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return parts[0] if parts else ()
    return tuple(
        tuple(
            cast("EndpointRow", tuple(map(sum, zip(*rows, strict=True))))
            for rows in zip_longest(*groups, fillvalue=_NO)
        )
        for groups in zip_longest(*parts, fillvalue=())
    )


def _sum_histograms(parts: Sequence[Histogram]) -> Histogram:
    """All at once: every look sums a whole horizon of windows, and one by one is many times slower."""
    if len({part.bounds for part in parts}) > 1:
        return reduce(add, parts)  # which says what differs
    if not parts:
        return Histogram()
    return Histogram(parts[0].bounds, tuple(map(sum, zip(*(part.counts for part in parts), strict=True))))


def _sum_counts(parts: Sequence[HostCounts]) -> HostCounts:
    if len(parts) == 1:
        return parts[0]
    return HostCounts(
        parts[0].host,
        sum([part.attempts for part in parts]),
        sum([part.errors for part in parts]),
        sum([part.timed for part in parts]),
        sum([part.slow for part in parts]),
        sum([part.late_timed for part in parts]),
        sum([part.late for part in parts]),
        sum([part.left for part in parts]),
        _sum(*(part.failed for part in parts if part.failed)),
    )


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
