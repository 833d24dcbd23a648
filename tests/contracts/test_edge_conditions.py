"""Conditions of rules on a real edge: it sends each request where ``gopub route explain`` says, whatever comes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest

from gopub.errors import UsageError
from gopub.traffic import FULL, Request, RouteTable, Rule, explain, from_json, to_json
from gopub.traffic.conditions import All, Not, Path, Tag, Within, walk
from gopub.traffic.targets import taken_apart
from tests.contracts.edge_nginx import Client, LocalEdge, read_answer, route_table
from tests.contracts.edge_witness import send
from tests.unit.traffic_lua import LISTS, NAMES, any_condition, dice

TARGETS = (
    "/", "/api", "/api/", "/api/x", "/apix", "/API", "//api//x", "/./api", "/x/../api/x", "/%61pi/x", "/api%2fx",
    "/api%2Fx", "/api/..", "/api/%2e%2e/api/y",
    "/api;v=1", "/api%3fq=1", "/api%23", "/api%2520", "/%2561pi", "/api/.", "/%C3%A4pi", "/api%20x", "/a%ff",
)  # fmt: skip
QUERIES = (
    "", "?", "?q=1", "?q=2&q=1", "?q", "?q=%31", "?q=%2531", "?r=1&q=a+b", "?%71=1", "?q=%zz&&q=1", "?=1&q=1",
    "?q=a%20b", "?Q=1", "?q=1;r=2", "?q=1#r", "?q=%00", "?q=%", "?q=%3", "?" + "x=1&" * 150 + "q=1",
)  # fmt: skip


TABLES, REQUESTS = 100, 100
WEIGHTS = (0, 1, 2500, 5000, 9999, FULL)
Said = set[tuple[str, str]]
"""The rule and the host, or two of each where the time of a rule began or ended meanwhile."""


def any_spans(draw: random.Random, now: int) -> list[list[int]]:
    """Times of a rule about now, in whole seconds; some begin or end with the next one."""
    far, soon, later = now - 3600, now + 1, now + 3600
    return draw.choice((
        [[far, later]], [[far, far + 60], [later - 60, later]], [[far, soon]], [[soon, later]],
        [[far, now], [soon, later]],
    ))  # fmt: skip


def timed(condition: Any, draw: random.Random, now: int) -> Any:
    """The same with every time in it about now: the clock of the edge is the real one."""
    if isinstance(condition, list):
        return [timed(one, draw, now) for one in condition]
    if not isinstance(condition, dict):
        return condition
    return {
        key: any_spans(draw, now) if key == "within" else timed(value, draw, now) for key, value in condition.items()
    }


def any_rules(draw: random.Random, now: int, *, ending: bool) -> list[dict[str, Any]]:
    """Some rules, one in three of them within a time as well; with one that ends with this second, if asked for."""
    rules = [
        {"id": f"r-{letter}", "when": timed(any_condition(draw), draw, now), "to": draw.choice(("stable", "canary"))}
        for letter in "abc"[: draw.randrange(4)]
    ]
    for rule in rules:
        if not draw.randrange(3):
            rule["when"] = {"all": [rule["when"], {"within": any_spans(draw, now)}]}
    if ending:
        rules.insert(0, {"id": "r-ends", "when": {"within": [[now - 60, now + 1]]}, "to": "canary"})
    return rules


@dataclass(frozen=True)
class Drawn:
    """A request, and what explain says of it."""

    target: str
    method: str
    headers: Mapping[str, str]

    @classmethod
    def one(cls, draw: random.Random, number: int) -> Drawn:
        target, method = draw.choice(TARGETS) + draw.choice(QUERIES), draw.choice(("GET", "POST", "PUT"))
        headers = {name: draw.choice(("1", "beta")) for name in NAMES if not draw.randrange(3)}
        if draw.randrange(2):
            headers["x-gray-tag"] = draw.choice(LISTS[:-3])
        if draw.randrange(2):
            headers["Cookie"] = draw.choice(("q=1", "sid=1; q=a b", "sid=%31", "r=1;q=1"))
        if draw.randrange(4):
            headers["x-user"] = f"user-{draw.randrange(100_000)}"
        return cls(target, method, headers | {"x-number": str(number)})

    def written(self) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"{self.method} {self.target} HTTP/1.1\r\nHost: hello.lab\r\nContent-Length: 0\r\n{lines}\r\n".encode()

    def said(self, table: RouteTable, moments: Iterable[float]) -> Said:
        path, query = taken_apart(self.target)
        lines = [("Host", "hello.lab"), ("Content-Length", "0"), *self.headers.items()]
        asked = (Request("127.0.0.1", lines, at, self.method, path, query) for at in moments)
        return {(found.rule, found.hosts[0]) for found in (explain(table, one) for one in asked)}


async def asked_at_once(edge: LocalEdge, drawn: Sequence[Drawn]) -> list[tuple[str, str]]:
    """The rule and the host that the edge names in its answers, over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"".join(one.written() for one in drawn))
    answers = [await read_answer(reader) for _ in drawn]
    writer.close()
    assert {answer.status for answer in answers} == {200}
    return [(answer.rule, answer.peer) for answer in answers]


def moments_of(table: RouteTable, begun: float, ended: float) -> list[float]:
    """The moments between these two at which any time of a rule begins or ends, and both."""
    spans = (one.spans for rule in table.rules for one in walk(rule.when) if isinstance(one, Within))
    inside = {float(at) for span in chain.from_iterable(spans) for at in span if begun < at < ended}
    return [begun, *sorted(inside), ended]


async def test_explain_names_the_upstream_that_answered_ten_thousand_drawn_requests(edge, backends):
    """With rules by all there is, tags, times and weights; who answered is counted where the requests came."""
    draw, drawn_rules, met = dice(), set[str](), Counter[str]()
    for turn in range(1, TABLES + 1):
        bare = replace(
            route_table(backends[:1], backends[1:]), revision=turn, n=turn, sticky=draw.choice(("header:x-user",
            "cookie:sid")), weight=draw.choice(WEIGHTS), trust=draw.choice(((), ("127.0.0.0/8",))),
        )  # fmt: skip
        now, ending = int(time.time()), not turn % 10
        table = from_json({**to_json(bare), "rules": any_rules(draw, now, ending=ending)})
        assert (await edge.put(table))[0] == 200, table
        requests = [Drawn.one(draw, number) for number in range(REQUESTS)]
        if ending:
            await asyncio.sleep(max(0.0, now + 1 - time.time() - 0.03))
        begun = time.time() - 0.01  # nginx asks for the time once for all that it does at once
        answers = await asked_at_once(edge, requests)
        moments = moments_of(table, begun, time.time())
        came = [(int(headers["x-number"]), host.host) for host in backends for _, _, headers in host.seen]
        assert sorted(came) == [(number, host) for number, (_, host) in enumerate(answers)], "each once, where it says"
        for one, answer in zip(requests, answers, strict=True):
            said = one.said(table, moments)
            assert answer in said, (one, table)
            met["at an edge of time" if len(said) > 1 else answer[0]] += 1
        drawn_rules |= {type(one).__name__ for rule in table.rules for one in walk(rule.when)}
        for host in backends:
            host.seen.clear()
    assert met.total() == TABLES * REQUESTS
    assert {"r-a", "r-b", "r-c", "weight", "default", "no-subject", "bad-tags", "at an edge of time"} <= set(met), met
    assert met["at an edge of time"] < TABLES * REQUESTS / 2, "the rest is said for sure"
    assert {"Tag", "Within", "Share", "Path", "Cookie", "Header", "Query", "Method", "Client"} <= drawn_rules


async def test_what_nginx_refuses_is_no_target(edge, backends):
    assert (await edge.put(route_table(backends[:1], backends[1:])))[0] == 200
    for target in ("/..", "/a/../../b", "/%00", "/%2e%2e", "/a%0", "/%zz"):
        assert (await Client(edge.port, keep=False).ask(target)).status == 400
        with pytest.raises(UsageError, match="GP510"):
            taken_apart(target)


async def test_twice_the_header_is_one_list(edge, backends):
    rules = (Rule("in", All((Tag("a"), Tag("b"), Not(Path("/off"))))),)
    table = route_table(backends[:1], backends[1:], rules=rules, trust=("127.0.0.0/8",))
    assert (await edge.put(table))[0] == 200
    assert (await send(edge.port, "x-gray-tag: a", "X-Gray-Tag: b")).rule == "in"
    assert (await send(edge.port, "x-gray-tag: a")).rule == "default"
