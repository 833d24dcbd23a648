"""Score 0 to 100 from latency, errors, GC pauses and memory growth: ``explain`` is in the value itself.

1.  Each dimension gives points from 0 to 100 by the profile, ``article`` or ``default`` (``curves``).
2.  A dimension that the service does not expose, or of which it is too early to say (``early``), is left out, and said
    so; one that the team declared and that is not exposed makes the score INCONCLUSIVE, as does a canary without
    requests.
3.  The weights of the others are renormalised and the points summed.
4.  A dimension at 0 (below one point) caps the score at 40: the sum alone would give 70 to a service that only fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.health import curves
from gopub.health.config import BESIDE, RULES, ScoreWeights, SloTarget
from gopub.health.quantile import quantile
from gopub.health.runtime import RuntimeFacts
from gopub.health.samples import TrackWindow
from gopub.health.trend import Slope

CAP = 40.0
ZERO = 1.0


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension: what was measured, what it was held against, and its points.

    Units: latency seconds (p95), errors a fraction, gc_pause decayed pauses, memory_growth MiB per minute, or open
    files a minute where these are worse (the note says so).
    """

    name: str
    weight: float
    value: float | None
    """Points 0 to 100; None is left out, and ``note`` says why."""
    measured: float | None = None
    target: float | None = None
    note: str = ""
    early: bool = False
    """Left out because it is too early to say: a little later there will be a figure."""
    origin: str = ""
    """Where ``target`` came from, in words; empty where there is none, and in records of before it was kept."""


@dataclass(frozen=True, slots=True)
class Score:
    """The weighted sum; ``value`` None is INCONCLUSIVE, and ``notes`` say why."""

    value: float | None = None
    dimensions: tuple[Dimension, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreInput:
    """What the score is taken from: the recent counts of both tracks and what their runtimes say."""

    canary: TrackWindow | None = None
    stable: TrackWindow | None = None
    runtime: RuntimeFacts = field(default_factory=RuntimeFacts)


def score(given: ScoreInput, slo: SloTarget, weights: ScoreWeights, rules: int = RULES) -> Score:
    """The score of the canary, by these rules."""
    measured = (
        _latency(given, slo, weights),
        _errors(given, slo, weights),
        _gc_pause(given.runtime, weights),
        _growth(given.runtime, weights, rules),
    )
    dimensions = tuple(dimension for dimension in measured if dimension.weight > 0)
    if missing := _missing(dimensions, given.runtime, weights):
        return Score(None, dimensions, missing)
    present = [dimension for dimension in dimensions if dimension.value is not None]
    notes = [f"left out {d.name}: {d.note}" for d in dimensions if d.value is None]
    if not present:
        return Score(None, dimensions, (*notes, "no dimension has a weight and data"))
    total = sum(d.weight * (d.value or 0.0) for d in present) / sum(d.weight for d in present)
    dead = [d.name for d in present if (d.value or 0.0) < ZERO]
    if dead and total > CAP:
        notes.append(f"capped at {CAP:g}: {', '.join(dead)} at 0")
        total = CAP
    return Score(round(total, 3), dimensions, tuple(notes))


def _missing(dimensions: Sequence[Dimension], runtime: RuntimeFacts, weights: ScoreWeights) -> tuple[str, ...]:
    """Why the score is inconclusive; traffic dimensions are always declared, too little data is never missing."""
    exposed: Mapping[str, bool] = {
        "latency": any(d.name == "latency" and d.measured is not None for d in dimensions),
        "errors": False,
        "gc_pause": not runtime.gc_missing,
        "memory_growth": not runtime.heap_missing,
    }
    must = {"latency", "errors", *weights.declared}
    return tuple(
        f"{dimension.name}: {dimension.note}"
        for dimension in dimensions
        if dimension.value is None and dimension.name in must and not exposed[dimension.name]
    )


def _latency(given: ScoreInput, slo: SloTarget, weights: ScoreWeights) -> Dimension:
    p95 = quantile(0.95, given.canary.latency) if given.canary else None
    if p95 is None:
        return _none("latency", weights, "no timed requests on the canary")
    note = f"above the last bucket: the true p95 is more than {p95.value:g}s" if p95.saturated else ""
    if weights.profile == "article":
        value = curves.article_latency(p95.value)
        return Dimension("latency", weights.latency, value, p95.value, 0.5, note, origin=curves.OF_THE_PROFILE)
    stable = quantile(0.95, given.stable.latency) if given.stable else None
    usual = stable.value if stable else None
    target = curves.latency_target(slo.latency_p95, usual)
    if target is None:
        return _none("latency", weights, "neither an SLO nor stable traffic to hold it against", p95.value)
    value, origin = curves.sigmoid(p95.value / target), curves.latency_origin(slo.latency_p95, usual)
    return Dimension("latency", weights.latency, value, p95.value, target, note, origin=origin)


def _errors(given: ScoreInput, slo: SloTarget, weights: ScoreWeights) -> Dimension:
    rate = given.canary.error_rate if given.canary else None
    if rate is None:
        return _none("errors", weights, "no requests on the canary")
    stable = given.stable.error_rate if given.stable else None
    if weights.profile == "article":
        target = slo.error_rate or curves.DEFAULT_ERROR_RATE
        origin = curves.OF_THE_SLO if slo.error_rate else curves.OF_THE_PROFILE
    else:
        target, origin = curves.error_target(slo.error_rate, stable), curves.error_origin(slo.error_rate, stable)
    return Dimension("errors", weights.errors, curves.sigmoid(rate / target), rate, target, origin=origin)


def _gc_pause(runtime: RuntimeFacts, weights: ScoreWeights) -> Dimension:
    if runtime.canary_pauses is None:
        return _none("gc_pause", weights, runtime.gc_note or "too little data")
    article = weights.profile == "article"
    usual = 0.0 if article else runtime.stable_pauses or 0.0
    value = curves.article_pauses(max(0.0, runtime.canary_pauses - usual))
    note = f"pauses over {runtime.pauses_over * 1000:.3g} ms" if runtime.pauses_over else ""
    note = ", ".join(filter(None, (note, "" if runtime.gc_missing else runtime.gc_note)))
    origin = curves.OF_THE_PROFILE if article else curves.pause_origin(runtime.stable_pauses)
    return Dimension("gc_pause", weights.gc_pause, value, runtime.canary_pauses, usual, note, origin=origin)


def _growth(runtime: RuntimeFacts, weights: ScoreWeights, rules: int) -> Dimension:
    """What the process holds and does not give back: memory or open files, whichever is worse."""
    memory, files = _memory(runtime, weights, rules), _files(runtime, weights, rules)
    if files is None or (memory.value is not None and memory.value < ZERO):
        return memory
    if memory.value is None and not memory.early:  # not exposed
        return files
    if rules >= BESIDE and memory.value is not None and files.value is not None:
        # What is too early to say of the better one is waited for as well.
        worse, other = (files, memory) if files.value < memory.value else (memory, files)
        notes = dict.fromkeys((worse.note, other.note)) if other.early else (worse.note,)
        return replace(worse, early=worse.early or other.early, note="; ".join(note for note in notes if note))
    if files.value is None:
        return replace(memory, early=True, note="; ".join(note for note in (memory.note, files.note) if note))
    return files if files.value < (ZERO if memory.value is None else memory.value) else memory


def _memory(runtime: RuntimeFacts, weights: ScoreWeights, rules: int) -> Dimension:
    article = weights.profile == "article"
    target = curves.GROWTH if article else curves.growth_target(runtime.canary_heap)
    origin = curves.OF_THE_PROFILE if article else curves.growth_origin(target, runtime.stable_growth)
    if runtime.memory is not None:
        if rules >= BESIDE:
            found = _above(runtime.memory, runtime.stable_memory, target, weights, "MiB", runtime.heap_note)
        else:
            stable = 0.0 if article else runtime.stable_growth or 0.0
            found = _sloped(runtime.memory, stable, target, weights, "MiB", runtime.heap_note)
        return replace(found, origin=origin)
    slope = runtime.canary_growth
    if slope is None:
        early = runtime.intervals and not runtime.heap_missing
        note = runtime.heap_note or "too little data"
        return replace(_none("memory_growth", weights, f"too early to say: {note}" if early else note), early=early)
    value = curves.article_growth(slope) if article else curves.excess_growth(slope, runtime.stable_growth, target)
    return Dimension("memory_growth", weights.memory_growth, value, slope, target, runtime.heap_note, origin=origin)


def _files(runtime: RuntimeFacts, weights: ScoreWeights, rules: int) -> Dimension | None:
    if runtime.files_missing:
        return None
    if runtime.files is None:
        return replace(_none("memory_growth", weights, "too early to say of open files"), early=True)
    if rules >= BESIDE:
        found = _above(runtime.files, runtime.stable_files, curves.FILES, weights, "open files", "open files")
    else:
        found = _sloped(runtime.files, 0.0, curves.FILES, weights, "open files", "open files")
    return replace(found, origin=curves.FILES_ORIGIN)


def _above(
    slope: Slope, stable: Slope | None, target: float, weights: ScoreWeights, unit: str, note: str
) -> Dimension:  # fmt: skip
    """Points for what grows beyond stable: of a settled slope the middle, else what is sure by then.

    It leaks (0 points) only where that is the target or more and the canary's whole interval lies above stable's upper
    bound; more growth is never more points. Where either slope is not settled and that may still change, there is more
    to come (``early``): until then what is sure counts, for a part that is left out would raise the score of the
    others. The article's profile knows no stable.
    """
    article = weights.profile == "article"
    usual, bound = (max(0.0, stable.mid), max(0.0, stable.high)) if stable and not article else (0.0, 0.0)
    low, high = max(0.0, slope.low), max(0.0, slope.high)
    grows = max(0.0, slope.mid) if slope.settled else low
    value = curves.article_growth(grows) if article else curves.excess_growth(grows, usual, target)
    overlaps = value < ZERO and low < bound
    early = not slope.settled and low - usual < target <= high - usual
    early = early or (overlaps and not (slope.settled and stable and stable.settled))
    beside = f", stable's {max(0.0, stable.low):.3g} to {bound:.3g}" if stable and bound else ""
    told = f"{low:.3g} to {high:.3g} {unit} a minute{beside}"
    if early:
        told = f"too early to say: {told} so far, {target:g} {'more ' if usual else ''}are too much"
    elif overlaps:
        told = f"no surer than stable's own growth: {told}"
    elif value >= ZERO or slope.settled:
        told = ""
    value = max(value, ZERO) if overlaps else value
    texts = tuple(text for text in (told, note) if text)
    return Dimension("memory_growth", weights.memory_growth, value, max(0.0, slope.mid), target, "; ".join(texts),
                     early=early)  # fmt: skip


def _sloped(
    slope: Slope, stable: float, target: float, weights: ScoreWeights, unit: str, note: str
) -> Dimension:  # fmt: skip
    """A slope whose interval lies on one side of the target counts at once, any other when it is settled."""
    mid, low, high = max(0.0, slope.mid), max(0.0, slope.low), max(0.0, slope.high)
    span = f"{low:.3g} to {high:.3g} {unit} a minute"
    if not slope.settled and slope.low - stable < target <= slope.high - stable:
        left_out = _none("memory_growth", weights, f"too early to say: {span} so far, {target:g} are too much", mid)
        return replace(left_out, target=target, early=True)
    if weights.profile == "article":
        value = curves.article_growth(mid if slope.settled else max(mid, slope.low))
    else:
        value = curves.excess_growth(mid if slope.settled else max(mid, slope.low), stable, target)
    told = (span, note) if not slope.settled and value < ZERO else (note,)
    return Dimension(
        "memory_growth", weights.memory_growth, value, mid, target, "; ".join(text for text in told if text)
    )


def _none(name: str, weights: ScoreWeights, note: str, measured: float | None = None) -> Dimension:
    return Dimension(name, weights.of(name), None, measured, None, note)
