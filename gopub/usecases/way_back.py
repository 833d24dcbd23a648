"""The plan of a rollback that no rollout under way leads up to. Pure.

What is to go is the plan's canary, what is wanted back its stable. Without a name the release before the promoted one
is wanted back. Where the last rollout went back already, nothing is older than it should be: hosts that it did not
reach are put right, and if there is none, a person has to name what they want.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gopub.errors import GopubError, UsageError
from gopub.fleet.facts import HostFacts
from gopub.fleet.slots import SIDE
from gopub.journal import events as ev
from gopub.journal.kit import Kit
from gopub.journal.state import fold_env
from gopub.plan.model import Outcome, Plan, PlannedHost, ReleaseRef
from gopub.source.versions import without_v


@dataclass(frozen=True, slots=True)
class Past:
    """What ran in an env: ``before`` are its stable releases before this one, the newest first, the bad ones left out.

    ``went_back`` tells that the last rollout did not promote its release; ``bad`` are the releases in quarantine.
    """

    stable: ReleaseRef | None
    before: tuple[ReleaseRef, ...] = ()
    went_back: bool = False
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WayBack:
    """The plan, and as what the rollout ends: ``mended`` where it only puts hosts right and blames no release."""

    plan: Plan
    outcome: Outcome = Outcome.ROLLED_BACK


def past_of(events: Sequence[ev.Event], kit: Kit, facts: Mapping[str, HostFacts]) -> Past:
    """What an env's stream tells; where no rollout has ended in it (a new journal, one of our own) the kit tells."""
    ended = [event for event in events if isinstance(event, ev.EnvClosed)]
    closed = [event for event in ended if event.outcome not in (Outcome.REFUSED, Outcome.MENDED)]
    known = fold_env(events)
    if not closed or not known.stable:
        return _past_of_kit(kit, facts)
    ran = [ReleaseRef(event.stable, event.stable_version) for event in reversed(closed) if event.stable]
    if kit.plan.stable and kit.plan.release.release == known.stable:
        ran.append(kit.plan.stable)  # the first rollout of a journal may have found a stable release on the hosts
    bad = {known.stable, *known.quarantine}
    before = tuple(dict.fromkeys(ref for ref in ran if ref.release not in bad))
    went_back = closed[-1].outcome is not Outcome.PROMOTED
    return Past(ReleaseRef(known.stable, known.stable_version), before, went_back, known.quarantine)


def _past_of_kit(kit: Kit, facts: Mapping[str, HostFacts]) -> Past:
    """The same without a journal: if its release runs anywhere, or nobody can say, the last plan is what has to go."""
    release, stable = kit.plan.release, kit.plan.stable
    running = _running(facts.values())
    if running and release.short not in running and stable is not None:
        return Past(stable, went_back=True)
    return Past(release, (stable,) if stable else ())


def way_back(kit: Kit, past: Past, facts: Mapping[str, HostFacts], to: str, rollout: str) -> WayBack:
    """The plan of the way back to ``to`` (a version, or the beginning of a release id) or to what the past says.

    A host that holds none of it (it came late), or does not answer and may not hold it, has no ``before``.

    Raises:
        UsageError: GP725 no host holds the release that was named.
        GopubError: GP725 there is nothing to go back to, or too few hosts hold it.
    """
    if to:
        wanted = _named(kit, past, to)
        if not any(_folders(kit, wanted, facts).values()):
            raise UsageError("GP725", f"no host holds a release {to}", hint=f"{_takeable(kit, past, facts)}, "
                             "or roll it out")  # fmt: skip
        return WayBack(_plan(kit, past, facts, wanted, _to_go(kit, facts, wanted), rollout))
    if past.went_back and past.stable:
        to_go = _astray(kit, past, past.stable, facts)
        return WayBack(_plan(kit, past, facts, past.stable, to_go, rollout), Outcome.MENDED)
    if not past.before:
        what = past.stable.version if past.stable else "what runs"
        raise GopubError("GP725", f"no release before {what} is known",
                         hint=f"{_takeable(kit, past, facts)}; a first release goes with `systemctl stop`")  # fmt: skip
    return WayBack(_plan(kit, past, facts, past.before[0], past.stable or kit.plan.release, rollout))


def _named(kit: Kit, past: Past, to: str) -> ReleaseRef:
    known = [*_known(kit), *past.before, *([past.stable] if past.stable else [])]
    version = without_v(to)
    return next((ref for ref in known if ref.version == version or ref.release.startswith(to)), ReleaseRef(to[:12], to))


def _to_go(kit: Kit, facts: Mapping[str, HostFacts], wanted: ReleaseRef) -> ReleaseRef:
    """What a named release takes the place of: that of the last plan if it runs anywhere, else what most others run."""
    running = _running(fact for fact in facts.values() if not _is_on(wanted, fact))
    if kit.plan.release.short in running or not facts:
        return kit.plan.release
    return _ref(kit, running.most_common(1)[0][0]) if running else wanted


def _astray(kit: Kit, past: Past, stable: ReleaseRef, facts: Mapping[str, HostFacts]) -> ReleaseRef:
    """What most of the hosts run that are not on stable, where the last rollout went back."""
    silent = [host.name for host in kit.plan.hosts if host.name not in facts]
    astray = [fact for fact in facts.values() if not _is_on(stable, fact)]
    if not astray and not silent:
        raise GopubError("GP725", f"the last rollout went back already: {stable.version} is stable and runs everywhere",
                         hint=_takeable(kit, past, facts))  # fmt: skip
    running = _running(astray)
    return _ref(kit, running.most_common(1)[0][0]) if running else kit.plan.release


def _plan(
    kit: Kit, past: Past, facts: Mapping[str, HostFacts], wanted: ReleaseRef, to_go: ReleaseRef, rollout: str
) -> Plan:
    plan = kit.plan
    folders = _folders(kit, wanted, facts)
    missing = _missing(folders, facts)
    if not _carried(kit, folders, missing):
        raise GopubError("GP725", f"release {wanted.version} is not on {', '.join(missing)}",
                         hint=f"{_takeable(kit, past, facts)}, or roll it out")  # fmt: skip
    hosts = tuple(_back_on(kit, host, folders[host.name], facts.get(host.name)) for host in plan.hosts)
    asks = plan.before_asks if plan.stable == wanted else ()
    return replace(plan, rollout=rollout, release=to_go, stable=wanted, hosts=hosts, steps=(), before_asks=asks)


def _back_on(kit: Kit, host: PlannedHost, folder: str, facts: HostFacts | None) -> PlannedHost:
    """The host as it goes back to a folder: edges reach it where it serves now; two run side by side where both can."""
    host = replace(host, before=folder, before_digest="", idle=False, beside=False)
    if facts is None:
        return host
    slots, traffic = facts.slots, kit.environment.traffic
    beside = bool(slots.slot) and folder in slots.folders
    if not (traffic and (host.slot or slots.slot or kit.environment.switch == SIDE)):
        return replace(host, beside=beside, peer=host.peer_at(_listens(kit, facts)))
    return replace(host, beside=beside, slot=slots.slot, peer=host.peer_at(slots.port or traffic.port))


def _listens(kit: Kit, facts: HostFacts) -> int:
    """Where the one unit listens for traffic; 0: where the last plan found it."""
    before = dict(kit.plan.before_asks).get("traffic_port")
    if not before or kit.environment.traffic is None or facts.current is None:
        return 0
    if _is_on(kit.plan.release, facts):
        return kit.environment.traffic.port
    return int(before) if kit.plan.stable and _is_on(kit.plan.stable, facts) else 0


def _folders(kit: Kit, wanted: ReleaseRef, facts: Mapping[str, HostFacts]) -> dict[str, str]:
    release = kit.plan.release
    return {host.name: _folder(host, wanted, release, facts.get(host.name)) for host in kit.plan.hosts}


def _missing(folders: Mapping[str, str], facts: Mapping[str, HostFacts]) -> list[str]:
    """The hosts that say that they do not hold it."""
    return [name for name, folder in folders.items() if not folder and name in facts]


def _carried(kit: Kit, folders: Mapping[str, str], missing: Sequence[str]) -> bool:
    """Whether the hosts that hold it carry the load of the others."""
    return len(folders) <= kit.plan.max_load * (len(folders) - len(missing))


def _takeable(kit: Kit, past: Past, facts: Mapping[str, HostFacts]) -> str:
    """What `--to` would really take: held by enough hosts, not quarantined, and not what all of them run already."""
    known = dict.fromkeys((*_known(kit), *past.before, *([past.stable] if past.stable else [])))
    found = [ref.version for ref in known if ref.release not in past.bad and _would_go(kit, ref, facts)]
    named = ", ".join(dict.fromkeys(found))
    return f"name one that the hosts hold with --to: {named}" if named else "the hosts hold no other good release"


def _would_go(kit: Kit, ref: ReleaseRef, facts: Mapping[str, HostFacts]) -> bool:
    folders = _folders(kit, ref, facts)
    everywhere = bool(facts) and all(_is_on(ref, fact) for fact in facts.values())
    held = any(folders.values()) and _carried(kit, folders, _missing(folders, facts))
    return held and not everywhere


def _folder(host: PlannedHost, wanted: ReleaseRef, release: ReleaseRef, facts: HostFacts | None) -> str:
    """The folder of the wanted release on a host; of a silent one the last plan, of ``release``, may know it."""
    held = facts.releases if facts else (host.before, host.folder(release.release))
    return next((name for name in held if name.startswith(wanted.short)), "")


def _is_on(ref: ReleaseRef, facts: HostFacts) -> bool:
    return facts.current is not None and facts.current.release[:12] == ref.short


def _running(facts: Iterable[HostFacts]) -> Counter[str]:
    """How many hosts run which release, by its first 12 digits."""
    return Counter(fact.current.release[:12] for fact in facts if fact.current)


def _known(kit: Kit) -> list[ReleaseRef]:
    return [ReleaseRef(release, version) for version, release in kit.known]


def _ref(kit: Kit, short: str) -> ReleaseRef:
    return next((ref for ref in _known(kit) if ref.short == short), ReleaseRef(short, short))
