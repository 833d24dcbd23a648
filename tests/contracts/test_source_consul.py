"""Route tables that reach an edge from Consul's KV, as its manual says that it answers (see ``consul_double``)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gopub.errors import GopubError
from gopub.traffic import RouteTable
from gopub.traffic.sources.consul import Consul as ConsulKey
from tests.contracts.consul_double import Consul, running_consul
from tests.contracts.edge_nginx import Backend, route_table
from tests.contracts.edge_source import envelope, eventually, running_watcher, steadily


@pytest.fixture(scope="module")
def consul_server() -> Iterator[Consul]:
    with running_consul() as consul:
        yield consul


@pytest.fixture
def consul(consul_server: Consul) -> Consul:
    consul_server.frozen = consul_server.leaderless = False
    consul_server.says_index, consul_server.token = True, ""
    return consul_server


def ordered(backends: list[Backend], revision: int, weight: int = 0) -> RouteTable:
    return route_table(
        backends[:1], backends[1:], rollout="r-1", weight=weight, revision=revision, epoch=1, token="t", n=revision
    )


def settings(consul: Consul, prefix: str) -> tuple[str, ...]:
    return "kind consul", f"endpoint {consul.url}", f"prefix {prefix}"


@pytest.mark.parametrize("shell", ["dash", "busybox"])
async def test_a_table_of_consul_is_in_force_at_once_and_a_deleted_key_changes_nothing(consul, edge, backends, shell):
    prefix = f"gopub/{shell}"
    with running_watcher(edge, *settings(consul, prefix), shell=shell) as watcher:
        await watcher.is_up(up=True)  # nothing lies there yet, which is no fault
        consul.put(f"{prefix}/hello", envelope(ordered(backends, 1)))
        await watcher.reaches(1)
        async with steadily(edge, backends) as found:
            for revision in range(2, 6):
                consul.put(f"{prefix}/hello", envelope(ordered(backends, revision, 10_000 * (revision % 2))))
                await watcher.reaches(revision)
            consul.delete(f"{prefix}/hello")
            consul.put(f"{prefix}/", b"")  # a folder, as its page makes one
            consul.put(f"{prefix}/sub/hello", envelope(ordered(backends, 9)))
            consul.put(f"{prefix}/hello", b"")
            told = await watcher.has_refused(1)
            assert await watcher.revision() == 5
            assert told["up"]
        assert found.is_whole(backends), found


async def test_the_last_table_serves_while_consul_is_frozen_leaderless_or_restored(consul, edge, backends):
    prefix = "gopub/away"
    consul.put(f"{prefix}/hello", envelope(ordered(backends, 1)))
    with running_watcher(edge, *settings(consul, prefix)) as watcher:
        await watcher.reaches(1)
        async with steadily(edge, backends) as found:
            consul.frozen = True
            consul.put(f"{prefix}/hello", envelope(ordered(backends, 2)))
            await watcher.is_up(up=False)
            consul.frozen = False
            await watcher.reaches(2)
            consul.leaderless = True
            await eventually(lambda: said(watcher, "status 500: No cluster leader"))
            consul.leaderless, consul.token = False, "another"
            await eventually(lambda: said(watcher, "status 403: Permission denied"))
            consul.token = ""
            consul.says_index = False
            await eventually(lambda: said(watcher, "its answer has no X-Consul-Index"))
            consul.says_index = True
            await watcher.is_up(up=True)
            consul.restore(index=3)
            consul.put(f"{prefix}/hello", envelope(ordered(backends, 3)))
            await watcher.reaches(3)
            consul.put(f"{prefix}/hello", envelope(ordered(backends, 2)))
            assert "status 409" in (await watcher.has_refused())["what"]
            assert await watcher.revision() == 3
        assert found.is_whole(backends), found


async def said(watcher, what: str) -> bool:
    return str((await watcher.source())["what"]).startswith(what)


async def test_a_quiet_consul_is_asked_once_for_each_wait(consul, edge, backends):
    """Neither an answer at once nor an index that stands still makes a circle of it."""
    prefix = "gopub/quiet"
    consul.put(f"{prefix}/hello", b"garbage")
    with running_watcher(edge, *settings(consul, prefix), "again 3600") as watcher:
        assert (await watcher.has_refused())["refused"] == 1
        before, looks = consul.asked, int((await watcher.source())["last"])

        async def later() -> bool:
            return int((await watcher.source())["last"]) >= looks + 6

        await eventually(later)
        passed = int((await watcher.source())["last"]) - looks
        assert consul.asked - before <= passed / 2 + 3, "each question waits for two seconds"
        assert (await watcher.source())["refused"] == 1


async def test_a_controller_writes_there_by_check_and_set(consul, monkeypatch):
    consul.token = "hush-hush"
    monkeypatch.setenv("CONSUL_TOKEN", "hush-hush")
    source = ConsulKey(endpoints=(consul.url,), prefix="gopub/cas", token={"env": "CONSUL_TOKEN"}).open()
    assert await source.read("hello") is None
    assert await source.swap("hello", b"one", None)
    assert not await source.swap("hello", b"two", None), "somebody was quicker"
    first = await source.read("hello")
    assert first.value == b"one"
    assert await source.swap("hello", b"two", first)
    assert not await source.swap("hello", b"three", first)
    with pytest.raises(GopubError, match="kv_max_value_size"):
        await source.swap("hello", bytes(600 * 1024), await source.read("hello"))
    consul.put("gopub/cas/hello", b"")
    assert (await source.read("hello")).value == b""
    consul.token = "another"
    with pytest.raises(GopubError) as caught:
        await source.read("hello")
    assert caught.value.code == "GP525"
    assert "hush" not in str(caught.value)
    consul.token, consul.leaderless = "", True
    with pytest.raises(GopubError, match="No cluster leader"):
        await source.read("hello")
    await source.close()
