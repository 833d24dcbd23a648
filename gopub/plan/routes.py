"""What a step's rule asks for: in words, and as the condition that edges are given at a moment. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gopub.spec.route import Tree
from gopub.spec.windows import parse_window
from gopub.traffic.conditions import Condition, said
from gopub.traffic.wire import condition

DAY = 86_400
AHEAD = 9 * DAY
"""Seconds for which windows are told to the edges beforehand: a table is put anew at every look."""
NEVER = [[0, 1]]
"""Spans that are long over: an edge takes no empty list."""


def said_of(route: str) -> str:
    """In one line, for people: ``tag user-v2 and window mon-fri 09:00-18:00 UTC``."""
    return _said(json.loads(route))


def condition_of(route: str, now: float) -> Condition:
    """The rule's condition: edges know no zones and compare seconds, so windows become spans from now on."""
    return condition(_expanded(json.loads(route), now))


def _expanded(tree: Tree, now: float) -> dict[str, Any]:
    kind, inner = _one(tree)
    if kind == "window":
        spans = parse_window(inner).spans(now, now + AHEAD)
        return {"within": [list(span) for span in spans] or NEVER}
    if kind in ("all", "any"):
        return {kind: [_expanded(one, now) for one in inner]}
    return {kind: _expanded(inner, now)} if kind == "not" else {kind: inner}


def _said(tree: Tree) -> str:
    kind, inner = _one(tree)
    if kind == "window":
        return f"window {inner}"
    if kind in ("all", "any"):
        return (" and " if kind == "all" else " or ").join(_in_brackets(one) for one in inner)
    return f"not {_in_brackets(inner)}" if kind == "not" else said(condition({kind: inner}), 0.0)


def _in_brackets(tree: Tree) -> str:
    return f"({_said(tree)})" if _one(tree)[0] in ("all", "any") else _said(tree)


def _one(tree: Mapping[str, Any]) -> tuple[str, Any]:
    ((kind, inner),) = tree.items()
    return kind, inner
