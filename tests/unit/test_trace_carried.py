"""One trace from the request to hosts and edges: through orders, runs, the journal and whoever drives next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.starter import RunOrder
from gopub.fleet.orders import Order, Record
from gopub.journal.streams import env_stream, stream_of
from gopub.process import Result
from gopub.tracing.context import TraceContext, begin, header, of_trace, parse, within
from gopub.traffic import Peer, RouteTable, Track, to_json
from gopub.traffic.backends.nginx.client import NginxRouter, Question, read_status
from tests.support.doubles import MemoryChannel
from tests.support.enrolled import SHELLS, EnrolledHost
from tests.support.pinned_place import PinnedPlace
from tests.support.rollout_world import World, in_memory, reach
from tests.unit.apikit import HOOK_TOKEN, Kit, make_kit

PLACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
SAID = PLACE.header()
STABLE = Track("a" * 64, (Peer("a1", "10.0.0.1:80"),))
PUSH = (Path(__file__).parent / "webhooks/push.json").read_bytes()


# From a request to the run


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


async def hooked(kit: Kit, **headers: str) -> object:
    """Push, and start what that starts; gives what is told of the delivery."""
    answer = await kit.hook(PUSH, X_Gitlab_Token=HOOK_TOKEN, Idempotency_Key="d-1", **headers)
    await kit.settle()
    return (await kit.told(answer))["trace"]


async def test_what_a_delivery_starts_is_in_its_trace_and_says_so(kit: Kit) -> None:
    assert await hooked(kit, traceparent=SAID) == PLACE.trace
    (order,) = kit.starter.orders
    assert (order.trace, order.trace_id) == (SAID, PLACE.trace)


async def test_a_delivery_without_a_trace_begins_one(kit: Kit) -> None:
    trace = await hooked(kit)
    (order,) = kit.starter.orders
    assert of_trace(str(trace)) and order.trace_id == trace


@pytest.mark.parametrize("said", ["", "rubbish", f"00-{'0' * 32}-{'1' * 16}-01", SAID.upper(), f"{SAID} {SAID}"])
async def test_a_traceparent_that_is_none_is_as_good_as_none(kit: Kit, said: str) -> None:
    assert of_trace(str(await hooked(kit, traceparent=said)))


async def test_a_repeated_delivery_is_in_the_trace_of_the_first(kit: Kit) -> None:
    first = await hooked(kit, traceparent=SAID)
    again = await hooked(kit, traceparent=begin().header())
    assert (first, again, len(kit.starter.orders)) == (PLACE.trace, PLACE.trace, 1)


async def test_a_restarted_server_starts_what_waits_in_the_trace_that_it_came_in(kit: Kit, tmp_path: Path) -> None:
    await kit.hook(PUSH, X_Gitlab_Token=HOOK_TOKEN, Idempotency_Key="d-1", traceparent=SAID)
    after = make_kit(tmp_path)
    await after.settle()
    assert [order.trace for order in after.starter.orders] == [SAID]


async def test_who_deploys_by_rest_is_told_the_trace(kit: Kit) -> None:
    answer = await kit.deploy({"app": "orders", "version": "1.4.0", "env": "prod"}, headers={"traceparent": SAID})
    assert answer.status_code == 202
    assert [order.trace for order in kit.starter.orders] == [SAID]


async def test_who_is_not_known_starts_nothing_in_any_trace(kit: Kit) -> None:
    answer = await kit.hook(PUSH, X_Gitlab_Token="wrong", traceparent=SAID)
    assert (answer.status_code, kit.starter.orders) == (401, [])


def test_the_trace_makes_no_two_orders_of_one() -> None:
    with within(PLACE):
        mine = RunOrder("a", "e", "k", {})
    other = RunOrder("a", "e", "k", {})
    assert mine == other and mine.trace != other.trace


# From the rollout to hosts and edges


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """Every order that a host in memory gets."""
    in_memory(monkeypatch)
    heard: list[Order] = []
    run = MemoryChannel.run

    async def listening(
        self: MemoryChannel, order: Order, payload: Sequence[object] = (), *, timeout: float = 9
    ) -> Record:
        heard.append(order)
        return await run(self, order, payload, timeout=timeout)

    monkeypatch.setattr(MemoryChannel, "run", listening)
    return heard


async def driven(world: World) -> None:
    driver = world.driver()
    async with driver.driving():
        await reach(driver)


async def test_a_rollout_and_all_its_orders_are_in_the_trace_that_it_was_asked_for_in(tmp_path, orders) -> None:
    world = World(tmp_path)
    with within(PLACE):
        await driven(world)
    entries = [*world.journal.read(stream_of("r1")), *world.journal.read(env_stream("hello", "lab"))]
    assert {entry.trace for entry in entries} == {PLACE.trace}
    assert orders and {order.trace for order in orders} == {SAID}


async def test_whoever_goes_on_with_it_is_in_the_same_trace(tmp_path, orders) -> None:
    world = World(tmp_path)
    with within(PLACE):
        world.driver()
    with within(begin()):  # `recover` was started for another reason
        await driven(world)
    assert orders and {parse(order.trace).trace for order in orders} == {PLACE.trace}


async def test_a_rollout_that_nobody_traces_has_a_trace_of_its_own(tmp_path, orders) -> None:
    world = World(tmp_path)
    await driven(world)
    (trace,) = {entry.trace for entry in world.journal.read(stream_of("r1"))}
    assert of_trace(trace) and {parse(order.trace).trace for order in orders} == {trace}


def test_an_order_in_another_trace_is_the_same_order_to_a_host() -> None:
    plain = Order("verify", "h1", "m", "hello", "hello", "lab", 3, "ab", 1)
    traced = replace(plain, trace=SAID)
    assert plain.to_json() == traced.to_json()
    assert traced.pairs() == (*plain.pairs(), ("trace", SAID))


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_enrolled_host_notes_the_trace_and_takes_the_same_order_again_in_another(tmp_path, shell: str) -> None:
    host = EnrolledHost(tmp_path / "host")
    order = host.order(trace=SAID)
    assert host.obey(order, shell=shell).ok
    history = host.folder / "opt/orders/.gopub/history"
    assert f" trace={PLACE.trace} " in history.read_text()
    again = host.obey(replace(order, trace=begin().header()), shell=shell)
    assert again.ok and again.values["repeated"] == "true"
    other = host.obey(replace(order, reason="another"), shell=shell)
    assert other.code == "GP435", "control: a reason makes it another order"


@pytest.mark.parametrize("said", ["x", SAID + "\\n", SAID.upper(), SAID + '"', f"01-{SAID[3:]}", "$(id)"])
def test_a_host_takes_no_trace_that_is_none(tmp_path, shell: str, said: str) -> None:
    host = EnrolledHost(tmp_path / "host")
    assert host.obey(host.order(trace=said), shell=shell).code == "GP430"


async def test_a_host_whose_program_knows_no_trace_is_told_none(tmp_path) -> None:
    host = EnrolledHost(tmp_path / "host")
    older = host.text().replace("value traces 1", "true").replace(" | reason | trace) ;;", " | reason) ;;")
    assert "value traces" not in older
    place, order = PinnedPlace(host), host.order(trace=SAID)
    for text, traced in ((older, False), (host.text(), True)):
        host.program.write_text(text)
        place.pinned.enrolled, place.sent = None, []
        assert await place.pinned.is_enrolled(order)
        answer = await place.pinned.carry_out(replace(order, n=order.n + traced), ())
        assert answer.record.ok, answer.record.message
        assert (f"trace={SAID}".encode() in place.sent[-1]) is traced


class Edge:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        self.asked.append(tuple(argv))
        return Result(tuple(argv), 0, b'{"upstreams":{}}\n200', b"")


@pytest.mark.parametrize(("place", "said"), [(PLACE, f"traceparent: {SAID}"), (None, "")])
def test_an_edge_is_asked_within_the_trace(place: TraceContext | None, said: str) -> None:
    edge = Edge()

    async def connect(_: str) -> Edge:
        return edge

    with within(place):
        assert header() in said
        asyncio.run(NginxRouter(("e1",), connect).status("hello", "lab", "hello"))
        call = NginxRouter(("e1",), connect).to_ask(Question("PUT", "/v1/tables/hello"))
    headers = [word for argv in (*edge.asked, call.argv) for word in argv if word.startswith("traceparent")]
    assert headers == ([said] * 2 if said else [])


@pytest.mark.parametrize(("trace", "told"), [(PLACE.trace, PLACE.trace), (None, ""), ("x", ""), (7, ""), ("", "")])
def test_what_an_edge_says_of_a_trace_is_one_or_nothing(trace: object, told: str) -> None:
    table = to_json(RouteTable(app="hello", env="lab", upstream="hello", revision=4, stable=STABLE))
    status = read_status("e1", {"upstreams": {"hello": {"table": table, "trace": trace}}}, "hello", "lab", "hello")
    assert (status.error, status.trace) == ("", told)
