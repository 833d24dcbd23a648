"""What the steps of a plan can see of a canary that fails more often, in words: told before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gopub.health.config import SloTarget
from gopub.health.power import Sight, least
from gopub.health.trend import SETTLED
from gopub.health.usual import Usual
from gopub.plan.model import FULL, PlannedStep
from gopub.units import say_seconds

AT_ONCE = 100.0
"""E this many times 1/α takes a canary back with no second opinion (rule 3)."""
ROUND = (10.0, 100.0, 1000.0)
"""Requests per second that are told of where nobody knows the traffic."""
DOUBLE = 2.0
LOOK = 2.0
"""Seconds between two looks unless the spec says otherwise; at most a quarter of the shortest bake."""
BLIND = "has no stable traffic beside it: what fails there may fail everywhere, so it blames nobody"
KEEP = "rollout.keep_stable: 1 keeps a host to compare with"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the judge of these steps goes by; ``every`` is seconds between two windows of counts."""

    slo: SloTarget
    alpha: float
    every: float = LOOK
    endpoints: int = 0
    """How many are declared: the totals have a smaller part of the coin."""


def told(steps: Sequence[PlannedStep], usual: Usual, wanted: Wanted) -> tuple[str, ...]:
    """For each step what it finds of a rise of the errors, and whether that is too little to guard the SLO."""
    lines, best = [], None
    for step in (step for step in steps if _has_share(step)):
        if step.weight == FULL:
            hint = f" ({KEEP})" if len(step.hosts) > 1 else ""
            lines.append(f"step {step.index + 1} {_with(step, usual.requests)} {BLIND}{hint}")
            continue
        sight = _sight(step, usual, wanted)
        seen = least(sight)
        lines.append(f"step {step.index + 1} {_with(step, usual.requests)} {_finds(sight, seen)}")
        best = seen if best is None or (seen is not None and seen < best) else best
    compared = any(_has_share(step) and step.weight < FULL for step in steps)
    return (*lines, *_too_short(best, wanted.slo)) if compared else tuple(lines)


def told_of_endpoints(
    steps: Sequence[PlannedStep], usual: Mapping[str, Usual], names: Sequence[str], wanted: Wanted
) -> tuple[str, ...]:
    """What the best step finds of each declared endpoint, where its traffic is known; () where no step compares."""
    compared = [step for step in steps if _has_share(step) and step.weight < FULL]
    best = max(compared, key=lambda step: min(step.weight, FULL - step.weight) * step.bake, default=None)
    if best is None:
        return ()
    lines = []
    for name, one in usual.items():
        sight = replace(_sight(best, one, wanted), of_endpoint=True)
        lines.append(f"{name} ({one.requests:.3g} requests/s): step {best.index + 1} {_finds(sight, least(sight))}")
    unknown = [name for name in names if name not in usual]
    if unknown:
        lines.append(
            f"what the steps find at {', '.join(unknown)} is not known: no edge has counted that of stable yet"
        )
    return tuple(lines)


def table(steps: Sequence[PlannedStep], wanted: Wanted) -> tuple[str, ...]:
    """The same for round numbers of requests, where as many fail as the SLO allows; () without such a promise."""
    allowed = wanted.slo.error_rate
    shown = [step for step in steps if _has_share(step) and step.weight < FULL]
    if not allowed or not shown:
        return ()
    rows = {step: [least(_sight(step, Usual(rate, allowed), wanted)) for rate in ROUND] for step in shown}
    width = max(len(_name(step)) for step in shown)
    head = f"the least error rate that a step finds in about 4 of 5 cases, where {_share(allowed)} is usual"
    lines = [f"{head}, at", _row("", [f"{rate:g}/s" for rate in ROUND], width)]
    lines += [_row(_name(step), [_share(one) for one in row], width) for step, row in rows.items()]
    enough = [rate for at, rate in enumerate(ROUND) if _guards([row[at] for row in rows.values()], allowed)]
    double = f"an error rate of {_share(DOUBLE * allowed)}, twice what the SLO allows,"
    if not enough:
        return (*lines, f"these steps are too short to find {double} at {ROUND[-1]:g} requests/s or fewer")
    if enough[0] == ROUND[0]:
        return tuple(lines)
    fewer = "with fewer they are too short, or their shares too small"
    return (*lines, f"these steps find {double} from about {enough[0]:g} requests/s on; {fewer}")


def growth(steps: Sequence[PlannedStep], weight: float) -> tuple[str, ...]:
    """Where steps end before it is sure whether memory grows: what the rollout does then; () where nobody asks."""
    early, baked = [], 0.0
    for step in steps:
        baked += step.bake
        if baked < SETTLED:
            early.append(step)
    if weight <= 0 or not early:
        return ()
    names = f"step {early[0].index + 1} ends" if len(early) == 1 else f"steps 1 to {early[-1].index + 1} end"
    left = SETTLED - early[0].bake
    sure = f"{names} before it is sure whether memory grows, which takes {say_seconds(SETTLED)} of watching"
    waits = f"where it is too early to say, the rollout waits for it, another {say_seconds(left)} at most"
    return (f"{sure}: {waits} (judge.score.memory_growth: 0 waits for nothing)",)


def sees(share: float, bake: float, usual: Usual, wanted: Wanted) -> str:
    """What a step with this share of the traffic finds within a bake, in words."""
    step = PlannedStep(0, (), round(FULL * share), bake)
    sight = _sight(step, usual, wanted)
    return f"{_with(step, usual.requests).strip('()')} {_finds(sight, least(sight))}"


def _has_share(step: PlannedStep) -> bool:
    """Whom a rule chooses gets the canary, so nobody knows how many will."""
    return not step.chosen and step.weight > 0


def _sight(step: PlannedStep, usual: Usual, wanted: Wanted) -> Sight:
    share = step.weight / FULL
    return Sight(
        canary=usual.requests * share,
        stable=usual.requests * (1 - share),
        seconds=step.bake,
        base=usual.errors,
        slo=wanted.slo,
        alpha=wanted.alpha,
        phi=usual.phi,
        cluster=usual.cluster,
        every=wanted.every,
        family=wanted.endpoints,
    )


def _finds(sight: Sight, seen: float | None) -> str:
    if seen is None:
        return "is too short to find any rise of the errors"
    rise = f"finds errors that rise from {_share(sight.base)} to {_share(seen)} in about 4 of 5 cases"
    sure = least(sight, AT_ONCE)
    return f"{rise}, and goes back at once from {_share(sure)} on" if sure is not None else rise


def _too_short(best: float | None, slo: SloTarget) -> tuple[str, ...]:
    if slo.error_rate is None or _guards([best], slo.error_rate):
        return ()
    double = f"{_share(DOUBLE * slo.error_rate)} of errors, twice what the SLO allows"
    return (f"no step can be relied on to find {double}: bake longer, or give the canary a larger share",)


def _guards(seen: Sequence[float | None], allowed: float) -> bool:
    return any(one is not None and one <= DOUBLE * allowed for one in seen)


def _with(step: PlannedStep, requests: float) -> str:
    return f"({step.weight / 100:g}% of {requests:.3g} requests/s for {say_seconds(step.bake)})"


def _row(name: str, cells: Sequence[str], width: int) -> str:
    return f"  {name:{width}}  {' '.join(f'{one:>7}' for one in cells)}"


def _name(step: PlannedStep) -> str:
    return f"step {step.index + 1}: {step.weight / 100:g}% for {say_seconds(step.bake)}"


def _share(rate: float | None) -> str:
    return "none" if rate is None else f"{100 * rate:.2g}%"
