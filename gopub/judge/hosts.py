"""What the hosts' proofs say: that the canary's process fails (rule 1), or that somebody else switched the host. Pure.

A release is blamed for what its process does. That ``current`` of a host names another release is never its doing:
another driver, a rollback that was made without this journal, or a person put that there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gopub.health.samples import ProcessHealth
from gopub.judge.verdict import Policy

WHO = "another driver, a rollback that was made without this journal, or a person on the host"
"""Who may have switched a host beside its rollout."""


def hard_failure(hosts: Iterable[ProcessHealth], policy: Policy) -> str:
    """What fails on which host; empty where nothing does."""
    return "; ".join(problem for host in hosts if (problem := _problem(host, policy)))


def _problem(host: ProcessHealth, policy: Policy) -> str:
    """What is wrong with one host; nothing is said of one that did not answer, or that runs another release."""
    wrong = (
        (not host.active, "the unit is not active"),
        (host.restarts > policy.max_restarts, f"the process died and was restarted {host.restarts} times"),
        (not host.exe_ok, "the process that serves is not the signed binary"),
        (not host.probe_ok, "the health probe fails"),
    )
    found = [text for bad, text in wrong if bad and host.reachable and host.other is None]
    detail = f" ({host.detail})" if found and host.detail else ""
    return f"{host.host}: {', '.join(found)}{detail}" if found else ""


def elsewhere(hosts: Iterable[ProcessHealth]) -> dict[str, str]:
    """By host what ``current`` names where that is not the release; empty text where it names nothing."""
    return {host.host: host.other for host in hosts if host.reachable and host.other is not None}


def say_elsewhere(found: Mapping[str, str]) -> str:
    """In words: which release is current on which hosts, and who may have done it; empty where nobody did."""
    if not found:
        return ""
    by = dict[str, list[str]]()
    for host, current in found.items():
        by.setdefault(current, []).append(host)
    told = "; ".join(f"current is {current or 'nothing'} on {', '.join(names)}" for current, names in by.items())
    return f"somebody else switched what this rollout had switched ({told}): {WHO}; that is not the release's doing"
