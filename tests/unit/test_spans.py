"""Spans of a release: one tree in one trace, with the attributes promised, and a collector that costs nothing."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gopub.errors import GopubError
from gopub.process import base_environment, run
from gopub.telemetry import REDACTOR
from gopub.tracing import attributes, spans
from gopub.tracing.attributes import Value
from gopub.tracing.backends.otel import FLUSH, LAST
from gopub.tracing.context import TraceContext, begin, current, header, parse, within
from gopub.tracing.exporting import exporting, trouble, wanted
from gopub.tracing.spans import Kind, span
from tasks.box import box
from tasks.tracing import traced
from tests.support.doubles import MemoryChannel
from tests.support.rollout_world import World, in_memory, reach

PAGE = Path(__file__).parents[2] / "docs/concepts/tracing.md"


@dataclass
class Seen:
    """A span, as it was told."""

    name: str
    kind: Kind
    attributes: dict[str, Value]
    above: TraceContext | None
    place: TraceContext
    error: str = ""
    says: str = ""
    over: bool = False

    def add(self, more: Mapping[str, Value]) -> None:
        self.attributes |= more

    def fail(self, kind: str, says: str) -> None:
        self.error, self.says = kind, says

    def end(self) -> None:
        self.over = True


@dataclass
class Recording:
    """Keeps every span."""

    seen: list[Seen] = field(default_factory=list)

    def begin(self, name: str, kind: Kind, said: Mapping[str, Value], above: TraceContext | None) -> Seen:
        self.seen.append(Seen(name, kind, dict(said), above, above.child() if above else begin()))
        return self.seen[-1]

    def named(self, name: str) -> list[Seen]:
        return [one for one in self.seen if one.name == name]


@pytest.fixture
def kept() -> Iterator[Recording]:
    made = Recording()
    spans.keep(made)
    yield made
    spans.keep(None)


def test_what_is_done_within_a_span_is_below_it(kept: Recording) -> None:
    place = begin()
    with within(place), span("outer"), span("inner", Kind.CLIENT, {"a": 1}) as told:
        assert current() == told.place
        told.add({"b": "2"})
    outer, inner = kept.seen
    assert (outer.above, inner.above, inner.attributes) == (place, outer.place, {"a": 1, "b": "2"})
    assert {one.place.trace for one in kept.seen} == {place.trace}
    assert all(one.over and not one.error for one in kept.seen)
    assert current() is None


def test_an_error_is_told_by_its_code_and_without_secrets(kept: Recording) -> None:
    REDACTOR.learn("hunter2-hunter2")
    for error, code in (
        (GopubError("GP446", "it says hunter2-hunter2\n\x1b[2J"), "GP446"),
        (ValueError("x"), "ValueError"),
    ):
        with pytest.raises(type(error)), span("box"):
            raise error
        assert kept.seen[-1].error == code
        assert "hunter2" not in kept.seen[-1].says and "\x1b" not in kept.seen[-1].says
        assert kept.seen[-1].over


def test_without_a_place_to_go_a_span_is_nothing_and_the_trace_is_carried_on() -> None:
    place = begin()
    with within(place), span("box") as told:
        told.add({"a": 1})
        told.fail("x", "y")
        assert (current(), told.place) == (place, place)


async def test_a_rollout_is_a_tree_whose_orders_and_tables_say_whom_they_were_for(tmp_path, monkeypatch, kept) -> None:
    in_memory(monkeypatch)
    told: list[str] = []
    through = MemoryChannel.run

    async def listening(self, order, payload=(), *, timeout=9):
        told.append(order.trace)
        return await through(self, order, payload, timeout=timeout)

    monkeypatch.setattr(MemoryChannel, "run", listening)
    world, root = World(tmp_path), begin()
    with within(root):
        driver = world.driver()
        async with driver.driving():
            await reach(driver)
    orders = [one for one in kept.seen if one.name.startswith("order ")]
    tables = kept.named("put table")
    assert orders and tables and {one.kind for one in (*orders, *tables)} == {Kind.CLIENT}
    assert {one.place.trace for one in kept.seen} == {root.trace}
    assert [parse(said).span for said in told] == [one.place.span for one in orders], "a host's parent is its order"
    for one in orders:
        assert one.attributes["host.name"] in world.names
        assert one.attributes["service.instance.id"] == f"hello@{one.attributes['host.name']}"
    for one in (*orders, *tables):
        assert one.attributes["deployment.environment.name"] == one.attributes["deployment.environment"] == "lab"
        assert one.attributes["gopub.app"] == "hello"
        assert set(one.attributes) <= set(attributes.ALL)
    known = {root.span} | {one.place.span for one in kept.seen}
    assert all(one.above and one.above.span in known for one in kept.seen), "nothing hangs in the air"


async def test_an_order_that_is_refused_is_an_error_by_its_code(tmp_path, monkeypatch, kept) -> None:
    in_memory(monkeypatch)
    world = World(tmp_path)
    world.machines["app1"].bad = frozenset({world.new})
    driver = world.driver()
    async with driver.driving():
        await reach(driver)
    assert "GP446" in {one.error for one in kept.seen if one.name.startswith("order ")}


async def test_a_box_is_a_span_and_keeps_its_parameters(kept: Recording) -> None:
    @box(name="twice", limit=9)
    async def twice(number: int, *, more: int = 0) -> int:
        return 2 * number + more

    @box(name="once", limit=9)
    def once(number: int) -> int:
        return number

    assert list(inspect.signature(twice.fn).parameters) == ["number", "more"]
    assert (await twice.fn(3, more=1), once.fn(4)) == (7, 4)
    assert [one.name for one in kept.seen] == ["twice", "once"]


async def test_a_flow_inside_another_one_is_below_it(kept: Recording) -> None:
    @traced
    async def inner(app: str, env: str) -> str:
        return header()

    @traced
    async def outer(**named: str) -> str:
        return await inner(app="hello", env="prod")

    said = await outer(app="hello", version="1.0.0")
    one, two = kept.seen
    assert (one.kind, two.kind) == (Kind.CONSUMER, Kind.INTERNAL)
    assert two.above == one.place and parse(said) == two.place
    assert one.attributes == {"gopub.app": "hello", "service.version": "1.0.0"}


# --- OTLP


@dataclass
class Collector:
    """What a collector was sent, and how it answers."""

    answers: int = 200
    hangs: bool = False
    sent: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def spans(self) -> list[tuple[dict[str, str], dict[str, str], object]]:
        """Resource attributes, its own, and each span."""
        return [
            (texts(resource.resource.attributes), texts(one.attributes), one)
            for request in self.sent
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for one in scope.spans
        ]


def texts(pairs: object) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}  # type: ignore[attr-defined]


@contextmanager
def collector(**how: object) -> Iterator[Collector]:
    made = Collector(**how)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if made.hangs:
                made.go_on.wait(60)
                return
            made.sent.append(ExportTraceServiceRequest.FromString(body))
            made.headers.append(dict(self.headers))
            self.send_response(made.answers)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        made.go_on.set()
        server.shutdown()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    yield monkeypatch
    while any("Otel" in one.name or one.name.startswith(LAST) for one in threading.enumerate()):
        time.sleep(0.05)  # what still tries draws from `random`, under the tests that come next


def test_spans_reach_a_collector_as_one_tree_with_what_is_promised(asked: pytest.MonkeyPatch) -> None:
    with collector() as far:
        asked.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", far.url)
        asked.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a-secret-of-the-collector")
        asked.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=trade,team=night")
        place = begin()
        with exporting(), within(place), span("outer"), span("inner", Kind.CLIENT, {"host.name": "web1"}):
            pass
        assert REDACTOR.clean("a-secret-of-the-collector") != "a-secret-of-the-collector"
        assert far.headers[0]["x-key"] == "a-secret-of-the-collector"
        found = {one.name: (resource, own, one) for resource, own, one in far.spans()}  # type: ignore[attr-defined]
    resource, own, inner = found["inner"]
    outer = found["outer"][2]
    assert inner.parent_span_id == outer.span_id and outer.parent_span_id.hex() == place.span
    assert {one.trace_id.hex() for one in (inner, outer)} == {place.trace}
    assert own == {"host.name": "web1"}
    for name in ("service.name", "service.namespace", "service.version", "service.instance.id", "host.name"):
        assert resource[name], name
    assert (resource["service.namespace"], resource["team"]) == ("trade", "night"), "the environment's word goes first"


@pytest.mark.parametrize("how", [{"answers": 500}, {"answers": 400}, {"answers": 429}, {"hangs": True}], ids=str)
def test_a_collector_that_is_ill_costs_spans_and_the_flush_alone(
    asked: pytest.MonkeyPatch, how: dict[str, object]
) -> None:
    with collector(**how) as far:
        asked.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", far.url)
        since = time.monotonic()
        with exporting():
            for _ in range(5000):  # more than the queue holds
                with span("box"):
                    pass
            worked = time.monotonic()
        ended = time.monotonic()
    assert ended - worked < FLUSH + 5 * (worked - since) + 5, "it is waited for, and no longer"
    assert not spans.are_kept()


def test_a_collector_that_is_away_is_no_error(asked: pytest.MonkeyPatch) -> None:
    asked.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with exporting(), span("box"):
        assert spans.are_kept()


ASKED: list[tuple[dict[str, str], str, str]] = [
    ({}, "", ""),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp", ""),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "otlp", ""),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, "", ""),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, "", ""),
    ({"OTEL_TRACES_EXPORTER": "console"}, "console", ""),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp", ""),
    ({"OTEL_TRACES_EXPORTER": "zipkin"}, "", "OTEL_TRACES_EXPORTER is 'zipkin'"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp", "PROTOCOL is 'grpc'"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "otlp", ""),
]


@pytest.mark.parametrize(("environment", "how", "why"), ASKED)
def test_the_variables_of_opentelemetry_say_whether_and_how(environment: dict[str, str], how: str, why: str) -> None:
    assert wanted(environment) == how
    assert (why in trouble(environment)) is True and bool(trouble(environment)) is bool(why)


@pytest.mark.parametrize(
    "wrong",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"OTEL_BSP_MAX_QUEUE_SIZE": "-3"}],
    ids=str,
)
def test_a_wrong_variable_is_told_and_ends_nothing(asked: pytest.MonkeyPatch, caplog, wrong: dict[str, str]) -> None:
    asked.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name, value in wrong.items():
        asked.setenv(name, value)
    with exporting(), span("box"):
        assert not spans.are_kept()
    assert "no spans are sent" in caplog.text


def test_without_them_nothing_of_the_sdk_is_loaded() -> None:
    code = (
        "import sys; from gopub.tracing.exporting import exporting\n"
        "with exporting(): pass\n"
        "assert not [one for one in sys.modules if one.startswith('opentelemetry')]"
    )
    asyncio.run(run([sys.executable, "-c", code], env=base_environment(extra={"PYTHONPATH": str(PAGE.parents[2])})))


def test_the_page_lists_the_attributes() -> None:
    page = PAGE.read_text("utf-8")
    assert [one for one in attributes.ALL if f"`{one}`" not in page] == []
