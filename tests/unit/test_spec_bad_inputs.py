"""Every mistake is told with the exact text of its case; every code has a page and a case."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gopub import units
from gopub.connecting import authorities
from gopub.errors import ErrorGroup, GopubError, SpecError
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import SecretRef
from gopub.spec.loader import parse_spec
from gopub.spec.notyet import NOT_YET, NOT_YET_IN_CONNECTIONS
from gopub.spec.selector import parse_selector
from gopub.spec.windows import parse_window
from gopub.wiring.backends import Backends

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/cases/spec"
BASE = """\
app: orders
environments:
  prod:
    inventory: hosts.ini
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
"""
TEXTS: dict[str, Callable[[str], object]] = {
    "size": units.size,
    "seconds": units.seconds,
    "fraction": units.fraction,
    "amount": units.Amount.parse,
    "selector": parse_selector,
    "window": parse_window,
    "secret": lambda name: SecretRef(env=name).reveal(),
    "ca file": lambda path: authorities(Path(path)),
}
OURS = Backends(tuple)
"""Without plug-ins: the tests bring along some of their own."""


def cases(name: str) -> Any:
    return YAML(typ="safe").load(CASES / name)


def by_name(case: dict[str, Any]) -> str:
    return f"{case.get('as', '')} {case['name']}".strip()


@pytest.mark.parametrize("case", cases("spec.bad.yaml"), ids=by_name)
def test_a_mistake_in_gopub_yaml_is_told_exactly(case: dict[str, Any]) -> None:
    prod = "".join(f"    {line}\n" for line in case.get("prod", "").splitlines())
    text = case["input"] if "input" in case else BASE + prod
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "gopub.yaml")
    assert f"{caught.value}\n" == case["error"]


@pytest.mark.parametrize("case", cases("connections.bad.yaml"), ids=by_name)
def test_a_mistake_in_connections_yaml_is_told_exactly(case: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_connections(case["input"], "connections.yaml", Path("/etc"), OURS)
    assert f"{caught.value}\n" == case["error"]


@pytest.mark.parametrize("case", cases("texts.bad.yaml"), ids=by_name)
def test_a_small_text_is_refused_exactly(case: dict[str, Any]) -> None:
    with pytest.raises(GopubError) as caught:
        TEXTS[case["as"]](case["input"])
    assert f"{caught.value}\n" == case["error"]


def test_the_base_of_the_cases_is_good_by_itself() -> None:
    """A control: the mistakes above come from what is added to it."""
    assert parse_spec(BASE, "gopub.yaml").spec.app == "orders"


def test_several_mistakes_come_as_one_group_in_the_order_of_the_file() -> None:
    with pytest.raises(ErrorGroup) as caught:
        parse_spec(BASE + "    max_load: 0\nbuidl: .\nzzz: 1\n", "gopub.yaml")
    assert [error.where.line for error in caught.value.errors if error.where] == [7, 8, 9]
    assert [error.code for error in caught.value.errors] == ["GP121", "GP114", "GP114"]


def test_a_group_of_very_many_mistakes_is_cut() -> None:
    with pytest.raises(ErrorGroup) as caught:
        parse_spec("app: orders\n" + "".join(f"key{n}: 1\n" for n in range(500)), "gopub.yaml")
    assert len(caught.value.errors) == 50


@pytest.mark.parametrize("secret", ["hunter2hunter2", "123456789"])
@pytest.mark.parametrize("key", ["password", "db_secret", "api_token"])
def test_a_secret_that_was_written_into_the_file_is_not_repeated(key: str, secret: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(f"app: orders\n{key}: {secret}\n", "gopub.yaml")
    assert secret not in str(caught.value)


def test_each_key_that_is_not_acted_on_yet_is_refused_and_named_in_the_page() -> None:
    page = (ROOT / "docs/errors/GP119.md").read_text("utf-8")
    for rule in (*NOT_YET, *NOT_YET_IN_CONNECTIONS):
        assert f"`{rule.key}`" in page
        for value in rule.values:
            assert f"`{value}`" in page


def raised() -> set[str]:
    """Every code of ours that stands in the source."""
    sources = (path.read_text("utf-8") for path in (ROOT / "gopub").rglob("*.py"))
    return {code for text in sources for code in re.findall(r'"(GP1\d\d)"', text)}


def test_every_code_has_a_page_with_the_usual_parts() -> None:
    for code in sorted(raised()):
        page = (ROOT / f"docs/errors/{code}.md").read_text("utf-8")
        assert re.match(rf"# {code} \S", page), code
        for part in ("## What", "## Why", "## What to do"):
            assert part in page, (code, part)


def test_every_code_has_a_case() -> None:
    told = "".join(path.read_text("utf-8") for path in sorted(CASES.glob("*.bad.yaml")))
    assert raised() - set(re.findall(r"\bGP1\d\d\b", told)) == set()


def test_no_page_tells_of_a_code_that_nothing_raises() -> None:
    pages = {path.stem for path in (ROOT / "docs/errors").glob("GP1*.md")}
    assert pages - raised() == set()
