"""Whose counts a rollout is judged by: what judge names, else the edges, with the router's metrics beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.errors import GopubError, SpecError
from gopub.health.backends.checked import CheckedSource
from gopub.health.backends.edges import EdgeSource
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.samples import NoData
from gopub.spec.connections import Connections
from gopub.spec.loader import load_spec
from gopub.spec.references import broken, judged_on
from gopub.traffic import backends as routers
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.door import RouterConnection
from gopub.traffic.protocol import CountingRouter
from gopub.wiring.backends import Backends
from gopub.wiring.counting import counters_of
from gopub.wiring.project import Edges, Project, edges_of, open_project
from tests.support.doubles import MemoryRouter
from tests.support.plugin import LINES, MODULE, install

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


KINDS = {"nginx": "", "paper": ", folder: paper", "ledger": ", folder: paper"}
"""Every kind of router, and what its connection takes besides; one of a plug-in can be asked for its counts."""
LEDGER = """
class LedgerRouter(PaperRouter):
    async def count(self, edge, app, env, upstream, releases):
        raise NotImplementedError
class Ledger(Paper):
    kind: Literal["ledger"] = "ledger"
    counts = True
    def open(self, edges, connect):
        return LedgerRouter(edges, connect, self.folder)
"""


@pytest.fixture
def kinds(tmp_path, monkeypatch) -> Backends:
    lines = LINES | {"router.ledger": "acme_gopub:Ledger"}
    return install(tmp_path, monkeypatch, "acme_gopub", MODULE + LEDGER, lines)


def the_router(kind: str, folder: Path, kinds: Backends, metrics: str = "") -> tuple[Connections, RouterConnection]:
    edge = f"edge: {{kind: {kind}, inventory: hosts.ini, hosts: role=edge{KINDS[kind]}{metrics}}}\n"
    (folder / "connections.yaml").write_text(edge + PROMETHEUS + "ours: {kind: edges}\n", encoding="utf-8")
    (folder / "hosts.ini").write_text(HOSTS, encoding="utf-8")
    connections = Connections.load(folder, kinds)
    return connections, connections.get("edge", RouterConnection)


async def connect(_):
    raise AssertionError("nobody is contacted")


@pytest.mark.parametrize("kind", KINDS)
def test_a_router_that_says_that_its_edges_count_can_be_asked_and_no_other(tmp_path, kinds, kind):
    assert set(routers.BACKENDS) <= set(KINDS), "a new one belongs into this list"
    _, connection = the_router(kind, tmp_path, kinds)
    assert isinstance(connection.open(("e1",), connect), CountingRouter) == connection.counts == (kind != "paper")


@pytest.mark.parametrize(
    ("judge", "metrics", "key", "place"),
    [
        ("source: edges", "", "judge.source", "8:21"),
        ("source: ours", ", metrics: prom", "judge.source", "8:21"),
        ("metrics: edges", "", "judge.metrics", "8:22"),
        ("", ", metrics: ours", "traffic.router", "7:14"),
        ("source: prom", ", metrics: ours", "", ""),
        ("source: prom", "", "", ""),
        ("", ", metrics: prom", "", ""),
        ("", "", "", ""),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_edges_that_cannot_be_asked_are_not_what_is_judged_by(tmp_path, kinds, kind, judge, metrics, key, place):
    connections, connection = the_router(kind, tmp_path, kinds, metrics)
    (tmp_path / "gopub.yaml").write_text(SPEC.replace("JUDGE", judge), encoding="utf-8")
    found = [one for one in broken(load_spec(tmp_path / "gopub.yaml"), connections) if one.code != "GP144"]
    assert len(found) == (1 if key and not connection.counts else 0)
    for error in found:
        assert isinstance(error, SpecError)
        assert error.code == "GP150"
        assert f"`environments.prod.{key}`" in error.problem
        assert "of kind paper" in error.problem
        assert error.where
        assert str(error.where).endswith(f"gopub.yaml:{place}")


def test_a_plug_in_that_only_says_so_is_told_where_it_is_opened(tmp_path, monkeypatch):
    module = MODULE + LEDGER.replace("def count(", "def tally(")
    kinds = install(tmp_path, monkeypatch, "acme_gopub", module, {"router.ledger": "acme_gopub:Ledger"})
    _, connection = the_router("ledger", tmp_path, kinds)
    with pytest.raises(GopubError, match=r"GP968 .*no Router: it has no count"):
        connection.open(("e1",), connect)
