"""Logs and requests as nobody planned: bytes that are no text, values that are no texts, files that are cut off."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gopub.cli import route
from gopub.errors import UsageError
from gopub.traffic import Peer, Request, RouteTable, Rule, Track, encode, explain
from gopub.traffic import conditions as asks
from gopub.traffic.accesslog import LONGEST, Recorded, Unread, read_log
from gopub.traffic.replaying import replayed
from gopub.traffic.targets import taken_apart

OLD = RouteTable(
    app="hello",
    env="lab",
    upstream="hello",
    salt="r-1",
    sticky="cookie:user",
    trust=("10.0.0.0/8",),
    stable=Track("a" * 64, (Peer("a1", "10.1.0.1:80"),)),
    canary=Track("b" * 64, (Peer("b1", "10.1.0.2:80"),)),
)
NEW = replace(OLD, rules=(Rule("q", asks.Query("a", "1")), Rule("t", asks.Tag("beta"))), weight=5000)
GOOD = {"remote_addr": "10.0.0.1", "msec": "1.5", "request_uri": "/x?a=1"}
COMBINED = '10.0.0.1 - - [30/Nov/2026:15:14:00 +0000] "GET %s HTTP/1.1" 200 612 "-" "curl/8.0"\n'


@pytest.mark.parametrize(
    "wrong",
    [
        {"msec": [1]},
        {"msec": {}},
        {"msec": None},
        {"remote_addr": True},
        {"request_uri": {"a": 1}},
        {"http_x_gray_tag": "\ud800"},
        {"http_cookie": "user=\ud800"},
        {"request_uri": "/x?a=\ud800"},
        {"http_cookie": ["user=1"]},
    ],
)
def test_a_line_whose_values_are_no_texts_is_told_and_stops_nothing(wrong: dict[str, Any]):
    lines = [json.dumps({**GOOD, **wrong}), json.dumps(GOOD)]
    found = replayed(read_log(lines), OLD, NEW)
    assert (found.unread, found.requests, found.moved) == (1, 1, 1)


def test_what_nobody_asks_for_may_be_anything():
    (found,) = read_log([json.dumps({**GOOD, "upstream": {"a": ["\ud800"]}, "http_referer": None})])
    assert isinstance(found, Recorded)


def test_bytes_that_are_no_text_are_asked_as_they_came():
    raw = (COMBINED % "/x?b=QQ&a=1").encode().replace(b"QQ", b"\xff\xfe").decode("utf-8", "surrogateescape")
    path = (COMBINED % "/QQ").encode().replace(b"QQ", b"\xff").decode("utf-8", "surrogateescape")
    found = replayed(read_log([raw, path]), OLD, NEW)
    assert (found.requests, found.moved, found.unread) == (2, 1, 0)


def test_what_nginx_wrote_byte_by_byte_is_the_letter_that_came():
    escaped, plain = read_log([COMBINED % r"/caf\xC3\xA9?q=\xff", COMBINED % "/café?q=\udcff"])
    assert isinstance(escaped, Recorded)
    assert isinstance(plain, Recorded)
    assert escaped.request == plain.request


@pytest.mark.parametrize("tail", ["[" * (LONGEST - 4), "[x" * (LONGEST // 2 - 4), '[a] "' * (LONGEST // 5 - 4)])
def test_a_line_made_to_cost_time_costs_none(tail: str):
    lines = [f"a b {tail}"] * 20
    assert all(isinstance(one, Unread) for one in read_log(lines)), "in minutes, where it is tried from each of them"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://other.example/x?a=1", "/x", "a=1"),
        ("https://other.example", "/", ""),
        ("http://other.example:80?a=1", "/", "a=1"),
    ],
)
def test_a_target_as_proxies_are_asked_is_its_path(target: str, path: str, query: str):
    assert taken_apart(target) == (path, query)


@pytest.mark.parametrize("target", ["/a b", "/a\x7f", "/a\n", "*", "//:x\x00", "http:/x"])
def test_what_nginx_refuses_is_refused(target: str):
    with pytest.raises(UsageError, match="GP510"):
        taken_apart(target)


def test_a_request_of_bytes_that_are_no_text_is_explained():
    request = Request("10.0.0.1", {"x-gray-tag": "\udcff"}, 1.0, path="/", query="a=1&b=\udcff")
    assert explain(NEW, request).rule == "bad-tags"
    assert explain(replace(NEW, rules=NEW.rules[:1]), request).rule == "q"


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    (tmp_path / "old.json").write_bytes(encode(OLD))
    (tmp_path / "new.json").write_bytes(encode(NEW))
    return ["--table", str(tmp_path / "new.json"), "--before", str(tmp_path / "old.json")]


@pytest.mark.parametrize(
    "content",
    [b"not gzip\n", gzip.compress(COMBINED.encode() * 100)[:-9], b"", gzip.compress(b"x")[:12] + b"\xff" * 40],
)
def test_a_broken_gz_is_a_mistake_that_is_told(tmp_path: Path, tables: list[str], content: bytes):
    (tmp_path / "access.log.gz").write_bytes(content)
    done = CliRunner().invoke(route.app, ["replay", str(tmp_path / "access.log.gz"), *tables])
    assert isinstance(done.exception, UsageError), done.exception
    assert done.exception.code == "GP511"


def test_any_bytes_may_come_by_stdin(tables: list[str]):
    raw = (COMBINED % "/x?a=1&b=QQ").encode().replace(b"QQ", b"\xff") + bytes(range(256))
    done = CliRunner().invoke(route.app, ["replay", "-", *tables], input=raw)
    assert done.exit_code == 0, done.exception
    assert "1 of 1 requests" in done.output


def test_no_stdin_at_all_is_a_mistake_that_is_told(tables: list[str]):
    script = "import sys; sys.stdin = None; from gopub.cli.route import _opened; _opened('-')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "OSError: there is no stdin" in done.stderr
