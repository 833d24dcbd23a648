"""The modes of switching on real hosts, with systemd of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gopub.fleet.backends.ssh import SshFleet

from .host_kit import PATIENCE, Cargo, Site, handing, open_site

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
    assert (await site.facts()).standing.socket == file, "a plan knows it"
    cargo = await site.cargo("1", mode="socket")
    await site.run("stage", cargo)
    record = await site.do("switch", cargo)
    assert (record.ok, record.code, record.changed) == (False, "GP440", False), record
    assert (await site.facts()).standing.socket == file
    assert "ListenStream" in await site.sh(f"cat {file}")


RELOADS = """[Service]
Type=exec
ExecStart=/opt/{name}/current/bin/service
ExecReload=/bin/kill -HUP $MAINPID
Environment=ADDR=:{port} MODE={mode}
DynamicUser=yes
StateDirectory={name}
[Install]
WantedBy=multi-user.target
"""


async def handed(site: Site, version: str, how: str = "", **service: Any) -> Cargo:
    """A release of the service that hands over by go/handover."""
    words = (f"--config=/opt/{site.instance}/current/how", f"tcp=:{site.port}")
    cargo = await site.cargo(
        version, program=await handing(version), mode="handover", args=words, templates={"how": how}, **service
    )
    return cargo.with_arguments("switch", within="60")


async def gone(site: Site, pid: str) -> None:
    for _ in range(PATIENCE):
        if await site.sh(f"readlink /proc/{pid}/exe || true", check=False) == "":
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"process {pid} stays")


async def test_a_service_hands_over_there_and_back_and_loses_nobody(site: Site) -> None:
    one, two, other = await handed(site, "1"), await handed(site, "2"), await handed(site, "3", env={"NEW": "unit"})
    await site.release(one)
    before = (await site.facts()).unit
    ask = f"curl -sS -o /dev/null -m 30 {site.health} 2>&1 || echo lost"
    load = asyncio.create_task(site.sh(f"while [ ! -e {site.home}/enough ]; do {ask}; done | sort | uniq -c"))
    await site.run("stage", two)
    done = await site.run("switch", two)
    assert (done.values["way"], done.values.get("way_why")) == ("handover", None), done
    proof = await site.run("verify", two)
    assert (proof.values["old_pid"], proof.values["restarts"]) == (str(before.main_pid), "0")
    await gone(site, str(before.main_pid))
    assert (await site.run("verify", two)).values["old_gone"] == "true"
    now = (await site.facts()).unit
    assert (now.invocation, now.n_restarts, now.exe_digest) == (before.invocation, 0, two.wanted.digests["binary"])
    assert now.main_pid != before.main_pid
    back = await site.do("rollback", one.with_arguments("rollback", within="60"))
    assert (back.ok, back.values["way"]) == (True, "handover"), back
    await site.run("verify", one)
    await site.sh(f"touch {site.home}/enough")
    assert (await load).strip() == "", "nobody was lost"
    await site.run("stage", other)
    done = await site.run("switch", other)
    assert (done.values["way"], done.values["way_why"]) == ("restart", "the unit changes"), done
    await site.run("verify", other)
    assert await site.whole() == other.folder


async def test_one_that_does_not_come_up_leaves_the_old_one_serving(site: Site) -> None:
    one, crash, falls = await handed(site, "1"), await handed(site, "2", "crash"), await handed(site, "3", "fall")
    await site.release(one)
    before = (await site.facts()).unit
    await site.run("stage", crash)
    record = await site.do("switch", crash)
    assert (record.ok, record.code) == (False, "GP533"), record
    assert "before it said" in record.message
    assert (await site.facts()).unit.main_pid == before.main_pid
    assert (await site.run("verify", one)).ok
    assert await site.whole() == one.folder
    await site.run("stage", falls)  # it takes over and dies at once: the old one may have taken its place back
    first = await site.do("switch", falls)
    assert not first.ok or not (await site.do("verify", falls.with_arguments("verify", within="3"))).ok
    assert (await site.do("rollback", one)).ok
    assert (await site.run("verify", one)).ok
    assert await site.whole() == one.folder


async def test_a_second_switch_while_the_first_drains_waits_and_is_then_refused(site: Site) -> None:
    one, two, three = [await handed(site, version) for version in "123"]
    await site.release(one)
    gate = f"{site.home}/gate"
    long = asyncio.create_task(site.sh(f"curl -s -m 120 'http://127.0.0.1:{site.port}/long?until={gate}'"))
    for _ in range(PATIENCE):
        if await site.sh(f"curl -s -m 5 {site.health} >/dev/null; ss -Htn state established sport = :{site.port}"):
            break
        await asyncio.sleep(0.1)
    await site.run("stage", two)
    await site.run("stage", three)
    await site.run("switch", two)
    record = await site.do("switch", three, arguments={"within": "10", "stop_timeout": "90"})
    assert (record.ok, record.code) == (False, "GP532"), record
    assert "still drains" in record.message
    assert (await site.run("verify", two)).values["old_gone"] == "false"
    waits = asyncio.create_task(site.do("switch", three, arguments={"within": "60", "stop_timeout": "90"}))
    await site.switching_to(three.folder)
    await site.sh(f"touch {gate}")
    done = await waits
    assert (done.ok, done.values["way"]) == (True, "handover"), done
    assert one.folder in await long
    assert (await site.run("verify", three)).ok


@pytest.mark.parametrize(("mode", "code"), [("inplace", ""), ("stays", "GP536")])
async def test_a_reload_is_proven_by_what_the_process_runs(site: Site, mode: str, code: str) -> None:
    unit = RELOADS.format(name=site.instance, port=site.port, mode=mode)
    one, two = [await site.cargo(version, mode="reload", unit=unit) for version in "12"]
    await site.release(one)
    before = (await site.facts()).unit
    await site.run("stage", two)
    done = await site.do("switch", two, arguments={"within": "5" if code else "60", "stop_timeout": "90"})
    assert (done.ok, done.code) == (not code, code), done
    now = (await site.facts()).unit
    assert (now.main_pid, now.invocation) == (before.main_pid, before.invocation), "it is the same process"
    serves = one if code else two
    assert (await site.run("verify", serves)).ok
    assert (await site.sh(f"curl -s {site.health}")).split() == ["1" if code else "2"]
    assert await site.whole() == serves.folder
