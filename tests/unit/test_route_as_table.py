"""Whatever gopub.yaml takes for gray traffic, an edge takes: `gopub check` finds a mistake, no rollout does."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from gopub.errors import GopubError
from gopub.plan.routes import condition_of
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment
from gopub.spec.route import text_of
from gopub.traffic.check import check
from gopub.traffic.conditions import to_json
from tests.unit.test_traffic_broken import ADDRESSES, NETWORKS, PATTERNS, TEXTS
from tests.unit.traffic_lua import varied

ALL = (
    *TEXTS,
    *ADDRESSES,
    *NETWORKS,
    *PATTERNS,
    " x",
    "x ",
    "a\tb",
    "a b",
    "x" * 256,
    "x" * 257,
    "/" + "x" * 255,
    "/" + "x" * 256,
)
NOW = 1_800_000_000.0


def environment(route: dict[str, Any] | None = None, **traffic: Any) -> Environment | None:
    """The one that says this; None where gopub.yaml cannot."""
    trust = {"trust": ["10.0.0.0/8"]}
    steps = [{"hosts": 1} | ({} if route is None else {"route": route}), {"hosts": "100%"}]
    lab = {
        "inventory": "hosts.ini", "hosts": "role=app", "health": "http://127.0.0.1:8080/healthz",
        "traffic": {"router": "edge", "upstream": "hello"} | trust | traffic, "rollout": {"steps": steps},
    }  # fmt: skip
    try:
        return parse_spec(json.dumps({"app": "hello", "environments": {"lab": lab}}), "gopub.yaml").spec.environments[
            "lab"
        ]
    except GopubError:
        return None


def table(found: Environment) -> dict[str, Any]:
    """What of it an edge is told."""
    assert found.traffic is not None
    route = found.rollout.steps[0].route
    when = to_json(condition_of(text_of(route), NOW)) if route else None
    rules = [{"id": "r", "when": when}] if when else []
    doc = varied({"rules": rules, "trust": list(found.traffic.trust), "sticky": found.traffic.sticky})
    return doc | ({} if found.traffic.tag is None else {"canary": doc["canary"] | {"tag": found.traffic.tag}})


ROUTES = {
    "header name": lambda text: {"header": {text: "1"}},
    "header value": lambda text: {"header": {"x-a": text}},
    "cookie name": lambda text: {"cookie": {text: "1"}},
    "cookie value": lambda text: {"cookie": {"sid": text}},
    "query name": lambda text: {"query": {text: "1"}},
    "query value": lambda text: {"query": {"q": text}},
    "path": lambda text: {"path": text},
    "method": lambda text: {"method": [text]},
    "client": lambda text: {"client": [text]},
    "tags": lambda text: {"tags": text},
    "not": lambda text: {"any": [{"not": {"tags": text}}, {"all": [{"path": "/a"}, {"client": ["::1"]}]}]},
}


@pytest.mark.parametrize("of", ROUTES)
def test_what_a_route_may_say_an_edge_takes(of: str):
    said: Counter[bool] = Counter()
    for text in ALL:
        found = environment(ROUTES[of](text))
        said[found is not None] += 1
        if found:
            check(table(found))
    assert min(said[True], said[False]) > 1, said


@pytest.mark.parametrize("key", ["sticky", "tag", "trust"])
def test_what_traffic_may_say_an_edge_takes(key: str):
    said: Counter[bool] = Counter()
    for text in ALL:
        found = environment(**{key: [text] if key == "trust" else text})
        said[found is not None] += 1
        if found:
            check(table(found))
    assert min(said[True], said[False]) > 1, said


@pytest.mark.parametrize("depth", range(1, 12))
def test_as_deep_as_a_route_may_be_an_edge_takes_it(depth: int):
    route: dict[str, Any] = {"window": "mon-fri 09:00-18:00 UTC", "tags": "a && !b"}
    for _ in range(depth):
        route = {"not": route}
    found = environment(route)
    assert (found is None) == (depth > 4), "with the list of tags, a not and a tag below it"
    if found:
        check(table(found))


@pytest.mark.parametrize("share", ["0.001%", "0.01%", "50%", "100%"])
def test_a_share_of_users_is_one_for_an_edge(share: str):
    found = environment({"percent": share})
    assert (found is None) == (share == "0.001%")
    if found:
        check(table(found))
