"""What the hosts' own figures of a process say against a canary: kills for want of memory, files at their limit. Pure.

A host's figure is never held against the canary where stable's hosts show the same: then it is the fleet's. Neither
blames a release: how often a good one would show it, nobody can say.
"""

from __future__ import annotations

from collections.abc import Iterable

from gopub.health.observation import Observation
from gopub.health.samples import ProcessHealth
from gopub.health.uses import FULL
from gopub.units import say_about

PATTERN = 2
"""One kill on a host that has no memory left is nobody's pattern; a unit that ran into its own limit shows one."""
_WAITING = 0.25
"""The share of periods without CPU from which on it is told."""


def killed(observation: Observation) -> str:
    """That processes of the canary were killed for want of memory, more than stable's; empty where it is not so.

    A unit that ran into its own limit shows it with one kill. Where the host as a whole wanted memory, every canary
    host must have lost a process, twice in all, as with hosts that died.
    """
    ours, theirs = _kills(observation.hosts), _kills(observation.beside)
    if not sum(ours.values()) or sum(ours.values()) / len(ours) <= sum(theirs.values()) / max(1, len(theirs)):
        return ""
    limited = [host.host for host in observation.hosts if ours.get(host.host) and host.use and host.use.limited]
    if not limited and (not all(ours.values()) or sum(ours.values()) < PATTERN):
        return ""
    told = ", ".join(f"{name} {count}" for name, count in ours.items() if count)
    why = f"its own limit on {', '.join(limited)}" if limited else "the hosts' memory ran out"
    beside = (
        f"stable's {len(theirs)} hosts that were asked {sum(theirs.values())}" if theirs else "stable was not asked"
    )
    return f"the kernel killed processes of the canary for want of memory ({why}): {told}; {beside}"


def _kills(hosts: Iterable[ProcessHealth]) -> dict[str, int]:
    told = ((host.host, host.use.killed) for host in hosts if host.reachable and host.use)
    return {name: count for name, count in told if count is not None}


def full(observation: Observation) -> str:
    """That a canary's process holds nearly as many files as it may, and no stable one does; else empty."""
    found = [host for host in observation.hosts if _share(host) >= FULL]
    if not found or any(_share(host) >= FULL for host in observation.beside):
        return ""
    said = (f"{host.host} {use.descriptors} of {use.descriptors_limit}" for host in found if (use := host.use))
    return f"the canary is about to run out of files: {', '.join(said)}"


def _share(host: ProcessHealth) -> float:
    return (host.use.full or 0.0) if host.reachable and host.use else 0.0


def say_uses(observation: Observation) -> str:
    """What of it is worth a word where nothing is against the canary, as the end of a sentence; else empty."""
    told: list[str] = []
    if (kills := {name: count for name, count in _kills(observation.hosts).items() if count}) and not killed(
        observation
    ):
        told.append(f"killed for want of memory: {', '.join(f'{name} {count}' for name, count in kills.items())}")
    waits = {host.host: host.use.waiting for host in observation.hosts if host.use and host.use.waiting is not None}
    usual = max((host.use.waiting or 0.0 for host in observation.beside if host.use), default=0.0)
    if slow := {name: share for name, share in waits.items() if share >= max(_WAITING, usual)}:
        held = ", ".join(f"{name} in {share:.0%} of its periods" for name, share in slow.items())
        told.append(f"waited for CPU at its quota: {held}")
    return "".join(f"; {text}" for text in told)


def say_host(host: ProcessHealth) -> str:
    """One host's process: ``up 3m, 24 MiB, 12 threads, 40 of 65536 files, 0.31 CPUs``, without what is not known."""
    use = host.use
    if use is None:
        return ""
    known = (
        use.age is not None and f"up {say_about(use.age)}",
        use.resident is not None and f"{use.resident / 2**20:.3g} MiB",
        use.threads is not None and f"{use.threads} threads",
        use.descriptors is not None and f"{use.descriptors} of {use.descriptors_limit or 'no limit of'} files",
        use.cores is not None and f"{use.cores:.2g} CPUs",
        use.waiting is not None and use.waiting > 0 and f"throttled in {use.waiting:.0%} of its periods",
        bool(use.killed) and f"{use.killed} kills for want of memory",
    )
    return ", ".join(text for text in known if text)
