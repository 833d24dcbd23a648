"""Old and new release side by side on a real host: two slots, one of which serves, whatever dies in between."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gopub.fleet.backends.ssh import SshFleet
from tests.support.chance import seed as chance_seed

from .host_kit import Cargo, Site, old_service, open_site
from .test_host_modes import handed
from .test_host_program_kills import killed_at, moments, running, steps_of

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet() -> AsyncIterator[SshFleet]:
    async with SshFleet() as opened:
        yield opened


@pytest.fixture
async def site(spare_lab: Any, fleet: SshFleet) -> AsyncIterator[Site]:
    made = await open_site(spare_lab, fleet, spare_lab.hosts[0].name)
    yield made
    await made.close()


def ports(site: Site) -> tuple[int, int]:
    return site.port, site.port - 10_000


async def side(site: Site, version: str, **service: Any) -> Cargo:
    """A release for two slots; a switch asks for the proof as a driver does."""
    env = {"ADDR": ":{{ port }}", **service.pop("env", {})}
    cargo = await site.cargo(version, mode="side-by-side", ports=ports(site), env=env, **service)
    verify = cargo.wanted.arguments["verify"]
    cargo = cargo.with_arguments("stage", ports=f"{ports(site)[0]},{ports(site)[1]}")
    return cargo.with_arguments("switch", **{name: verify[name] for name in ("port", "health", "within")})


async def answers(site: Site) -> list[str]:
    """Who answers in the two slots, the first before the second; `-` where nobody does."""
    one, two = [await site.sh(f"curl -s -m 2 http://127.0.0.1:{port}/healthz || echo -") for port in ports(site)]
    return [one.strip(), two.strip()]


async def like_a_boot(site: Site) -> None:
    """What a start of the machine does to the instance: nothing runs, /run is empty, and what is enabled starts."""
    units = [f"{site.instance}{slot}.service" for slot in ("", "@a", "@b")]
    await site.sh(
        f"systemctl stop {' '.join(units)} 2>/dev/null; rm -rf /run/gopub-slots; systemctl daemon-reload; "
        f"cd /etc/systemd/system/multi-user.target.wants && for u in {' '.join(units)}; do "
        "[ ! -L $u ] || systemctl start $u; done",
        check=False,
    )
    one, two = [f"curl -s -m 1 http://127.0.0.1:{port}/healthz" for port in ports(site)]
    await site.sh(f"for i in $(seq 100); do {one} && break; {two} && break; sleep 0.1; done", check=False)


async def test_the_new_one_serves_beside_the_old_one_until_it_is_told_to_end(site: Site) -> None:
    one, two = await side(site, "1"), await side(site, "2")
    first = await site.release(one)
    assert (first.values["slot"], first.values["port"], first.values["check.health"]) == ("a", str(site.port), "200")
    pid = (await site.facts()).unit.main_pid
    second = await site.release(two)
    assert (second.values["slot"], second.values["port"]) == ("b", str(ports(site)[1]))
    assert await answers(site) == ["1", "2"], "both"
    facts = await site.facts()
    said = facts.slots
    assert (said.slot, said.port, set(said.folders)) == ("b", ports(site)[1], {one.folder, two.folder})
    assert (facts.mode, said.lacks) == ("side-by-side", 0)
    assert not [held for held in facts.standing.taken if held.port in ports(site)], "its own are nobody else's"
    back = await site.run("rollback", one)
    assert int(back.values["main_pid"]) == pid, "it never ended, so nothing had to start"
    assert (await site.run("verify", one)).values["slot"] == "a"
    await site.run("prune", one)
    assert await answers(site) == ["1", "-"]
    assert await site.sh(f"ls /etc/systemd/system | grep -F {site.instance}@") == f"{site.instance}@a.service"
    assert await site.whole() == one.folder


@pytest.mark.parametrize(("how", "code"), [("exit", "GP443"), ("sick", "GP446"), ("done", "GP442")])
async def test_one_that_is_not_proven_ends_and_the_old_one_never_knew(site: Site, how: str, code: str) -> None:
    one, bad = await side(site, "1"), await side(site, "2", env={"MODE": how})
    bad = bad.with_arguments("switch", within="2")
    await site.release(one)
    pid = (await site.facts()).unit.main_pid
    await site.run("stage", bad)
    record = await site.do("switch", bad)
    assert (record.ok, record.code) in {(False, code), (False, "GP441")}, record
    assert await answers(site) == ["1", "-"]
    assert (await site.facts()).unit.main_pid == pid
    assert (await site.run("rollback", one)).ok
    assert await site.whole() == one.folder
    await like_a_boot(site)
    assert await answers(site) == ["1", "-"]


async def test_a_port_that_somebody_else_holds_is_named_and_nothing_else_changes(site: Site) -> None:
    one, two = await side(site, "1"), await side(site, "2")
    two = two.with_arguments("switch", within="2")
    await site.release(one)
    stranger = f"cp {site.home}/current/bin/service /run/stranger && systemd-run -q --unit=holder-{site.instance}"
    await site.sh(f"{stranger} --setenv=ADDR=:{ports(site)[1]} /run/stranger")
    try:
        facts = await site.facts()
        assert ports(site)[1] in {held.port for held in facts.standing.taken}
        await site.run("stage", two)
        record = await site.do("switch", two)
        assert not record.ok, record
        assert record.values.get("taken.port") == str(ports(site)[1]), record
        assert (await answers(site))[0] == "1"
        assert (await site.facts()).runs == one.folder
    finally:
        await site.sh(f"systemctl stop holder-{site.instance}")
    await site.release(two)
    assert await answers(site) == ["1", "2"]


async def test_after_a_start_of_the_machine_the_slot_that_serves_starts_and_no_other(
    spare_lab: Any, site: Site
) -> None:
    one, two = await side(site, "1"), await side(site, "2")
    await site.release(one)
    await site.release(two)
    assert await answers(site) == ["1", "2"], "control: both run, and both are enabled"
    await spare_lab.kill_host(site.name)
    await site.channel.close()
    await spare_lab.start_host(site.name)
    await running(site)
    await like_a_boot(site)  # waits until it answers
    assert await answers(site) == ["-", "2"]
    assert (await site.run("verify", two)).ok
    assert (await site.do("rollback", one)).ok
    assert await answers(site) == ["1", "2"]
    await like_a_boot(site)
    assert await answers(site) == ["1", "-"]


async def test_a_host_comes_from_one_unit_to_slots_and_goes_back(site: Site) -> None:
    plain, two, three = await site.cargo("1"), await side(site, "2"), await site.cargo("3")
    await site.release(plain)
    second = await site.release(two)
    assert second.values["slot"] == "b", "the one unit has the port of the first"
    assert await answers(site) == ["1", "2"]
    assert (await site.do("rollback", plain)).ok
    assert (await answers(site)) == ["1", "2"], "it never ended"
    assert "slot" not in (await site.run("verify", plain)).values
    await like_a_boot(site)
    assert await answers(site) == ["1", "-"]
    await site.release(two)
    await like_a_boot(site)
    assert await answers(site) == ["-", "2"]
    await site.run("prune", two)
    assert await answers(site) == ["-", "2"]
    await site.release(three)
    assert await answers(site) == ["3", "-"], "control: by restart the slots end before it starts"
    await site.run("prune", three)
    left = await site.sh(f"ls -d /etc/systemd/system/{site.instance}*")
    assert left == f"/etc/systemd/system/{site.instance}.service"
    assert await site.whole() == three.folder


@pytest.mark.parametrize("mode", ["socket", "handover"])
async def test_a_host_comes_from_another_mode_and_goes_back_to_it(site: Site, mode: str) -> None:
    """The old one serves on meanwhile; its slot's port is free for the next release only once it has ended."""
    old = await (handed(site, "1") if mode == "handover" else site.cargo("1", mode="socket"))
    two, three = await side(site, "2"), await side(site, "3")
    await site.release(old)
    pid = (await site.facts()).unit.main_pid
    assert not [held for held in (await site.facts()).standing.taken if held.port in ports(site)]
    assert (await site.release(two)).values["slot"] == "b"
    assert [bool(word != "-") for word in await answers(site)] == [True, True]
    back = await site.do("rollback", old)
    assert (back.ok, back.values.get("main_pid")) == (True, str(pid)), back
    assert (await site.run("verify", old)).ok
    await site.release(two)
    await site.release(three)
    assert await answers(site) == ["3", "2"], "what was left of the mode before ended for the slot whose port it had"
    await like_a_boot(site)
    assert await answers(site) == ["3", "-"]
    await site.run("switch", old)
    proof = await site.run("verify", old)
    assert "slot" not in proof.values
    back = await site.do("rollback", three)
    assert back.ok, back
    verify = three.with_arguments("verify", health=f"http://127.0.0.1:{site.port}/healthz?is=it")
    assert (await site.run("verify", verify)).values["slot"] == "b", "the port of a is held by what served"
    await site.run("prune", three)
    assert await answers(site) == ["-", "3"]
    left = await site.sh(f"ls -d /etc/systemd/system/{site.instance}*")
    assert left == f"/etc/systemd/system/{site.instance}@b.service"
    assert await site.whole() == three.folder


async def test_stopped_nothing_of_it_is_left(site: Site) -> None:
    """Also where the old one does not end when it is told to."""
    deaf = {"MODE": "slow", "LET_GO": site.may_end}
    one, two = await side(site, "1", env=deaf, drain=1), await side(site, "2")
    await site.release(one)
    await site.release(two)
    await site.run("stop", two)
    assert await answers(site) == ["-", "-"]
    assert await site.sh(f"ls -d /etc/systemd/system/{site.instance}* 2>/dev/null || echo none") == "none"
    await site.release(one)
    assert await answers(site) == ["1", "-"]


async def test_an_adopted_service_has_no_slot_and_runs_on(site: Site) -> None:
    await old_service(site, "/etc", link=True)
    await site.word("adopt")
    cargo = await side(site, "1")
    await site.run("stage", cargo)
    record = await site.do("switch", cargo)
    assert record.code == "GP547", record
    assert await site.sh(f"systemctl is-active {site.instance}") == "active"


async def test_a_host_without_the_memory_for_two_is_refused(site: Site) -> None:
    one, two = await side(site, "1"), await side(site, "2")
    await site.release(one)
    await site.run("stage", two)
    assert (await site.facts()).slots.lacks == 0, "control: there is enough"
    told = "sed 's/^MemAvailable:.*/MemAvailable: 1000 kB/' /proc/meminfo > /run/meminfo"
    await site.sh(f"{told} && mount --bind /run/meminfo /proc/meminfo")
    try:
        assert (await site.facts()).slots.lacks > 0
        record = await site.do("switch", two)
        assert record.code == "GP548", record
        assert await answers(site) == ["1", "-"]
    finally:
        await site.sh("umount /proc/meminfo")
    assert (await site.run("rollback", one)).ok
    await site.release(two)
    assert await answers(site) == ["1", "2"]


async def test_a_switch_killed_at_any_command_is_finished_or_undone(site: Site) -> None:
    dice = random.Random(chance_seed())
    cargos = [await side(site, "1"), await side(site, "2")]
    for cargo in cargos:
        await site.run("stage", cargo)
    await site.run("switch", cargos[0])
    steps = await steps_of(site, cargos[1], "switch")
    now, died = 1, 0
    for step in moments(dice, steps, 8):
        before, cargo = cargos[now], cargos[1 - now]
        await site.run("prune", before)
        died += await killed_at(site, await site.order("switch", cargo), b"", step)
        serves = (await site.facts()).runs
        assert serves in {cargo.folder, before.folder}, step
        heard = [word for word in await answers(site) if word != "-"]
        assert before.wanted.digests["binary"] and len(heard) >= 1, (step, heard)
        if dice.random() < 0.5:
            await like_a_boot(site)
            heard = [word for word in await answers(site) if word != "-"]
            assert len(heard) == 1, (step, heard)
        assert (await site.run("switch", cargo)).ok, step
        assert (await site.run("verify", cargo)).ok, step
        now = 1 - now
        assert await site.whole() == cargos[now].folder
    assert died >= 4, "control: it has to die nearly every time"
