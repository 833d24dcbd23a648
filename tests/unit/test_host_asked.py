"""What readers of logs and drivers of edges ask, as orders to an enrolled host and as programs to any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.canon import sha256
from gopub.errors import GopubError
from gopub.fleet.asking import Asked, order_of, to_edge
from gopub.fleet.host import Host
from gopub.fleet.orders import Order
from gopub.fleet.signed import signed_lines
from gopub.health.backends.journald import to_read
from gopub.process import Call, Result, call_on
from gopub.rollout.hosts import log_targets
from tests.support.enrolled import MACHINE_ID, EnrolledHost
from tests.support.pinned_place import PinnedPlace
from tests.support.rollout_world import World

WHOSE = Order("logs", "h1", "m1", "hello", "hello", "lab")
PUT = Call("table-put", {"path": "/v1/tables/x", "signature": "", "within": "9"}, ("curl",), "shop", "prod", 4, "ab")


class Channel:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.host = Host("e1", "10.0.0.1")
        self.asked: list[object] = []

    async def ask(self, order: Order, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0) -> Result:
        del timeout
        self.asked.append((order, tuple(argv), stdin))
        return Result(tuple(argv), 0, b"", b"")

    async def exec(self, argv: Sequence[str], stdin: bytes = b"", *, by_root: bool = False) -> Result:
        self.asked.append((tuple(argv), stdin, by_root))
        return Result(tuple(argv), 0, b"", b"")


async def test_a_reading_is_an_order_to_the_instance_and_its_program_goes_along() -> None:
    channel, call = Channel(), to_read("hello.service", "s=1", 7.5)
    await call_on(Asked(channel, WHOSE), call)
    ((order, argv, stdin),) = channel.asked
    assert (order.verb, order.host, order.machine_id, order.instance, order.env) == ("logs", "h1", "m1", "hello", "lab")
    assert (order.arguments, argv, stdin) == (call.arguments, call.argv, b"")
    assert {key for key, _ in order.pairs()} >= {"arg.cursor", "arg.age", "arg.most", "arg.lines", "arg.within"}


async def test_a_rollout_reads_each_host_as_the_instance_of_its_plan(tmp_path: Path) -> None:
    run = World(tmp_path).driver()
    targets = await log_targets(run)
    assert {target.host for target in targets} == {"app1", "app2", "app3", "app4"}
    for target in targets:
        assert isinstance(target.channel, Asked)
        order = target.channel.order
        assert (order.host, order.machine_id) == (target.host, run.plan.host(target.host).machine_id)
        assert (f"{order.instance}.service", order.app, order.env) == (target.unit, run.plan.app, run.plan.env)


async def test_a_table_is_an_order_for_its_app_that_says_size_and_digest_of_what_follows() -> None:
    channel = Channel()
    await call_on(to_edge(channel, "e1"), PUT, b"{}")
    ((order, argv, stdin),) = channel.asked
    assert (order.verb, order.host, order.instance, order.app, order.env) == ("table-put", "e1", "shop", "shop", "prod")
    assert (order.epoch, order.token, order.n) == (4, "ab", 0)
    assert order.arguments == PUT.arguments | {"files_size": "2"}
    assert (order.digests, argv, stdin) == ({"files": sha256(b"{}")}, ("curl",), b"{}")


async def test_a_program_is_one_and_roots_only_where_that_is_said() -> None:
    channel = Channel()
    await to_edge(channel, "e1").exec(("nginx", "-t"))
    await to_edge(channel, "e1", by_root=True).exec(("nginx", "-t"), b"x")
    assert channel.asked == [(("nginx", "-t"), b"", False), (("nginx", "-t"), b"x", True)]


async def test_a_place_that_knows_no_verbs_is_given_the_program() -> None:
    channel = Channel()
    await call_on(channel, PUT, b"{}")
    assert channel.asked == [(("curl",), b"{}", False)]


def test_a_verb_that_no_host_knows_is_no_order() -> None:
    with pytest.raises(GopubError, match="GP416 no host knows the verb 'table-patch'"):
        order_of(Call("table-patch", {}, ()), WHOSE, b"")


@pytest.fixture
def place(tmp_path: Path) -> PinnedPlace:
    """An enrolled edge where nothing listens: curl says so, and that is an answer."""
    host = EnrolledHost(tmp_path / "host")
    host.enroll(socket=f"{tmp_path}/none.sock")
    return PinnedPlace(host, env="prod")


async def test_a_table_that_was_put_is_put_no_second_time_by_who_kept_the_order(place: PinnedPlace) -> None:
    """Nor for another host, nor with another table behind it; what changes nothing may be asked again."""
    done = await place.by_verb(PUT, b"{}")
    assert done.code == 7, done
    kept = place.sent[-1]
    assert kept.endswith(b"\n\n{}")
    assert place.host.ask(kept, verb="table-put").code == "GP463"
    assert place.host.ask(kept[:-2] + b"[]", verb="table-put").code == "GP463"
    await place.by_verb(replace(PUT, verb="table-get", arguments={"path": "/v1/status?upstream=x", "within": "9"}))
    asked = place.sent[-1]
    assert b"\nvalue.exit=7\n" in place.host.say(asked).stdout, "control: it carries no nonce"


async def test_another_table_than_the_signed_one_is_not_put(place: PinnedPlace) -> None:
    asked = order_of(PUT, Order("logs", "h1", MACHINE_ID, "", "", ""), b"{}")
    head = signed_lines(asked, place.host.key, place.host.given(asked))
    assert place.host.ask(head + b"[]", verb="table-put").code == "GP425"
    head = signed_lines(asked, place.host.key, place.host.given(asked, "ef" * 16))
    assert b"\nvalue.exit=7\n" in place.host.say(head + b"{}").stdout, "control"
