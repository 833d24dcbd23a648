"""Which variables a host ends up with: groups in their order, then the host's own. Pure.

Weakest first, as ``ansible-inventory`` does it:

1. ``[all:vars]``
2. ``[group:vars]`` of the host's groups: parents before children, then by priority, then by name
3. group_vars/all
4. group_vars/GROUP in the same order as in 2
5. variables on the host's own lines
6. host_vars/HOST
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import SpecError, Where
from gopub.fleet.inventory.ini import Declared

Files = Callable[[str, str], Mapping[str, Json]]  # ("group_vars" | "host_vars", name) -> variables


@dataclass(frozen=True, slots=True)
class Resolved:
    """One host with all that holds for it."""

    name: str
    groups: frozenset[str]
    variables: Mapping[str, Json]
    where: Where


def resolve(declared: Declared, files: Files) -> tuple[Resolved, ...]:
    """All hosts in the order of their declaration.

    Raises:
        SpecError: GP402 when groups contain each other.
    """
    parents = _parents(declared)
    depths = _depths(declared, parents)
    members = _memberships(declared)
    hosts: list[Resolved] = []
    for name, own in declared.hosts.items():
        groups = _closure(members[name] or {"ungrouped"}, parents) | {"all"}
        ordered = sorted(groups - {"all"}, key=lambda g: (depths[g], declared.groups[g].priority, g))
        layers = (
            declared.groups["all"].variables,
            *(declared.groups[group].variables for group in ordered),
            files("group_vars", "all"),
            *(files("group_vars", group) for group in ordered),
            own,
            files("host_vars", name),
        )
        merged: dict[str, Json] = {}
        for layer in layers:
            merged |= layer
        hosts.append(Resolved(name, frozenset(groups), merged, declared.places[name]))
    return tuple(hosts)


def _parents(declared: Declared) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = {name: set() for name in declared.groups}
    for name, group in declared.groups.items():
        for child in group.children:
            parents[child].add(name)
    return parents


def _depths(declared: Declared, parents: Mapping[str, set[str]]) -> dict[str, int]:
    """The longest way from ``all`` to each group."""
    depths: dict[str, int] = {"all": 0}
    open_now: list[str] = []

    def depth(name: str) -> int:
        if name in open_now:
            circle = " > ".join([*open_now[open_now.index(name) :], name])
            where = declared.groups[name].where
            raise SpecError("GP402", f"groups contain each other: {circle}", hint="break the circle", where=where)
        if name not in depths:
            open_now.append(name)
            depths[name] = 1 + max((depth(parent) for parent in sorted(parents[name])), default=0)
            open_now.pop()
        return depths[name]

    if parents["all"]:
        where = declared.groups[min(parents["all"])].children["all"]
        raise SpecError("GP402", "the group all cannot be a child", hint="every host is in it anyway", where=where)
    for name in declared.groups:
        depth(name)
    return depths


def _memberships(declared: Declared) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {name: set() for name in declared.hosts}
    for group_name, group in declared.groups.items():
        for host in group.hosts:
            if group_name not in {"all", "ungrouped"}:
                members[host].add(group_name)
    return members


def _closure(names: Iterable[str], parents: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(parents[name])
    return found
