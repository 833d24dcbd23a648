"""The plan of a rollback that no rollout leads up to: what runs is the canary, what is wanted back is stable. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.rollout.kit import Kit
from gopub.rollout.model import Plan, PlannedHost, ReleaseRef


def plan_back(kit: Kit, facts: Mapping[str, HostFacts], to: str, rollout: str) -> Plan:
    """A plan whose canary is what runs now everywhere, and whose stable is what is wanted back.

    A host that holds none of it (it came late) has no ``before`` and stays as it is, where the others can
    carry its load.

    Raises:
        GopubError: GP725 too few hosts hold it, or no release before what runs is known.
    """
    plan = kit.plan
    wanted = _target(kit, facts, to)
    folders = {host.name: _folder(host, wanted, facts.get(host.name), to) for host in plan.hosts}
    missing = [name for name, folder in folders.items() if not folder and name in facts]
    if len(folders) > plan.max_load * (len(folders) - len(missing)):
        what = f"release {to!r}" if to else "the release before"
        raise GopubError("GP725", f"{what} is not on {', '.join(missing)}",
                         hint="name one that the hosts still hold with --to, or roll it out")  # fmt: skip
    target = wanted or ReleaseRef(next((f[:12] for f in folders.values() if f), ""), to)
    hosts = tuple(replace(host, before=folders[host.name], before_digest="", idle=False) for host in plan.hosts)
    return replace(plan, rollout=rollout, release=_running(kit, facts), stable=target, hosts=hosts, steps=())


def _running(kit: Kit, facts: Mapping[str, HostFacts]) -> ReleaseRef:
    """What most hosts run now: that is what is taken back, whatever the last plan was about."""
    found = Counter(fact.current.release[:12] for fact in facts.values() if fact.current)
    if not found:
        return kit.plan.release
    short = found.most_common(1)[0][0]
    known = (ReleaseRef(release, version) for version, release in kit.known)
    return next((ref for ref in known if ref.short == short), ReleaseRef(short, short))


def _target(kit: Kit, facts: Mapping[str, HostFacts], to: str) -> ReleaseRef | None:
    """What ``to`` (a version, or the beginning of a release id) means; without it, the release before what runs."""
    known = [ReleaseRef(release, version) for version, release in kit.known]
    if not to:
        stable = kit.plan.stable
        there = [fact.current.release[:12] for fact in facts.values() if fact.current]
        if stable is None or not there or any(short != stable.short for short in there):
            return stable
        older = [ref for ref in known[: known.index(stable)] if ref != stable] if stable in known else []
        if not older:
            known_here = ", ".join(ref.version for ref in known) or "none"
            raise GopubError("GP725", f"no release before {stable.version}, which runs, is known; known: {known_here}",
                             hint="name one with --to")  # fmt: skip
        return older[-1]
    return next((ref for ref in known if ref.version == to or ref.release.startswith(to)), None)


def _folder(host: PlannedHost, target: ReleaseRef | None, facts: HostFacts | None, to: str) -> str:
    """The folder of the wanted release on a host; a host that is silent keeps what the plan knew of it."""
    wanted = target.short if target else to[:12]
    if facts is None:
        return host.before if host.before.startswith(wanted) else ""
    if not wanted:
        return facts.previous
    return next((name for name in facts.releases if name.startswith(wanted)), "")
