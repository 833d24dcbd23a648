"""Which of the canary's hosts are not well, and what is wrong with each, in words. Pure."""

from __future__ import annotations

from gopub.health.samples import ProcessHealth
from gopub.health.uses import FULL
from gopub.judge.hosts import elsewhere
from gopub.judge.verdict import VerdictRecord
from gopub.views.amounts import names, short, times


def hosts_seen(record: VerdictRecord) -> str:
    """A host that crashed, does not serve, or serves something else; the worst of each, by host."""
    found: dict[str, list[str]] = {}
    for host in unwell(record):
        found.setdefault(_wrong(host, record.policy.max_restarts), []).append(host.host)
    said = ", and ".join(f"{text} on {names(hosts)}" for text, hosts in found.items())
    detail = next((host.detail for host in unwell(record) if host.detail), "")
    return f"{said or 'a canary host is not well'}{f' ({short(detail)})' if detail else ''}"


def unwell(record: VerdictRecord) -> tuple[ProcessHealth, ...]:
    """The canary's hosts that say of themselves that something is wrong."""
    most = record.policy.max_restarts
    return tuple(
        host for host in record.observation.hosts if host.reachable and host.other is None and _wrong(host, most)
    )


def elsewhere_seen(record: VerdictRecord) -> str:
    """In words, which hosts somebody else switched, and to what."""
    found = elsewhere(record.observation.hosts)
    to = names(sorted({current or "nothing" for current in found.values()}))
    return f"somebody else switched {names(list(found)) or 'a canary host'} (current is {to or 'another release'})"


def _wrong(host: ProcessHealth, most: int) -> str:
    wrong = (
        (not host.exe_ok, "the process that serves is not the signed binary"),
        (host.restarts > most, f"the process died and was restarted {times(host.restarts)}"),
        (not host.active, "the service does not run"),
        (not host.probe_ok, "the health probe fails"),
    )
    return next((text for bad, text in wrong if bad), "")


def kills(record: VerdictRecord) -> dict[str, int]:
    """How many processes the kernel killed for want of memory on each canary host that lost one."""
    told = {host.host: host.use.killed for host in record.observation.hosts if host.reachable and host.use}
    return {name: count for name, count in told.items() if count}


def killed_seen(record: VerdictRecord) -> str:
    """In words, whose memory ran out, on which hosts, and how stable fared."""
    seen, lost = record.observation, kills(record)
    where = names([f"{times(number)} on {name}" for name, number in lost.items()])
    limited = any(host.use and host.use.limited for host in seen.hosts if host.host in lost)
    why = "by its own limit" if limited else "the hosts have none left"
    theirs = sum((host.use.killed or 0) for host in seen.beside if host.use)
    asked = f"on stable's hosts {times(theirs)}" if seen.beside else "stable's hosts were not asked"
    return f"the kernel killed processes of the canary for want of memory ({where}, {why}; {asked})"


def filled(record: VerdictRecord) -> dict[str, tuple[int, int]]:
    """Of each canary host whose process is about to run out of files: how many it holds, and may hold."""
    return {
        host.host: (use.descriptors or 0, use.descriptors_limit or 0)
        for host in record.observation.hosts
        if host.reachable and (use := host.use) and (use.full or 0.0) >= FULL
    }


def full_seen(record: VerdictRecord) -> str:
    """In words, on which hosts files run out."""
    told = [f"{name} holds {has} of the {may} that it may" for name, (has, may) in filled(record).items()]
    return f"the canary is about to run out of open files ({', '.join(told)})"
