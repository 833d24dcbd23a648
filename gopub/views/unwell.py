"""Which of the canary's hosts are not well, and what is wrong with each, in words. Pure."""

from __future__ import annotations

from gopub.health.samples import ProcessHealth
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
    return tuple(host for host in record.observation.hosts if host.reachable and _wrong(host, most))


def _wrong(host: ProcessHealth, most: int) -> str:
    wrong = (
        (not host.exe_ok, "the process that serves is not the signed binary"),
        (host.restarts > most, f"the process died and was restarted {times(host.restarts)}"),
        (not host.active, "the service does not run"),
        (not host.probe_ok, "the health probe fails"),
    )
    return next((text for bad, text in wrong if bad), "")
