"""Whose counts a rollout is judged by: what judge names, else the edges, with the router's metrics beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.health.backends.checked import CheckedSource
from gopub.health.backends.edges import EdgeSource
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.samples import NoData
from gopub.spec.references import judged_on
from gopub.traffic.backends.nginx import NginxRouter
from gopub.wiring.counting import counters_of
from gopub.wiring.project import Edges, Project, edges_of, open_project
from tests.support.doubles import MemoryRouter

SPEC = """\
app: orders
environments:
  prod:
    inventory: hosts.ini
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
    traffic: edge
    judge: {JUDGE}
"""
HOSTS = "[all:vars]\nrole=orders\n[apps]\nweb-1\n[edges]\ne1 role=edge\ne2 role=edge\n"
PROMETHEUS = "prom: {kind: prometheus, url: http://prom:9090}\n"


def project_of(folder: Path, judge: str, metrics: str) -> tuple[Project, Edges]:
    edge = f"edge: {{kind: nginx, inventory: hosts.ini, hosts: role=edge{metrics}}}\n"
    for name, text in {
        "gopub.yaml": SPEC.replace("JUDGE", judge),
        "connections.yaml": edge + PROMETHEUS,
        "hosts.ini": HOSTS,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    project = open_project(folder)
    found = edges_of(project, project.environment("prod"))
    assert found
    return project, found


def router() -> NginxRouter:
    async def connect(_):
        raise AssertionError("nobody is contacted")

    return NginxRouter(("e1", "e2"), connect)


def shape(source: object) -> str:
    match source:
        case CheckedSource():
            return "edges, prometheus beside" if source._directly else "prometheus, edges beside"
        case EdgeSource():
            return "edges" if source._reader else "edges of nobody"
        case PrometheusSource():
            return "prometheus"
    return "nobody"


@pytest.mark.parametrize(
    ("judge", "metrics", "said", "wanted"),
    [
        ("", "", "edges", "edges"),
        ("", ", metrics: prom", "edges", "edges, prometheus beside"),
        ("", ", metrics: edges", "edges", "edges"),
        ("source: edges", "", "edges", "edges"),
        ("source: edges", ", metrics: prom", "edges", "edges, prometheus beside"),
        ("source: prom", "", "prom", "prometheus, edges beside"),
        ("source: prom", ", metrics: prom", "prom", "prometheus, edges beside"),
    ],
)
def test_what_is_judged_by(tmp_path, judge, metrics, said, wanted):
    project, edges = project_of(tmp_path, judge, metrics)
    environment = project.environment("prod")
    source = counters_of(project, environment, edges, router())
    assert shape(source) == wanted
    direct = source._edges if isinstance(source, CheckedSource) else source
    assert direct._implied == (judge == ""), "edges of an older version leave alone who did not ask for them"
    assert judged_on(environment, project.connections) == said


@pytest.mark.parametrize(
    ("judge", "metrics", "wanted"),
    [
        ("", "", "nobody"),
        ("", ", metrics: prom", "prometheus"),
        ("source: prom", "", "prometheus"),
        ("source: edges", ", metrics: prom", "edges of nobody"),
    ],
)
@pytest.mark.parametrize("other", [None, MemoryRouter()], ids=["closed", "a router that cannot be asked"])
async def test_where_no_edge_can_be_asked_it_is_as_the_connections_say(tmp_path, judge, metrics, wanted, other):
    project, edges = project_of(tmp_path, judge, metrics)
    source = counters_of(project, project.environment("prod"), edges, other)
    found = source._edges if isinstance(source, CheckedSource) else source
    assert shape(found) == wanted
    if isinstance(found, EdgeSource):
        assert isinstance(await found.counters("orders", "prod", (), 0.0), NoData)
