"""The modes of switching on real hosts, with systemd of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gopub.fleet.backends.ssh import SshFleet

from .host_kit import PATIENCE, Site, open_site

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet() -> AsyncIterator[SshFleet]:
    async with SshFleet() as opened:
        yield opened


@pytest.fixture
async def site(lab: Any, fleet: SshFleet) -> AsyncIterator[Site]:
    made = await open_site(lab, fleet, lab.hosts[0].name)
    yield made
    await made.close()


async def unit_says(site: Site, kind: str, name: str) -> str:
    return await site.sh(f"systemctl show {site.instance}.{kind} -p {name} --value")


async def refused(site: Site) -> bool:
    done = await site.sh(f"curl -s -o /dev/null -m 2 {site.health}; echo $?", check=False)
    return done.strip() == "7"


async def test_a_socket_goes_on_listening_while_its_service_is_another_one(site: Site) -> None:
    one, two = [await site.cargo(version, mode="socket") for version in "12"]
    record = await site.release(one)
    assert record.values["check.health"] == "200", record
    began = await unit_says(site, "socket", "InvocationID")
    await site.run("stage", two)
    done = await site.run("switch", two)
    assert (done.values["way"], done.values.get("way_why")) == ("socket", None), done
    assert (await site.run("verify", two)).values["check.listen"] == str(site.port)
    assert (await site.sh(f"curl -s {site.health}")).split() == ["2"]
    assert await unit_says(site, "socket", "InvocationID") == began, "it was not touched"
    back = await site.do("rollback", one)
    assert (back.ok, back.values["way"]) == (True, "socket"), back
    assert await unit_says(site, "socket", "InvocationID") == began
    assert (await site.facts()).mode == "socket"
    assert await site.whole() == one.folder


async def test_nobody_is_refused_while_a_service_behind_a_socket_is_restarted(site: Site) -> None:
    """Control: without a socket somebody is."""
    lost = {}
    for mode in ("socket", "restart"):
        one, two = [await site.cargo(version, mode=mode, env={"MODE": "late"}) for version in "12"]
        await site.release(one)
        await site.run("stage", two)
        ask = f"curl -s -o /dev/null -m 30 {site.health} || echo $?"
        load = asyncio.create_task(
            site.sh(f"while [ ! -e {site.home}/enough ]; do {ask}; done | sort | uniq -c", check=False)
        )
        await site.run("switch", two)
        await site.run("verify", two)
        await site.sh(f"touch {site.home}/enough")
        lost[mode] = " 7" in await load
        await site.sh(f"rm {site.home}/enough")
    assert lost == {"socket": False, "restart": True}


async def test_a_service_behind_a_socket_that_does_not_start_keeps_nobody_waiting(site: Site) -> None:
    one, bad = await site.cargo("1", mode="socket"), await site.cargo("2", mode="socket", env={"MODE": "exit"})
    await site.release(one)
    await site.run("stage", bad)
    await site.do("switch", bad)
    record = await site.do("verify", bad)
    assert (record.ok, record.code) == (False, "GP443"), record
    for _ in range(PATIENCE):
        if await refused(site):
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("connections are queued for a service that is dead")
    assert (await site.do("rollback", one)).ok
    assert (await site.run("verify", one)).ok
    assert not await refused(site)


async def test_a_service_that_does_not_take_the_listener_is_no_release(site: Site) -> None:
    cargo = await site.cargo("1", mode="socket", env={"MODE": "deaf"})
    await site.run("stage", cargo)
    await site.do("switch", cargo)
    record = await site.do("verify", cargo)
    assert not record.ok, record
    assert "address already in use" in record.message or record.code == "GP446", record


async def test_a_host_comes_to_a_socket_and_goes_back_to_none(site: Site) -> None:
    plain, socket = await site.cargo("1"), await site.cargo("2", mode="socket")
    await site.release(plain)
    await site.run("stage", socket)
    done = await site.run("switch", socket)
    assert "is new" in done.values["way_why"], done
    assert (await site.run("verify", socket)).ok
    assert await site.sh(f"systemctl is-enabled {site.instance}.socket", check=False) == "static"
    other = await site.cargo("2", mode="socket", env={"WORD": "x"}, ports=(site.port, site.port - 10_000))
    await site.run("stage", other)
    assert "is another one" in (await site.run("switch", other)).values["way_why"]
    assert (await site.run("verify", other)).ok
    assert (await site.do("rollback", plain)).ok
    assert (await site.run("verify", plain)).ok
    assert await site.sh(f"ls /etc/systemd/system/{site.instance}.socket 2>/dev/null || echo none") == "none"
    assert await unit_says(site, "socket", "LoadState") == "not-found"
    await site.run("switch", socket)
    assert (await site.run("stop", socket)).changed
    assert await unit_says(site, "socket", "LoadState") == "not-found"
    assert await refused(site)
    assert await site.sh(f"ls -d /etc/systemd/system/{site.instance}* 2>/dev/null || echo none") == "none"


async def test_a_socket_of_somebody_else_stays(site: Site) -> None:
    file = f"/etc/systemd/system/{site.instance}.socket"
    await site.sh(f"printf '[Socket]\\nListenStream={site.port}\\n' > {file}; systemctl daemon-reload")
    cargo = await site.cargo("1", mode="socket")
    await site.run("stage", cargo)
    record = await site.do("switch", cargo)
    assert (record.ok, record.code, record.changed) == (False, "GP440", False), record
    assert "ListenStream" in await site.sh(f"cat {file}")
