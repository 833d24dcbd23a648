"""The INI form of an inventory, as its sections declare it. Pure: text in, declarations out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from gopub.canon import Json
from gopub.errors import SpecError, Where
from gopub.fleet.inventory.ranges import expand
from gopub.fleet.inventory.values import literal

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_HINT_HOST = "write one host a line, such as web1 or web[01:10].example.com:2222; YAML is not read yet"
_HINT_SECTION = "write [group], [group:vars] or [group:children]"


@dataclass(slots=True)
class Group:
    """What is said of one group; ``places`` tells where each child was named."""

    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Where] = field(default_factory=dict)
    variables: dict[str, Json] = field(default_factory=dict)
    priority: int = 1
    declared: bool = False
    where: Where | None = None


@dataclass(slots=True)
class Declared:
    """All that an inventory declares, in the order in which it does; ``places`` is where a host is named first."""

    groups: dict[str, Group] = field(default_factory=dict)
    hosts: dict[str, dict[str, Json]] = field(default_factory=dict)
    places: dict[str, Where] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """The group of that name, made when it is new."""
        return self.groups.setdefault(name, Group())


def parse_ini(text: str, file: str) -> Declared:
    """Read an inventory.

    Raises:
        SpecError: GP401 a line cannot be read, GP402 a group is used that nothing declares, GP404 a value.
    """
    reader = _Reader(file)
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if content and content[0] not in ";#":
            reader.take(content, Where(file, number, line.index(content) + 1))
    reader.check_groups()
    return reader.declared


class _Reader:
    def __init__(self, file: str) -> None:
        self.declared = Declared()
        self._group, self._kind = "ungrouped", "hosts"
        self._file = file
        self.declared.group("all").declared = True
        self.declared.group("ungrouped").declared = True

    def take(self, line: str, where: Where) -> None:
        if line.startswith("[") and (found := _SECTION.fullmatch(line)):
            self._section(found[1], found[2] or "hosts", where)
        elif line.startswith("[") and line.endswith("]") and ":" not in line[1:-1]:
            raise SpecError("GP401", f"{line!r} is no section", hint=_HINT_SECTION, where=where)
        elif self._kind == "vars":
            self._variable(line, where)
        elif self._kind == "children":
            self._child(line, where)
        else:
            self._hosts(line, where)

    def _section(self, name: str, kind: str, where: Where) -> None:
        if kind not in {"hosts", "vars", "children"}:
            raise SpecError("GP401", f"[{name}:{kind}] is no section", hint=_HINT_SECTION, where=where)
        if "/" in name or name.startswith("."):
            raise SpecError("GP401", f"{name!r} is no name for a group", hint=_HINT_SECTION, where=where)
        self._group, self._kind = name, kind
        group = self.declared.group(name)
        group.where = group.where or where
        group.declared = group.declared or kind != "vars"

    def _variable(self, line: str, where: Where) -> None:
        name, equals, text = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise SpecError("GP401", f"{line!r} is no variable", hint="write name=value", where=where)
        group, value = self.declared.group(self._group), _value(text, where)
        if name != "ansible_group_priority":
            group.variables[name] = value
        elif isinstance(value, int):
            group.priority = value
        else:
            raise SpecError("GP404", f"{name} is {value!r}", hint="a number is needed", where=where)

    def _child(self, line: str, where: Where) -> None:
        found = _CHILD.fullmatch(line)
        if not found:
            raise SpecError("GP401", f"{line!r} is no group name", hint="one name a line", where=where)
        self.declared.group(self._group).children.setdefault(found[1], where)

    def _hosts(self, line: str, where: Where) -> None:
        words = _words(line, where)
        try:
            names, port = expand(words[0])
        except ValueError as error:
            problem = f"host pattern {words[0]!r}: {error}"
            raise SpecError("GP401", problem, hint=_HINT_HOST, where=where) from error
        variables = dict(_assignments(words[1:], line, where))
        for name in names:
            self.declared.group(self._group).hosts[name] = None
            new = name not in self.declared.hosts
            host = self.declared.hosts.setdefault(name, {})
            self.declared.places.setdefault(name, where)
            if new and port is not None:
                host["ansible_port"] = port
            host.update(variables)

    def check_groups(self) -> None:
        for name, group in self.declared.groups.items():
            if not group.declared:
                problem = f"[{name}:vars] is for a group that nothing declares"
                raise SpecError("GP402", problem, hint=f"add a section [{name}]", where=group.where)
            for child, where in group.children.items():
                known = self.declared.groups.get(child)
                if known is None or not known.declared:
                    problem = f"[{name}:children] names the group {child!r}, which nothing declares"
                    raise SpecError("GP402", problem, hint=f"add a section [{child}]", where=where)


def _words(line: str, where: Where) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        problem = f"the line cannot be split into words: {error}"
        raise SpecError("GP401", problem, hint="close the quote, or quote the quote", where=where) from error


def _assignments(words: list[str], line: str, where: Where) -> Iterator[tuple[str, Json]]:
    for word in words:
        name, equals, text = word.partition("=")
        at = Where(where.file, where.line, where.col + max(line.find(name), 0))
        if not equals or not name:
            hint = "one host a line; quote values that have spaces"
            raise SpecError("GP401", f"{word!r} is no name=value", hint=hint, where=at)
        yield name, _value(text, at)


def _value(text: str, where: Where) -> Json:
    try:
        return literal(text)
    except ValueError as error:
        raise SpecError("GP404", str(error), hint="quote it to keep it as text", where=where) from error
