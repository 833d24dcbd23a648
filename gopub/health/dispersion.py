"""φ: how much more than chance the stable hosts differ from each other, learnt from their counts.

Errors come in clusters (retries, a burst on one host) and hosts differ. A test that takes every error for an
independent event is sure far too early, so the evidence is divided by φ. It is the Pearson statistic of bad events
over the stable hosts, per degree of freedom: 1 where the hosts differ as chance has it, k where events come in
clusters of k. Two views are taken and the larger one counts: bins of half a minute and more (bursts), and totals
(hosts that differ all the time). Each starts from a prior worth ``PRIOR`` degrees of freedom, so that three hosts and
a few errors do not shout; for bursts the prior is 1.5, for who has seen none cannot say that there are none. φ is
never below 1. It is applied only to what comes after all that it was learnt from: a φ that knows a window depends on
how many bad events stable happened to have in it, and of what it tempers then no theorem holds.

What is a theorem and what is measured: where events are independent given the past, E is an e-value whatever φ ≥ 1 is
(Jensen). Under clusters it is one only as far as φ is right, and the false rate is measured (``tests/bench``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

PRIOR = 4.0
PRIOR_BURSTS = 1.5
BIN = 30.0
"""Seconds until a bin of live counts is closed."""
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

    @property
    def phi(self) -> float:
        """At least 1; the open bin counts, too."""
        open_chi2, open_freedom = pearson(self.bin.values())
        bursts = (self.chi2 + open_chi2 + PRIOR_BURSTS * PRIOR) / (self.freedom + open_freedom + PRIOR)
        chi2, freedom = pearson(self.totals.values())
        offsets = (self.past_chi2 + chi2 + PRIOR) / (self.past_freedom + freedom + PRIOR)
        return max(1.0, bursts, offsets)

    def add(self, hosts: Mapping[str, Tally], at: float) -> Dispersion:
        """Take in the stable hosts' counts of one window that ended at ``at``."""
        known, began = self, self.bin_started if self.bin else at
        if at - began >= BIN:
            known, began = self.close(), at
        bin_, totals = _sum(known.bin, hosts), _sum(known.totals, hosts)
        return Dispersion(known.chi2, known.freedom, known.past_chi2, known.past_freedom, totals, bin_, began)

    def close(self) -> Dispersion:
        """End the open bin."""
        chi2, freedom = pearson(self.bin.values())
        return replace(self, chi2=self.chi2 + chi2, freedom=self.freedom + freedom, bin={})

    def settle(self) -> Dispersion:
        """End the past: its totals are compared among themselves only, for the common rate may be another by now."""
        chi2, freedom = pearson(self.totals.values())
        past = self.past_chi2 + chi2, self.past_freedom + freedom
        return replace(self.close(), past_chi2=past[0], past_freedom=past[1], totals={})


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


def _sum(a: Mapping[str, Tally], b: Mapping[str, Tally]) -> dict[str, Tally]:
    if a.keys() == b.keys():  # as nearly always; a dictionary that was summed is in order
        return {host: tally + b[host] for host, tally in a.items()}
    return {host: a.get(host, _NONE) + b.get(host, _NONE) for host in sorted({*a, *b})}


_NONE = Tally()
