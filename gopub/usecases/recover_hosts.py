"""Which hosts that are owed can be mended now, and why the others cannot. Pure.

Mended means what a rollback does: the host gets its stable release back, proven, and is in the pool again. It must
answer, be the machine that the plan knows, and hold that release still; what it lacks only a rollout brings it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.plan.model import Plan, PlannedHost


@dataclass(frozen=True, slots=True)
class Found:
    """Owed hosts as they were found: ``ready`` with the folder that each gets back, ``stays`` with why each does.

    ``gone`` are no hosts of the inventory any more: nothing is owed to them.
    """

    ready: Mapping[str, str] = field(default_factory=dict)
    stays: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


def look(
    plan: Plan,
    owed: Mapping[str, str],
    known: Collection[str],
    facts: Mapping[str, HostFacts],
    silent: Mapping[str, GopubError],
    *,
    may_try: Collection[str],
) -> Found:
    """What can be mended of ``owed`` (and why it is), where it ``may_try``: all by hand, else what nobody had reached.

    A host that answered and failed would fail again every minute, and be restarted for it.
    """
    planned = {host.name: host for host in plan.hosts}
    gone = frozenset(name for name in owed if name not in known or name not in planned)
    ready: dict[str, str] = {}
    stays: dict[str, str] = {}
    for name in (name for name in owed if name not in gone):
        folder = folder_of(plan, planned[name], facts.get(name))
        why = _why_not(plan, planned[name], facts.get(name), silent.get(name), folder)
        if not why and name not in may_try:
            why = f"{owed[name]}; it answers: `gopub recover`, run by hand, tries again"
        if why:
            stays[name] = why
        else:
            ready[name] = folder
    return Found(ready, stays, gone)


def folder_of(plan: Plan, host: PlannedHost, facts: HostFacts | None) -> str:
    """The folder of stable that the host holds; empty where it holds none, or where there is no stable."""
    if plan.stable is None or facts is None:
        return ""
    if host.before in facts.releases:
        return host.before
    return next((name for name in facts.releases if name.startswith(plan.stable.short)), "")


def with_found(plan: Plan, found: Found) -> Plan:
    """The plan with what the hosts hold, without those that are gone."""
    return replace(plan, hosts=tuple(_as_found(host, found) for host in plan.hosts if host.name not in found.gone))


def _as_found(host: PlannedHost, found: Found) -> PlannedHost:
    folder = found.ready.get(host.name, host.before)
    return host if folder == host.before else replace(host, before=folder, before_digest="")


def _why_not(plan: Plan, host: PlannedHost, facts: HostFacts | None, silent: GopubError | None, folder: str) -> str:
    if facts is None:
        return f"{silent.code} {silent.problem}" if silent else "it does not answer"
    if facts.machine_id != host.machine_id:
        return "another machine answers in its place; the next rollout brings it in"
    if plan.stable and not folder:
        return f"it does not hold {plan.stable.version}; the next rollout brings it in"
    return ""
