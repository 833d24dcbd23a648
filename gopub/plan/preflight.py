"""Whether hosts are free for a release: what stands there that gopub did not make is told before anything is staged.

Pure: one decision over what the hosts reported. It is asked before a rollout takes its seat, and by a dry run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from gopub.errors import ErrorGroup, GopubError, RefusedError, UsageError
from gopub.fleet.facts import HostFacts
from gopub.fleet.slots import SIDE
from gopub.fleet.standing import Standing
from gopub.spec.models import Environment

ADOPT = (
    "`gopub host adopt -e {env}` shows how gopub takes it over at the next rollout, and how it comes back; "
    "or give the environment another `instance`"
)

REPLACED = (
    "a release of gopub runs there already: move away what is named, and say `systemctl daemon-reload`, which stops "
    "nothing; the next rollout writes gopub's own again"
)

SOCKET = (
    "a socket is not adopted: `systemctl disable --now {instance}.socket` and move its file away; where it says more "
    "than the ports, let it be a file of `config` named {instance}.socket"
)


def trouble(
    env: str, environment: Environment, facts: Mapping[str, HostFacts], loose: Collection[str] = ()
) -> GopubError | None:
    """What is in the way on which hosts; None where every host is free, or was adopted.

    ``loose`` are edges that are not enrolled. The error is GP454 for what gopub did not make, GP455 for ports that
    others hold, GP480 for hosts or edges that are not enrolled where they must be; side by side GP547 for an adopted
    service that runs still, GP548 for hosts without the memory for two; or several.
    """
    unpinned = [*(name for name, fact in facts.items() if fact.enrolled is None), *loose]
    not_enrolled = refusal_of_unpinned(env, environment, unpinned)
    found = [*((not_enrolled,) if not_enrolled else ()), *_foreign(env, facts), *_held(environment, facts)]
    found += [*_side(environment, facts), *_socket(environment, facts)]
    if len(found) > 1:
        return ErrorGroup(found)
    return found[0] if found else None


def refuse_trouble(
    env: str, environment: Environment, facts: Mapping[str, HostFacts], loose: Collection[str] = ()
) -> None:
    """Nothing is staged where something is in the way.

    Raises:
        UsageError: as :func:`trouble`.
    """
    if found := trouble(env, environment, facts, loose):
        raise found


def refusal_of_unpinned(env: str, environment: Environment, unpinned: Collection[str]) -> RefusedError | None:
    """GP480 where hosts do not check who orders, and the environment wants that; None where all is as it wants."""
    if environment.require != "enrolled" or not unpinned:
        return None
    are = "is" if len(unpinned) == 1 else "are"
    return RefusedError(
        "GP480",
        f"{', '.join(unpinned)} {are} not enrolled, and {env} says `require: enrolled`",
        hint="`gopub host enroll` enrols hosts, with --edges edges; a controller knows them by `sign` of its ssh "
        "connection; or leave them out of `hosts:`",
    )


def adopted_notes(facts: Mapping[str, HostFacts]) -> tuple[str, ...]:
    """What a plan says of hosts whose old service gopub takes over."""
    adopted = [name for name, fact in facts.items() if fact.standing.adopted and fact.standing.found]
    taken_over = [name for name in adopted if facts[name].current is None]
    if not taken_over:
        return ()
    names = ", ".join(taken_over)
    return (f"adopted: {names} run what was there before gopub until they switch; going back brings it back",)


def in_the_way(standing: Standing) -> bool:
    """Whether something stands there that nobody gave the word for."""
    return bool(standing.found) and not standing.adopted


def _foreign(env: str, facts: Mapping[str, HostFacts]) -> Iterable[GopubError]:
    hosts: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for name, fact in facts.items():
        if in_the_way(fact.standing):
            hosts["; ".join(fact.standing.found), fact.current is not None].append(name)
    for (what, ours), names in hosts.items():
        problem = f"{', '.join(names)}: there already, and not made by gopub: {what}; nothing was changed"
        yield UsageError("GP454", problem, hint=REPLACED if ours else ADOPT.format(env=env))


def _held(environment: Environment, facts: Mapping[str, HostFacts]) -> Iterable[GopubError]:
    wanted = {environment.health.port: "of the health check"}
    if environment.traffic:
        wanted[environment.traffic.port] = "of the traffic"
    if environment.service.ports and environment.switch == SIDE:
        wanted |= dict.fromkeys(environment.service.ports, "of one of the two slots")
    hosts: dict[tuple[int, str], list[str]] = defaultdict(list)
    for name, fact in facts.items():
        for one in fact.standing.taken:
            if one.port in wanted:
                holder = f"{one.name or 'a process'}" if one.pid else "the kernel"
                hosts[one.port, holder].append(f"{name} ({one.says})")
    for (port, _), names in hosts.items():
        problem = (
            f"port {port} {wanted[port]} is held by another than {environment.instance}.service: {', '.join(names)}"
        )
        yield UsageError("GP455", f"{problem}; nothing was changed",
                         hint="stop it for good, or give the service another port")  # fmt: skip


def _socket(environment: Environment, facts: Mapping[str, HostFacts]) -> Iterable[GopubError]:
    """A socket of that name would be refused by the first host that switches, with a release staged on all."""
    if environment.switch != "socket":
        return
    hosts: dict[str, list[str]] = defaultdict(list)
    for name, fact in facts.items():
        if fact.standing.socket:
            hosts[fact.standing.socket].append(name)
    for file, names in hosts.items():
        problem = f"{', '.join(names)}: there already, and not made by gopub: the socket {file}; nothing was changed"
        yield UsageError("GP454", problem, hint=SOCKET.format(instance=environment.instance))


def _side(environment: Environment, facts: Mapping[str, HostFacts]) -> Iterable[GopubError]:
    """What two processes side by side need of a host."""
    if environment.switch != SIDE:
        return
    old = [name for name, one in facts.items() if one.standing.unit and one.standing.adopted and not one.current]
    if old:
        problem = f"{', '.join(old)}: a service from before gopub runs there, and no slot is its place"
        yield UsageError("GP547", problem, hint="release once with `switch: restart`; then change the mode")
    few = [
        f"{name} ({_mib(one.slots.free)} available, what serves holds {_mib(one.slots.used)})"
        for name, one in facts.items()
        if one.slots.lacks
    ]
    if few:
        problem = f"too little memory for two processes side by side: {', '.join(few)}; nothing was changed"
        yield UsageError("GP548", problem, hint="make room there, or release with another `switch:`")


def _mib(amount: int | None) -> str:
    return f"{(amount or 0) / 1024**2:.0f} MiB"
