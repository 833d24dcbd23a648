"""Whatever a file holds, the answer is a spec or a typed error with a place, never a traceback."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.errors import ErrorGroup, GopubError, SpecError
from gopub.spec import effective, reading
from gopub.spec.connections import parse_connections
from gopub.spec.loader import Loaded, load_spec, parse_spec
from gopub.spec.notyet import NOT_YET
from gopub.spec.reading import read_tree, resolve
from gopub.spec.schema import as_text, generate
from gopub.spec.tree import plain
from gopub.wiring.backends import BACKENDS

GOOD = [case["input"] for case in YAML(typ="safe").load(Path(__file__).parents[1] / "cases/spec/spec.good.yaml")]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["", "~", "10%", "1h"])
)
trees = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3)
)
KEYS = sorted(
    {"<<", "x", *(key for rule in NOT_YET for key in rule.key.split("."))}
    | set(re.findall(r'"([a-z_0-9]+)": \{', as_text(generate()["gopub.v1.json"])))
)


def told(text: str) -> Loaded | GopubError:
    """The spec or the error; anything else that is raised fails the test by itself."""
    try:
        return parse_spec(text, "gopub.yaml")
    except SpecError as error:
        return error


def assert_told_well(answer: Loaded | GopubError) -> None:
    if isinstance(answer, Loaded):
        printed = effective.as_text(effective.lines(answer))
        assert parse_spec(printed, "effective").spec == answer.spec
        return
    for error in answer.errors if isinstance(answer, ErrorGroup) else (answer,):
        assert error.code.startswith("GP1")
        assert error.where is not None
        assert error.where.file == "gopub.yaml"
        assert error.problem
        assert error.hint, str(error)
        assert len(str(error)) < 3000
        assert str(error).replace("\nhint: ", "").isprintable(), str(error)


@given(st.text())
@example("\u2028: x\n")
@example("app: \ufeff\n")
@example("a: !<tag:x> b\n")
@example("%TAG ! tag:x,2000:\n---\na: b\n")
@example("%YAML 1\n---\na: b\n")
@example("a: &x\n  b: *x\n")
@example("- [\n" * 40)
@example('"\\e[31m": x\n"\\ud800": y\n')
@example(f"app: x\n{'k' * 900}: 1\n")
@example("app: 99999999999999999999999999999999999999999\n")
@example("app: x\nenvironments: {p: {max_load: 1e99}}\n")
@example('app: x\nenvironments: {p: {hosts: "' + "," * 9000 + '"}}\n')
@example("app: x\nbuild: {targets: [" + "x" * 9000 + "]}\n")
@example("*\U00018d09")
def test_any_text(text: str) -> None:
    assert_told_well(told(text))


@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with contextlib.suppress(SpecError):
        load_spec(path)


@given(st.sampled_from(GOOD), st.data())
@settings(max_examples=300)
def test_a_good_file_with_something_changed(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    middle = data.draw(st.text(alphabet="\n\t :-{}[]&*!|>'\"%@`,#?0aZé\x00", max_size=6))
    assert_told_well(told(text[:start] + middle + text[end:]))


@given(
    st.recursive(
        scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=5)
    )
)
@settings(max_examples=300)
def test_known_keys_with_any_values(value: Any) -> None:
    """JSON is YAML: so any tree of values reaches the models."""
    assert_told_well(told(json.dumps({"app": "orders", "environments": {"prod": value}})))
    assert_told_well(told(json.dumps(value)))


@given(st.dictionaries(st.sampled_from(["kind", "path", "url", "token", "env", "file", "hosts", "port"]), trees), trees)
def test_any_connections(entry: dict[str, Any], other: Any) -> None:
    for value in ({"a": entry, "b": {"kind": "prometheus", **entry}}, other):
        with contextlib.suppress(SpecError):
            parse_connections(json.dumps(value), "connections.yaml", Path("/base"), BACKENDS)


@given(trees)
def test_json_reads_as_the_same_values(value: Any) -> None:
    """An oracle: our reader agrees with Python's, but for the line breaks that YAML alone knows."""
    text = json.dumps({"key": value}, ensure_ascii=False)
    assume(not re.search("[\x85\u2028\u2029]", text))
    try:
        found = plain(read_tree(text, "x"))
    except SpecError:
        return
    assert found == json.loads(text, parse_constant=str, parse_int=as_we_do, parse_float=as_we_do)


def as_we_do(text: str) -> Any:
    """Numbers that no key takes (over 18 digits) stay text; how they are told is of no interest here."""
    return resolve(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", 1.1),
        ("0755", 755),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("10:30", "10:30"),
        ("on", "on"),
        ("no", "no"),
        ("2026-01-02", "2026-01-02"),
        ("1_000", "1_000"),
        ("~", None),
        ("True", True),
        ("-0", 0),
        (".5", 0.5),
        ("1" * 19, "1" * 19),
        ("١", "١"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    found = resolve(text)
    assert (found, type(found)) == (value, type(value))


def test_a_small_file_never_becomes_a_large_one() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(SpecError, match="GP113"):
        read_tree(laughs, "x")


def test_depth_by_aliases_is_depth() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 45))
    with pytest.raises(SpecError, match="GP113 nested deeper"):
        read_tree(text, "x")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: " + "x" * (reading.MAX_TEXT + 1), "GP113"),
        ("a: " + "x" * 3000 + "\n  x" * reading.MAX_TEXT, "GP113"),
        ("a: [" + "x,\n" * reading.MAX_VALUES + "]", "GP113"),
        ("!" * (reading.MAX_LINE + 1), "GP113"),
        ("b: &b x\n" + "a: [" + "*b ," * (reading.MAX_ALIASES + 1) + "]", "GP113"),
        ("[" * 15_000, "GP113"),
        ("{a: " * 4_000, "GP113"),
        ("# x\n" * (reading.MAX_BYTES // 4 + 1), "GP110"),
        ("# é\n" * (reading.MAX_BYTES // 5 + 1), "GP110"),
    ],
)
def test_each_limit_holds(text: str, code: str) -> None:
    with pytest.raises(SpecError, match=code):
        read_tree(text, "x")


def test_just_below_the_limits_is_read() -> None:
    """A control: the limits above refuse because of the limits."""
    read_tree("a: " + "x" * reading.MAX_TEXT, "x")
    read_tree("a: [" + "x,\n" * (reading.MAX_VALUES - 10) + "]", "x")
    read_tree("b: &b x\n" + "a: [" + "*b ," * reading.MAX_ALIASES + "]", "x")
    read_tree("[" * reading.MAX_DEPTH + "]" * reading.MAX_DEPTH, "x")
