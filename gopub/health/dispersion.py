"""φ: how much more than chance the stable hosts differ from each other, learnt from their counts.

Errors come in clusters (retries, a burst on one host) and hosts differ. A test that takes every error for an
independent event is sure far too early, so the evidence is divided by φ. It is the Pearson statistic of bad events
over the stable hosts, per degree of freedom: 1 where the hosts differ as chance has it, k where events come in
clusters of k. Two views are taken and the larger one counts: bins of half a minute and more (bursts), and totals
(hosts that differ all the time). Each starts from a prior worth ``PRIOR`` degrees of freedom, so that three hosts and
a few errors do not shout; for bursts the prior is 1.5, for who has seen none cannot say that there are none. φ is
never below 1. It is applied only to what comes after all that it was learnt from: a φ that knows a window depends on
how many bad events stable happened to have in it, and of what it tempers then no theorem holds.

Hosts that always differed are no reason to be unsure of a canary whose own past is known (rules from 6 on). So there
the second view is whether stable hosts differ *otherwise* than before the rollout, by the counts of both times, and
what the canary's own hosts were before moves the null (``allowed``): it is the larger of the margin upon their usual
ratio and of an upper bound of that ratio. How far a ratio that was counted is chance, and how far it is the host's, is
taken from all hosts' past: where they differ as chance has it, no host has an offset. Without a past both are as above.

What is a theorem and what is measured: where events are independent given the past, E is an e-value whatever φ ≥ 1 is
(Jensen). Under clusters it is one only as far as φ is right, and the false rate is measured (``tests/bench``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

PRIOR = 4.0
PRIOR_BURSTS = 1.5
BIN = 30.0
"""Seconds until a bin of live counts is closed."""
PRIOR_CHANGES = 12.0
"""Degrees of freedom that "as before" is worth, where a host's past is known."""
SURE = 2.33
"""Deviations by which the bound on the canary's own offset lies above it: one in a hundred."""
FEW = 0.1
"""A host with less than this share of the busiest one's requests says nothing about the spread."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Bad events and what was exposed to them, on one host."""

    bad: int = 0
    exposed: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.bad + other.bad, self.exposed + other.exposed)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """What is known of the stable hosts' spread on one metric."""

    chi2: float = 0.0
    freedom: int = 0
    past_chi2: float = 0.0
    past_freedom: int = 0
    totals: Mapping[str, Tally] = field(default_factory=dict)
    bin: Mapping[str, Tally] = field(default_factory=dict)
    bin_started: float = 0.0
    past: Mapping[str, Tally] = field(default_factory=dict)
    """The totals of before the rollout."""

    @property
    def phi(self) -> float:
        """At least 1; the open bin counts, too."""
        open_chi2, open_freedom = pearson(self.bin.values())
        bursts = (self.chi2 + open_chi2 + PRIOR_BURSTS * PRIOR) / (self.freedom + open_freedom + PRIOR)
        chi2, freedom = pearson(self.totals.values())
        offsets = (self.past_chi2 + chi2 + PRIOR) / (self.past_freedom + freedom + PRIOR)
        return max(1.0, bursts, offsets)

    @property
    def phi_since(self) -> float:
        """The same where hosts are held against their own past; ``phi`` where that is not known."""
        if not self.past:
            return self.phi
        open_chi2, open_freedom = pearson(self.bin.values())
        bursts = (self.chi2 + open_chi2 + PRIOR_BURSTS * PRIOR) / (self.freedom + open_freedom + PRIOR)
        chi2, freedom = changed(self.past, self.totals)
        return max(1.0, bursts, (chi2 + PRIOR_CHANGES) / (freedom + PRIOR_CHANGES))

    def allowed(self, canary: Collection[str], delta: float) -> float:
        """How many times as bad as stable's the canary's rate may be, by the margin and by what its hosts were before.

        1 + ``delta`` where nothing is known of one of them.
        """
        margin = 1 + delta
        if not self.past or not canary or not all(host in self.past for host in canary):
            return margin
        middle, above = _offset(self.past, canary)
        return max(margin * max(1.0, middle), above)

    def add(self, hosts: Mapping[str, Tally], at: float) -> Dispersion:
        """Take in the stable hosts' counts of one window that ended at ``at``."""
        known, began = self, self.bin_started if self.bin else at
        if at - began >= BIN:
            known, began = self.close(), at
        bin_, totals = _sum(known.bin, hosts), _sum(known.totals, hosts)
        return Dispersion(
            known.chi2, known.freedom, known.past_chi2, known.past_freedom, totals, bin_, began, known.past
        )

    def close(self) -> Dispersion:
        """End the open bin."""
        chi2, freedom = pearson(self.bin.values())
        return replace(self, chi2=self.chi2 + chi2, freedom=self.freedom + freedom, bin={})

    def settle(self) -> Dispersion:
        """End the past: its totals are compared among themselves only, for the common rate may be another by now."""
        chi2, freedom = pearson(self.totals.values())
        past = self.past_chi2 + chi2, self.past_freedom + freedom
        known = {host: tally for host, tally in self.totals.items() if tally.exposed}
        return replace(self.close(), past_chi2=past[0], past_freedom=past[1], totals={}, past=known)


def pearson(tallies: Iterable[Tally]) -> tuple[float, int]:
    """χ² of bad events over hosts against one shared rate, and its degrees of freedom; (0, 0) without events.

    A host with ``FEW`` requests has left stable or just come: two errors among its thirty would weigh more with every
    request that the others answer well, as χ² divides by what it expects of a host.
    """
    known = list(tallies)
    busiest = max((tally.exposed for tally in known), default=0)
    hosts = [tally for tally in known if tally.exposed and tally.exposed >= FEW * busiest]
    bad, exposed = sum(tally.bad for tally in hosts), sum(tally.exposed for tally in hosts)
    if not bad or len(hosts) < 2:
        return 0.0, 0
    rate = bad / exposed
    return sum((t.bad - t.exposed * rate) ** 2 / (t.exposed * rate) for t in hosts), len(hosts) - 1


def changed(before: Mapping[str, Tally], now: Mapping[str, Tally]) -> tuple[float, int]:
    """χ² of each host's bad events of now among all that it had, where the common rate may be another; its freedom.

    Hosts that only one of both knows say nothing, nor does one with few requests (``pearson``).
    """
    busiest = max((tally.exposed for tally in now.values()), default=0)
    pairs = [(before[h], t) for h, t in now.items() if h in before and t.exposed and t.exposed >= FEW * busiest]
    was, had = sum(a.bad for a, _ in pairs), sum(a.exposed for a, _ in pairs)
    bad, exposed = sum(b.bad for _, b in pairs), sum(b.exposed for _, b in pairs)
    if not was or not bad or len(pairs) < 2:
        return 0.0, 0
    times, chi2 = (bad / exposed) / (was / had), 0.0
    for a, b in pairs:
        odds = times * b.exposed / a.exposed
        mean = (a.bad + b.bad) * odds / (1 + odds)
        chi2 += (b.bad - mean) ** 2 * (1 + odds) / mean if mean else 0.0
    return chi2, len(pairs) - 1


def _offset(past: Mapping[str, Tally], canary: Collection[str]) -> tuple[float, float]:
    """The canary's rate by that of the others before the rollout: what it is taken for, and a bound above it.

    The hosts' logarithms are taken to scatter around a common one with a variance that is what χ² has too much.
    """
    ours = sum((past[host] for host in sorted(canary)), Tally())
    others = sum((tally for host, tally in past.items() if host not in canary), Tally())
    chi2, freedom = pearson(past.values())
    if not others.bad or not freedom:
        return 1.0, 1.0
    excess = max(0.0, chi2 - freedom) / (freedom + PRIOR)
    variance = excess / (sum(tally.bad for tally in past.values()) / len(past)) / len(canary)
    expected = others.bad * ours.exposed / others.exposed
    chance = 1 / max(expected, 0.5) + 1 / others.bad
    share = variance / (variance + chance)
    middle = share * math.log((ours.bad + 0.5) / (expected + 0.5))
    return math.exp(middle), math.exp(middle + SURE * math.sqrt(variance * (1 - share)))


def _sum(a: Mapping[str, Tally], b: Mapping[str, Tally]) -> dict[str, Tally]:
    if a.keys() == b.keys():  # as nearly always; a dictionary that was summed is in order
        return {host: tally + b[host] for host, tally in a.items()}
    return {host: a.get(host, _NONE) + b.get(host, _NONE) for host in sorted({*a, *b})}


_NONE = Tally()
