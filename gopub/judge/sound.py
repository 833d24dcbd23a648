"""What a kept record of the judge may hold: bounds of every figure, checked once where it is read. Pure.

The kinds of values are held by ``health.wire``. Here is what arithmetic rests on: counts are exact in a double, figures
are no larger than what may be multiplied, shares are shares, buckets fit their counts. So whatever is computed from a
record that came through this door ends, and ends in a number.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from gopub.errors import UsageError
from gopub.health.burn import ARTICLE, MULTIWINDOW
from gopub.health.config import (
    PROFILES,
    RULES,
    BudgetTarget,
    JudgeConfig,
    OwnTarget,
    PromoteTarget,
    ScoreWeights,
    SloTarget,
)
from gopub.health.endpoints import GROUPS
from gopub.health.eprocess import GRID, Process
from gopub.health.evidence import Evidence
from gopub.health.logscore import LogScore
from gopub.health.observation import Observation
from gopub.health.own import OwnLook
from gopub.health.samples import Histogram, TrackWindow, Window
from gopub.health.sequential import EvidenceState
from gopub.health.uses import ProcessUse
from gopub.judge.verdict import Policy, Verdict
from gopub.spec.endpoints import MOST
from gopub.spec.own import MOST as MOST_OWN

T = TypeVar("T")
EXACT = 2**53
"""Counts below are told apart by a double."""
LARGEST = 1e30
"""The square of a count, and less than what overflows when it is squared itself."""
_KERNEL = 10**18
"""What a host says of bytes and kills is passed on, whatever it is."""
_RULES = 7
_WINDOWS = 1000
_BURNS = ("ignore", MULTIWINDOW, ARTICLE)


@dataclass(frozen=True, slots=True)
class _Range:
    """From ``low`` to ``high``; ``open`` leaves both ends out."""

    low: float
    high: float = LARGEST
    open: bool = False

    def why_not(self, value: float) -> str:
        low, high = (f"{end:g}" for end in (self.low, self.high))
        if self.open:
            return "" if self.low < value < self.high else f"is not between {low} and {high}"
        if value < self.low:
            return f"is below {low}"
        return "" if value <= self.high else f"is above {high}"


_COUNT, _FIGURE = _Range(0, EXACT - 1), _Range(-LARGEST)
_SHARE, _INSIDE, _ABOVE, _SPAN = _Range(0, 1), _Range(0, 1, open=True), _Range(0, open=True), _Range(0)
_BOUNDS: Mapping[type, Mapping[str, _Range]] = {
    JudgeConfig: {
        "alpha": _INSIDE, "log_score": _SHARE, "horizon": _Range(1, 86400), "watch": _SPAN, "warmup": _SPAN,
        "log_warmup": _SPAN, "rules": _Range(1, RULES),
    },
    Policy: {"alpha": _INSIDE, "log_score": _SHARE, "watch": _SPAN, "quiet": _SPAN, "freeze_below": _SHARE},
    SloTarget: {"latency_p95": _ABOVE, "error_rate": _SHARE},
    ScoreWeights: dict.fromkeys(("latency", "errors", "gc_pause", "memory_growth"), _SPAN),
    BudgetTarget: {"freeze_below": _SHARE, "window": _ABOVE},
    OwnTarget: {"margin": _SHARE},
    PromoteTarget: {"margin": _ABOVE, "beta": _INSIDE, "observed": _SPAN},
    Verdict: {"rule": _Range(1, _RULES)},
    Window: {"gathered": _SPAN},
    LogScore: {"value": _SHARE},
    Evidence: {"e_value": _Range(0, 1e300), "e_all": _Range(0, 1e300)},
    ProcessUse: {one.name: _Range(0, _KERNEL) for one in fields(ProcessUse)},
}  # fmt: skip
_WORDS: Mapping[tuple[type, str], tuple[str, ...]] = {
    (ScoreWeights, "profile"): PROFILES,
    (BudgetTarget, "burn"): _BURNS,
    (Policy, "burn"): _BURNS,
    (OwnTarget, "kind"): ("counter", "gauge", "ratio"),
    (OwnTarget, "direction"): ("lower", "higher"),
}


def checked(value: T, at: str) -> T:
    """The same value, if it is sound.

    Raises:
        UsageError: GP601 with the path of the first figure that is out of its bounds.
    """
    for place, why in _wrong(value, at):
        raise UsageError("GP601", f"{place} {why}", hint="the record was changed, or another version of gopub wrote it")
    return value


def _wrong(value: object, at: str) -> Iterator[tuple[str, str]]:
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        for name in _names(kind):
            inner, place = getattr(value, name), f"{at}.{name}"
            if type(inner) is str:
                yield from _word(inner, place, _WORDS.get((kind, name), ()))
            else:
                yield from _inner(inner, place, _BOUNDS.get(kind, {}).get(name))
        yield from _shape(value, at)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _inner(inner, f"{at}.{key!s:.60}", None)
    elif isinstance(value, (tuple, list)):
        for index, inner in enumerate(value):
            yield from _inner(inner, f"{at}[{index}]", None)


def _inner(value: object, at: str, known: _Range | None) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool) or value is None:
        return
    if not isinstance(value, (int, float)):
        yield from _wrong(value, at)
    elif why := (known or (_COUNT if isinstance(value, int) else _FIGURE)).why_not(value):
        yield f"{at}: {value!r:.60}", why


def _word(value: str, at: str, known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if known and value not in known:
        yield f"{at}: {value!r:.60}", f"is none of {', '.join(known)}"


@cache
def _names(kind: Hashable) -> tuple[str, ...]:
    return tuple(one.name for one in fields(cast("type[Any]", kind)))


def _own_shape(value: object, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, OwnTarget) and value.direction == "higher" and value.margin >= 1:
        yield f"{at}.margin: {value.margin:g}", "leaves nothing of what is better when it is higher"
    if isinstance(value, JudgeConfig) and len(value.own) > MOST_OWN:
        yield f"{at}.own:", f"has {len(value.own)}, and {MOST_OWN} are the most"
    if isinstance(value, OwnLook) and max(len(value.windows), len(value.told)) > MOST_OWN:
        yield f"{at}:", f"has more than {MOST_OWN} metrics of the team's own"


def _shape(value: object, at: str) -> Iterator[tuple[str, str]]:
    """What must fit together within one value."""
    if isinstance(value, Observation) and len(value.windows) > _WINDOWS:
        yield f"{at}.windows:", f"has {len(value.windows)} windows, and a look gives {_WINDOWS} at most"
    yield from _own_shape(value, at)
    if isinstance(value, Process) and len(value.started) != len(GRID):
        yield f"{at}.started:", f"has {len(value.started)} bets, not {len(GRID)}"
    if isinstance(value, JudgeConfig | EvidenceState | TrackWindow) and len(value.endpoints) > MOST:
        yield f"{at}.endpoints:", f"has {len(value.endpoints)}, and {MOST} are the most"
    if isinstance(value, TrackWindow) and max(map(len, value.endpoints), default=0) > GROUPS:
        yield f"{at}.endpoints:", f"has an endpoint of more than {GROUPS} groups"
    if isinstance(value, Window) and len({t.latency.bounds for t in (value.canary, value.stable) if t} - {()}) > 1:
        yield f"{at}:", "has other buckets of canary than of stable"
    if not isinstance(value, Histogram):
        return
    bounds, counts = value.bounds, value.counts
    if len(counts) not in (0, len(bounds) + 1 if bounds else 0):
        yield f"{at}.counts:", f"{len(counts)} for {len(bounds)} bounds"
    if any(after <= before for before, after in zip((0.0, *bounds), bounds, strict=False)):
        yield f"{at}.bounds:", "do not ascend from above 0"
