"""What a host says of the process that should serve, beyond whether it serves: age, kills, files, threads, CPU. Pure.

All of it is read in the status call of each look, from /proc and the unit's cgroup (version 2 or 1). What a host does
not say is None and never 0: an older enrolled program, a host without that controller, a service that has no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

FULL = 0.9
"""The share of its limit of open files from which on a process is about to fail."""
_MILLI = 1000.0
_DIGITS = 18
"""More than that no counter of a kernel has."""


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process, and the cgroup of its unit, at one look; bytes and seconds."""

    age: float | None = None
    oom_kills: int | None = None
    """Processes of the unit that the kernel killed for want of memory, since its cgroup began: with its process."""
    oom_limit: int | None = None
    """How often the unit's own limit was what was wanting; only cgroup 2 tells that from a host without memory."""
    oom_before: int = 0
    """Of a stable host: the kills of before this rollout looked."""
    descriptors: int | None = None
    """All of the process' open files, connections that came in, too: these are what the limit is held against."""
    descriptors_limit: int | None = None
    threads: int | None = None
    resident: int | None = None
    memory_limit: int | None = None
    """Of the unit; None where it has none."""
    cpu: float | None = None
    """Of the unit since its cgroup began, else of the process."""
    periods: int | None = None
    throttled: int | None = None
    """Periods in which the unit ran against its CPU quota and had to wait."""
    cores: float | None = None
    """CPUs that it used since the look before."""
    waiting: float | None = None
    """The share of periods since the look before in which it was throttled."""

    @property
    def killed(self) -> int | None:
        """The kills that this rollout is concerned with."""
        return None if self.oom_kills is None else max(0, self.oom_kills - self.oom_before)

    @property
    def limited(self) -> bool:
        """Whether the unit ran into its own memory limit."""
        return bool(self.oom_limit)

    @property
    def full(self) -> float | None:
        """The share of its limit of open files that the process holds."""
        if self.descriptors is None or not self.descriptors_limit:
            return None
        return self.descriptors / self.descriptors_limit


def use_of(said: Mapping[str, str]) -> ProcessUse | None:
    """What the values of a status record say; None where the host's program says none of it."""
    age, cpu = _number(said, "age_ms"), _number(said, "cpu_ms")
    found = ProcessUse(
        age=None if age is None else age / _MILLI,
        oom_kills=_number(said, "oom_kills"),
        oom_limit=_number(said, "oom_limit"),
        descriptors=_number(said, "descriptors"),
        descriptors_limit=_number(said, "descriptors_limit"),
        threads=_number(said, "threads"),
        resident=_number(said, "resident"),
        memory_limit=_number(said, "memory_limit"),
        cpu=None if cpu is None else cpu / _MILLI,
        periods=_number(said, "cpu_periods"),
        throttled=_number(said, "cpu_throttled"),
    )
    return None if found == ProcessUse() else found


def _number(said: Mapping[str, str], name: str) -> int | None:
    text = said.get(f"unit.{name}", "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _DIGITS else None


def since(before: ProcessUse | None, gap: float, use: ProcessUse) -> ProcessUse:
    """With what it used in the ``gap`` seconds since ``before``; a counter that fell is another process'."""
    if before is None or gap <= 0:
        return use
    cores = _gained(before.cpu, use.cpu)
    periods, throttled = _gained(before.periods, use.periods), _gained(before.throttled, use.throttled)
    return replace(
        use,
        cores=None if cores is None else cores / gap,
        waiting=throttled / periods if periods and throttled is not None else None,
    )


def _gained(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None or now < before else now - before


def began_anew(before: ProcessUse | None, use: ProcessUse | None) -> bool:
    """Whether another process serves than at the look before: what grew of the old one is no growth of the new one."""
    if before is None or use is None or before.age is None or use.age is None:
        return False
    return use.age < before.age
