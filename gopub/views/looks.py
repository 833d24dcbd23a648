"""What the journal keeps of each look, as figures over time: for plots, and for the story of a rollout. Pure.

A record may be of an older gopub, or changed: what is missing there, or is no finite number, is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.health.quantile import quantile
from gopub.health.samples import Histogram
from gopub.journal import events as ev
from gopub.journal.entry import Entry

_SURE = 1.96
"""Standard errors on both sides: 95 %."""
_MOST = 1e15
"""Nobody counted more; a square of it is still a number."""
_YEAR_9999 = 253_402_300_000.0
_LONGEST = 1e6
"""Seconds: no answer takes longer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of failed answers, with its interval; ``bad`` of ``of``."""

    bad: float
    of: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Track:
    """One track at one look, over the last minute or so: what failed, and how long answers took, in seconds."""

    rate: Rate | None = None
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look and its verdict. ``log_e`` is the decimal logarithm of E; ``memory`` are bytes by host."""

    at: float
    step: int
    kind: str
    rule: int
    log_e: float | None
    alpha: float | None
    allowed: float | None
    target: float | None
    canary: Track
    stable: Track
    memory: Mapping[str, float]


def looks_of(entries: Sequence[Entry]) -> list[Look]:
    """Every look in the order of the journal."""
    return [_look(entry.at, entry.event) for entry in entries if isinstance(entry.event, ev.Judged)]


def tree(value: object, *names: str) -> Mapping[str, Json]:
    """What stands below these names; empty where nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def within(value: object, low: float, high: float) -> float | None:
    """A number in these bounds, else None."""
    found = figure(value)
    return found if found is not None and low <= found <= high else None


def moment(value: object) -> float | None:
    """Seconds since the epoch that a calendar has, else None."""
    return within(value, 1.0, _YEAR_9999)


def figure(value: object) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _look(at: float, judged: ev.Judged) -> Look:
    record = tree(judged.record, "record")
    seen = tree(record, "observation")
    slo, evidence = tree(seen, "config", "slo"), tree(seen, "evidence")
    spread = _spread(evidence)
    return Look(
        at=moment(seen.get("at")) or at,
        step=judged.step,
        kind=judged.kind,
        rule=judged.rule,
        log_e=_log_e(evidence),
        alpha=_share(tree(record, "policy").get("alpha")),
        allowed=within(slo.get("error_rate"), 0.0, 1.0),
        target=within(slo.get("latency_p95"), 0.0, _LONGEST),
        canary=_track(tree(seen, "recent", "canary"), spread),
        stable=_track(tree(seen, "recent", "stable"), spread),
        memory=_memory(seen.get("hosts")),
    )


def _share(value: object) -> float | None:
    found = figure(value)
    return found if found is not None and 0 < found < 1 else None


def _log_e(evidence: Mapping[str, Json]) -> float | None:
    if (found := within(evidence.get("log_e"), -_MOST, _MOST)) is not None:
        return found / math.log(10)
    told = figure(evidence.get("e_value"))
    return math.log10(told) if told is not None and told > 0 else None


def _spread(evidence: Mapping[str, Json]) -> float:
    metrics = evidence.get("metrics")
    for one in metrics if isinstance(metrics, list) else ():
        if isinstance(one, dict) and one.get("name") == "errors":
            return max(figure(one.get("phi")) or 1.0, 1.0)
    return 1.0


def _track(window: Mapping[str, Json], spread: float) -> Track:
    hosts = window.get("hosts")
    counts = [one for one in hosts if isinstance(one, dict)] if isinstance(hosts, list) else []
    of = math.fsum(figure(one.get("attempts")) or 0.0 for one in counts)
    bad = math.fsum(figure(one.get("errors")) or 0.0 for one in counts)
    times = _histogram(tree(window, "latency"))
    return Track(_rate(bad, of, spread), _quantile(0.5, times), _quantile(0.95, times))


def _rate(bad: float, of: float, spread: float) -> Rate | None:
    """Wilson's interval; answers that fail together (φ) count for as many as they are worth."""
    if not 0 < of <= _MOST or not 0 <= bad <= of:
        return None
    share, worth = bad / of, of / spread
    middle = share + _SURE**2 / (2 * worth)
    half = _SURE * math.sqrt(share * (1 - share) / worth + _SURE**2 / (4 * worth**2))
    scale = 1 + _SURE**2 / worth
    return Rate(bad, of, share, max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0))


def _histogram(latency: Mapping[str, Json]) -> Histogram | None:
    bounds, counts = latency.get("bounds"), latency.get("counts")
    if not isinstance(bounds, list) or not isinstance(counts, list) or len(counts) != len(bounds) + 1 or not bounds:
        return None
    limits = [value for one in bounds if (value := within(one, 0.0, _LONGEST)) is not None]
    whole = [one for one in counts if isinstance(one, int) and one >= 0]
    same = len(limits) == len(bounds) and len(whole) == len(counts)
    return Histogram(tuple(limits), tuple(whole)) if same else None


def _quantile(share: float, times: Histogram | None) -> float | None:
    try:
        found = quantile(share, times) if times else None
    except (ArithmeticError, GopubError):
        return None
    return found.value if found else None


def _memory(hosts: Json) -> Mapping[str, float]:
    found = {}
    for one in hosts if isinstance(hosts, list) else ():
        value = within(one.get("memory"), 0.0, _MOST) if isinstance(one, dict) else None
        if isinstance(one, dict) and value is not None:
            found[str(one.get("host"))] = value
    return found
