"""Turns an environment and its hosts into a plan, or refuses with the figures. Pure.

The load of a host is its traffic share divided by its even share:

1. a canary of h of N hosts with share w carries w·N/h per host, stable carries (1-w)·N/(N-h);
2. a plan in which either is above ``max_load`` is refused (1 % on 1 of 1,000 hosts and 50 % on 1 of 4 are both wrong);
3. a step with a weight and no hosts takes the fewest hosts that keep both within ``max_load``;
4. one host in transition is always allowed, more only as far as the rest can carry the load;
5. hosts that are kept on stable are in no step, and keep their even share of the traffic at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.errors import UsageError
from gopub.plan.model import FULL, PlannedStep
from gopub.units import Amount


@dataclass(frozen=True, slots=True)
class WantedStep:
    """A step as the spec words it; ``weight`` is a fraction of 1, None where traffic follows the hosts."""

    hosts: Amount | None = None
    weight: float | None = None
    header: tuple[str, str] | None = None
    bake: float = 60.0
    between: str = ""
    approve: str = ""
    route: str = ""
    """The condition of a rule that is more than one header, see ``PlannedStep``."""

    @property
    def chosen(self) -> bool:
        """Whether a rule chooses the canary's users."""
        return bool(self.header or self.route)


@dataclass(frozen=True, slots=True)
class Load:
    """Load per host on both tracks, as a multiple of the even share; 0 where a track has no host."""

    canary: float
    stable: float

    @property
    def worst(self) -> float:
        """The higher of the two."""
        return max(self.canary, self.stable)


def load(total: int, canary: int, share: float) -> Load:
    """The load of ``canary`` of ``total`` hosts that take ``share`` of the traffic (rule 1)."""
    rest = total - canary
    return Load(
        canary=share * total / canary if canary else 0.0,
        stable=(1 - share) * total / rest if rest else 0.0,
    )


def steps(
    wanted: Sequence[WantedStep], hosts: Sequence[str], max_load: float, *, keep: int = 0
) -> tuple[PlannedStep, ...]:
    """The steps to take over these hosts, in order; a step that would change nothing is left out.

    The last ``keep`` hosts are in no step (rule 5). A step that changes nothing for that alone bakes all the same.

    Raises:
        UsageError: GP711 a step that shrinks, GP712 a step above ``max_load``, GP713 no host, GP734 none that changes.
    """
    if not hosts:
        raise UsageError("GP713", "a rollout needs at least one host", hint="see `hosts:` and the inventory")
    if keep >= len(hosts):
        raise UsageError(
            "GP734",
            f"keep_stable is {keep} of {len(hosts)} host{'s' if len(hosts) != 1 else ''}: none is left for the release",
            hint="keep fewer, or give the environment more hosts",
        )
    planned: list[PlannedStep] = []
    for number, want in enumerate(wanted, 1):
        before = len(planned[-1].hosts) if planned else 0
        count = _count(want, len(hosts), before, max_load)
        if count < before:
            raise UsageError(
                "GP711",
                f"step {number} has {count} of {len(hosts)} hosts, fewer than the {before} before it",
                hint="`hosts` is cumulative: let it grow from step to step",
            )
        step = _step(want, len(planned), tuple(hosts[:count]), len(hosts))
        _check_load(number, _without(step, len(hosts), keep), len(hosts), max_load)
        if not (planned and _same_state(planned[-1], step)):
            planned.append(step)
    return tuple(_without(step, len(hosts), keep) for step in planned)


def fits(total: int, out: int, max_load: float) -> bool:
    """Whether ``out`` of ``total`` hosts may be in transition at once (rule 4)."""
    return out <= 1 or (out < total and total / (total - out) <= max_load)


def carried(total: int, serving: int, max_load: float) -> bool:
    """Whether ``serving`` of ``total`` hosts may be left alone with the traffic: rule 4, and never nobody."""
    return serving > 0 and fits(total, total - serving, max_load)


def largest_batch(total: int, max_unavailable: int, max_load: float) -> int:
    """How many hosts may be taken out at once: at most ``max_unavailable``, at least one."""
    return next(n for n in range(max(1, max_unavailable), 0, -1) if fits(total, n, max_load))


def share_while_going_back(total: int, canary: int, max_load: float) -> int:
    """What the canary must keep (basis points) so that stable hosts stay within ``max_load``; mostly 0."""
    if canary >= total:
        return FULL
    carried = max_load * (total - canary) / total
    return max(0, round((1 - carried) * FULL))


def _count(want: WantedStep, total: int, before: int, max_load: float) -> int:
    if want.hosts is not None:
        return max(1, want.hosts.up(total))
    if want.weight is None or want.chosen:
        return max(1, before)
    enough = (n for n in range(max(1, before), total + 1) if load(total, n, want.weight).worst <= max_load)
    return next(enough, max(1, before))


def _step(want: WantedStep, index: int, hosts: tuple[str, ...], total: int) -> PlannedStep:
    follows = 0 if want.chosen else round(FULL * len(hosts) / total)
    weight = round(want.weight * FULL) if want.weight is not None else follows
    return PlannedStep(index, hosts, weight, want.bake, want.header, want.between, want.approve, want.route)


def _without(step: PlannedStep, total: int, keep: int) -> PlannedStep:
    """The step without the hosts that are kept on stable, and without their share."""
    most = total - keep
    return replace(step, hosts=step.hosts[:most], weight=min(step.weight, round(FULL * most / total)))


def _same_state(one: PlannedStep, other: PlannedStep) -> bool:
    alike = (one.hosts, one.weight, one.header, one.route) == (other.hosts, other.weight, other.header, other.route)
    return alike and not (other.approve or other.between)


def _check_load(number: int, step: PlannedStep, total: int, max_load: float) -> None:
    if step.chosen:
        return  # users who fit the rule choose themselves; their share is not known beforehand
    found = load(total, len(step.hosts), step.weight / FULL)
    crowd = len(step.hosts) == total and step.weight < FULL
    # With one host in transition the others may carry more than max_load: that is rule 4, not a plan's choice.
    follows = step.weight == round(FULL * len(step.hosts) / total)
    if crowd:
        raise UsageError(
            "GP712",
            f"step {number}: {step.weight / 100:g}% of the traffic on {total} of {total} hosts leaves "
            f"{100 - step.weight / 100:g}% without a host on stable",
            hint="with more hosts, or without `weight` in this step, it can be done",
        )
    if found.worst > max_load + 1e-9 and not follows:
        raise UsageError(
            "GP712",
            f"step {number}: {step.weight / 100:g}% of the traffic on {len(step.hosts)} of {total} hosts loads "
            f"a canary host {found.canary:.2f}× and a stable host {found.stable:.2f}× its even share; "
            f"max_load is {max_load:g}",
            hint="give the canary a share near its part of the hosts, or raise max_load",
        )
