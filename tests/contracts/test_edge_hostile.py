"""What clients write where gray traffic looks: nginx refuses it, or it changes nothing, for nobody."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gopub.traffic import RouteTable, Rule, Track
from gopub.traffic.conditions import Any as AnyOf
from gopub.traffic.conditions import Header, Not, Tag
from tests.contracts.edge_nginx import CANARY, STABLE, Answer, LocalEdge, read_answer, running_edge
from tests.contracts.edge_witness import Witness, witness
from tests.unit.traffic_lua import cases

INSIDE, STRANGER = "127.0.0.9", "127.0.0.1"
HEAD = b"GET / HTTP/1.1\r\nHost: hello.lab\r\n"


@dataclass(frozen=True)
class Hostile:
    """One case of tests/cases/traffic/hostile.yaml."""

    name: str
    lines: bytes
    fine: bool
    apart: bool


def hostile(case: dict[str, Any]) -> Hostile:
    text = "".join(f"{line}\r\n" for line in case["lines"])
    text = re.sub(r"<(?!<)([^>]*?)\*(\d+)>", lambda found: found[1] * int(found[2]), text, flags=re.DOTALL)
    return Hostile(case["is"], text.encode("latin-1"), case.get("fine", False), case.get("apart", False))


HOSTILE = [hostile(case) for case in cases("hostile.yaml")]


async def ask(edge: LocalEdge, source: str, *requests: bytes) -> list[Answer]:
    """Several requests at once on one connection, raw; the answers, the last of which may be that it was refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, local_addr=(source, 0))
    answers: list[Answer] = []
    try:
        writer.write(b"".join(HEAD + lines + b"\r\n" for lines in requests))
        while len(answers) < len(requests) and (not answers or answers[-1].status == 200):
            answers.append(await read_answer(reader))
    except ConnectionResetError:  # nginx refused it, and closed with what it had not read
        answers = answers or [Answer(400)]
    finally:
        writer.close()
    return answers


@pytest.fixture
async def hop(tmp_path):
    async with witness() as stable, witness("b1") as canary, running_edge(tmp_path, workers=1) as edge:
        yield edge, stable, canary


def table(stable: Witness, canary: Witness, rule: Rule) -> RouteTable:
    return RouteTable(
        app="hello", env="lab", upstream="hello", revision=7, salt="r-1", trust=(INSIDE,), rules=(rule,),
        stable=Track(STABLE, (stable.peer,)), canary=Track(CANARY, (canary.peer,), "v2"),
    )  # fmt: skip


def claims(head: list[str]) -> list[str]:
    """What of a request's head, as a service gets it, says something of gray traffic."""
    found = []
    for line in head:
        name, _, value = line.lower().partition(":")
        members = (one.strip() for one in value.split(","))
        if re.match(r"x[^a-z]?(gray|gopub)", name) or (
            name == "baggage" and any(m.startswith("gray.") for m in members)
        ):
            found.append(line)
    return found


CLAIMED = AnyOf((Tag("vip"), *(Header(f"x-{name}", "vip") for name in ("gray-lane", "gopub-user", "gray-rule"))))


def counted(samples: dict[str, float], name: str) -> float:
    return sum(value for key, value in samples.items() if key.startswith(f"{name}{{"))


async def test_a_hundred_hostile_heads_of_strangers_claim_nothing_and_move_nobody(hop):
    edge, stable, canary = hop
    assert (await edge.put(table(stable, canary, Rule("vip", CLAIMED))))[0] == 200
    outcomes: Counter[int] = Counter()
    workers = edge.workers()
    for case in HOSTILE:
        before = len(stable.heads)
        first, *after = await ask(edge, STRANGER, case.lines, b"")
        outcomes[first.status] += 1
        assert first.status in (200, 400), case.name
        assert {(one.status, one.rule) for one in (first, *after) if one.status == 200} <= {(200, "default")}, case.name
        assert len(stable.heads) - before == (2 if first.status == 200 else 0), case.name
        for head in stable.heads[before:]:
            assert claims(head) == ["x-gray-rule: default@7"], case.name
    assert (canary.heads, edge.workers()) == ([], workers)
    assert len(HOSTILE) >= 100 and outcomes[200] >= 80, outcomes
    samples = await edge.metrics()
    assert counted(samples, "gopub_edge_attempts_total") == 2 * outcomes[200], "each once, and the one after it"
    assert counted(samples, "gopub_edge_bad_tags_total") == 0, "nobody asked what a stranger's list says"


async def test_the_same_from_whom_we_trust_is_a_list_or_malformed_and_counted_once(hop):
    edge, stable, canary = hop
    assert (await edge.put(table(stable, canary, Rule("in", Not(Tag("beta"))))))[0] == 200
    outcomes: Counter[str] = Counter()
    for case in HOSTILE:
        first, *after = await ask(edge, INSIDE, case.lines, b"x-gray-tag: user-v2, region-sh\r\n")
        said = first.rule if first.status == 200 else str(first.status)
        outcomes[said] += 1
        assert said in ("400", "in" if case.fine or case.apart else "bad-tags"), case.name
        assert first.status == 400 or first.peer == ("b1" if said == "in" else "a1"), case.name
        assert [one.rule for one in after] == ([] if said == "400" else ["in"]), case.name
    assert outcomes["bad-tags"] >= 60 and outcomes["in"] >= 20, outcomes
    samples = await edge.metrics()
    assert counted(samples, "gopub_edge_bad_tags_total") == outcomes["bad-tags"]


async def test_control_who_is_trusted_reaches_the_canary_by_what_a_stranger_may_not_say(hop):
    edge, stable, canary = hop
    assert (await edge.put(table(stable, canary, Rule("vip", CLAIMED))))[0] == 200
    for lines in (b"x-gray-tag: vip\r\n", b"x-gray-lane: vip\r\n", b"x-gopub-user: vip\r\n"):
        (answer,) = await ask(edge, INSIDE, lines)
        assert (answer.rule, answer.peer) == ("vip", "b1"), lines
        (answer,) = await ask(edge, STRANGER, lines)
        assert (answer.rule, answer.peer) == ("default", "a1"), lines


async def test_control_an_edge_that_takes_any_character_for_a_tag_is_seen(hop):
    edge, stable, canary = hop
    file = Path(edge.layout.config) / "lua" / "gopub" / "route_table.json"
    schema = json.loads(file.read_text("utf-8"))
    schema["types"]["tag"] |= {"first": " -~", "rest": " -~"}
    file.write_text(json.dumps(schema), "utf-8")
    await edge.reload()
    assert (await edge.put(table(stable, canary, Rule("in", Not(Tag("beta"))))))[0] == 200
    malformed = [case for case in HOSTILE if case.name in ("quotes", "JSON", "a slash")]
    said = [(await ask(edge, INSIDE, case.lines))[0].rule for case in malformed]
    assert said == ["in"] * 3
