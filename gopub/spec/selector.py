"""Which hosts an environment means: label terms, all of which must hold.

    selector = term *("," term)
    term     = KEY "=" VALUE | KEY "!=" VALUE | KEY "in" set | KEY "notin" set | KEY | "!" KEY
    set      = "(" VALUE *("," VALUE) ")"

``!=`` and ``notin`` also hold where the label is missing, and ``KEY`` asks only whether it is there
(as in Kubernetes). A label can have several values (``group`` does); then one of them must fit.
What an inventory makes of it where a label cannot be told, or ``KEY`` is a group, is in its ``selecting``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from gopub.errors import SpecError
from gopub.spec.near import nearest

Labels: TypeAlias = Mapping[str, str] | Mapping[str, frozenset[str]] | Mapping[str, str | frozenset[str]]

_KEY = r"[A-Za-z_][A-Za-z0-9_./-]*"
_VALUE = r"[A-Za-z0-9_.:/@+-]+"
_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_MEMBERSHIP = re.compile(rf"({_KEY})\s+(in|notin|not\s+in)\s*\(([^()]*)\)")
_PRESENCE = re.compile(rf"(!?)\s*({_KEY})")
_SET_OR_COMMA = re.compile(r"\([^()]*\)|,")  # one pass: a selector of a stranger may be as long as a gopub.yaml
_SHOWN = 80
_HINT = 'write terms such as "role=orders,region in (a,b),!quarantine"'


class Operator(StrEnum):
    """What a term asks of a label."""

    IN = "in"
    NOT_IN = "notin"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether a host with these labels fits."""
        held = _values(labels, self.key)
        match self.operator:
            case Operator.IN:
                return not held.isdisjoint(self.values)
            case Operator.NOT_IN:
                return held.isdisjoint(self.values)
            case Operator.PRESENT:
                return bool(held)
            case Operator.ABSENT:
                return not held

    def __str__(self) -> str:
        """The shortest way to write it."""
        negated = self.operator in {Operator.NOT_IN, Operator.ABSENT}
        if not self.values:
            return f"!{self.key}" if negated else self.key
        if len(self.values) == 1:
            return f"{self.key}{'!=' if negated else '='}{self.values[0]}"
        return f"{self.key} {self.operator} ({','.join(self.values)})"


@dataclass(frozen=True, slots=True)
class Selector:
    """Terms of which all must hold."""

    terms: tuple[Term, ...]

    def matches(self, labels: Labels) -> bool:
        """Whether a host with these labels is meant."""
        return all(term.matches(labels) for term in self.terms)

    def __str__(self) -> str:
        """As it is written in gopub.yaml."""
        return ",".join(str(term) for term in self.terms)


def parse_selector(text: str) -> Selector:
    """Read a selector.

    Raises:
        SpecError: GP132 with the term that is wrong; an empty selector is one, for it would mean all hosts.
    """
    commas = [found.start() for found in _SET_OR_COMMA.finditer(text) if found[0] == ","]
    bounds = zip([0, *(comma + 1 for comma in commas)], [*commas, len(text)], strict=True)
    return Selector(tuple(_term(text[begin:end].strip(), text) for begin, end in bounds))


def _term(part: str, text: str) -> Term:
    if found := _EQUALITY.fullmatch(part):
        return Term(found[1], Operator.NOT_IN if found[2] == "!=" else Operator.IN, (found[3],))
    if found := _PRESENCE.fullmatch(part):
        return Term(found[2], Operator.ABSENT if found[1] else Operator.PRESENT)
    if found := _MEMBERSHIP.fullmatch(part):
        values = tuple(value.strip() for value in found[3].split(","))
        if all(re.fullmatch(_VALUE, value) for value in values):
            return Term(found[1], Operator.IN if found[2] == "in" else Operator.NOT_IN, values)
    if not part:
        raise SpecError("GP132", f"a term of {_shown(text)} is empty", hint=_HINT)
    raise SpecError("GP132", f"{_shown(part)} in {_shown(text)} is not a label term", hint=_meant(part))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _meant(part: str) -> str:
    """How to write what somebody meant who wrote a host, a group or a pattern of Ansible's (``app:&web:!broken``)."""
    if len(part) > _SHOWN:
        return _HINT
    names = part.split(":")
    if not all(re.fullmatch(rf"[&!]?{_VALUE}", name) for name in names):
        return _HINT
    if len(names) == 1:
        return f"for a group write group={part}, for a host inventory_hostname={part}" if part[0] != "!" else _HINT
    either = [name for name in names if name[0] not in "&!"]
    terms = [f"group in ({','.join(either)})" if len(either) > 1 else f"group={name}" for name in either[:1]]
    terms += [f"group={name[1:]}" for name in names if name[0] == "&"]
    terms += [f"group!={name[1:]}" for name in names if name[0] == "!"]
    return f"where {part} is a pattern of Ansible's, write {','.join(terms)}"


def _values(labels: Labels, key: str) -> frozenset[str]:
    held = labels.get(key, frozenset())
    return frozenset({held}) if isinstance(held, str) else held


def why_nothing(selector: Selector, hosts: Iterable[Labels]) -> str:
    """A hint for a selector that matched no host: the first term that nothing satisfies, and what is near."""
    everything = list(hosts)
    for term in selector.terms:
        if not any(term.matches(labels) for labels in everything):
            return _why_not(term, everything)
    return "each term matches some host, but no host matches all of them"


def _why_not(term: Term, hosts: list[Labels]) -> str:
    keys = {key for labels in hosts for key in labels}
    if term.operator in {Operator.NOT_IN, Operator.ABSENT}:
        return f"{term} excludes every host"
    if term.key not in keys:
        return f"no host has a label {term.key}{_instead(term.key, keys, hosts)}"
    values = sorted({value for labels in hosts for value in _values(labels, term.key)})
    near = nearest(term.values[0], values)
    shown = f"did you mean {term.key}={near}?" if near else f"{term.key} is one of {', '.join(values[:8])}"
    return f"{term} is not a label there; {shown}"


def _instead(key: str, keys: set[str], hosts: list[Labels]) -> str:
    groups = {name for labels in hosts for name in _values(labels, "group")}
    if key in groups:
        return f"; for the group write group={key}"
    if any(key in _values(labels, "inventory_hostname") for labels in hosts):
        return f"; for the host write inventory_hostname={key}"
    near, group = nearest(key, keys), nearest(key, groups)
    meant = near or (group and f"group={group}")
    return f"; did you mean {meant}?" if meant else ""
