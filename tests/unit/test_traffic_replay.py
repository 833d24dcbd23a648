"""What became of every rule, and whom another table would move: told from a log that is not clean."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gopub.cli import route
from gopub.errors import UsageError
from gopub.traffic import Peer, Request, RouteTable, Rule, Track, encode, explain
from gopub.traffic import conditions as asks
from gopub.traffic.accesslog import Recorded, Unread, read_log
from gopub.traffic.outcomes import outcomes, reason
from gopub.traffic.replaying import SHOWN, replayed

OLD = RouteTable(
    app="hello",
    env="lab",
    upstream="hello",
    salt="r-1",
    sticky="header:x-user-id",
    stable=Track("a" * 64, (Peer("a1", "10.1.0.1:80"),)),
    canary=Track("b" * 64, (Peer("b1", "10.1.0.2:80"),)),
    canary_until=1000.0,
)
RULES = (
    Rule("old", asks.Path("/"), until=50.0),
    Rule("staff", asks.All((asks.Path("/shop"), asks.Query("lane", "beta")))),
    Rule("out", asks.Path("/shop"), "stable"),
    Rule("rest", asks.Path("/"), "stable"),
)
NEW = replace(OLD, revision=2, rules=RULES)


def line(user: str, target: str, at: float = 100.0, **more: str) -> str:
    fields = {"remote_addr": "10.0.0.1", "msec": at, "request_method": "GET", "request_uri": target}
    return json.dumps({**fields, "http_x_user_id": user, **more})


def combined(request: str, address: str = "203.0.113.9") -> str:
    return f'{address} - - [30/Nov/2026:15:14:00 +0000] "{request}" 200 612 "-" "curl/8.0"'


def test_every_rule_says_what_became_of_it():
    request = Request("10.0.0.1", {}, 100.0, path="/shop/1", query="lane=alpha")
    found = explain(NEW, request)
    assert [(one.id, one.became, one.why) for one in outcomes(NEW, request, found)] == [
        ("old", "over", "its time ended 50.000s ago"),
        ("staff", "missed", "not so: query lane is 'beta'"),
        ("out", "matched", "path /shop"),
        ("rest", "unasked", "it was decided before"),
    ]
    assert (found.rule, reason(found)) == ("out", "TARGETING_MATCH")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "DEFAULT"),
        ({"weight": 10_000}, "SPLIT"),
        ({"weight": 1}, "SPLIT"),
        ({"stable": None}, "STATIC"),
        ({"stable": None, "canary": None}, "ERROR"),
        ({"canary_until": 50.0}, "DEFAULT"),
        ({"weight": 10, "sticky": "cookie:sid"}, "DEFAULT"),
    ],
)
def test_how_it_was_decided_is_a_word_of_openfeature(change, said):
    assert reason(explain(replace(OLD, **change), Request("10.0.0.1", {"x-user-id": "7"}, 100.0))) == said


def test_a_log_in_both_formats_is_read():
    lines = [
        line("7", "/shop?lane=beta", http_cookie="sid=1", http_x_gray_tag="-"),
        combined("GET /a%20b?q=1 HTTP/1.1"),
        json.dumps({"remote_addr": "::1", "time_iso8601": "2026-11-30T15:14:00+08:00", "request": "POST / HTTP/2.0"}),
        "",
    ]
    first, second, third = read_log(lines)
    assert isinstance(first, Recorded) and isinstance(second, Recorded) and isinstance(third, Recorded)
    assert first.request == Request(
        "10.0.0.1", {"x-user-id": "7", "cookie": "sid=1"}, 100.0, "GET", "/shop", "lane=beta"
    )
    assert first.known == {"x-user-id", "cookie"}
    assert (second.request.path, second.request.query, second.request.at) == ("/a b", "q=1", 1_796_051_640.0)
    assert dict(second.request.headers) == {"user-agent": "curl/8.0"}
    assert (third.request.method, third.request.at) == ("POST", 1_796_051_640.0 - 8 * 3600)


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense", "{", "[1]", "{}", "7", '{"remote_addr": "10.0.0.1"}', line("7", "/..", 1), line("7", "x"),
        line("7", "/", 1).replace("1.0", '"soon"').replace(": 1,", ': "soon",'),
        combined("\\x16\\x03\\x01"), combined("-"), combined("GET /%zz HTTP/1.1"), combined("") , "x" * 70_000,
        '{"a":' * 30_000, combined("GET / HTTP/1.1").replace("Nov", "Foo"), "\x00\x00",
    ],
)  # fmt: skip
def test_what_is_no_request_is_told_and_stops_nothing(bad: str):
    first, second = read_log([bad, line("7", "/")])
    assert isinstance(first, Unread), first
    assert first.why
    assert isinstance(second, Recorded) and second.number == 2


def test_it_counts_requests_and_users_that_would_move():
    log = [line(str(n % 5), "/shop?lane=beta") for n in range(40)] + [line(str(n), "/shop") for n in range(60)]
    found = replayed(read_log([*log, "nonsense"]), OLD, NEW)
    assert (found.requests, found.moved, len(found.users), len(found.moved_users), found.unread) == (100, 40, 60, 5, 1)
    assert found.ways == {("stable", "canary"): 40, ("stable", "stable"): 60}
    assert len(found.moves) == SHOWN
    assert (found.moves[0].asked, found.moves[0].after.rule) == ("GET /shop?lane=beta", "staff")
    assert replayed(read_log(log), NEW, NEW).moved == 0, "control"


def test_the_term_of_a_canary_is_not_of_the_rules():
    """The log is of yesterday, or the table is."""
    log = [line("7", "/", at=5000.0)]
    assert replayed(read_log(log), OLD, replace(OLD, weight=10_000)).moved == 1


def test_a_header_that_the_log_does_not_keep_is_told():
    table = replace(
        OLD, rules=(Rule("t", asks.Tag("a")), Rule("c", asks.Cookie("lane", "x")), Rule("h", asks.Header("X_A", "1")))
    )
    assert replayed(read_log([line("7", "/")]), OLD, table).unknown == {"x-gray-tag", "cookie", "x-a"}
    assert replayed(read_log([combined("GET / HTTP/1.1")]), OLD, OLD).unknown == {"x-user-id"}


def run(*words: str):
    return CliRunner().invoke(route.app, ["replay", *words], catch_exceptions=False)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, ...]:
    for name, table in (("old", OLD), ("new", NEW)):
        (tmp_path / name).write_bytes(encode(table))
    return ("--before", str(tmp_path / "old"), "--table", str(tmp_path / "new"))


def test_the_command_tells_it(tmp_path: Path, tables: tuple[str, ...]):
    log = "\n".join([line("7", "/shop?lane=beta"), line("8", "/"), "nonsense"])
    with gzip.open(tmp_path / "access.log.gz", "wt") as file:
        file.write(log)
    done = run(str(tmp_path / "access.log.gz"), *tables)
    assert done.stdout.splitlines() == [
        "1 of 2 requests (50.00%) and 1 of 2 users would change their track",
        "  stable to canary: 1",
        "  stable stays: 1",
        "line 1: GET /shop?lane=beta",
        "  now stable by default: the canary's weight is 0",
        "  then canary by staff: path /shop and query lane is 'beta'",
        "1 lines are no requests; the first is line 3: it is neither combined nor JSON",
    ]
    (tmp_path / "access.log").write_text(log)
    said = json.loads(run(str(tmp_path / "access.log"), "--json", *tables).stdout)
    assert (said["moved"], said["requests"], said["moved_users"]) == (1, 2, 1)


@pytest.mark.parametrize("content", ["", "nonsense\n", None])
def test_a_log_without_a_request_is_no_answer(tmp_path: Path, tables: tuple[str, ...], content: str | None):
    if content is not None:
        (tmp_path / "access.log").write_text(content)
    with pytest.raises(UsageError, match="GP511"):
        run(str(tmp_path / "access.log"), *tables)
