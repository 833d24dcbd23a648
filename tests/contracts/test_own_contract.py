"""Metrics of the team's own on a real Prometheus: the same counts whatever the scrape, names that stay names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.busiest import ASKED, Busiest, choose
from gopub.health.config import JudgeConfig, OwnTarget, SloTarget
from gopub.health.observe import Observer
from gopub.health.ownread import MOST_SERIES, OwnAnswer, malformed
from gopub.health.samples import NoData, ProcessHealth
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import History, Kind, Policy
from tests.contracts.prometheus_server import Metrics, histogram_lines, prometheus
from tests.contracts.test_metrics_contract import CANARY, STABLE

T0 = 1_700_100_000.0
LASTS = 480
WHERE = 'app="{{ app }}",release="{{ release }}",host=~"{{ hosts }}"'
LOST = OwnTarget("lost", "ratio", f"sum by (host) (orders_failed_total{{{WHERE}}})", f"orders_total{{{WHERE}}}")
WAITING = OwnTarget("waiting", "gauge", f"orders_waiting{{{WHERE}}}", margin=0.5)
INTERVALS = (5, 15, 60)


def service(metrics: Metrics, app: str, every: int, *, lost: float) -> None:
    """Two stable hosts and a canary; edges see nothing of what is lost. One stable host's process begins anew."""
    bounds = histogram_lines((0.1,), (1, 1))
    for t in range(0, LASTS + 1, every):
        at = T0 + t
        metrics.add("gopub_edge_table_revision", {"app": app, "env": "prod", "instance": "e:1"}, at, 1)
        for release, host, rate, share in (
            (STABLE, "web.1", 30, 0.0),
            (STABLE, "web.2", 30, 0.1),
            (CANARY, "web.3", 10, lost),
        ):
            count = rate * t
            edge = {"app": app, "env": "prod", "release": release, "host": host, "instance": "e:1"}
            metrics.add("gopub_edge_attempts_total", edge | {"class": "2xx"}, at, count)
            for le in bounds:
                metrics.add("gopub_edge_request_seconds_bucket", edge | {"le": le}, at, count)
            since = t - 240 if host == "web.1" and t >= 240 else t
            own = {"app": app, "release": release, "host": host}
            metrics.add("orders_total", own, at, rate * since)
            metrics.add("orders_failed_total", own | {"code": "a"}, at, int(share * rate * since))
            metrics.add("orders_waiting", own, at, 40 if lost and host == "web.3" else 10)


def filled() -> Metrics:
    metrics = Metrics()
    for every in INTERVALS:
        service(metrics, f"good{every}", every, lost=0.0)
        service(metrics, f"bad{every}", every, lost=0.4)
    for host in ("web.1", "webx1"):
        metrics.add("orders_waiting", {"app": "names", "release": CANARY, "host": host}, T0, 7)
    metrics.add("orders_waiting", {"app": "nan", "release": CANARY, "host": "web.1"}, T0, "NaN")
    for number in range(MOST_SERIES + 100):
        metrics.add("orders_waiting", {"app": "many", "release": CANARY, "host": f"h{number}"}, T0, 1)
    routed(metrics)
    return metrics


def routed(metrics: Metrics) -> None:
    """Two hosts of a service with OpenTelemetry's names, one with Micrometer's, one that clients invent paths of."""
    for minute in range(4):
        at = T0 + 60 * minute
        for host, per in (("web.1", 60), ("web.2", 30)):
            for method, route, part in (("GET", "/orders/{id}", 10), ("POST", "/orders", 5), ("GET", "", 1)):
                labels = {"http_request_method": method, "app": "otel", "host": host, "code": "200"}
                labels |= {"http_route": route} if route else {}
                metrics.add("http_server_request_duration_seconds_count", labels, at, per * part * minute)
        spring = {"method": "GET", "uri": "/pets/{id}", "app": "spring", "host": "web.1", "status": "200"}
        metrics.add("http_server_requests_seconds_count", spring, at, 50 * minute)
        metrics.add("http_server_requests_seconds_count", {**spring, "app": "other"}, at, 5000 * minute)
        metrics.add("http_server_requests_seconds_count", {**spring, "app": "raw", "uri": "/real"}, at, 3000 * minute)
        for number in range(1500):
            invented = {**spring, "app": "raw", "uri": f"/{number:x}"}
            metrics.add("http_server_requests_seconds_count", invented, at, (1 + number % 3) * minute)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("own"), filled()) as found:
        yield found


@pytest.fixture
def source(url: str) -> Iterator[PrometheusSource]:
    made = PrometheusSource(url, timeout=30.0)
    yield made
    made.close()


async def asked(source: PrometheusSource, query: str, app: str = "names", *hosts: str) -> OwnAnswer | NoData:
    return await source.own(query, app, "prod", CANARY, hosts or ("web.1",), T0 + 1)


async def test_a_host_is_matched_by_its_name_and_by_no_other(source: PrometheusSource) -> None:
    found = await asked(source, WAITING.query)
    assert isinstance(found, OwnAnswer)
    assert [(one.host, one.value) for one in found.series] == [("web.1", 7.0)]
    assert found.queries[0].text == (f'orders_waiting{{app="names",release="{CANARY}",host=~"web\\\\.1"}}'), (
        "what is kept can be asked again"
    )
    control = await asked(
        source, f'orders_waiting{{app="names",release="{CANARY}",host=~"web.1",x!="{{{{ release }}}}"}}'
    )
    assert isinstance(control, OwnAnswer)
    assert len(control.series) == 2, "without the escapes the dot would match two"


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ('sum(orders_total{release="{{ release }}"}) bi (host)', "parse error"),
        ('no_such_function(orders_total{release="{{ release }}"})', "unknown function"),
        ('orders_waiting{app="many"} / ignoring (host) orders_waiting{app="many"}', "duplicate series"),
    ],
)
async def test_what_prometheus_refuses_is_told_in_its_words_with_the_query(
    source: PrometheusSource, query: str, word: str
) -> None:
    found = await asked(source, query)
    assert isinstance(found, NoData)
    assert word in found.reason
    assert "it says" in found.reason
    assert found.queries[0].series == 0
    assert found.queries[0].text.startswith(query[:12])


async def test_answers_that_are_no_figures(source: PrometheusSource) -> None:
    nan, many, none = [await asked(source, WAITING.query, app) for app in ("nan", "many", "nobody")]
    every = await asked(source, 'orders_waiting{app="{{ app }}",release="{{ release }}"}', "many")
    scalar = await asked(source, 'scalar(orders_waiting{app="names",release="{{ release }}",host="web.1"})')
    answers = [one for one in (nan, many, none, every, scalar) if isinstance(one, OwnAnswer)]
    assert [malformed(one, "gauge") for one in answers] == [
        "it gives nan on web.1, which is no value",
        "it gives no series",
        "it gives no series",
        f"it gives {MOST_SERIES + 100} series, {MOST_SERIES} at most: write sum by (host) (…)",
        "",
    ]
    assert [(one.host, one.value) for one in answers[-1].series] == [("", 7.0)], "a scalar is all of a track"


async def test_no_name_is_asked_that_could_be_a_part_of_a_query(source: PrometheusSource) -> None:
    found = await asked(source, WAITING.query, "names", 'x"} or orders_waiting{host=~".*')
    assert isinstance(found, NoData)
    assert "has characters that no query may hold" in found.reason
    assert found.queries == ()


async def followed(source: PrometheusSource, app: str, *targets: OwnTarget) -> list[Any]:
    config = JudgeConfig(app, "prod", "r-1", CANARY, STABLE, SloTarget(None, 0.01), own=targets)
    observer, records = Observer(source, None, config), []
    await observer.start(T0 + 120)
    for t in range(125, LASTS, 5):
        seen = await observer.look(T0 + t, (ProcessHealth("web.3"),), 0)
        records.append(judge(seen, Policy.of(config), History(T0 + t, T0 + 120, 200.0, T0 + 9000, observed=t - 120.0)))
    return records


@pytest.mark.parametrize("every", INTERVALS)
async def test_what_only_the_service_counts_is_found_at_any_scrape(source: PrometheusSource, every: int) -> None:
    records = await followed(source, f"bad{every}", LOST)
    back = next(one for one in records if one.verdict.kind is Kind.ROLLBACK)
    assert back.verdict.rule == 3
    assert "by the team's own metric lost" in back.verdict.reason
    counted = records[-1].observation.evidence.metrics[-1]
    assert counted.name == "lost"
    assert counted.canary_bad / counted.canary_exposed == pytest.approx(0.4, abs=0.01), "of any interval the same rate"
    assert counted.stable_bad / counted.stable_exposed == pytest.approx(0.05, abs=0.006), "nor by a process' new start"
    assert replay(record_from_json(json.loads(json.dumps(record_to_json(back))))).same
    good = await followed(source, f"good{every}", LOST)
    assert good[-1].verdict.kind is Kind.PROMOTE
    assert max(one.observation.evidence.log_e for one in good) < 0


async def test_a_gauge_holds_and_its_values_are_told(source: PrometheusSource) -> None:
    bad, good = await followed(source, "bad5", WAITING), await followed(source, "good5", replace(WAITING))
    assert bad[-1].verdict.kind is Kind.HOLD
    assert bad[-1].verdict.reason.startswith("waiting is 40 on the canary, 10 on stable")
    assert good[-1].verdict.kind is Kind.PROMOTE
    assert "waiting is 10 on the canary, 10 on stable" in good[-1].verdict.reason


async def test_the_busiest_routes_are_what_the_service_counts_by_its_own_instruments(source: PrometheusSource) -> None:
    found = await source.busiest("otel", "prod", ("web.1", "web.2"), T0 + 180)
    assert isinstance(found, Busiest)
    assert [(one.method, one.template) for one in found.routes] == [("GET", "/orders/{id}"), ("POST", "/orders")]
    assert [(one.endpoint, round(one.share, 2)) for one in choose(found)] == [
        ("POST /orders", 0.31),
        ("GET /orders/*", 0.62),
    ], "what has no route is in the whole"
    one = await source.busiest("otel", "prod", ("web.2",), T0 + 180)
    assert isinstance(one, Busiest)
    assert one.requests == pytest.approx(found.requests / 3), "these hosts alone"
    pets = await source.busiest("spring", "prod", ("web.1",), T0 + 180)
    assert isinstance(pets, Busiest)
    assert [(one.endpoint, one.share) for one in choose(pets)] == [("GET /pets/*", 1.0)], "and no neighbour's"
    assert isinstance(await source.busiest("none", "prod", ("web.1",), T0 + 180), NoData)


async def test_of_paths_that_clients_invent_a_few_are_read_and_none_is_chosen(source: PrometheusSource) -> None:
    found = await source.busiest("raw", "prod", ("web.1",), T0 + 180)
    assert isinstance(found, Busiest)
    assert len(found.routes) == ASKED
    assert found.requests > 1.8 * found.routes[0].requests, "the others are half of it"
    assert [one.endpoint for one in choose(found)] == ["GET /real"]
