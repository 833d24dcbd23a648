"""What readers of logs and drivers of edges ask, as orders to an enrolled host and as programs to any other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gopub.canon import sha256
from gopub.errors import GopubError
from gopub.fleet.asking import Asked, order_of, to_edge
from gopub.fleet.host import Host
from gopub.fleet.orders import Order
from gopub.health.backends.journald import to_read
from gopub.process import Call, Result, call_on

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
