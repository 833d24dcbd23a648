"""Which endpoints a release is judged by where ``judge.endpoints`` says ``auto``: those that stable serves most. Pure.

A route is what a service's own instruments call one: a template of its framework, such as ``/orders/{id}``. What is no
template (a path that a client wrote) is one of very many and has next to no share; with less than ``LEAST`` of all
requests it is nothing that a comparison could see. So neither memory nor choice depends on how many paths there are:
a source gives ``ASKED`` routes at most, the list is fixed at the start, and a plan says which they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gopub.spec.endpoints import AUTO, MOST, Pattern, hidden_by, pattern

ASKED = 30
"""Routes that a source gives at most, the busiest ones: several may be one pattern."""
LEAST = 0.01
"""Of all requests, what an endpoint that is chosen has at least."""
_PLACE = re.compile(r"\{[^{}/]*\}|<[^<>/]*>|:[A-Za-z_][A-Za-z0-9_]*|\*")
_REST = re.compile(r"\*\*|\*[A-Za-z_][A-Za-z0-9_]*|\{[^{}/]*\.\.\.\}|\{\*[^{}/]*\}|<path:[^<>/]*>|\{[^{}/]*:path\}")
_METHOD = re.compile(r"[A-Z]{3,10}")


@dataclass(frozen=True, slots=True)
class Route:
    """What a service counted by one of its routes; an empty ``method`` is any."""

    method: str
    template: str
    requests: float


@dataclass(frozen=True, slots=True)
class Busiest:
    """A service's busiest routes over the last hour, and all of its requests."""

    routes: tuple[Route, ...]
    requests: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """An endpoint, and its share of all requests."""

    endpoint: str
    share: float


def endpoint_of(route: Route) -> str | None:
    """A route as a pattern of endpoints; None where it is none, or so wide that it is no endpoint."""
    path = route.template.removeprefix(f"{route.method} ")
    segments = path.split("/")
    if not path.startswith("/"):
        return None
    if segments[-1] in ("", "{$}"):  # a slash at the end is no other endpoint
        segments = segments[:-1]
    written = "/".join(_segment(one, last=at == len(segments) - 1) for at, one in enumerate(segments)) or "/"
    text = f"{route.method} {written}" if _METHOD.fullmatch(route.method) else written
    found = pattern(text)
    if found is None or ((found.segments or found.rest) and all(one == "*" for one in found.segments)):
        return None
    return text


def _segment(text: str, *, last: bool) -> str:
    if last and _REST.fullmatch(text):
        return "**"
    return "*" if _PLACE.fullmatch(text) else text


def choose(found: Busiest, declared: Sequence[str] = ()) -> tuple[Chosen, ...]:
    """The busiest endpoints that have a share worth a comparison, beside those that are declared; ``MOST`` in all.

    The first that fits a request wins on the edge, so what is narrow comes first, and what is hidden is left out.
    """
    shares: dict[str, float] = {}
    for route in found.routes[:ASKED]:
        name = endpoint_of(route)
        if name is not None and found.requests > 0 and route.requests > 0:
            shares[name] = shares.get(name, 0.0) + route.requests / found.requests
    named = [text for text in declared if text != AUTO]
    worth = sorted((one for one in shares if shares[one] >= LEAST and one not in named), key=lambda one: -shares[one])
    chosen: list[str] = []
    for name in worth:
        if len(named) + len(chosen) < MOST and _seen([*named, *sorted([*chosen, name], key=_width)]):
            chosen.append(name)
    return tuple(Chosen(name, min(1.0, shares[name])) for name in sorted(chosen, key=_width))


def told_of_choice(chosen: Sequence[Chosen]) -> str:
    """What was chosen, for the notes of a plan."""
    if not chosen:
        return f"judge.endpoints: auto chose none: no route of the last hour has {LEAST:.0%} of the requests"
    said = ", ".join(f"{one.endpoint} ({one.share:.0%})" for one in chosen)
    return f"judge.endpoints: auto chose by stable's requests of the last hour: {said}"


def _width(text: str) -> tuple[bool, int, bool, str]:
    found = _known(text)
    return found.rest, found.segments.count("*"), found.method is None, text


def _seen(texts: Sequence[str]) -> bool:
    patterns = [_known(text) for text in texts]
    return all(hidden_by(patterns, at) is None for at in range(len(patterns)))


def _known(text: str) -> Pattern:
    found = pattern(text)
    if found is None:  # pragma: no cover - what comes here was read before
        raise ValueError(text)
    return found
