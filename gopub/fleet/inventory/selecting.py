"""Which hosts of an inventory a selector means, and when nobody can say. Pure.

A term is yes or no for a host, or it cannot be told: its label is a list, a template, encrypted, or the same value in
another spelling. Where no other term says no, the host is neither taken nor left out in silence: that is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from gopub.errors import SpecError, Where
from gopub.fleet.host import GROUP, MAGIC, Host
from gopub.fleet.inventory.values import label, same, unlabelled
from gopub.fleet.vaulted import Vaulted
from gopub.spec.selector import Operator, Selector, Term

_PLAIN = "select by a plain variable or a group"


def settled(selector: Selector, hosts: Sequence[Host], file: str) -> Selector:
    """The selector with the names of groups as what they mean: ``app`` is ``group=app`` where ``app`` is no label.

    Raises:
        SpecError: GP404 a bare name is a group and a label, and not of the same hosts.
    """
    return Selector(tuple(_settled(term, hosts, file) for term in selector.terms))


def is_meant(selector: Selector, host: Host, file: str) -> bool:
    """Whether a selector means a host.

    Raises:
        SpecError: GP404 it depends on a label that cannot be told.
    """
    doubts = {term: doubt for term in selector.terms if (doubt := _doubt(term, host, file))}
    sure = all(term.matches(host.selectable) for term in selector.terms if term not in doubts)
    if sure and doubts:
        raise next(iter(doubts.values()))
    return sure


def _settled(term: Term, hosts: Sequence[Host], file: str) -> Term:
    members = {host.name for host in hosts if term.key in host.groups}
    if term.values or not members or term.key in {GROUP, *MAGIC}:
        return term
    holders = {host.name for host in hosts if term.key in host.variables}
    operator = Operator.NOT_IN if term.operator is Operator.ABSENT else Operator.IN
    as_group = Term(GROUP, operator, (term.key,))
    if holders and holders != members:
        raise SpecError(
            "GP404",
            f"{str(term)!r} can mean the group {term.key}, or the variable of that name, which other hosts have",
            hint=f"for the group write {as_group}; for the variable ask for its values: {term.key} in (…)",
            where=Where(file),
        )
    return as_group


def _doubt(term: Term, host: Host, file: str) -> SpecError | None:
    """Why nobody can say whether a term holds for a host; None where it can be told."""
    if term.key not in host.variables or term.key in MAGIC:
        return None
    value = host.variables[term.key]
    text = label(value)
    if term.key == GROUP:
        if text is None or text in host.groups or text not in term.values:
            return None
        problem = f"the selector asks for the group {text}; host {host.name} is not in it, but has a variable {GROUP}"
        return SpecError("GP404", problem, hint="give the variable another name", where=Where(file))
    asked = f"the selector asks for {term.key}"
    if why := unlabelled(value):
        place = value.where if isinstance(value, Vaulted) else Where(file)
        return SpecError("GP404", f"{asked}, which {why} for host {host.name}", hint=_PLAIN, where=place)
    wanted = None if text in term.values else next((word for word in term.values if same(value, word)), None)
    if wanted is None:
        return None
    problem = f"{asked}, which is {text} for host {host.name}: {wanted} is the same in another spelling"
    unquoted = "" if isinstance(value, str) else "; to keep what the inventory says as text, quote it there"
    return SpecError("GP404", problem, hint=f"write {text}{unquoted}", where=Where(file))
