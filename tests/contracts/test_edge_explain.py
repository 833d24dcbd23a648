"""``gopub route explain`` and a real edge never disagree: the same odd headers are put to both."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from gopub.cli.route import app
from gopub.traffic import Request, RouteTable, Rule, explain, to_json
from gopub.traffic.conditions import Header
from tests.contracts.edge_nginx import LocalEdge, route_table, running_edge
from tests.contracts.edge_witness import send
from tests.unit.traffic_lua import HOPS, dice

STICKY = (
    "address", "header:x-user-id", "header:X-User-ID", "header:x_user_id", "header:X-User_Id",
    "header:x.user.id", "header:cookie",
    "header:host", "header:connection", "header:te", "header:x-gopub-user", "header:authorization",
    "header:" + "x" * 64,
    "header:x-forwarded-for", "header:x-forwarded-proto", "header:upgrade", "header:!#$%&'*+.^`|~", "cookie:sid",
    "cookie:SID", "cookie:s.i_d", "cookie:__Host-sid", "cookie:a!#$%&'*+^`|~",
)  # fmt: skip
NAMES = (
    "x-user-id", "X-User-ID", "x_user_id", "X-User_Id", "x.user.id", "x-user-id2", "X-GOPUB-user", "x_gopub_user",
    "TE", "x" * 64, "x" * 65, "X-Gray-Tag", "x-gray_tag", "X-Forwarded-Proto", "!#$%&'*+.^`|~", "\u212a-user",
    "x-user-id-",
)  # fmt: skip
VALUES = (
    "", " ", "\t", "7", " 7", "7 ", "\t7\t", " \t 7 \t ", "7\v", "\x0b7", "\f", "7,8", "a, b", "%37", "%00",
    '"7"', "é", "用户",
    "\xa07\xa0", "\u20287\u2028", "\x857", "\udcff\udcfe", "\x1c7\x1f", "beta", "Beta", " beta", "beta\t",
    "beta,beta", "x" * 4000,
)  # fmt: skip
COOKIES = (
    "sid=7", "sid=", "sid", "=7", "sid=7; sid=8", "a=b;sid=7", "sid =7", "sid= 7", " sid=7 ", "\tsid=7\t",
    'sid="7"', "sid=a=b",
    "Sid=7", "SID=7", "s.i_d=7", "__Host-sid=7", "a!#$%&'*+^`|~=7", "sid=%37", "sid=\xa0", "\xa0sid=7",
    "sid=é;", ";;sid=7",
    "asid=7", "sid\v=7", "sid=7\v", "x=sid=7", "sid=7,sid=8",
)  # fmt: skip
ALONE = ("host", "connection", "upgrade", "te", "cookie", "authorization")
RULES = (
    Rule("tag", Header("X-Gray_Tag", "beta")),
    Rule("user", Header("x_user_id", "beta")),
    Rule("list", Header("x-user-id", "beta,beta")),
)


RULED = ([("X-Gray-Tag", "beta")], [("x-user-id", "beta")])
"""Requests that a rule chooses wherever the table has it, so that no draw is without one."""
BETAS = ("beta", " beta", "beta\t", "beta,beta", "Beta")


def any_lines(draw: random.Random, table: RouteTable) -> list[tuple[str, str]]:
    """The headers of one request, in some order; names come again, and those that the table looks for most of all."""
    kind, _, name = table.sticky.partition(":")
    wanted = [rule.when.name for rule in table.rules] + [name] * (kind == "header" and name not in ALONE)
    names = [*NAMES, *[one for name in wanted for one in (name, name.upper(), name.replace("_", "-"))] * 4]
    lines = [(draw.choice(names), draw.choice(draw.choice((VALUES, BETAS)))) for _ in range(draw.randrange(4))]
    lines += [("Authorization", draw.choice(VALUES))] if not draw.randrange(9) else []  # twice it would be a 400
    lines += [(draw.choice(("Cookie", "cookie")), draw.choice(COOKIES)) for _ in range(draw.choice((0, 0, 1, 1, 2)))]
    for _ in range(draw.choice((0, 0, 1, 2))):
        lines.append(("X-Forwarded-For", draw.choice((", ", ",", " ", "\t, ", ",\v")).join(draw.choices(HOPS, k=2))))
    draw.shuffle(lines)
    return lines


def any_odd_table(draw: random.Random, table: RouteTable, turn: int) -> RouteTable:
    return replace(
        table,
        revision=turn,
        n=turn,
        sticky=STICKY[turn % len(STICKY)],
        salt=f"r-{draw.randrange(999)}",
        weight=draw.choice((3000, 5000, 10_000)),
        rules=tuple(draw.sample(RULES, draw.randrange(3))),
        trust=draw.choice(((), ("127.0.0.0/8",), ("::ffff:127.0.0.0/104", "10.0.0.0/8", "2001:db8::/32"))),
    )


async def disagreements(edge: LocalEdge, table: RouteTable, requests: Sequence[list[tuple[str, str]]]) -> list[object]:
    """Those of the requests of which both do not say the same, with what each says."""
    found: list[object] = []
    for lines in requests:
        answer = await send(edge.port, *(f"{name}:{value}" for name, value in lines))
        assert answer.status == 200, (lines, answer)
        said = explain(table, Request("127.0.0.1", [("Host", "hello.lab"), ("Connection", "close"), *lines]))
        if (answer.rule, answer.headers["x-gopub-release"]) != (said.rule, said.release):
            found.append((lines, answer.rule, said))
    return found


async def test_explain_agrees_with_the_edge_on_any_odd_header(edge, backends):
    draw = dice()
    rules: set[str] = set()
    for turn in range(1, 2 * len(STICKY) + 1):
        table = any_odd_table(draw, route_table(backends[:1], backends[1:]), turn)
        assert (await edge.put(table))[0] == 200
        requests = [*RULED, *(any_lines(draw, table) for _ in range(38))]
        assert await disagreements(edge, table, requests) == [], table
        rules |= {explain(table, Request("127.0.0.1", lines)).rule for lines in requests}
    assert {"weight", "default", "no-subject", "tag", "user"} <= rules


async def test_explain_agrees_with_an_edge_that_lets_underscores_pass(tmp_path, backends):
    """Somebody's own nginx may: they are passed on to the service, and choose nobody."""
    draw = dice()
    async with running_edge(tmp_path, extra="underscores_in_headers on;") as edge:
        for turn in range(1, len(STICKY) + 1):
            table = any_odd_table(draw, route_table(backends[:1], backends[1:]), turn)
            assert (await edge.put(table))[0] == 200
            requests = [[("x_user_id", "beta")], [("X_Gray_Tag", "beta")], *(any_lines(draw, table) for _ in range(15))]
            assert await disagreements(edge, table, requests) == [], table


async def test_each_odd_value_is_one_subject_for_both(edge, backends):
    """Every value for itself, under salts enough that a difference of one byte shows."""
    for kind in ("header:x-user-id", "cookie:sid"):
        table = route_table(backends[:1], backends[1:], sticky=kind, weight=5000)
        for turn in range(1, 9):
            at = turn + 8 * (kind == "cookie:sid")
            salted = replace(table, revision=at, n=at, salt=f"r-{turn}")
            assert (await edge.put(salted))[0] == 200
            lines = [[("x-user-id", value), ("Cookie", f"sid={value}")] for value in VALUES]
            assert await disagreements(edge, salted, lines) == []


async def test_the_comparison_notices_a_blank_that_counts_for_one_of_them(edge, backends):
    """The control: the edge is asked with a value, explain with another one."""
    table = route_table(backends[:1], backends[1:], sticky="header:x-user-id", weight=5000)
    assert (await edge.put(table))[0] == 200
    rules = {
        (
            (await send(edge.port, f"x-user-id: u{n}\xa0")).rule,
            explain(table, Request("127.0.0.1", {"x-user-id": f"u{n}"})).rule,
        )
        for n in range(40)
    }
    assert len(rules) == 4


async def test_an_underscore_is_told_where_it_lost_the_subject(edge, backends, tmp_path):
    """Else a canary would get none of the requests, while explain promised it all of them."""
    table = route_table(backends[:1], backends[1:], sticky="header:x_user_id", weight=10_000)
    assert (await edge.put(table))[0] == 200
    answers = await edge.client().ask_many([{"x_user_id": str(n)} for n in range(200)])
    assert {answer.rule for answer in answers} == {"no-subject"}
    _, why = said_of(tmp_path, table, "x_user_id: 7")
    assert why.startswith(
        "  rule no-subject (revision 1): the request has no header:x_user_id: nginx drops x_user_id, "
    )
    assert (await edge.client().ask(headers={"x-user-id": "7"})).rule == "weight"
    assert said_of(tmp_path, table, "x-user-id: 7")[1].startswith("  rule weight (revision 1): ")


def said_of(folder: Path, table: RouteTable, *headers: str) -> list[str]:
    """The lines of ``gopub route explain``."""
    file = folder / "table.json"
    file.write_text(json.dumps(to_json(table)))
    words = [word for header in headers for word in ("-H", header)]
    done = CliRunner().invoke(app, ["explain", "--table", str(file), *words])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()
