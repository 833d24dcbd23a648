"""What is counted of a journal: folded from its entries in their order, each once. Pure, and never smaller than before.

A journal read from its beginning gives the same counts however often, and by however many: they go on over restarts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gopub.journal import events as ev
from gopub.journal.built import BuildBegan, BuildEnded
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.views import metrics as names
from gopub.views.metrics import Series

KINDS = frozenset(
    kind.__name__
    for kind in (BuildBegan, BuildEnded, ev.Opened, ev.GoingBack, ev.TrafficOff, ev.Closed, ev.EnvClosed,
                 ev.Held, ev.Resumed, ev.Waiting, ev.Woken)
)  # fmt: skip
"""The types of entries that anything is counted of."""
MOST_ENVS = 5000
"""Apps and environments that series are kept of; what comes later is counted as dropped, and nowhere else."""

_MOST_DROPPED = 100_000

Labels = tuple[str, ...]


@dataclass(slots=True)
class Histogram:
    """How many were at most as long as each bucket's end; all of them, and their sum."""

    ends: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Nothing is counted; the last one is for what is longer than all."""
        self.counts = self.counts or [0] * (len(self.ends) + 1)

    def add(self, seconds: float) -> None:
        """One more; a clock that went back makes it no shorter than nothing."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.ends, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus has them, up to ``+Inf``."""
        found, seen = list[tuple[str, float]](), 0
        for end, count in zip((*map(str, self.ends), "+Inf"), self.counts, strict=True):
            seen += count
            found.append((end, float(seen)))
        return found


@dataclass(frozen=True, slots=True)
class _Begun:
    app: str
    env: str
    at: float
    release: str
    back: float = 0.0
    held: bool = False
    waits: bool = False


@dataclass(slots=True)
class Tally:
    """The counts after the entry ``seq``; ``envs`` are the apps and environments that are known."""

    seq: int = 0
    counters: Counter[tuple[Series, Labels]] = field(default_factory=Counter)
    histograms: dict[tuple[Series, Labels], Histogram] = field(default_factory=dict)
    last: dict[Labels, float] = field(default_factory=dict)
    """How long the last build of an app took, and the last rollout into an env."""
    envs: dict[Labels, None] = field(default_factory=dict)
    dropped: set[Labels] = field(default_factory=set)
    owed_hosts: dict[Labels, float] = field(default_factory=dict)
    owed_edges: dict[Labels, float] = field(default_factory=dict)
    _under_way: dict[str, _Begun] = field(default_factory=dict)
    _committed: dict[str, float] = field(default_factory=dict)
    _building: dict[str, float] = field(default_factory=dict)

    def add(self, entries: Iterable[Entry]) -> None:
        """Count these as well: those that follow what was counted, in their order."""
        for entry in entries:
            if entry.seq > self.seq:
                self._count(entry)
                self.seq = entry.seq

    def under_way(self) -> Iterable[tuple[str, str, float, str]]:
        """App, env, beginning and state of each rollout that has not ended."""
        for one in self._under_way.values():
            if (one.app, one.env) in self.envs:
                yield one.app, one.env, one.at, "held" if one.held else "waiting" if one.waits else "active"

    def _count(self, entry: Entry) -> None:
        rollout = entry.stream.removeprefix("rollout/")
        match entry.event:
            case BuildBegan() | BuildEnded():
                self._build(entry)
            case ev.Opened() as opened:
                self._opened(opened, entry.at)
            case ev.TrafficOff():
                self._off(rollout, entry.at)
            case ev.Closed(outcome=outcome):
                self._closed(rollout, outcome, entry.at)
            case ev.EnvClosed() as closed:
                self._free(closed, tuple(entry.stream.removeprefix("env/").split("/", 1)))
            case _ if rollout in self._under_way:
                self._under_way[rollout] = _moved(self._under_way[rollout], entry)
            case _:
                pass

    def _off(self, rollout: str, at: float) -> None:
        begun = self._under_way.get(rollout)
        if begun and begun.back:
            self._time(names.OFF_SECONDS, (begun.app, begun.env), at - begun.back)

    def _build(self, entry: Entry) -> None:
        event, stream = entry.event, entry.stream
        if isinstance(event, BuildBegan):
            self._building[stream] = event.committed
            return
        if not isinstance(event, BuildEnded) or not self._known((event.app,)):
            return
        committed = self._building.pop(stream, 0.0)
        if event.release and committed:
            self._committed[event.release] = committed
        self.counters[names.BUILDS, (event.app, event.outcome)] += 1
        self.last[event.app,] = event.seconds
        if event.outcome == "published":
            self._time(names.BUILD_SECONDS, (event.app,), event.seconds)

    def _opened(self, opened: ev.Opened, at: float) -> None:
        self._under_way[opened.rollout] = _Begun(opened.app, opened.env, at, opened.release)
        if self._known((opened.app, opened.env)):
            self.counters[names.BEGUN, (opened.app, opened.env)] += 1

    def _closed(self, rollout: str, outcome: Outcome, at: float) -> None:
        begun = self._under_way.pop(rollout, None)
        if begun is None or (begun.app, begun.env) not in self.envs:
            return
        where = begun.app, begun.env
        self.counters[names.ROLLOUTS, (*where, outcome.value)] += 1
        self._time(names.ROLLOUT_SECONDS, where, at - begun.at)
        self.last[where] = max(0.0, at - begun.at)
        if outcome is Outcome.PROMOTED and begun.release in self._committed:
            self._time(names.LEAD_SECONDS, where, at - self._committed[begun.release])
        if outcome is Outcome.ROLLED_BACK:
            self.counters[names.FAILURES, where] += 1
            self._time(names.RESTORE_SECONDS, where, at - (begun.back or at))

    def _free(self, closed: ev.EnvClosed, where: Labels) -> None:
        """The env is free, and owes what its last rollouts left; the rollout may have no end of its own."""
        self._under_way.pop(closed.rollout, None)
        if not self._known(where):
            return
        for kept, owed in ((self.owed_hosts, closed.owed_hosts), (self.owed_edges, closed.owed_edges)):
            if owed is not None:
                kept[where] = float(len(owed))

    def _time(self, series: Series, labels: Labels, seconds: float) -> None:
        if labels in self.envs:
            self.histograms.setdefault((series, labels), Histogram(series.buckets)).add(seconds)

    def _known(self, labels: Labels) -> bool:
        """Whether series are kept of it: names come from whoever released, and there is an end to them."""
        if labels in self.envs:
            return True
        if len(self.envs) >= MOST_ENVS:
            if len(self.dropped) < _MOST_DROPPED:
                self.dropped.add(labels)
            return False
        self.envs[labels] = None
        return True


def _moved(begun: _Begun, entry: Entry) -> _Begun:
    """How a rollout stands after one more of its entries."""
    match entry.event:
        case ev.Held() | ev.Resumed():
            return replace(begun, held=isinstance(entry.event, ev.Held))
        case ev.Waiting() | ev.Woken():
            return replace(begun, waits=isinstance(entry.event, ev.Waiting))
        case ev.GoingBack():
            return replace(begun, back=entry.at)
        case _:
            return begun
