"""What became of every rule of a table for one request; pure, and beside the decision, which stops at the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gopub.canon import Json
from gopub.traffic.asked import Asked, Request
from gopub.traffic.conditions import All, Condition, said
from gopub.traffic.explain import Explanation
from gopub.traffic.matching import holds
from gopub.traffic.table import RouteTable, Rule

Became = Literal["matched", "missed", "over", "unasked"]
Reason = Literal["TARGETING_MATCH", "SPLIT", "DEFAULT", "STATIC", "ERROR"]

_REASONS: dict[str, Reason] = {"weight": "SPLIT", "only-canary": "STATIC", "none": "ERROR"}
_UNRULED = ("default", "lapsed", "no-subject", "bad-tags")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rule: ``why`` names what holds, or the first part that does not."""

    id: str
    became: Became
    why: str

    def to_json(self) -> dict[str, Json]:
        """For ``gopub route explain --json``."""
        return {"id": self.id, "became": self.became, "why": self.why}


def reason(found: Explanation) -> Reason:
    """The word of OpenFeature for how it was decided.

    Source: https://openfeature.dev/specification/types/#resolution-reason.
    """
    if found.rule in _UNRULED:
        return "SPLIT" if found.bucket is not None else "DEFAULT"
    return _REASONS.get(found.rule, "TARGETING_MATCH")


def outcomes(table: RouteTable, request: Request, found: Explanation) -> tuple[Outcome, ...]:
    """What became of each rule, in order; ``found`` is what :func:`explain` said of the same request."""
    return tuple(_each(table, Asked(table, request), found))


def _each(table: RouteTable, asked: Asked, found: Explanation) -> Iterator[Outcome]:
    done = found.rule in ("none", "only-canary", "lapsed", "bad-tags")
    for rule in table.rules:
        if done:
            yield Outcome(rule.id, "unasked", "it was decided before")
            continue
        outcome = _one(rule, asked, table.salt)
        done = outcome.became == "matched"
        yield outcome


def _one(rule: Rule, asked: Asked, salt: str) -> Outcome:
    if rule.until is not None and asked.at >= rule.until:
        return Outcome(rule.id, "over", f"its time ended {asked.at - rule.until:.3f}s ago")
    if holds(rule.when, asked, salt):
        return Outcome(rule.id, "matched", said(rule.when, asked.at))
    return Outcome(rule.id, "missed", f"not so: {said(_missing(rule.when, asked, salt), asked.at)}")


def _missing(condition: Condition, asked: Asked, salt: str) -> Condition:
    """The first part that does not hold, as far as there is one to blame."""
    if not isinstance(condition, All):
        return condition
    return _missing(next(one for one in condition.of if not holds(one, asked, salt)), asked, salt)
