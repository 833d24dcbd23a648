"""What the upstream is told of gray traffic by a real edge: x-gray-tag, x-gray-rule and W3C baggage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.traffic import RouteTable, Rule, Track
from gopub.traffic.conditions import Header
from tests.contracts.edge_nginx import CANARY, STABLE, running_edge
from tests.contracts.edge_witness import Witness, send, witness

INSIDE, STRANGER = "127.0.0.9", "127.0.0.1"
TOLD = ("x-gray-tag", "x-gray-rule", "baggage")
CLAIMS = ("X-Gray-Tag: vip", "X-Gray-Rule: me@1", "Baggage: a=1,gray.tags=vip", "Baggage: gray.rule=me@1,b=2")


def told(service: Witness) -> dict[str, str]:
    """What the last request had, each header in one line at most."""
    found = {name: service.values(name) for name in TOLD}
    assert all(len(values) <= 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items() if values}


@pytest.fixture
async def hop(tmp_path):
    """An edge that trusts one address, with a canary by header that adds the tag v2."""
    async with witness() as stable, witness("b1") as canary, running_edge(tmp_path, workers=1) as edge:
        table = RouteTable(
            app="hello", env="lab", upstream="hello", revision=7, salt="r-1", trust=(INSIDE,),
            rules=(Rule("mine", Header("x-canary", "true")),),
            stable=Track(STABLE, (stable.peer,)), canary=Track(CANARY, (canary.peer,), "v2"),
        )  # fmt: skip
        assert (await edge.put(table))[0] == 200
        yield edge, table, stable, canary


async def test_what_strangers_claim_never_reaches_a_service(hop):
    edge, _, stable, canary = hop
    await send(edge.port, *CLAIMS, source=STRANGER)
    assert told(stable) == {"x-gray-rule": "default@7", "baggage": "a=1,b=2"}
    await send(edge.port, *CLAIMS, "X-Canary: true", source=STRANGER)
    assert told(canary) == {
        "x-gray-tag": "v2", "x-gray-rule": "mine@7", "baggage": "a=1,b=2,gray.tags=v2,gray.rule=mine@7",
    }  # fmt: skip


async def test_a_hop_of_ours_is_believed_and_its_rule_replaced(hop):
    """The control of the test before: the same lines from an address that is trusted."""
    edge, _, stable, canary = hop
    await send(edge.port, *CLAIMS, source=INSIDE)
    assert told(stable) == {
        "x-gray-tag": "vip", "x-gray-rule": "default@7", "baggage": "a=1,b=2,gray.tags=vip,gray.rule=default@7",
    }  # fmt: skip
    await send(edge.port, *CLAIMS, "X-Canary: true", source=INSIDE)
    assert told(canary)["x-gray-tag"] == "vip,v2"


async def test_no_request_is_refused_for_what_it_carries(hop):
    edge, _, stable, _ = hop
    many = ",".join(f"m{at}={'x' * 100}" for at in range(70))
    for line in (
        f"Baggage: {many}",
        "Baggage: gray.tags=%zz",
        "Baggage: ,;=,",
        "Baggage: gray.\x80=1",
        "X-Gray-Tag: a b",
    ):
        answer = await send(edge.port, line, source=INSIDE)
        assert (answer.status, answer.rule) == (200, "default"), line
    await send(edge.port, f"Baggage: {many}", "X-Gray-Tag: a", source=INSIDE)
    assert told(stable)["baggage"] == many, "the members of others come first"


async def test_a_request_without_a_canary_carries_what_came(hop):
    edge, table, stable, _ = hop
    settled = replace(table, revision=8, n=1, canary=None, rules=())
    assert (await edge.put(settled))[0] == 200
    await send(edge.port, "Baggage: a=1", source=STRANGER)
    assert told(stable) == {"x-gray-rule": "default@8", "baggage": "a=1"}


async def test_a_request_that_falls_back_stays_tagged(hop):
    """Its tag says whose it is, not who answered: each service that it calls chooses by it for itself."""
    edge, _, stable, canary = hop
    await canary.stop()
    answer = await send(edge.port, "X-Canary: true", source=STRANGER)
    assert answer.rule == "mine/fallback"
    assert told(stable) == {
        "x-gray-tag": "v2", "x-gray-rule": "mine@7", "baggage": "gray.tags=v2,gray.rule=mine@7",
    }  # fmt: skip
