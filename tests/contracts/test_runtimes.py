"""What processes of several libraries tell of themselves, through a real Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.backends.runtimes import TABLE, names
from gopub.health.runtime import RuntimeTrail
from gopub.health.samples import PausesSpent, RuntimeSample, RuntimeSnapshot
from tests.contracts.prometheus_server import prometheus
from tests.contracts.remote_write import double, field, labels_of, series, varint, whole, write, zigzag

T0 = 1_700_000_000.0
TEXTS = Path(__file__).parent / "expositions"
MIB = 1024 * 1024
FLAGS = ("--web.enable-remote-write-receiver", "--enable-feature=native-histograms")
KINDS = tuple(sorted(path.stem for path in TEXTS.glob("*.txt")))


def told(kind: str, host: str, **more: str) -> list[tuple[Mapping[str, str], float]]:
    """The samples of a page, as a scrape of that host labels them."""
    families = text_string_to_metric_families((TEXTS / f"{kind}.txt").read_text(encoding="utf-8"))
    target = {"app": "shop", "host": host, "instance": f"{host}:9102", "job": "apps", **more}
    return [({"__name__": one.name, **one.labels, **target}, one.value) for found in families for one in found.samples]


def native(labels: Mapping[str, str], at: float, quick: int, long: int) -> bytes:
    """A native histogram of schema 0: ``quick`` pauses of 4 to 8 ms, ``long`` ones of 0.5 to 1 s."""
    spans = field(11, zigzag(1, -7) + whole(2, 1)) + field(11, zigzag(1, 6) + whole(2, 1))
    deltas = b"".join(varint(value << 1 if value >= 0 else (-value << 1) - 1) for value in (quick, long - quick))
    histogram = whole(1, quick + long) + double(3, quick * 0.006 + long * 0.7) + zigzag(4, 0) + double(5, 1e-128)
    histogram += spans + field(12, deltas) + whole(15, round(at * 1000))
    return field(1, labels_of(labels) + field(4, histogram))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    sent = b"".join(series(labels, [(T0, value)]) for kind in KINDS for labels, value in told(kind, kind))
    for replica in ("a", "b"):
        sent += b"".join(
            series(labels, [(T0, value + (replica == "b"))])
            for labels, value in told("client_golang", "pair", replica=replica)
        )
    for port in ("1", "2"):
        sent += b"".join(series(one, [(T0, v)]) for one, v in told("micrometer", "twins", instance=f"twins:{port}"))
    mine = {"app": "shop", "host": "native", "instance": "native:9102"}
    name = {"__name__": "go_sched_pauses_total_gc_seconds"}
    sent += native(name | mine, T0, 20, 3)
    of_a_jvm = {"__name__": "jvm_gc_duration_seconds", "jvm_gc_name": "G1 Young Generation"}
    sent += native(of_a_jvm | mine | {"host": "native jvm", "instance": "jvm:1"}, T0, 5, 1)
    with prometheus(tmp_path_factory.mktemp("runtimes"), flags=FLAGS) as url:
        write(url, sent)
        yield url


@pytest.fixture
def source(server: str) -> Iterator[PrometheusSource]:
    made = PrometheusSource(server, timeout=60)
    yield made
    made.close()


async def sample_of(source: PrometheusSource, host: str) -> RuntimeSample:
    found = await source.runtime("shop", "prod", (host,), T0 + 5)
    assert isinstance(found, RuntimeSnapshot), found
    [sample] = found.hosts
    return sample


async def test_go_by_default(source: PrometheusSource) -> None:
    found = await sample_of(source, "client_golang")
    assert found.heap == 4194304 / 2, "Go collects when the live heap has doubled"
    assert found.used == 258800
    assert found.spent == PausesSpent(2, 0.000102963, 6.0921e-05)
    assert not found.pauses
    assert found.born == 1796019574.64
    assert (found.resident, found.files) == (8916992, 9)


async def test_go_with_its_runtime_metrics(source: PrometheusSource) -> None:
    found = await sample_of(source, "client_golang_runtime")
    assert found.heap == 287928, "what it says of the live heap goes before what follows from its goal"
    assert found.pauses[math.inf] == 4
    assert found.spent is None, "control: the histogram goes before the sums"


async def test_micrometer(source: PrometheusSource) -> None:
    found = await sample_of(source, "micrometer")
    assert (found.heap, found.used) == (30 * MIB, (5 + 40 + 20) * MIB), "all pools of the heap, and none beside it"
    assert found.spent
    assert (found.spent.count, found.spent.longest) == (15, 0.25)
    assert found.spent.total == pytest.approx(0.32)
    assert (found.files, found.resident, found.born) == (61, None, 1_699_999_000)


async def test_opentelemetry_of_a_jvm(source: PrometheusSource) -> None:
    found = await sample_of(source, "otel_java")
    assert (found.heap, found.used, found.files) == (30 * MIB, 60 * MIB, 61)
    assert found.pauses == {0.01: 12, 0.1: 14, 1.0: 15, 10.0: 15, math.inf: 15}, (
        "all that stop it, and no cycles beside"
    )


async def test_opentelemetry_of_go(source: PrometheusSource) -> None:
    found = await sample_of(source, "otel_go")
    assert found.heap == 40 * MIB
    assert found.pauses == {0.005: 12, 0.01: 14, 0.25: 15, math.inf: 15}


async def test_pages_that_opentelemetry_itself_wrote_for_a_go_program(source: PrometheusSource) -> None:
    """Recorded from the library, see ``expositions/made``: with its scope on each series, and with its own buckets."""
    found = await sample_of(source, "otel_go_recorded")
    assert (found.heap, found.used, found.pauses, found.spent) == (2 * MIB, None, {}, None)
    older = await sample_of(source, "otel_go_recorded_deprecated")
    assert (older.heap, older.used) == (2 * MIB, 340960)
    assert older.pauses == {}, "buckets that end at 10 µs tell nothing of pauses over 10 ms"
    assert older.spent == PausesSpent(3, pytest.approx(0.011362422), None)
    for name in ("otel_go_recorded", "otel_go_recorded_deprecated"):
        scopes = {labels.get("otel_scope_version") for labels, _ in told(name, "h")} - {None}
        assert scopes == {"0.72.0"}, "control: it is the library's own"


async def test_client_java(source: PrometheusSource) -> None:
    found = await sample_of(source, "client_java")
    assert (found.heap, found.used, found.resident) == (None, 60 * MIB, 256 * MIB)
    assert found.spent == PausesSpent(14, 0.07, None)


@pytest.mark.parametrize(("host", "quick", "long"), [("native", 20, 3), ("native jvm", 5, 1)])
async def test_a_native_histogram_is_read_at_the_bounds_that_matter(
    source: PrometheusSource, host: str, quick: int, long: int
) -> None:
    found = await sample_of(source, host)
    assert found.pauses == {0.010: quick, 0.200: quick, math.inf: quick + long}


async def test_a_process_that_two_servers_scrape_is_read_from_one(source: PrometheusSource) -> None:
    found = await sample_of(source, "pair")
    assert (found.files, found.spent and found.spent.count) == (9, 2)
    several = await source.runtime("shop", "prod", ("twins",), T0 + 5)
    assert isinstance(several, RuntimeSnapshot)
    assert several.hosts == (), "control: two processes on one host are nobody's"


async def test_native_histograms_in_a_range_are_no_samples_and_break_nothing(source: PrometheusSource) -> None:
    assert await source._ask('{__name__="go_sched_pauses_total_gc_seconds"}[5m]', T0 + 5, []) == []


def test_every_name_is_asked_for_once_and_by_its_dotted_form() -> None:
    asked = names()
    assert len(set(asked)) == len(asked)
    assert {"jvm.memory.used", "jvm.memory.used_after_last_gc", "jvm.gc.duration_bucket", "go.memory.gc.goal"} <= {
        *asked
    }
    assert "process.runtime.go.gc.pause_ns_bucket" in asked
    assert {one.name for one in TABLE} <= {*asked} | {one.name for one in TABLE if one.what == "pauses"}


def test_a_trail_of_sums_counts_the_pauses_that_were_long() -> None:
    trail = RuntimeTrail()
    for at, spent in enumerate(
        [PausesSpent(10, 0.05), PausesSpent(12, 0.1), PausesSpent(40, 0.12), PausesSpent(41, 0.42)]
    ):
        trail.add(RuntimeSnapshot(T0 + at, (RuntimeSample("h1", T0 + at, spent=spent),)))
    facts = trail.facts(["h1"], [])
    assert facts.canary_pauses == pytest.approx(3, abs=0.1), "two of 25 ms, none among 28 of 1 ms, one of 300 ms"
    assert (facts.gc_missing, facts.gc_note) == (False, "by their mean, for there is no histogram")
    assert facts.pauses_over == 0.010
