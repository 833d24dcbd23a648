"""The team's own metrics: what ``judge.metrics`` lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gopub.spec.base import Model
from gopub.spec.fields import Fraction, Name, Switch, Word, refuse
from gopub.spec.querytext import mistake
from gopub.spec.tree import Path

MOST = 10
"""Metrics: each takes a part of what E may be wrong, and asks Prometheus for both tracks."""
LONGEST = 2000
"""Characters of a query."""
TAKEN = ("errors", "slow", "late", "left", "logs")
"""What gopub itself calls its tests."""


class OwnMetric(Model):
    """A metric of the team's own, compared between canary and stable."""

    scalar_is_first = False

    name: Name = Field(examples=["checkout-failures"])
    """What verdicts call it."""
    kind: Literal["counter", "gauge", "ratio"] = Field(examples=["ratio"])
    """counter: events, of all requests; ratio: events, of those that `per` counts; gauge: a value of each host."""
    query: Word = Field(
        examples=["""'sum by (host) (checkout_failed_total{release="{{ release }}",host=~"{{ hosts }}"})'"""]
    )
    """PromQL for one track; {{ release }}, {{ hosts }}, {{ app }} and {{ env }} are filled in."""
    per: Word | None = None
    """PromQL that counts what the events are of; ratio needs it, a counter is of the requests that edges sent."""
    direction: Literal["lower", "higher"] = "lower"
    """Which values are better."""
    margin: Fraction = 0.25
    """How much worse than stable is no worse: a part of stable's."""
    required: Switch = True
    """Without its figures a rollout holds; false: it is only told."""


def _listed(value: Any) -> Any:
    """A plain word is the connection's old place; it comes here only where ``source`` stands as well."""
    if value is None:
        return ()
    if isinstance(value, str):
        hint = "leave the name to `source`; `metrics` lists the team's own: [{name, kind, query}]"
        raise refuse("GP134", "it names the connection, and `source` names it as well", hint)
    return value


def _or_word(schema: dict[str, Any]) -> None:
    """Editors accept the connection's old place, too."""
    listed = {key: schema.pop(key) for key in ("type", "items")}
    schema["anyOf"] = [{**listed, "maxItems": MOST}, {"type": "string"}]


OwnMetrics = Annotated[tuple[OwnMetric, ...], BeforeValidator(_listed), Field(json_schema_extra=_or_word)]


def moved(judge: Any) -> Any:
    """``metrics: NAME`` of before is ``source: NAME``; where both are given the field itself says so."""
    if not isinstance(judge, dict) or not isinstance(judge.get("metrics"), str) or judge.get("source") is not None:
        return judge
    return {**{key: value for key, value in judge.items() if key != "metrics"}, "source": judge["metrics"]}


Wrong = tuple[Path, str, str, str]


def wrong(metrics: Sequence[OwnMetric]) -> Iterator[Wrong]:
    """What is wrong with a list of them: the path below it, the code, the text and the hint."""
    if len(metrics) > MOST:
        yield (), "GP121", f"{len(metrics)} metrics", f"write {MOST} at most: each takes its share of what E may cost"
    names = [metric.name for metric in metrics]
    for index, metric in enumerate(metrics):
        if metric.name in (*TAKEN, *names[:index]):
            yield (index, "name"), "GP134", f"{metric.name!r} is taken", "choose another name"
        yield from (((index, *path), code, text, hint) for path, code, text, hint in _of_one(metric))


def _of_one(metric: OwnMetric) -> Iterator[Wrong]:
    counts = metric.kind != "gauge"
    for key, text in (("query", metric.query), ("per", metric.per)):
        found = mistake(text, counts=counts) if text is not None and len(text) <= LONGEST else None
        if text is not None and len(text) > LONGEST:
            yield (key,), "GP150", f"{len(text)} characters", f"write {LONGEST} at most, or a recording rule"
        elif found:
            yield (key,), "GP150", found.text, found.hint
    if metric.kind == "ratio" and metric.per is None:
        yield ("per",), "GP150", "a ratio is of something", "write per: a counter of all, or use kind: counter"
    if metric.kind == "gauge" and metric.per is not None:
        yield ("per",), "GP150", "a gauge is a value and of nothing", "leave it out, or divide within the query"
    if metric.direction == "higher" and metric.margin >= 1:
        yield ("margin",), "GP121", "100% below stable is nothing at all", "write less than 100%"
