"""What a real edge counts for the endpoints that a table declares, and what strangers can make of it: nothing."""

from __future__ import annotations

from dataclasses import replace

from gopub.traffic import Endpoint
from tests.contracts.edge_nginx import BY_HEADER, CANARY, ME, STABLE, Answer, LocalEdge, route_table

BOUND = 1.0
"""Seconds that answers at once keep on a busy machine, too."""
DECLARED = (
    Endpoint("/checkout", BOUND),
    Endpoint("POST /orders/*"),
    Endpoint("/status/**"),
    Endpoint("GET /slow/*", BOUND),
    Endpoint("/drop"),
)
HOSTILE = (
    "/checkout?x=/orders/1", "//checkout", "/a/../checkout", "/./checkout/", "/%63heckout", "/checkout%2f",
    "/checkout/#x",
)  # fmt: skip
"""nginx reads all of them as /checkout."""
OTHERS = (
    "/Checkout",
    "/checkout;v=1",
    "/checkout%20",
    "/checkout%0a",
    "/checkout/%22%7D%0agopub_edge_x%201",
    "/" + "x" * 4000,
)


async def counts(edge: LocalEdge, host: str, release: str = STABLE) -> dict[str, dict[str, float]]:
    """Of each endpoint that the page shows: ok, error, fine, slow."""
    found: dict[str, dict[str, float]] = {}
    begin = f'{{app="hello",env="lab",release="{release[:12]}",host="{host}",endpoint="'
    for name, value in (await edge.metrics()).items():
        if name.startswith("gopub_edge_endpoint_") and begin in name:
            endpoint, _, kind = name.partition(begin)[2].rpartition('",')
            found.setdefault(endpoint, {})[kind.partition('"')[2].rstrip('"}')] = value
    return found


async def ask(edge: LocalEdge, *paths: str, method: str = "GET", **headers: str) -> list[Answer]:
    client = edge.client(keep=False)
    return [await client.ask(path, method=method, headers=headers) for path in paths]


async def test_attempts_are_counted_by_what_nginx_reads_and_no_text_of_clients_becomes_a_label(edge, backends):
    table = route_table(backends[:1], backends[1:], rules=(BY_HEADER,), endpoints=DECLARED)
    assert (await edge.put(table))[0] == 200
    names = set(await edge.metrics())
    begun = await counts(edge, "a1")
    assert list(begun) == [one.match for one in DECLARED]
    assert begun["/checkout"] == {"ok": 0, "error": 0, "fine": 0, "slow": 0}
    assert begun["POST /orders/*"] == {"ok": 0, "error": 0}, "without a bound nothing is slow"
    await ask(edge, *HOSTILE, *OTHERS)
    await ask(edge, "/orders/7", "/orders/7/", "/orders/7?a=/checkout", "/orders", "/orders/7/items", method="POST")
    await ask(edge, "/orders/7")
    await ask(edge, "/checkout", method="OPTIONS")
    await ask(edge, "/status/200", "/status/404", "/status/500", "/status/503", f"/slow/{BOUND + 0.1}", "/slow/0")
    await ask(edge, "/slow/0", method="HEAD")
    assert set(await edge.metrics()) == names
    assert await counts(edge, "a1") == {
        "/checkout": {"ok": len(HOSTILE) + 1, "error": 0, "fine": len(HOSTILE) + 1, "slow": 0},
        "POST /orders/*": {"ok": 3, "error": 0},
        "/status/**": {"ok": 2, "error": 2},
        "GET /slow/*": {"ok": 2, "error": 0, "fine": 1, "slow": 1},
        "/drop": {"ok": 0, "error": 0},
    }
    assert (await counts(edge, "b1", CANARY))["/checkout"]["ok"] == 0


async def test_an_attempt_counts_for_the_peer_that_failed_it(edge, backends):
    await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,), endpoints=DECLARED))
    await backends[1].stop()
    answers = await ask(edge, "/checkout", "/checkout", **ME)
    assert [answer.peer for answer in answers] == ["a1", "a1"]
    canary, stable = await counts(edge, "b1", CANARY), await counts(edge, "a1")
    assert canary["/checkout"] == {"ok": 0, "error": 2, "fine": 0, "slow": 0}, "a refused connection has no latency"
    assert stable["/checkout"] == {"ok": 2, "error": 0, "fine": 2, "slow": 0}


async def test_another_table_counts_other_endpoints_and_takes_nothing_from_those_that_stay(edge, backends):
    both = route_table(backends[:1], backends[1:], rules=(BY_HEADER,), endpoints=DECLARED[:2])
    await edge.put(both)
    await ask(edge, "/checkout")
    await ask(edge, "/orders/1", method="POST")
    other = replace(
        both,
        revision=2,
        n=2,
        endpoints=(Endpoint("/new"), Endpoint("POST /orders/*"), Endpoint("/checkout", BOUND + 1)),
    )
    await edge.put(other)
    await ask(edge, "/new", "/checkout")
    assert await counts(edge, "a1") == {
        "/new": {"ok": 1, "error": 0},
        "POST /orders/*": {"ok": 1, "error": 0},
        "/checkout": {"ok": 1, "error": 0, "fine": 1, "slow": 0},
    }, "with another bound it is counted anew"
    await edge.restart()
    assert (await counts(edge, "a1"))["/new"] == {"ok": 0, "error": 0}
    await edge.put(replace(both, revision=3, n=3, endpoints=()))
    assert await counts(edge, "a1") == {}
    assert not [name for name in await edge.metrics() if "endpoint" in name]


async def test_a_host_that_left_keeps_its_counts_while_there_is_a_canary(edge, backends):
    both = route_table(backends[:1], backends[1:], rules=(BY_HEADER,), endpoints=DECLARED[:1])
    await edge.put(both)
    await ask(edge, "/checkout")
    await edge.put(replace(both, revision=2, n=2, stable=None, rules=()))
    assert (await counts(edge, "a1"))["/checkout"]["ok"] == 1
    settled = route_table(backends[1:], endpoints=DECLARED[:1], revision=3, n=3)
    await edge.put(settled)
    assert (await counts(edge, "a1"), list(await counts(edge, "b1"))) == ({}, ["/checkout"])
