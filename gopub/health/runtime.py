"""What the runtimes of both tracks say: long collection pauses and growing memory, kept from look to look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gopub.health.curves import FILES, GROWTH
from gopub.health.samples import NoData, PausesSpent, ProcessHealth, RuntimeSample, RuntimeSnapshot
from gopub.health.trend import MIB, Point, Slope, slope
from gopub.health.uses import ProcessUse, began_anew

HALF_LIFE = 60.0
"""Seconds after which a pause counts half."""
SPACING = 2.0
_KEEP = 600
_SAME = 1.0
"""Seconds by which a process may say otherwise when it began: some reckon it from their age."""
LONG_PAUSE = {"default": 0.010, "article": 0.200}
"""Seconds; the runtime's histogram is read at its nearest bound."""


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What the score needs; ``None`` is unknown and the note says why.

    Pauses are counts of long ones with a half-life of a minute, growth is MiB per minute; each is the worst host's.
    ``*_missing``: nothing is exposed at all, which is not the same as too little data.
    """

    canary_pauses: float | None = None
    stable_pauses: float | None = None
    pauses_over: float | None = None
    canary_growth: float | None = None
    stable_growth: float | None = None
    canary_heap: float | None = None
    gc_missing: bool = True
    heap_missing: bool = True
    gc_note: str = "not exposed"
    heap_note: str = "not exposed"
    """Also what growth was taken from, where that is not the live heap."""
    memory: Slope | None = None
    """The interval of ``canary_growth``, MiB a minute."""
    files: Slope | None = None
    """Growth of the open files of the canary's worst host, a minute."""
    files_missing: bool = True
    intervals: bool = False
    """Slopes come with intervals; records of before have none."""
    stable_memory: Slope | None = None
    """The interval of ``stable_growth``; None where stable was not asked, or it is too early to say."""
    stable_files: Slope | None = None


@dataclass(slots=True)
class _Host:
    heap: list[Point] = field(default_factory=list)
    resident: list[Point] = field(default_factory=list)
    files: list[Point] = field(default_factory=list)
    use: ProcessUse | None = None
    used: float | None = None
    """Heap with its garbage, as last told."""
    born: float | None = None
    says_memory: bool = False
    says_files: bool = False
    """The host itself says them: what the process says is another measure then."""
    pauses: Mapping[float, float] | None = None
    spent: PausesSpent | None = None
    pauses_at: float | None = None
    decayed: float = 0.0


class RuntimeTrail:
    """Collects samples host by host; begins anew with each driver, for slopes need an unbroken trail."""

    def __init__(self, profile: str = "default") -> None:
        """Take the profile, which says from when on a pause is long."""
        self._over = LONG_PAUSE[profile]
        self._bound: float | None = None
        self._hosts: dict[str, _Host] = {}
        self._problem = ""

    def add(self, snapshot: RuntimeSnapshot | NoData) -> None:
        """Take in one answer."""
        self._problem = snapshot.reason if isinstance(snapshot, NoData) else ""
        if isinstance(snapshot, RuntimeSnapshot):
            for sample in snapshot.hosts:
                self._add(self._hosts.setdefault(sample.host, _Host()), sample)

    def _add(self, host: _Host, sample: RuntimeSample) -> None:
        if _is_another(host, sample):  # its heap has no past, and its pauses count from 0
            host.heap.clear()
            host.used, host.pauses, host.spent = None, host.pauses and {}, host.spent and PausesSpent(0.0, 0.0)
        host.born = sample.born
        if sample.heap is not None:
            _keep(host.heap, sample.at, sample.heap / MIB)
        elif sample.used is not None:
            if host.used is not None and sample.used < host.used:  # it has been collected: what is left lives
                _keep(host.heap, sample.at, sample.used / MIB)
            host.used = sample.used
        if sample.resident is not None and not host.says_memory:
            _keep(host.resident, sample.at, sample.resident / MIB)
        if sample.files is not None and not host.says_files:
            _keep(host.files, sample.at, sample.files)
        self._add_pauses(host, sample)

    def _add_pauses(self, host: _Host, sample: RuntimeSample) -> None:
        bound = nearest(sample.pauses, self._over)
        if (bound is None and sample.spent is None) or _fell(host, sample):
            return
        self._bound = self._over if bound is None else bound
        if host.pauses_at is not None:
            host.decayed *= 0.5 ** ((sample.at - host.pauses_at) / HALF_LIFE)
        if bound is not None and host.pauses is not None:
            host.decayed += _longer(host.pauses, sample.pauses, bound)
        if sample.spent is not None and host.spent is not None:
            host.decayed += longer_on_average(host.spent, sample.spent, self._over)
        host.pauses, host.spent, host.pauses_at = sample.pauses or None, sample.spent, sample.at

    def add_health(self, health: Iterable[ProcessHealth], at: float) -> None:
        """Take in what hosts tell: resident memory, by which a service is judged that exposes nothing; open files."""
        for one in (found for found in health if found.reachable):
            host = self._hosts.setdefault(one.host, _Host())
            if began_anew(host.use, one.use):  # restarted: what grew of the old process is no growth of the new one
                host.resident.clear()
                host.files.clear()
            host.use = one.use
            if one.memory is not None:
                if not host.says_memory:
                    host.resident.clear()
                host.says_memory = True
                _keep(host.resident, at, one.memory / MIB)
            if one.files is not None:
                if not host.says_files:
                    host.files.clear()
                host.says_files = True
                _keep(host.files, at, one.files)

    def forget(self, host: str) -> None:
        """Begin anew with a host that runs another process now."""
        self._hosts.pop(host, None)

    def facts(self, canary: Iterable[str], stable: Iterable[str]) -> RuntimeFacts:
        """The facts for the score, given which hosts run which release."""
        ours = [self._hosts[name] for name in canary if name in self._hosts]
        theirs = [self._hosts[name] for name in stable if name in self._hosts]
        memory = _steepest((_growth(host) for host in ours), GROWTH)
        theirs_grow = _steepest((_growth(host) for host in theirs), GROWTH)
        no_heap = not any(host.heap or host.resident or host.used is not None for host in ours)
        no_pauses = not any(host.pauses_at is not None for host in ours)
        missing = self._problem or "not exposed"
        return RuntimeFacts(
            canary_pauses=_worst(host.decayed for host in ours if host.pauses_at is not None),
            stable_pauses=_worst(host.decayed for host in theirs if host.pauses_at is not None),
            pauses_over=self._bound,
            canary_growth=max(0.0, memory.mid) if memory else None,
            stable_growth=max(0.0, theirs_grow.mid) if theirs_grow else None,
            canary_heap=_worst(
                (host.heap or host.resident)[-1][1] * MIB for host in ours if host.heap or host.resident
            ),
            gc_missing=no_pauses,
            heap_missing=no_heap,
            gc_note=missing if no_pauses else _by_mean(ours),
            heap_note=missing if no_heap else _note(ours, memory),
            memory=memory,
            files=_steepest((slope(host.files, collected=False) for host in ours), FILES),
            files_missing=not any(host.files for host in ours),
            intervals=True,
            stable_memory=theirs_grow,
            stable_files=_steepest((slope(host.files, collected=False) for host in theirs), FILES),
        )


def _keep(points: list[Point], at: float, value: float) -> None:
    if points and at < points[-1][0]:
        points.clear()  # the clock was set back: times of before and after do not lie on one line
    if not points or at - points[-1][0] >= SPACING:
        points.append((at, value))
        del points[:-_KEEP]


def _growth(host: _Host) -> Slope | None:
    """The live heap's where it has a settled slope, for it knows no garbage; else the resident memory's, else any."""
    heap = slope(host.heap)
    if heap is not None and heap.settled:
        return heap
    return slope(host.resident, collected=False) or heap


def _steepest(found: Iterable[Slope | None], mark: float) -> Slope | None:
    """Of several hosts' slopes the one that counts: what is surely too steep, else what is settled, else any."""
    known = [one for one in found if one is not None]
    for chosen in (
        [one for one in known if one.low >= mark],
        [one for one in known if one.settled],
    ):
        if chosen:
            return max(chosen, key=lambda one: (one.mid, one.low))
    return max(known, key=lambda one: one.high, default=None)


def _note(hosts: Iterable[_Host], memory: Slope | None) -> str:
    if memory is None:
        return "too little data for a slope"
    known = tuple(hosts)
    if any(host.heap for host in known):
        return ""
    waits = any(host.used is not None for host in known)
    return f"resident memory, for {'no collection was seen yet' if waits else 'the live heap is not exposed'}"


def _by_mean(hosts: Iterable[_Host]) -> str:
    return "by their mean, for there is no histogram" if any(host.spent for host in hosts) else ""


def _is_another(host: _Host, sample: RuntimeSample) -> bool:
    """Whether another process than before tells this."""
    if host.born is not None and sample.born is not None:
        return abs(sample.born - host.born) > _SAME
    return _fell(host, sample)


def _fell(host: _Host, sample: RuntimeSample) -> bool:
    """Whether there are fewer pauses than before: a process that begins anew, else an older reading of the same."""
    if host.pauses and sample.pauses:
        return sample.pauses.get(math.inf, 0.0) < host.pauses.get(math.inf, 0.0)
    return bool(host.spent and sample.spent and sample.spent.count < host.spent.count)


def longer_on_average(before: PausesSpent, after: PausesSpent, bound: float) -> float:
    """How many new pauses were longer than ``bound``, where only their number and their sum are known.

    All of them where their mean is; else one, where the longest of late is among them by its length.
    """
    count, total = after.count - before.count, after.total - before.total
    if count <= 0 or total <= bound:
        return 0.0
    if total > bound * count:
        return count
    return 1.0 if after.longest is not None and bound < after.longest <= total else 0.0


def nearest(buckets: Mapping[float, float], wanted: float) -> float | None:
    """The bound that is nearest to ``wanted`` by ratio."""
    bounds = [le for le in buckets if math.isfinite(le) and le > 0]
    return min(bounds, key=lambda le: abs(math.log(le / wanted)), default=None)


def _longer(before: Mapping[float, float], after: Mapping[float, float], bound: float) -> float:
    """Pauses longer than ``bound`` that are new; a histogram that fell belongs to a new process."""
    now = after.get(math.inf, 0.0) - after.get(bound, 0.0)
    if after.get(math.inf, 0.0) < before.get(math.inf, 0.0):
        return max(0.0, now)
    return max(0.0, now - (before.get(math.inf, 0.0) - before.get(bound, 0.0)))


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
