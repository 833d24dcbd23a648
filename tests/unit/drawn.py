"""Whether a parser of outside bytes gives a value or a GopubError, whatever it is given.

A parser stands in a table with an example that it reads. It is given the example with bytes changed, with parts of its
structure changed where it is JSON, and bytes without any sense.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from gopub.errors import ErrorGroup, GopubError

BELL = "\x1b]0;owned\x07"
LONGEST = 9000


@dataclass(frozen=True)
class Parser:
    """Something that reads outside bytes, and an example that it reads."""

    name: str
    read: Callable[[bytes], object]
    example: bytes
    is_json: bool = False
    quiet: bool = False
    """Whether it is a stranger's file, of which an error repeats nothing; the command writes out control characters."""

    def __repr__(self) -> str:
        return self.name


def check(parser: Parser, data: bytes) -> None:
    """Fail unless the parser reads the bytes or says in an error of ours what is wrong."""
    try:
        parser.read(data)
    except GopubError as error:
        for told in error.errors if isinstance(error, ErrorGroup) else (error,):
            assert re.fullmatch(r"GP\d{3}", told.code)
            assert told.problem
            text = str(told)
            text.encode()  # half a surrogate pair cannot be printed
            assert len(text) < LONGEST, text[:LONGEST]
            assert not parser.quiet or "owned" not in text, text
    except Exception as error:
        raise AssertionError(f"{parser.name} gave {type(error).__name__}: {error!s:.300}") from error


ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    0.5,
    2**63,
    10**60,
    -(10**60),
    1e300,
    "",
    "x",
    "x" * 5000,
    BELL,
    "\n",
    "\x00",
    "../..",
    "-x",
    "%s{{x}}",
    "é\u202e",
    [],
    {},
    [[]],
    [None],
    [1, "a"],
    {"a": 1},
    {"": None},
    {"sha256": ["x"]},
    [{"digest": "x"}],
]
TEXTS = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b"=",
    b"'",
    b'"',
    b"\\",
    b"#",
    b"-",
    b"!",
    b"&a",
    b"*a",
    b"%",
    b"|",
    b">",
    b"[a:z]",
    b"[1:9999999]",
    b"9" * 5000,
    b"NaN",
    b"1e999",
    BELL.encode(),
    b"\\ud800",
    b"-----END PUBLIC KEY-----\n",
    "é\u2028\u202e".encode(),
    b"{{ x }}",
    b"{% x",
    b"!vault |",
    b"[x:children]\n",
    b"<<: *a\n",
]


@st.composite
def changed_bytes(draw: st.DrawFn, example: bytes) -> bytes:
    """The example with a few places cut, filled, repeated or flipped."""
    data = bytearray(example)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        match draw(st.sampled_from(["replace", "replace", "cut", "repeat", "flip", "end"])):
            case "replace":
                data[at:end] = draw(st.sampled_from(TEXTS) | st.binary(max_size=6))
            case "cut":
                del data[at:end]
            case "repeat":
                data[at:at] = data[max(0, at - draw(st.integers(0, 200))) : at]
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "end":
                del data[at:]
    return bytes(data)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in inner for place in places(below, (*path, key)))]


@st.composite
def changed_json(draw: st.DrawFn, example: bytes) -> bytes:
    """The example with other values, missing keys and more keys in a few places."""
    value: Any = json.loads(example)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        new = copy.deepcopy(draw(st.sampled_from(ODD)))
        if not path:
            value = new
            continue
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        match draw(st.sampled_from(["put", "put", "drop", "add"])):
            case "put":
                parent[path[-1]] = new
            case "drop":
                del parent[path[-1]]
            case _ if isinstance(parent, dict):
                parent[draw(st.sampled_from(["x", BELL, "", "schema"]))] = new
            case _:
                parent.append(new)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def inputs(parser: Parser) -> st.SearchStrategy[bytes]:
    """What a parser is given."""
    drawn = changed_bytes(parser.example) | st.binary(max_size=200)
    return changed_json(parser.example) | drawn if parser.is_json else drawn
