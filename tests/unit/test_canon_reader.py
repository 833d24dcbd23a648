"""The one reader for JSON that others wrote: what it takes, and that it says what is wrong without repeating it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.canon import MAX_DEPTH, MAX_DIGITS, JsonError, canonical, read_json
from tests.support.pace import at_most

MIB = 1 << 20
SECRET = "root:x:0:0"
BAD: dict[str, tuple[bytes, str]] = {
    "too large": (b'"' + b"x" * MIB + b'"', "larger than"),
    "no UTF-8": (b"\xff", "byte 0 is not UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not UTF-8"),
    "nothing": (b"", "line 1, column 1"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "line 1, column 1"),
    "some file": (SECRET.encode(), "line 1, column 1"),
    "more after it": (b"{} " + SECRET.encode(), "column 4"),
    "deep lists": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
    "deep mappings": (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested deeper"),
    "an endless beginning": (b"[" * 500_000, "more than 1000 values"),
    "a long integer": (b"1" * 100_000, "digits"),
    "a long fraction": (b"0." + b"1" * 100_000, "too large or too long"),
    "no finite float": (b"1e999", "too large or too long"),
    "NaN": (b"[NaN]", "not JSON"),
    "Infinity": (b"-Infinity", "not JSON"),
    "a key twice": (b'{"a":1,"a":2}', "stands twice"),
    "a key twice, deeper": (b'[{"b":{"a":1,"\\u0061":2}}]', "stands twice"),
    "half a surrogate pair": (b'"\\ud800"', "surrogate"),
    "half a surrogate pair as a key": (b'{"\\udfff":1}', "surrogate"),
    "too many values": (b"[" + b"[]," * 1000 + b"[]]", "more than 1000 values"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_read_is_told_without_its_bytes(what: str) -> None:
    data, said = BAD[what]
    with pytest.raises(JsonError, match=said) as caught:
        read_json(data, limit=MIB, values=1000)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


GOOD = [
    b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
    b"1" * MAX_DIGITS,
    b'{"a":[1,-2.5e3,true,null,"\\ud83d\\ude00"]}',
    '"gr\u00fc\u00df"'.encode(),
    b" [1] \n",
]


@pytest.mark.parametrize("data", GOOD)
def test_what_is_on_the_right_side_of_each_bound_is_read(data: bytes) -> None:
    assert read_json(data, limit=len(data)) == json.loads(data)
    assert read_json(data.decode(), limit=len(data)) == json.loads(data)


def test_an_endless_beginning_is_refused_without_a_bound_of_values_as_well() -> None:
    with pytest.raises(JsonError, match="nested deeper"):
        read_json(b"[" * 500_000, limit=MIB)


def test_text_with_half_a_pair_is_found_as_well() -> None:
    with pytest.raises(JsonError, match="surrogate"):
        read_json('"\ud800"', limit=100)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_here_is_read_here(value: object) -> None:
    assert read_json(canonical(value), limit=MIB) == value  # type: ignore[arg-type]


@given(st.binary() | st.text(alphabet='[]{}",:\\u0d8e1.-+NaIfty ').map(str.encode))
def test_whatever_comes_is_read_or_refused_with_one_error(data: bytes) -> None:
    try:
        value = read_json(data, limit=MIB)
    except JsonError:
        return
    assert json.loads(data) == value
    canonical(value)


def test_a_bound_is_met_before_the_work_is_done() -> None:
    """As a ratio: what is refused costs no more than a plain reading of as many harmless bytes."""
    harmless, hostile = b"[" + b"1," * 400_000 + b"1]", b"[" * 800_000

    def refused() -> None:
        with pytest.raises(JsonError):
            read_json(hostile, limit=MIB)

    at_most(20, refused, than=lambda: json.loads(harmless))
