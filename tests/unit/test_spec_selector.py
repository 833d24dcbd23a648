"""Selectors: which hosts they mean, and what is said when they mean none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.errors import SpecError
from gopub.spec.selector import Operator, Selector, Term, parse_selector, why_nothing

TABLE = YAML(typ="safe").load(Path(__file__).parents[1] / "cases/spec/selectors.yaml")
GROUPS = {"a1": {"app"}, "a2": {"app", "blue"}, "b1": {"edge"}, "c1": set[str]()}
HOSTS: dict[str, Any] = {name: {**labels, "group": frozenset(GROUPS[name])} for name, labels in TABLE["hosts"].items()}

words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,8}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9_.:/@+-]{1,8}", fullmatch=True)
sets = st.lists(values, min_size=1, max_size=3).map(tuple)
terms = st.one_of(
    st.builds(Term, words, st.sampled_from([Operator.IN, Operator.NOT_IN]), sets),
    st.builds(Term, words, st.sampled_from([Operator.PRESENT, Operator.ABSENT])),
)
selectors = st.lists(terms, min_size=1, max_size=4).map(lambda made: Selector(tuple(made)))


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["selector"])
def test_a_selector_means_the_hosts_of_its_case(case: dict[str, Any]) -> None:
    selector = parse_selector(case["selector"])
    assert [name for name, labels in HOSTS.items() if selector.matches(labels)] == case["means"]


@given(selectors)
def test_a_selector_reads_back_equal(selector: Selector) -> None:
    assert parse_selector(str(selector)) == selector


@given(terms, st.dictionaries(words, values))
def test_a_term_and_its_opposite_never_agree(term: Term, labels: dict[str, str]) -> None:
    opposite = {
        Operator.IN: Operator.NOT_IN,
        Operator.NOT_IN: Operator.IN,
        Operator.PRESENT: Operator.ABSENT,
        Operator.ABSENT: Operator.PRESENT,
    }
    assert term.matches(labels) != Term(term.key, opposite[term.operator], term.values).matches(labels)


@given(st.text())
def test_any_text_is_a_selector_or_a_typed_error(text: str) -> None:
    assert refusal(text) in {"", "GP132 with a hint"}


def refusal(text: str) -> str:
    try:
        parse_selector(text)
    except SpecError as error:
        return f"{error.code} with {'a' if error.hint else 'no'} hint"
    return ""


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("role=order", "role=order is not a label there; did you mean role=orders?"),
        ("role=zzz", "role=zzz is not a label there; role is one of orders, web"),
        ("rol=orders", "no host has a label rol; did you mean role?"),
        ("zzzz", "no host has a label zzzz"),
        ("role=orders,!env", "!env excludes every host"),
        ("role=web,env=test", "each term matches some host, but no host matches all of them"),
        ("group=ap", "group=ap is not a label there; did you mean group=app?"),
    ],
)
def test_a_selector_that_means_nobody_is_explained(selector: str, hint: str) -> None:
    parsed = parse_selector(selector)
    assert not any(parsed.matches(labels) for labels in HOSTS.values())
    assert why_nothing(parsed, HOSTS.values()) == hint
