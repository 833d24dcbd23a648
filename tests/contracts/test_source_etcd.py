"""Route tables that reach an edge from a real etcd: killed, frozen, emptied, compacted, and full of garbage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.traffic import RouteTable, encode
from gopub.traffic.sources.etcd import Etcd as EtcdKey
from tests.contracts.edge_nginx import Backend, route_table
from tests.contracts.edge_source import Etcd, coded, envelope, eventually, running_etcd, running_watcher, steadily
from tests.contracts.test_edge_signed import lay, table_key
from tests.contracts.tls_server import HERE, serving


@pytest.fixture(scope="module")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with running_etcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield etcd


@pytest.fixture
async def etcd(etcd_server: Etcd) -> Etcd:
    """The one of this module; a test may leave it stopped."""
    if etcd_server.process is None:
        etcd_server.start()
    await etcd_server.answers()
    return etcd_server


def ordered(backends: list[Backend], revision: int, weight: int = 0) -> RouteTable:
    return route_table(
        backends[:1], backends[1:], rollout="r-1", weight=weight, revision=revision, epoch=1, token="t", n=revision
    )


def settings(etcd: Etcd, prefix: str) -> tuple[str, ...]:
    return "kind etcd", f"endpoint {etcd.url}", f"prefix {prefix}"


@pytest.mark.parametrize("shell", ["dash", "busybox"])
async def test_a_table_of_etcd_is_in_force_at_once_and_a_deleted_key_changes_nothing(etcd, edge, backends, shell):
    prefix = f"gopub/{shell}"
    await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 1)))
    with running_watcher(edge, *settings(etcd, prefix), shell=shell) as watcher:
        await watcher.reaches(1)
        async with steadily(edge, backends) as found:
            for revision in range(2, 7):
                await etcd.put(f"{prefix}/hello", envelope(ordered(backends, revision, 10_000 * (revision % 2))))
                await watcher.reaches(revision)
            await etcd.ask("/v3/kv/deleterange", {"key": coded(f"{prefix}/hello".encode())})
            other = replace(ordered(backends, 1), upstream="other")
            await etcd.put(f"{prefix}/other", envelope(other))

            async def there() -> bool:
                return await watcher.revision("other") == 1

            await eventually(there)  # so the deletion was seen as well
            assert await watcher.revision() == 6
        assert found.is_whole(backends), found
        told = await watcher.is_up(up=True)
        assert (told["kind"], told["refused"], told["what"]) == ("etcd", 0, "")
        assert (await edge.metrics())['gopub_edge_source_up{kind="etcd"}'] == 1


async def test_the_last_table_serves_while_etcd_is_killed_frozen_or_emptied(etcd, edge, backends):
    prefix = "gopub/away"
    await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 1)))
    with running_watcher(edge, *settings(etcd, prefix)) as watcher:
        await watcher.reaches(1)
        async with steadily(edge, backends) as found:
            etcd.stop()
            told = await watcher.is_up(up=False)
            assert told["what"].startswith(("no answer: ", "its watch ended: ")), told
            assert (await edge.metrics())['gopub_edge_source_up{kind="etcd"}'] == 0
            etcd.start()
            await etcd.answers()
            await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 2)))
            await watcher.reaches(2)
            await watcher.is_up(up=True)

            etcd.freeze()  # its connections stay, and say nothing
            await watcher.is_up(up=False)
            etcd.freeze(frozen=False)
            await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 3)))
            await watcher.reaches(3)

            etcd.stop()
            etcd.start(folder="emptied")
            await etcd.answers()
            await watcher.is_up(up=True)
            assert await watcher.revision() == 3, "an empty source takes nothing away"
            await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 2)))
            told = await watcher.has_refused()
            assert "409" in told["what"], told
            assert await watcher.revision() == 3, "an older one is refused"
            await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 4)))
            await watcher.reaches(4)
        assert found.is_whole(backends), found


async def test_a_compacted_etcd_is_read_anew(etcd, edge, backends):
    prefix = "gopub/compacted"
    await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 1)))
    with running_watcher(edge, *settings(etcd, prefix)) as watcher:
        await watcher.reaches(1)
        for revision in range(2, 6):
            made = await etcd.put(f"{prefix}/hello", envelope(ordered(backends, revision)))
            await etcd.ask("/v3/kv/compaction", {"revision": str(made), "physical": True})
        await watcher.reaches(5)
        assert (await watcher.is_up(up=True))["what"] == ""


GARBAGE = {
    b"hello": "no envelope",
    b"": "no envelope",
    b"gopub-table/v1 hello\n-\n": "status 422",
    b"gopub-table/v1 hello\n-\n" + bytes(1000): "status 422",
    b"gopub-table/v1 hello\n-\n" + b" " * 1_400_000: "more than 1 MiB",
    b"gopub-table/v1 hello\nx\r\nX-Other: 1\n{}": "no envelope",
    b"gopub-table/v1 hello\n-\n\xff\xfe{}": "status 422",
}
NO_NAMES = ("../hello", "HELLO", "x" * 200, "hello/there", "\u00e4", ".hello", "a b", "")


async def test_garbage_is_refused_once_and_the_last_table_goes_on(etcd, edge, backends):
    prefix = "gopub/garbage"
    await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 1)))
    with running_watcher(edge, *settings(etcd, prefix), "again 3600") as watcher:
        await watcher.reaches(1)
        await watcher.is_up(up=True)
        async with steadily(edge, backends) as found:
            for at, (value, said) in enumerate(GARBAGE.items()):
                await etcd.put(f"{prefix}/hello", value)
                told = await watcher.has_refused(at)
                assert said in told["what"], (value[:40], told)
            for at, name in enumerate(NO_NAMES, len(GARBAGE)):
                await etcd.put(f"{prefix}/{name}", envelope(ordered(backends, 9), name=name))
                assert "no name of an upstream" in (await watcher.has_refused(at))["what"], name
            assert await watcher.revision() == 1
            await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 9), name="another"))
            await watcher.has_refused(len(GARBAGE) + len(NO_NAMES))
            await etcd.put(f"{prefix}/hello", envelope(ordered(backends, 2)))
            await watcher.reaches(2)
        assert found.is_whole(backends), found
        told = await watcher.is_up(up=True)  # the source answers, whatever it says
        assert told["refused"] == len(GARBAGE) + len(NO_NAMES) + 1, "each once, and nothing is asked in a circle"


async def test_a_watcher_that_is_gone_is_told_too(edge, etcd):
    with running_watcher(edge, *settings(etcd, "gopub/gone")) as watcher:
        await watcher.is_up(up=True)
        watcher.process.kill()
        body = b'{"kind":"etcd","up":true,"since":1,"last":1,"refused":0,"within":0,"what":""}'
        assert (await edge.control("PUT", "/v1/source", body))[0] == 200
        told = await watcher.is_up(up=False)
        assert told["what"] == "its watcher on the edge says nothing any more"


async def test_the_edge_keeps_no_report_that_is_none(edge):
    for body in (b"", b"[]", b"{", b'{"kind":"x"}', b'{"kind":"etcd","up":true,"what":1}'):
        assert (await edge.control("PUT", "/v1/source", body))[0] == 422
    _, status = await edge.control("GET", "/v1/status")
    assert b'"source":null' in status


async def test_control_a_client_that_never_retries_sees_what_is_lost(edge, backends):
    await edge.put(ordered(backends, 1))
    async with steadily(edge, backends) as found:
        await backends[0].stop()

        async def lost() -> bool:
            return bool(found.failed)

        await eventually(lost)
    assert not found.is_whole(backends)


async def test_what_no_key_signed_is_refused_on_its_way_through_etcd(etcd, edge, backends):
    """Whoever may write there, as long as a key lies on the edge."""
    prefix, key = "gopub/signed", table_key()
    lay(edge, key)
    await edge.restart()
    table, other = ordered(backends, 1), ordered(backends, 2)
    with running_watcher(edge, *settings(etcd, prefix), "again 3600") as watcher:
        for at, signature in enumerate(("-", "x", key.header(encode(other)), table_key().header(encode(table)))):
            await etcd.put(f"{prefix}/hello", envelope(table, signature=signature))
            told = await watcher.has_refused(at)
            assert "status 403" in told["what"], signature
        assert await watcher.revision() == 0
        await etcd.put(f"{prefix}/hello", envelope(table, signature=key.header(encode(table))))
        await watcher.reaches(1)


async def say(etcd: Etcd, path: str, **question: object) -> None:
    await etcd.ask(f"/v3/auth/{path}", question)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Etcd]:
    """One that asks who it is: edge may read below gopub/, driver may write there."""
    (tmp_path / "guarded").mkdir()
    with running_etcd(tmp_path / "guarded") as etcd:
        await etcd.answers()
        below = {"key": coded(b"gopub/"), "range_end": coded(b"gopub0")}
        for name, may in (("root", ""), ("edge", "READ"), ("driver", "READWRITE")):
            await say(etcd, "user/add", name=name, password=f"{name}-password")
            await say(etcd, "role/add", name=name)
            if may:
                await say(etcd, "role/grant", name=name, perm={"permType": may, **below})
            await say(etcd, "user/grant", user=name, role=name)
        await say(etcd, "enable")
        yield etcd


async def test_an_etcd_that_asks_who_it_is(guarded, edge, backends, monkeypatch):
    for name in ("driver", "edge"):
        monkeypatch.setenv(f"PASSWORD_{name.upper()}", f"{name}-password")
    source, other = (
        EtcdKey(
            endpoints=(guarded.url,), prefix="gopub/p", user=name, password={"env": f"PASSWORD_{name.upper()}"}
        ).open()
        for name in ("driver", "edge")
    )
    assert await source.swap("hello", envelope(ordered(backends, 1)), None)
    held = await other.read("hello")
    with pytest.raises(GopubError, match="may not both read and write"):
        await other.swap("hello", b"x", held)
    access = edge.root / "watcher" / "access"
    access.mkdir(parents=True)
    with running_watcher(edge, *settings(guarded, "gopub/p")) as watcher:
        await watcher.is_up(up=False)
        (access / "login.json").write_text('{"name": "edge", "password": "wrong"}')

        async def is_refused() -> bool:
            return "login.json is refused" in (await watcher.source())["what"]

        await eventually(is_refused)
        (access / "login.json").write_text('{"name": "edge", "password": "edge-password"}')
        await watcher.reaches(1)
        guarded.stop()  # it forgets every token
        guarded.start()

        async def taken() -> bool:
            try:
                return await source.swap("hello", envelope(ordered(backends, 2)), await source.read("hello"))
            except GopubError:
                return False

        await eventually(taken)
        await watcher.reaches(2)
    await source.close()
    await other.close()


async def test_a_gateway_that_sets_spaces_is_read_as_well(edge, backends):
    """As newer ones do, here and there, on purpose."""
    value = coded(envelope(ordered(backends, 1)))
    answer = (
        '{"header": {"cluster_id":"7",  "member_id": "8", "revision": "5", "raft_term":"2"}, "kvs":[ {"key": "'
        + coded(b"gopub/spaces/hello")
        + f'", "create_revision":"5",  "mod_revision": "5", "version":"1", "value": "{value}", "lease":"0"}} ],'
        ' "more":false, "count": "1"}'
    )
    with serving(None, lambda *_: (200, {}, answer.encode())) as server:
        lines = ("kind etcd", f"endpoint http://{HERE}:{server.port}", "prefix gopub/spaces")
        with running_watcher(edge, *lines) as watcher:
            await watcher.reaches(1)
