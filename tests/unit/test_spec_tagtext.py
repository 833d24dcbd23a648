"""Tags as people write them: precedence, words for signs, where a mistake stands."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gopub.errors import SpecError
from gopub.spec.tagtext import LONGEST, parse_tags
from tests.support.chance import seed


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a", {"tag": "a"}),
        ("  user-v2 ", {"tag": "user-v2"}),
        ("a && b || c", {"any": [{"all": [{"tag": "a"}, {"tag": "b"}]}, {"tag": "c"}]}),
        ("a || b && c", {"any": [{"tag": "a"}, {"all": [{"tag": "b"}, {"tag": "c"}]}]}),
        ("(a || b) && c", {"all": [{"any": [{"tag": "a"}, {"tag": "b"}]}, {"tag": "c"}]}),
        ("a and b OR Not c", {"any": [{"all": [{"tag": "a"}, {"tag": "b"}]}, {"not": {"tag": "c"}}]}),
        ("!!a", {"not": {"not": {"tag": "a"}}}),
        ("!a&&b", {"all": [{"not": {"tag": "a"}}, {"tag": "b"}]}),
        ("!(a&&b)", {"not": {"all": [{"tag": "a"}, {"tag": "b"}]}}),
        ("android && order", {"all": [{"tag": "android"}, {"tag": "order"}]}),
        ("v1.2_3-x", {"tag": "v1.2_3-x"}),
        ("7", {"tag": "7"}),
    ],
)
def test_an_expression_means_this(text: str, means: object):
    assert parse_tags(text) == means


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "its end at column 1, not a tag"),
        ("   ", "its end at column 4, not a tag"),
        ("a b", "`b` at column 3, not `&&` or `||`"),
        ("a &&", "its end at column 5, not a tag"),
        ("&& a", "`&&` at column 1, not a tag"),
        ("a & b", "`&` at column 3"),
        ("a | b", "`|` at column 3"),
        ("a, b", "`,` at column 2"),
        ("(a", "its end at column 3, not `)`"),
        ("a)", "`)` at column 2"),
        ("()", "`)` at column 2, not a tag"),
        ("a == b", "`=` at column 3"),
        ("-a", "`-` at column 1"),
        ("用户", "`用` at column 1"),
        ("not", "its end at column 4, not a tag"),
        ("x" * 64, "has 64 characters, and 63 at most"),
        ("(" * 5000, "5000 characters, and 1024 at most"),
        ("!" * (LONGEST - 1) + "a", "nested deeper than 32"),
        ("(" * 400 + "a" + ")" * 400, "nested deeper than 32"),
    ],
)
def test_what_is_none_is_told_with_its_place(text: str, says: str):
    with pytest.raises(SpecError, match="GP151") as caught:
        parse_tags(text)
    assert says in caught.value.problem


def holds(tree: Any, tags: set[str]) -> bool:
    ((kind, inner),) = tree.items()
    if kind == "tag":
        return inner in tags
    if kind == "not":
        return not holds(inner, tags)
    return (all if kind == "all" else any)(holds(one, tags) for one in inner)


def test_it_means_what_python_makes_of_the_same_words():
    draw = random.Random(seed())
    for _ in range(2000):
        text = " ".join(_drawn(draw, 0))
        tags = {name for name in "abc" if draw.randrange(2)}
        python = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
        known = {name: name in tags for name in "abc"}
        assert holds(parse_tags(text), tags) == eval(python, {"__builtins__": {}}, known), text  # noqa: S307 - of our own making


def _drawn(draw: random.Random, depth: int) -> list[str]:
    choice = draw.randrange(4) if depth < 4 else 0
    if choice == 0:
        return [draw.choice("abc")]
    if choice == 1:
        return ["!", "(", *_drawn(draw, depth + 1), ")"]
    sign = draw.choice(("&&", "||", "and", "or"))
    return ["(" * (depth % 2), *_drawn(draw, depth + 1), sign, *_drawn(draw, depth + 1), ")" * (depth % 2)]
