"""Tags of gray traffic through real gRPC servers and channels in Python (python/gray)."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import pytest

from gopub_gray import carrying, current
from gopub_gray.rpc import client_interceptors, hosts_of, server_interceptor


def seen(context) -> bytes:
    """Tags by the context, and what of the metadata carries them; "mine" is somebody else's."""
    pairs = [
        tuple(pair)
        for pair in context.invocation_metadata()
        if pair[0] in ("x-gray-tag", "x-gray-rule", "baggage", "mine")
    ]
    return f"{','.join(current())} {sorted(pairs)}".encode()


async def unary(request, context):
    await asyncio.sleep(0)
    return seen(context)


def unary_in_a_thread(request, context):
    assert threading.current_thread() is not threading.main_thread()
    return seen(context)


async def server_stream(request, context):
    for _ in range(3):
        yield seen(context)


def server_stream_in_threads(request, context):
    for _ in range(3):
        yield seen(context)


async def server_stream_that_writes(request, context):
    for _ in range(3):
        await context.write(seen(context))


async def client_stream(requests, context):
    async for _ in requests:
        pass
    return seen(context)


async def both(requests, context):
    async for _ in requests:
        yield seen(context)


def both_in_threads(requests, context):
    for _ in requests:
        yield seen(context)


METHODS = {
    "unary_unary": (unary, unary_in_a_thread),
    "unary_stream": (server_stream, server_stream_in_threads, server_stream_that_writes),
    "stream_unary": (client_stream,),
    "stream_stream": (both, both_in_threads),
}


@pytest.fixture
async def port():
    with ThreadPoolExecutor(4) as pool:
        server = grpc.aio.server(migration_thread_pool=pool, interceptors=[server_interceptor()])
        handlers = {
            plain.__name__: getattr(grpc, f"{kind}_rpc_method_handler")(plain)
            for kind, all_of_them in METHODS.items()
            for plain in all_of_them
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t", handlers),))
        found = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield found
        await server.stop(None)


async def answers(channel, metadata=None) -> set[str]:
    """What all methods say, each item once."""
    said = []
    for kind, all_of_them in METHODS.items():
        asks, says = kind.split("_")
        for plain in all_of_them:
            sent = b"" if asks == "unary" else iter([b"1", b"2"])
            call = getattr(channel, kind)(f"/t/{plain.__name__}")(sent, metadata=metadata)
            said += [await call] if says == "unary" else [item async for item in call]
    assert len(said) == 3 + 9 + 4
    return {item.decode() for item in said}


def channel(port: int, *hosts: str) -> grpc.aio.Channel:
    target = f"ipv4:127.0.0.1:{port}"
    return grpc.aio.insecure_channel(target, interceptors=client_interceptors(target, *hosts))


async def test_tags_go_on_with_each_kind_of_call_and_what_others_wrote_is_kept(port: int):
    async with channel(port, "127.0.0.0/8") as inside:
        with carrying(("a", "b")):
            ours = "a,b [('baggage', 'gray.tags=a%2Cb'), ('x-gray-tag', 'a,b')]"
            assert await answers(inside) == {ours}
            theirs = (("mine", "1"), ("baggage", "k=1;p,gray.tags=old"), ("x-gray-tag", "old"), ("mine", "2"))
            kept = "[('baggage', 'k=1;p,gray.tags=a%2Cb'), ('mine', '1'), ('mine', '2'), ('x-gray-tag', 'a,b')]"
            assert await answers(inside, theirs) == {f"a,b {kept}"}
        assert await answers(inside) == {" []"}


async def test_tags_never_leave_the_house(port: int):
    async with channel(port, "*.corp", "10.0.0.0/8") as outside:
        with carrying(("a",)):
            assert await answers(outside) == {" []"}
            byhand = (("x-gray-tag", "a"), ("x-gray-rule", "r@7"), ("baggage", "gray.tags=a,k=1,gray.rule=r@7"))
            assert await answers(outside, byhand) == {" [('baggage', 'k=1')]"}


async def test_hostile_metadata_changes_nothing(port: int):
    """Within 8 KiB of metadata: gRPC itself refuses more, at times."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as bare:
        for line in ("a b", ",".join(["a"] * 1000), "x" * 5000, "-a", "a;b", "," * 4097):
            for key in ("x-gray-tag", "baggage"):
                pair = (key, line if key == "x-gray-tag" else f"gray.tags=!{line[:1500].replace(',', '%2C')}")
                assert (await bare.unary_unary("/t/unary")(b"", metadata=(pair,))).startswith(b" [")
        assert (await bare.unary_unary("/t/unary")(b"", metadata=(("x-gray-tag", "a"),))).startswith(b"a ["), "control"


async def test_calls_at_once_never_cross(port: int):
    """In the server, and where two calls are made at once for one request."""
    async with channel(port, "127.0.0.1") as inside:
        call = inside.unary_unary("/t/unary")

        async def one(tag: str):
            with carrying((tag,)):
                return await asyncio.gather(call(b""), call(b""))

        wrong = []
        for start in range(0, 1000, 250):
            tags = [f"t{n}" for n in range(start, start + 250)]
            for tag, said in zip(tags, await asyncio.gather(*map(one, tags)), strict=True):
                wrong += [both for both in said if not both.startswith(f"{tag} ".encode())]
        assert wrong == []


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("orders.corp:443", ("orders.corp:443",)),
        ("dns:///orders.corp:443", ("orders.corp:443",)),
        ("dns://8.8.8.8/orders.corp:443", ("orders.corp:443",)),
        ("dns:orders.corp", ("orders.corp",)),
        ("DNS:///orders.corp", ("orders.corp",)),
        ("ipv4:10.0.0.1:443,192.0.2.1:443", ("10.0.0.1:443", "192.0.2.1:443")),
        ("ipv6:[fd00::1]:443", ("[fd00::1]:443",)),
        ("[fd00::1]:443", ("[fd00::1]:443",)),
        ("unix:orders.corp", ()),
        ("unix:///orders.corp", ()),
        ("dns:///evil.example%2forders.corp", ()),
    ],
)
def test_the_hosts_of_a_target(target: str, hosts: tuple[str, ...]):
    assert hosts_of(target) == hosts


def test_a_list_of_addresses_is_of_the_house_if_all_of_them_are():
    for target, inside in (("ipv4:10.0.0.1:443,10.0.0.2:443", True), ("ipv4:10.0.0.1:443,192.0.2.1:443", False)):
        assert {one._inside for one in client_interceptors(target, "10.0.0.0/8")} == {inside}
