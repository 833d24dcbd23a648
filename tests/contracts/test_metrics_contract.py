"""What the judge may expect of any metric source, and of ours on a real Prometheus: silence is never health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest

from gopub.health.backends.edges import EdgeSource, EdgesThemselves
from gopub.health.backends.prometheus import Prometheus, PrometheusSource
from gopub.health.burn import Spending
from gopub.health.config import BudgetTarget, JudgeConfig, SloTarget
from gopub.health.counters import increments, window
from gopub.health.observe import Observer
from gopub.health.quantile import quantile
from gopub.health.samples import CounterSnapshot, NoData, ProcessHealth, RuntimeSnapshot
from gopub.health.sources import MetricSource
from gopub.judge.calibrate import calibrate, windows_of
from gopub.process import Result
from gopub.traffic.backends.nginx import NginxRouter
from gopub.wiring.counting import RouterReader
from tests.contracts.prometheus_server import Metrics, histogram_lines, prometheus
from tests.support.ports import free_port

T0 = 1_700_000_000.0
"""Two days of 2023 that no head block overlaps."""
STABLE, CANARY = "5" * 12, "c" * 12
BOUNDS = (0.1, 0.25, 0.5, 1.0)
ORDERS = "POST /orders/*"
HOSTILE = 'we"ird\\ng\n'


def _edge(metrics: Metrics, at: float, edge: str = "10.0.0.9:9145", app: str = "hello") -> None:
    metrics.add("gopub_edge_table_revision", {"app": app, "env": "prod", "instance": edge}, at, 1)


def _host(metrics, at, release, host, ok, bad, times, *, edge="10.0.0.9:9145", app="hello"):
    labels = {"app": app, "env": "prod", "release": release, "host": host, "instance": edge}
    metrics.add("gopub_edge_attempts_total", labels | {"class": "2xx"}, at, ok)
    metrics.add("gopub_edge_attempts_total", labels | {"class": "5xx"}, at, bad)
    for le, value in histogram_lines(BOUNDS, times).items():
        metrics.add("gopub_edge_request_seconds_bucket", labels | {"le": le}, at, value)


def _orders(metrics: Metrics, at: float, labels: dict[str, str], k: int) -> None:
    labels = labels | {"endpoint": ORDERS}
    for kind, count in (("ok", k // 20 * 2), ("error", k // 10)):
        metrics.add("gopub_edge_endpoint_attempts_total", labels | {"outcome": kind}, at, count)
    for kind, count in (("fine", k // 20), ("slow", k // 20)):
        metrics.add("gopub_edge_endpoint_answers_total", labels | {"pace": kind}, at, count)


def filled() -> Metrics:
    metrics = Metrics()
    for i in range(241):  # one hour of a sample every 15 s
        at = T0 + 15 * i
        _edge(metrics, at)
        n = 100 * i
        _host(metrics, at, STABLE, "h1", n, i // 10, [n // 2, n, n, n, n])
        # h2's edge series restart in the middle: counters fall to 0
        m = n if i < 120 else 100 * (i - 120)
        _host(metrics, at, STABLE, "h2", m, 0, [m, m, m, m, m])
        if i >= 200:  # the canary begins late, its series born at 0
            k = 10 * (i - 200)
            _host(metrics, at, CANARY, "h3", k, k // 10, [0, 0, k, k, k])
            apart = {"app": "hello", "env": "prod", "release": CANARY, "host": "h3", "instance": "10.0.0.9:9145"}
            for le, value in histogram_lines(BOUNDS, [0, 1, 3, 3, 7]).items():
                metrics.add("gopub_edge_warming_request_seconds_bucket", apart | {"le": le}, at, value)
            _orders(metrics, at, apart, k)
    for i in range(41):  # an edge that stops being scraped after ten minutes
        _edge(metrics, T0 + 15 * i, "10.0.0.8:9145")
        _host(metrics, T0 + 15 * i, STABLE, "h1", 7 * i, 0, [7 * i] * 5, edge="10.0.0.8:9145")
    for i in range(41):
        _edge(metrics, T0 + 15 * i, app="dead")
        _host(metrics, T0 + 15 * i, CANARY, "h1", i, 0, [i] * 5, app="dead")
        _edge(metrics, T0 + 15 * i, app="nan")
        _host(metrics, T0 + 15 * i, CANARY, "h1", "NaN" if i == 40 else i, 0, [i] * 5, app="nan")
        _edge(metrics, T0 + 15 * i, app=HOSTILE)
        _host(metrics, T0 + 15 * i, CANARY, "h1", i, 0, [i] * 5, app=HOSTILE)
        heap = {"host": "h3", "instance": "10.0.0.3:8080", "job": "apps", "app": "hello"}
        metrics.add("go_gc_heap_live_bytes", heap, T0 + 15 * i, 5e6 * i)
        for le, value in histogram_lines((0.01048576, 0.117440512), (i, i + 1, i + 2)).items():
            metrics.add("go_sched_pauses_total_gc_seconds_bucket", heap | {"le": le}, T0 + 15 * i, value)
        for port in ("1", "2"):
            metrics.add("go_gc_heap_live_bytes", {"host": "h4", "instance": f"h4:{port}"}, T0 + 15 * i, 1e6)
            twice = {"host": "h6", "instance": f"h6:{port}", "app": "hello"}
            metrics.add("go_gc_heap_live_bytes", twice, T0 + 15 * i, 1e6)
        for host, app, env in (("h7", "hello", "prod"), ("h7", "hello", "test"), ("h7", "other", "prod")):
            labels = {"host": host, "instance": f"{app}-{env}", "app": app, "env": env}
            metrics.add("go_gc_heap_live_bytes", labels, T0 + 15 * i, 7e6 if (app, env) == ("hello", "prod") else 1e6)
    return metrics


async def _counters(source: MetricSource, at: float, app: str = "hello") -> CounterSnapshot | NoData:
    return await source.counters(app, "prod", (STABLE, CANARY), at)


async def _good(source: MetricSource, at: float) -> CounterSnapshot:
    found = await _counters(source, at)
    assert isinstance(found, CounterSnapshot), found
    return found


class MetricsContract:
    """What the judge may expect of any source.

    A subclass gives ``source``, opened over what ``filled`` holds, and ``nothing``, opened where nothing can be read.
    """

    async def test_counts_between_two_looks_are_exact(self, source: MetricSource) -> None:
        a, b = await _good(source, T0 + 3300), await _good(source, T0 + 3600)
        seen = window(a, b, canary=CANARY, stable=STABLE, slow_above=0.2)
        assert seen.canary
        assert seen.stable
        assert (seen.canary.attempts, seen.canary.errors) == (220, 20)
        assert (seen.canary.timed, seen.canary.slow) == (200, 200)
        assert {h.host: (h.attempts, h.errors) for h in seen.stable.hosts} == {"h1": (2002, 2), "h2": (2000, 0)}

    async def test_declared_endpoints_are_read_apart(self, source: MetricSource) -> None:
        a, b = await _good(source, T0 + 3300), await _good(source, T0 + 3600)
        [seen] = [one for one in increments(a, b) if one.release == CANARY]
        assert seen.endpoints == {(ORDERS, "ok"): 20, (ORDERS, "error"): 20, (ORDERS, "fine"): 10, (ORDERS, "slow"): 10}
        assert seen.classes == {"2xx": 200, "5xx": 20}, "the totals are what they were"
        assert [one.endpoints for one in b.series if one.release == STABLE] == [{}] * 2, "an edge that counts none"

    async def test_what_warming_hosts_answered_is_read_apart(self, source: MetricSource) -> None:
        rows = {(row.release, row.host): row for row in (await _good(source, T0 + 3600)).series}
        canary, stable = rows[CANARY, "h3"], rows[STABLE, "h1"]
        assert canary.warming == {0.1: 0, 0.25: 1, 0.5: 3, 1.0: 3, float("inf"): 7}
        assert canary.cumulative[float("inf")] == 400, "and is not among the others"
        assert stable.warming == {}, "an edge that counts none apart"

    async def test_a_restarted_counter_counts_from_zero(self, source: MetricSource) -> None:
        a, b = await _good(source, T0 + 1500), await _good(source, T0 + 2100)
        seen = window(a, b, canary=CANARY, stable=STABLE, slow_above=None)
        assert seen.canary is None, "the canary has no series yet: no data, not 0 errors"
        assert seen.stable
        assert {h.host: h.attempts for h in seen.stable.hosts} == {"h1": 4004, "h2": 2000}

    async def test_a_series_born_between_two_looks_counts_from_zero(self, source: MetricSource) -> None:
        a, b = await _good(source, T0 + 2985), await _good(source, T0 + 3030)
        seen = window(a, b, canary=CANARY, stable=STABLE, slow_above=None)
        assert seen.canary
        assert seen.canary.attempts == 22

    async def test_an_unknown_app_is_no_data(self, source: MetricSource) -> None:
        found = await _counters(source, T0 + 600, "unknown")
        assert isinstance(found, NoData)
        assert found.reason

    async def test_a_counter_that_is_no_number_is_no_data(self, source: MetricSource) -> None:
        assert isinstance(await _counters(source, T0 + 585, "nan"), CounterSnapshot)
        found = await _counters(source, T0 + 600, "nan")
        assert isinstance(found, NoData)
        assert found.reason

    async def test_a_hostile_label_value_stays_a_value(self, source: MetricSource) -> None:
        found = await _counters(source, T0 + 600, HOSTILE)
        assert isinstance(found, CounterSnapshot)
        assert {series.release for series in found.series} == {CANARY}
        assert isinstance(await _counters(source, T0 + 600, 'x"} or vector(1) or up{a="'), NoData)

    async def test_what_was_asked_gives_the_same_answer_again(self, source: MetricSource) -> None:
        assert await _good(source, T0 + 3600) == await _good(source, T0 + 3600)

    async def test_an_observer_judges_by_it(self, source: MetricSource) -> None:
        config = JudgeConfig("hello", "prod", "r-1", CANARY, STABLE, SloTarget(0.25, 0.01))
        observer = Observer(source, None, config)
        await observer.start(T0 + 2990)
        for at in range(3000, 3601, 15):
            seen = await observer.look(T0 + at, (ProcessHealth("h3"),), 0)
        assert seen.no_data is None
        assert seen.step_totals.canary_requests == 440
        assert set(seen.slo_canary.broken) == {"error_rate", "latency_p95"}
        assert not (seen.slo_stable and seen.slo_stable.broken)
        assert seen.evidence.e_value > 10_000
        assert seen.score.value is not None
        assert seen.score.value <= 40

    async def test_where_nothing_can_be_read_there_is_no_data(self, nothing: MetricSource) -> None:
        for found in (
            await _counters(nothing, T0),
            await nothing.history("hello", "prod", (STABLE,), T0),
        ):
            assert isinstance(found, NoData)
            assert found.reason


class ScrapedContract:
    """And of one that has them from a scraper, which keeps the past and scrapes processes too."""

    async def test_how_far_scrapes_are_apart_is_seen(self, source: MetricSource) -> None:
        assert [(await _good(source, T0 + at)).interval for at in (3300, 3600)] == [15.0, 15.0]

    async def test_a_counter_that_is_no_number_is_named(self, source: MetricSource) -> None:
        found = await _counters(source, T0 + 600, "nan")
        assert isinstance(found, NoData)
        assert "gopub_edge_attempts_total of h1" in found.reason

    async def test_where_no_process_can_be_read_there_is_no_data(self, nothing: MetricSource) -> None:
        found = await nothing.runtime("hello", "prod", ("h1",), T0)
        assert isinstance(found, NoData)
        assert found.reason

    async def test_one_stale_edge_is_noted_and_the_other_counts(self, source: MetricSource) -> None:
        found = await _good(source, T0 + 800)
        assert set(found.edges) == {"10.0.0.9:9145"}
        [note] = found.notes
        assert "10.0.0.8:9145" in note

    @pytest.mark.parametrize(("age", "fresh"), [(0, True), (60, True), (120, False), (400, False)])
    async def test_samples_of_long_ago_are_no_data(self, source: MetricSource, age: int, fresh: bool) -> None:
        found = await _counters(source, T0 + 600 + age, "dead")
        assert isinstance(found, CounterSnapshot) is fresh
        assert fresh or found.reason  # type: ignore[union-attr]

    async def test_runtime_by_host(self, source: MetricSource) -> None:
        found = await source.runtime("hello", "prod", ("h3", "h4", "h5", "h6"), T0 + 600)
        assert isinstance(found, RuntimeSnapshot)
        [sample] = found.hosts  # h4 has processes of nobody knows whom, h5 none, h6 two that nobody can tell apart
        assert (sample.host, sample.heap, dict(sample.pauses)) == (
            "h3",
            2e8,
            {0.01048576: 40.0, 0.117440512: 41.0, float("inf"): 42.0},
        )

    async def test_a_neighbours_runtime_is_not_ours(self, source: MetricSource) -> None:
        """Two services, or two envs of one, share the label ``host``; one of them may export nothing."""
        heaps = {}
        for app, env in (
            ("hello", "prod"),
            ("other", "prod"),
            ("silent", "prod"),
            ("hell.", "prod"),
            ("other", "test"),
        ):
            found = await source.runtime(app, env, ("h7",), T0 + 600)
            assert isinstance(found, RuntimeSnapshot)
            heaps[app, env] = [sample.heap for sample in found.hosts]
        assert heaps == {
            ("hello", "prod"): [7e6],
            ("other", "prod"): [1e6],
            ("silent", "prod"): [],
            ("hell.", "prod"): [],
            ("other", "test"): [],
        }

    async def test_history_is_counters_in_order(self, source: MetricSource) -> None:
        found = await source.history("hello", "prod", (STABLE,), T0 + 3600)
        assert isinstance(found, tuple)
        moments = [snapshot.at - T0 for snapshot in found]
        assert len(moments) > 2
        assert moments == sorted(moments)
        assert 0 <= moments[0] < moments[-1] <= 3600
        assert sum(s.classes["2xx"] for s in increments(found[-2], found[-1])) > 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), filled()) as url:
        yield url


class TestPrometheus(ScrapedContract, MetricsContract):
    KIND = "prometheus"

    @pytest.fixture
    async def source(self, server: str) -> AsyncIterator[PrometheusSource]:
        made = Prometheus(url=server).open()
        assert isinstance(made, PrometheusSource)
        yield made
        made.close()

    @pytest.fixture
    async def nothing(self) -> AsyncIterator[PrometheusSource]:
        made = PrometheusSource(f"http://127.0.0.1:{free_port()}")
        yield made
        made.close()

    async def test_p95_is_what_promql_says(self, source: PrometheusSource) -> None:
        a, b = await _good(source, T0 + 3300), await _good(source, T0 + 3600)
        seen = window(a, b, canary=CANARY, stable=STABLE, slow_above=None)
        assert seen.canary
        rates = f'increase(gopub_edge_request_seconds_bucket{{release="{CANARY}"}}[5m])'
        text = f"histogram_quantile(0.95, sum by (le) ({rates}))"
        [(_, [[_, theirs]])] = await source._ask(text, T0 + 3600, [])
        ours = quantile(0.95, seen.canary.latency)
        assert ours
        assert ours.value == pytest.approx(float(theirs), rel=1e-3)

    async def test_what_was_spent_is_what_the_edges_counted(self, source: PrometheusSource) -> None:
        wanted = BudgetTarget(freeze_below=0.2, burn="article", window=1800.0)
        found = await source.spending("hello", "prod", STABLE, wanted, [1800.0], T0 + 3600)
        assert isinstance(found, Spending), found
        [half_an_hour] = found.windows
        assert half_an_hour.attempts == pytest.approx(2 * 12_000 + 12 + 440, rel=0.05)
        assert half_an_hour.errors == pytest.approx(12 + 40, rel=0.05)
        newest = found.course[-1]
        assert len(found.course) > 30
        assert newest.attempts == pytest.approx(4000 + 2 + 220, rel=0.1)
        assert newest.errors == pytest.approx(22, rel=0.2)
        assert len(found.queries) == 6, "three of them ask who was scraped twice"
        own = await source.spending(
            "hello", "prod", None, BudgetTarget(0.2, query='vector(0.25) or x{a="{app}"}'), [], T0
        )
        assert isinstance(own, Spending)
        assert own.told == 0.25
        for wrong in ("nothing_of_this_name", "vector(0) / 0", "sum(("):
            refused = await source.spending("hello", "prod", None, BudgetTarget(0.2, query=wrong), [], T0 + 3600)
            assert isinstance(refused, NoData), wrong
            assert refused.reason

    async def test_the_past_is_told_a_minute_apart(self, source: PrometheusSource) -> None:
        found = await source.recorded("hello", "prod", T0, T0 + 3600)
        assert isinstance(found, tuple), found
        assert len(found) >= 58
        windows = windows_of(found, SloTarget(0.25, 0.01))
        counts = [host.attempts for one in windows for host in one.stable.hosts if host.host == "h1" and one.stable]
        assert sum(counts) == pytest.approx(240 * 100 + 24, rel=0.05)
        assert {one.stable.release for one in windows if one.stable} == {STABLE}
        calibration = calibrate(windows, SloTarget(0.25, 0.01), 0.01, 600)
        assert len(calibration.trials) == 5 or len(calibration.trials) == 4
        assert calibration.requests == pytest.approx(200 / 15, rel=0.1)
        assert await source.recorded("unknown", "prod", T0, T0 + 600) == ()

    async def test_a_stale_edge_is_told_with_its_age_and_the_limit(self, source: PrometheusSource) -> None:
        found = await _good(source, T0 + 800)
        assert found.notes == ("stale: the newest sample of 10.0.0.8:9145 is 200.0s old, the limit is 75s",)

    @pytest.mark.parametrize(("age", "fresh"), [(0, True), (74, True), (76, False), (400, False)])
    async def test_samples_older_than_five_scrapes_are_no_data(
        self, source: PrometheusSource, age: int, fresh: bool
    ) -> None:
        found = await _counters(source, T0 + 600 + age, "dead")
        assert isinstance(found, CounterSnapshot) is fresh
        if isinstance(found, NoData):
            assert "old, the limit is 75s" in found.reason or "is the edge scraped?" in found.reason

    async def test_why_there_is_no_data_is_told(self, source: PrometheusSource) -> None:
        found = await _counters(source, T0 + 600, "unknown")
        assert isinstance(found, NoData)
        assert "no edge exports gopub_edge_table_revision" in found.reason
        found = await _counters(source, T0 + 600, "nan")
        assert isinstance(found, NoData)
        assert found.reason == "gopub_edge_attempts_total of h1 is NaN: no counter"
        open_quote = await _counters(source, T0 + 600, 'x"} or vector(1) or up{a="')
        assert isinstance(open_quote, NoData)
        assert "no edge exports" in open_quote.reason, "the query was well-formed and matched nothing"

    async def test_every_query_is_kept_and_can_be_asked_again(self, source: PrometheusSource) -> None:
        first, second = await _good(source, T0 + 3600), await _good(source, T0 + 3600)
        assert first.queries == second.queries
        assert [query.at for query in first.queries] == [T0 + 3600] * 2
        assert all(len(query.answer) == 12 and query.series for query in first.queries)

    async def test_a_process_is_chosen_by_its_labels(self, server: str) -> None:
        chosen = PrometheusSource(server, runtime_match={"instance": ".*:2"})
        found = await chosen.runtime("hello", "prod", ("h4",), T0 + 600)
        assert isinstance(found, RuntimeSnapshot)
        assert [sample.host for sample in found.hosts] == ["h4"]
        chosen.close()

    async def test_history_is_denser_towards_its_end(self, source: PrometheusSource) -> None:
        found = await source.history("hello", "prod", (STABLE,), T0 + 3600)
        assert isinstance(found, tuple)
        assert [snapshot.at - T0 for snapshot in found][:3] == [0, 600, 1200]


# --- a Prometheus that is ill: answers of our own making on a real socket


@asynccontextmanager
async def answering(reply: Callable[[asyncio.StreamWriter], object]) -> AsyncIterator[str]:
    busy: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        busy.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await reader.readuntil(b"\r\n\r\n")
            outcome = reply(writer)
            if asyncio.iscoroutine(outcome):
                await outcome
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


def _http(status: str, kind: str, body: str) -> Callable[[asyncio.StreamWriter], object]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda writer: writer.write((head + body).encode())


def _result(result: object) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        writer.write(b" ")
        await asyncio.sleep(0.1)


ILL = {
    "login page": (_http("200 OK", "text/html", "<html>log in</html>"), "not JSON (a login page?)"),
    "unavailable": (_http("503 Service Unavailable", "text/plain", "busy"), "503"),
    "bad query": (_http("400 Bad Request", "application/json", '{"status":"error"}'), "400"),
    "other JSON": (_http("200 OK", "application/json", '{"hello": 1}'), "KeyError"),
    "scalar": (_http("200 OK", "application/json", _result({"a": 1})), "a result of type dict"),
    "odd rows": (_http("200 OK", "application/json", _result([{"metric": {}}])), "KeyError"),
    "no number": (_http("200 OK", "application/json", _result([{"metric": {}, "value": [1, "x"]}])), "not JSON"),
    "empty": (_http("200 OK", "application/json", _result([])), "is the edge scraped?"),
    "hung up": (lambda _: None, "no connection"),
    "slow": (lambda _: asyncio.sleep(60), "no answer in time"),
    "trickle": (_trickle, "no answer in time"),
}


@pytest.mark.parametrize("name", ILL)
async def test_an_ill_prometheus_is_no_data_with_the_reason(name: str) -> None:
    reply, says = ILL[name]
    async with answering(reply) as url:
        source = PrometheusSource(url, timeout=0.5 if says == "no answer in time" else 60.0)
        found = await _counters(source, T0)
        assert isinstance(found, NoData)
        assert says in found.reason
        assert len(found.queries) == 1
        assert isinstance(await source.runtime("hello", "prod", ("h1",), T0), NoData) or name == "empty"
        source.close()


async def test_no_prometheus_at_all_is_no_data() -> None:
    source = PrometheusSource(f"http://user:secret@127.0.0.1:{free_port()}", timeout=60.0)
    found = await _counters(source, T0)
    assert isinstance(found, NoData)
    assert "no connection" in found.reason
    assert "secret" not in found.reason
    assert isinstance(await source.history("hello", "prod", (STABLE,), T0), NoData)


async def test_control_a_healthy_answer_of_the_same_making_is_data() -> None:
    """The ill answers fail for what they are, not for how they are made."""
    labels = {"instance": "e", "release": CANARY, "host": "h1"}
    rows = [
        {"metric": labels | {"__name__": "gopub_edge_attempts_total", "class": "2xx"}, "value": [T0, "3"]},
    ]
    async with answering(_http("200 OK", "application/json", _result(rows))) as url:
        source = PrometheusSource(url, timeout=60.0)
        found = await _counters(source, T0)
        assert isinstance(found, CounterSnapshot)
        assert replace(found, queries=()).series[0].classes == {"2xx": 3.0}
        source.close()


class OnAnEdge:
    """An edge as it was at a time: it answers on its channel with what ``filled`` holds of it."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.at, self.app = T0, ""

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        del stdin
        releases = argv[-1].partition("releases=")[2].split(",")
        hosts: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
        told = ("class", "le", "outcome", "pace")
        apps = set()
        for (name, pairs), points in self.metrics.samples.items():
            labels, value = dict(pairs), next((value for at, value in reversed(points) if at <= self.at), None)
            if labels.get("instance") != "10.0.0.9:9145" or value is None:
                continue
            apps.add(labels["app"])
            if labels["app"] == self.app and labels.get("release") in releases:
                place = hosts.setdefault((labels["release"], labels["host"]), {})
                place.setdefault(name, {})[next((labels[key] for key in told if key in labels), "")] = value
        app = self.app if self.app in apps else "hello"
        series = ",".join(self._series(*place, found) for place, found in sorted(hosts.items()))
        said = {"edge": "0" * 16, "now": self.at, "since": T0, "app": app, "env": "prod", "endpoints": [ORDERS]}
        said |= {"classes": ["2xx", "5xx"], "bounds": list(BOUNDS)}
        out = f'{json.dumps(said)[:-1]}, "series": [{series}]}}\n\n200'
        return Result(tuple(argv), 0, out.encode(), b"")

    def _series(self, release: str, host: str, found: Mapping[str, Mapping[str, str]]) -> str:
        """Counters as they stand, also where they are none; buckets each by itself."""
        classes = found["gopub_edge_attempts_total"]
        said = f'"classes": [{classes["2xx"]}, {classes["5xx"]}]'
        for key, family in {"latency": "request", "warming": "warming_request"}.items():
            if buckets := found.get(f"gopub_edge_{family}_seconds_bucket"):
                rising = [int(float(value)) for _, value in sorted(buckets.items(), key=lambda one: float(one[0]))]
                said += f', "{key}": {[b - a for a, b in pairwise([0, *rising])]}'
        ends = {
            **found.get("gopub_edge_endpoint_attempts_total", {}),
            **found.get("gopub_edge_endpoint_answers_total", {}),
        }
        counted = "[" + ", ".join(ends[key] for key in ("ok", "error", "fine", "slow")) + "]" if ends else "null"
        said += f', "endpoints": [{counted}]'
        return f'{{"release": "{release}", "host": "{host}", {said}}}'


class AsOf(EdgeSource):
    """The edges at the time of the question: a real one only knows now."""

    def __init__(self, edge: OnAnEdge) -> None:
        async def connect(_: str) -> OnAnEdge:
            return edge

        router = NginxRouter(("e1",), connect, clock=edge)
        super().__init__(RouterReader(router, ("e1",), "hello"), patience=60, clock=edge)
        self._edge = edge

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        self._edge.at, self._edge.app = at, app
        return await super().counters(app, env, releases, at)


class TestEdges(MetricsContract):
    KIND = "edges"

    @pytest.fixture
    async def source(self) -> AsyncIterator[AsOf]:
        made = AsOf(OnAnEdge(filled()))
        yield made
        await made.aclose()

    @pytest.fixture
    def nothing(self) -> MetricSource:
        return EdgesThemselves().open()

    async def test_between_two_answers_lies_no_scrape(self, source: MetricSource) -> None:
        assert (await _good(source, T0 + 3600)).interval == 0.0

    async def test_the_past_is_what_was_heard_and_nothing_is_known_of_processes(self, source: MetricSource) -> None:
        assert isinstance(await source.history("hello", "prod", (STABLE,), T0 + 3570), NoData)
        found = await source.history("hello", "prod", (STABLE,), T0 + 3600)
        assert isinstance(found, tuple)
        assert sum(one.classes["2xx"] for one in increments(*found)) == 400
        assert await source.runtime("hello", "prod", ("h3",), T0) == RuntimeSnapshot(T0)
