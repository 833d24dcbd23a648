"""Config that is taken in without a restart, on real hosts with systemd of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gopub.canon import sha256
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.orders import Record

from .host_kit import Cargo, Site, open_site

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


async def cargo(site: Site, text: str, *, version: str = "1", by: str = "url", **more: Any) -> Cargo:
    """A release with that config file, which the service takes in and confirms."""
    ask = f"http://127.0.0.1:{site.port}/config"
    words = (ask,) if by == "url" else ("curl", "-s", ask.replace("config", "held"))
    env = {"CONFIG": f"/opt/{site.instance}/current/config.txt", "MODE": "stays", **more.pop("env", {})}
    made = await site.cargo(version, env=env, templates={"config.txt": text}, **more)
    return made.with_arguments("stage", reload="config.txt", **{f"confirm.{n}": word for n, word in enumerate(words)})


async def switched(site: Site, one: Cargo) -> Record:
    await site.run("stage", one)
    return await site.do("switch", one)


async def text(site: Site) -> str:
    return await site.sh(f"curl -s -m 5 http://127.0.0.1:{site.port}/text")


async def pid(site: Site) -> int:
    return (await site.facts()).unit.main_pid


@pytest.mark.parametrize("by", ["url", "command"])
async def test_a_changed_file_is_taken_in_by_the_process_that_serves(site: Site, by: str) -> None:
    one, two = await cargo(site, "one\n", by=by), await cargo(site, "two\n", by=by)
    await site.release(one)
    began = await pid(site)
    done = await switched(site, two)
    assert (done.ok, done.values["way"], await text(site)) == (True, "config", "two"), done
    assert (await site.run("verify", two)).values["check.config"] == "ok"
    assert await pid(site) == began, "it is the same process"
    assert await site.whole() == two.folder
    again = await site.do("switch", two)
    assert (again.ok, again.changed) == (True, False), again
    back = await site.do("rollback", one)
    assert (back.ok, back.values["way"], await text(site)) == (True, "config", "one"), back
    assert (await site.run("verify", one)).ok
    assert await pid(site) == began
    assert await site.whole() == one.folder
    await site.run("switch", two)
    await site.sh(f"systemctl kill -s KILL {site.instance}.service; sleep 1")
    for _ in range(100):
        if (await site.facts()).runs == two.folder:
            break
        await asyncio.sleep(0.1)
    assert await text(site) == "two", "what systemd starts again is what the link names"


@pytest.mark.parametrize(
    ("bad", "code", "says"),
    [
        ("bad\n", "GP556", 'line 1: \\"bad\\" is no setting'),
        ("lie\n", "GP557", f"not {sha256(b'lie' + bytes([10]))}"),
        ("half of it\n", "GP557", f"not {sha256(b'half of it' + bytes([10]))}"),
        ("hang\n", "GP557", "holds nothing"),
        ("die\n", "GP558", "I cannot bear this"),
    ],
)
async def test_what_is_not_taken_in_is_no_release_and_the_old_goes_on(
    site: Site, bad: str, code: str, says: str
) -> None:
    one = await cargo(site, "one\n")
    two = (await cargo(site, bad)).with_arguments("switch", within="3")
    await site.release(one)
    began = await pid(site)
    record = await switched(site, two)
    assert (record.ok, record.code) == (False, code), record
    assert says in record.message
    assert await text(site) == "one"
    assert (await pid(site) == began) is (bad not in {"die\n", "hang\n"}), record
    assert (await site.run("rollback", one)).values["current"] == one.folder
    assert (await site.run("verify", one)).ok
    assert await site.whole() == one.folder


async def test_what_a_process_reads_at_its_start_only_is_a_restart(site: Site) -> None:
    one = await cargo(site, "one\n")
    await site.release(one)
    for two, why in (
        (await cargo(site, "one\n", env={"WORD": "x"}), "its unit"),
        (await cargo(site, "two\n", version="2", env={"WORD": "x"}), "its binary"),
    ):
        began = await pid(site)
        done = await switched(site, two)
        assert (done.ok, done.values["way"]) == (True, "restart"), (why, done)
        assert (await site.run("verify", two)).values["check.config"] == "ok"
        assert await pid(site) != began, why
        assert await site.whole() == two.folder


async def test_no_request_is_lost_while_files_are_taken_in(site: Site) -> None:
    files = [await cargo(site, f"number {n}\n") for n in range(4)]
    await site.release(files[0])
    for one in files[1:]:
        await site.run("stage", one)
    ask = f"curl -s -m 30 -w '%{{http_code}}\\n' 'http://127.0.0.1:{site.port}/text?[1-10000]' -o '/dev/null'"
    load = asyncio.create_task(site.sh(f"{ask} | grep -x '[0-9]*' | sort | uniq -c; touch {site.home}/end"))
    many = 0
    while (await site.sh(f"ls {site.home}/end 2>/dev/null || true")) == "":
        many += 1
        assert (await site.run("switch", files[many % 4])).values["way"] == "config"
    assert (await load).split() == ["10000", "200"]
    assert many > 1
    await site.sh(f"rm {site.home}/end")


async def test_an_order_that_is_killed_while_the_process_is_told_is_settled(site: Site) -> None:
    one, two = await cargo(site, "one\n"), await cargo(site, "two\n")
    await site.release(one)
    began = await pid(site)
    await site.run("stage", two)
    await site.sh(f"systemctl kill -s STOP {site.instance}.service")
    under_way = asyncio.create_task(site.do("switch", two))
    await site.switching_to(two.folder)
    await site.sh(f"systemctl kill -s KILL 'gopub-{site.instance}-*'; systemctl kill -s CONT {site.instance}.service")
    await under_way
    assert (await site.run("verify", two)).ok
    assert await text(site) == "two"
    assert await pid(site) == began
    assert await site.whole() == two.folder
