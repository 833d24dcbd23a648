"""Which requests reach the canary whatever the weight: ``route:`` of a step, a tree of conditions.

Keys that stand side by side must all hold; ``any``, ``all`` and ``not`` say it otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gopub.spec.base import Model
from gopub.spec.fields import Fraction, Word, matching, telling
from gopub.spec.heard import MOST_VALUE, deaf_to, never_equal
from gopub.spec.tagtext import parse_tags
from gopub.spec.texts import HeaderName, Network, WindowText

Tree = Mapping[str, Any]
"""A condition as a route table words it, and ``{"window": TEXT}``, which becomes spans when it is put."""

GRAY_TAG = "x-gray-tag"
DEEPEST = 8
"""Conditions within conditions, as an edge takes them."""
MOST = 64
"""Conditions in one step."""
PARTS = 10_000
"""Edges share out traffic in units of 0.01%."""

_METHOD = matching(r"[A-Z][A-Z-]{0,31}", "GP129", "a method", "write it in capitals: GET")
_PATH = matching(r"/[!-~]{0,255}", "GP129", "a path", 'write how paths begin, as they are once decoded: "/api"')
_COOKIE = matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", "GP129", "a cookie's name", 'write it as "lane"')
_PARAMETER = matching(r"[ -~]{1,64}", "GP129", "a parameter's name", "printable ASCII of at most 64 characters")


def _tags(value: str) -> str:
    parse_tags(value)
    return value


TagText = Annotated[Word, AfterValidator(telling(_tags))]
"""Tags with && and || and !, see tagtext.py."""
Method = Annotated[Word, AfterValidator(_METHOD)]
"""A method of HTTP."""
PathPrefix = Annotated[Word, AfterValidator(_PATH)]
"""How a path begins, by whole parts."""
CookieName = Annotated[Word, AfterValidator(_COOKIE)]
"""A cookie's name."""
ParameterName = Annotated[Word, AfterValidator(_PARAMETER)]
"""The name of a parameter in a query."""


class Route(Model):
    """Which requests reach the canary whatever the weight; what stands side by side must all hold."""

    header: Mapping[HeaderName, Word] | None = None
    """Headers and their values."""
    cookie: Mapping[CookieName, Word] | None = None
    """Cookies and their values."""
    query: Mapping[ParameterName, Word] | None = None
    """Parameters of the query and their values, decoded; the first of a name counts."""
    path: PathPrefix | None = Field(default=None, examples=["/api"])
    """The path or how it begins, by whole parts; as it is once decoded."""
    method: tuple[Method, ...] | None = None
    """One of these methods."""
    client: tuple[Network, ...] | None = None
    """The client's address is in one of these networks."""
    tags: TagText | None = Field(default=None, examples=["user-v2 && region-sh && !beta"])
    """Tags in x-gray-tag, which proxies of `traffic.trust` set."""
    window: WindowText | None = None
    """Only while this window is open."""
    percent: Fraction | None = None
    """This share of the users, by `sticky`; always the same ones."""
    any: tuple[Route, ...] | None = None
    """At least one of these holds."""
    all: tuple[Route, ...] | None = None
    """All of these hold."""
    not_: Route | None = Field(default=None, alias="not")
    """This does not hold."""


def only_header(route: Route) -> tuple[str, str] | None:
    """The one header that it is about; None where it says anything else."""
    if route.model_fields_set - {"header"} or route.header is None or len(route.header) != 1:
        return None
    return next(iter(route.header.items()))


def tree(route: Route) -> Tree:
    """The condition that it stands for."""
    parts = list(_parts(route))
    return parts[0] if len(parts) == 1 else {"all": parts}


def text_of(route: Route) -> str:
    """The tree as one line, for a plan: the same route is the same text."""
    return json.dumps(tree(route), sort_keys=True, separators=(",", ":"))


def _parts(route: Route) -> Iterator[Tree]:
    for kind, pairs in (("header", route.header), ("cookie", route.cookie), ("query", route.query)):
        for name, value in (pairs or {}).items():
            yield {kind: {"name": name, "value": value}}
    plain = {
        "path": route.path,
        "method": route.method and list(route.method),
        "client": route.client and list(route.client),
        "window": route.window,
        "share": None if route.percent is None else round(route.percent * PARTS),
        "any": route.any and [tree(one) for one in route.any],
        "all": route.all and [tree(one) for one in route.all],
        "not": route.not_ and tree(route.not_),
    }
    yield from ({kind: value} for kind, value in plain.items() if value is not None)
    if route.tags is not None:
        yield parse_tags(route.tags)


Wrong = tuple[tuple[str | int, ...], str, str]
"""Where below ``route``, what is wrong, what to do."""


def wrong(route: Route, *, trust: bool) -> Iterator[Wrong]:
    """What no edge could ask, or what would choose nobody; ``trust``: some network is believed."""
    yield from _each(route, (), trust=trust)
    if not any(True for _ in _each(route, (), trust=trust)):
        found = list(_walk(tree(route), 1))
        if max(found) > DEEPEST:
            yield (), f"conditions stand {max(found)} deep in each other", f"{DEEPEST} is the most that an edge takes"
        if len(found) > MOST:
            yield (), f"{len(found)} conditions", f"write {MOST} at most; a tag can stand for many"


def _each(route: Route, path: tuple[str | int, ...], *, trust: bool) -> Iterator[Wrong]:
    if not route.model_fields_set or all(getattr(route, name) is None for name in route.model_fields_set):
        yield path, "it asks for nothing", 'write what to ask for: {header: {x-canary: "true"}}'
    for key in ("header", "cookie", "query", "method", "client", "any", "all"):
        if (value := getattr(route, key)) is not None and not value:
            yield (*path, key), f"{key} is empty", "write what to ask for, or leave it out"
    yield from _unheard(route, path, trust=trust)
    for key, several in (("any", route.any), ("all", route.all)):
        for at, one in enumerate(several or ()):
            yield from _each(one, (*path, key, at), trust=trust)
    if route.not_ is not None:
        yield from _each(route.not_, (*path, "not"), trust=trust)


def _unheard(route: Route, path: tuple[str | int, ...], *, trust: bool) -> Iterator[Wrong]:
    for name, value in (route.header or {}).items():
        if found := deaf_to(name, trust=trust) or never_equal(value):
            yield (*path, "header"), *found
    for key in ("cookie", "query"):
        for value in (getattr(route, key) or {}).values():
            if len(value) > MOST_VALUE or not value.isascii() or not value.isprintable():
                yield (
                    (*path, key),
                    "the value is not printable ASCII of at most 256 characters",
                    "choose a shorter or plainer one",
                )
    if route.tags is not None and (found := deaf_to(GRAY_TAG, trust=trust)):
        yield (*path, "tags"), found[0], "name the proxies that set it in `traffic.trust`"
    if route.percent is not None and round(route.percent * PARTS) == 0:
        yield (*path, "percent"), "that is nobody at all", "write at least 0.01%"


def _walk(condition: Tree, depth: int) -> Iterator[int]:
    """The depth of each condition."""
    yield depth
    for kind, inner in condition.items():
        for one in inner if kind in ("any", "all") else [inner] if kind == "not" else ():
            yield from _walk(one, depth + 1)
