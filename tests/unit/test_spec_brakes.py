"""A brake or a shortcut that was written and is never used is told, with its place."""

from __future__ import annotations

import pytest

from gopub.errors import GopubError
from gopub.spec.loader import parse_spec
from tests.unit.test_budget import SPEC


@pytest.mark.parametrize(
    ("judge", "code", "key", "column"),
    [
        ("{budget: {query: left}}", "GP133", "judge.budget.query", 29),
        ("{budget: {window: 7d}}", "GP133", "judge.budget.window", 30),
        ("{budget: {burn: article, window: 7d}}", "GP133", "judge.budget.window", 45),
        ("{budget: {freeze_below: 20%, window: 499ms}}", "GP121", "judge.budget.window", 49),
        ("{budget: {freeze_below: 20%, window: 99999999d}}", "GP121", "judge.budget.window", 49),
        ("{promote: {margin: 10%}}", "GP133", "judge.promote.margin", 31),
        ("{promote: {beta: 1%}}", "GP133", "judge.promote.beta", 29),
        ("{promote: {observed: 5m}}", "GP133", "judge.promote.observed", 33),
        ("{shadow: {budget: {window: 1d}}}", "GP133", "judge.shadow.budget.window", 39),
        ("{shadow: {promote: {observed: 5m}}}", "GP133", "judge.shadow.promote.observed", 42),
        ("{promote: evidence, slo: {latency_p95: 1s, error_rate: null}}", "GP133", "judge.promote", 22),
        ("{promote: evidence, slo: {error_rate: 0%}}", "GP133", "judge.promote", 22),
        ("{shadow: {promote: evidence}, slo: {error_rate: 0%}}", "GP133", "judge.shadow.promote", 31),
    ],
)
def test_what_nothing_uses_is_told(judge: str, code: str, key: str, column: int) -> None:
    with pytest.raises(GopubError) as refused:
        parse_spec(SPEC.replace("{JUDGE}", judge), "gopub.yaml")
    found = refused.value
    assert found.code == code
    assert f"`environments.lab.{key}`" in found.problem
    assert found.where is not None
    assert (found.where.line, found.where.col) == (8, column)


@pytest.mark.parametrize(
    "judge",
    [
        "{budget: {freeze_below: 0%, query: left, window: 5m}}",
        "{budget: {burn: multiwindow}}",
        "{budget: {freeze_below: null, query: left}, promote: {by: bake, margin: 10%}}",
        "{promote: {by: evidence, margin: 10%, beta: 1%, observed: 5m}}",
        "{promote: bake, budget: {window: 30d}}",
        "{shadow: {promote: {by: evidence, margin: 10%}}}",
        "{shadow: {alpha: 5%}, promote: evidence}",
    ],
)
def test_what_is_used_is_taken(judge: str) -> None:
    assert parse_spec(SPEC.replace("{JUDGE}", judge), "gopub.yaml").spec.environments["lab"].judge
