"""Failures of hosts, told once where they are the same: who, of how many, the cause, and what to do. Pure.

What makes two failures the same is what the hosts found, not their words: another process on the port, how the
service ended, what answered the health check, how the connection failed. Words differ by process ids and times;
the journal keeps each host's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gopub.journal import events as ev

MOST_NAMES = 5
"""Hosts that are named; of more only how many."""
_FACTS: Mapping[str, tuple[str, ...]] = {
    "GP442": ("check.unit", "result", "exit_status"),
    "GP443": ("result", "exit_status"),
    "GP444": (),
    "GP445": ("unit.listening",),
    "GP446": ("check.health",),
    "GP447": (),
}
"""What a host found that makes a failure of this code the same as another's."""
_NO_UNIT = "INSTANCE"
"""Stands for the unit's name, as in the docs, where nobody knows the plan."""
_READ_LOG = "read its log there (`journalctl -u INSTANCE`), mend it and release it anew"
_NEXT = {
    "GP441": _READ_LOG,
    "GP442": _READ_LOG,
    "GP443": _READ_LOG,
    "GP445": "does the service listen where health and traffic.port of gopub.yaml say?",
    "GP446": "ask that address on the host with curl; is health of gopub.yaml right?",
    "GP411": "is the host up, and does its sshd listen there?",
    "GP413": "is the host up, and does its sshd listen there?",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A port that the service needs and another process holds; ``pids`` by host."""

    port: str
    by: str
    pids: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """``port 8080 is in use by nginx (process 12 on web1, 34 on web2)``."""
        named = [f"{pid} on {host}" if len(self.pids) > 1 else pid for host, pid in self.pids.items()]
        more = [] if len(named) <= MOST_NAMES else ["…"]
        return f"port {self.port} is in use by {self.by} (process {', '.join(named[:MOST_NAMES] + more)})"


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts that failed in the same way, in order; ``says`` is the cause, of the first of them where words differ."""

    hosts: tuple[str, ...]
    verb: str
    code: str
    says: str
    next: str

    def who(self, total: int = 0) -> str:
        """``web1, web2, web3 (3 of 5)``; how many only where it is more than one."""
        count = len(self.hosts)
        names = ", ".join(self.hosts[:MOST_NAMES]) + (f" and {count - MOST_NAMES} more" if count > MOST_NAMES else "")
        if count == 1:
            return names
        return f"{names} ({count} of {total})" if total >= count else f"{names} ({count} hosts)"


def grouped(failures: Sequence[ev.HostFailed], unit: str = "") -> tuple[Group, ...]:
    """The failures of a service ``unit``, the same ones together, in the order of their first hosts."""
    found: dict[tuple[str, ...], list[ev.HostFailed]] = {}
    for one in failures:
        found.setdefault(what(one), []).append(one)
    return tuple(_group(same, unit or _NO_UNIT) for same in found.values())


def what(failure: ev.HostFailed) -> tuple[str, ...]:
    """What makes it the same as another."""
    values = failure.values
    if port := values.get("taken.port"):
        return (failure.verb, "taken", port, values.get("taken.by", ""))
    if failure.code in _FACTS and values:
        return (failure.verb, failure.code, *(values.get(name, "") for name in _FACTS[failure.code]))
    if cause := values.get("cause"):
        return (failure.verb, failure.code, cause)
    return (failure.verb, failure.code, _without_name(failure))


def say_failures(failures: Sequence[ev.HostFailed], total: int) -> str:
    """All of them in one line, as a rollout keeps why it went back."""
    return "; ".join(f"{one.who(total)}: {one.code} {one.says}" for one in grouped(failures))


def untold(reason: str, told: str) -> str:
    """What of a reason is left where the failures at its beginning were ``told`` before."""
    rest = reason.removeprefix(told)
    return rest.removeprefix("; ") if told and reason.startswith(told) and (not rest or rest[0] == ";") else reason


def _group(same: Sequence[ev.HostFailed], unit: str) -> Group:
    first, hosts = same[0], tuple(one.host for one in same)
    if port := first.values.get("taken.port"):
        pids = {one.host: one.values.get("taken.pid", "?") for one in same}
        taken = Taken(port, first.values.get("taken.by", "another process"), pids)
        do = f"end it there or choose another port in gopub.yaml, then deploy again (`ss -ltnp 'sport = :{port}'`)"
        return Group(hosts, first.verb, first.code, str(taken), do)
    said = first.message if len(same) == 1 else _without_name(first)
    if len({_without_name(one) for one in same}) > 1:
        said = f"{said} (so on {first.host}; `gopub explain` has what each said)"
    do = _NEXT.get(first.code, f"see docs/errors/{first.code}.md").replace(_NO_UNIT, unit)
    return Group(hosts, first.verb, first.code, said, do)


def _without_name(failure: ev.HostFailed) -> str:
    return failure.message.removeprefix(f"{failure.host}: ")
