"""Which scraped targets were one edge in a long time: what several of them counted at the same time is counted once.

An edge may have moved to another address, and another edge to its old one. So two targets are one edge where both told
the same identity at the same time, and not where they told it one after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from gopub.health.backends.promql import selector
from gopub.health.backends.targets import Row, Target, name_of, target_of

REVISION = "gopub_edge_table_revision"
NEAR = 300.0
"""Seconds before a reading that are looked at sample by sample."""
_MOMENTS = 720
"""At how many moments of a long time it is looked who was scraped."""
_FINEST = 5.0
Ask = Callable[[str], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class Told:
    """A target told an identity from one time to another."""

    target: Target
    identity: str
    first: float
    last: float


async def doubles(ask: Ask, app: str, env: str, span: float) -> Mapping[Target, Target]:
    """Target → the one that stands for its edge, of those that were scraped beside others in the last ``span`` seconds.

    Empty where each edge was scraped once.
    """
    told = selector((REVISION,), equal={"app": app, "env": env})
    near = await ask(f"{told}[{NEAR:.0f}s]")
    found = [_told(labels, float(samples[0][0]), float(samples[-1][0])) for labels, samples in near]
    pairs = together(found, 0.0)
    if span > NEAR:
        step = max(_FINEST, span / _MOMENTS)
        every = f"(timestamp({told})[{span:.0f}s:{step:.0f}s])"
        firsts, lasts = await ask(f"min_over_time{every}"), await ask(f"max_over_time{every}")
        begins = {_place(labels): float(samples[-1][1]) for labels, samples in firsts}
        ends = ((labels, float(samples[-1][1])) for labels, samples in lasts)
        pairs |= together([_told(labels, begins.get(_place(labels), last), last) for labels, last in ends], step)
    return _grouped(pairs)


def together(told: Sequence[Told], least: float) -> set[tuple[Target, Target]]:
    """Pairs of targets that told one identity for more than ``least`` seconds at the same time."""
    by_identity: dict[str, list[Told]] = {}
    for one in told:
        by_identity.setdefault(one.identity, []).append(one)
    return {
        (a.target, b.target)
        for same in by_identity.values()
        for a, b in combinations(same, 2)
        if a.target != b.target and min(a.last, b.last) - max(a.first, b.first) > least
    }


def _grouped(pairs: set[tuple[Target, Target]]) -> Mapping[Target, Target]:
    stands: dict[Target, Target] = {}
    for a, b in sorted(pairs):
        old, new = stands.setdefault(b, b), stands.setdefault(a, a)
        stands = {target: new if stand == old else stand for target, stand in stands.items()}
    return stands


def _told(labels: Mapping[str, str], first: float, last: float) -> Told:
    return Told(target_of(labels), _identity(labels), first, last)


def _identity(labels: Mapping[str, str]) -> str:
    """Who cannot say who it is, is who it is scraped as."""
    return labels.get("exported_edge_id") or labels.get("edge_id") or f"at {name_of(labels)}"


def _place(labels: Mapping[str, str]) -> tuple[Target, str]:
    return target_of(labels), _identity(labels)
