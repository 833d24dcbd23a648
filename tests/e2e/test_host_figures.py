"""What a real host tells of a process: that it grew, was restarted, and was killed for want of memory."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gopub.fleet.backends.ssh import SshFleet
from gopub.health.curves import GROWTH
from gopub.health.runtime import RuntimeTrail
from gopub.health.samples import ProcessHealth
from gopub.health.trend import Slope
from gopub.rollout.hosts import health_of

from .host_kit import Cargo, Site, open_site

pytestmark = pytest.mark.e2e
MIB = 2**20


@pytest.fixture
async def site(lab: Any) -> AsyncIterator[Site]:
    async with SshFleet() as fleet:
        made = await open_site(lab, fleet, lab.hosts[2].name)
        yield made
        await made.close()


async def healthy(site: Site, cargo: Cargo) -> ProcessHealth:
    return health_of(site.name, await site.do("status", cargo))


async def test_a_status_call_tells_the_figures_of_its_process(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.release(cargo)
    first = (await healthy(site, cargo)).use
    assert first is not None
    assert first.age is not None and first.cpu is not None and first.resident is not None
    assert 1 <= (first.threads or 0) < 200
    assert MIB / 2 < first.resident < 200 * MIB
    pid = (await site.facts()).unit.main_pid
    said = await site.sh(
        f"grep -E 'VmRSS|Threads' /proc/{pid}/status; ls /proc/{pid}/fd | wc -l; "
        f"awk '/^Max open files/ {{ print $4 }}' /proc/{pid}/limits"
    )
    descriptors, limit = said.split()[-2:]
    assert first.descriptors_limit == int(limit) >= 1024, f"what the host itself shows: {said}"
    assert first.descriptors is not None and abs(first.descriptors - int(descriptors)) <= 2, said
    await asyncio.sleep(2)
    later = (await healthy(site, cargo)).use
    assert later is not None and later.age is not None
    assert later.age >= first.age + 2, "it lives on"


async def test_a_restart_is_told_and_the_new_process_is_young(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.release(cargo)
    await asyncio.sleep(2)
    before = await healthy(site, cargo)
    assert before.restarts == 0
    await site.sh(f"kill -9 {(await site.facts()).unit.main_pid}")
    after = await until_restarted(site, cargo)
    assert after.use is not None and before.use is not None
    assert after.use.age is not None and before.use.age is not None
    assert "GP443" in after.detail


@pytest.fixture
def small() -> Iterator[Path]:
    """A cgroup of this machine with room for little; on machines without that controller there is nothing to test."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root = old if old.is_dir() else new
    group = root / f"gopub-small-{secrets.token_hex(4)}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if root is old else "memory.max")).write_text(str(8 * MIB))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no memory controller to limit with: {error}")
    yield group
    with suppress(OSError):
        group.rmdir()


async def test_a_process_that_is_killed_for_want_of_memory_is_told_as_restarted(site: Site, small: Path) -> None:
    """With systemd's own OOMPolicy a kill ends the unit, so it is a restart: rule 1's, with the signal in its words."""
    cargo = await site.cargo("1", env={"MODE": "hungry"})
    await site.release(cargo)
    pid = (await site.facts()).unit.main_pid
    outside = await asyncio.to_thread(seen_from_outside, pid, site.instance)
    (small / "cgroup.procs").write_text(str(outside))
    after = await until_restarted(site, cargo)
    assert "status=9/KILL" in after.detail, after


async def until_restarted(site: Site, cargo: Cargo) -> ProcessHealth:
    for _ in range(240):
        told = await healthy(site, cargo)
        if told.restarts:
            return told
        await asyncio.sleep(0.25)
    raise AssertionError(f"it was never restarted: {told}")


async def test_what_a_process_keeps_shows_as_growth_whatever_it_is_written_in(site: Site) -> None:
    cargo = await site.cargo("1", env={"MODE": "hungry"})
    await site.release(cargo)
    found = await growth(site, cargo)
    assert found.low > GROWTH, found
    quiet = await site.cargo("2")
    await site.release(quiet)
    calm = await growth(site, quiet)
    assert calm.high < GROWTH, f"control: {calm}"


async def growth(site: Site, cargo: Cargo) -> Slope:
    """What so many looks show that a host answered, however long this machine takes for them."""
    trail, seen = RuntimeTrail(), list[ProcessHealth]()
    while sum(one.memory is not None for one in seen) < 12:
        assert len(seen) < 60, f"the host answers too seldom: {seen}"
        seen.append(await healthy(site, cargo))
        trail.add_health(seen[-1:], time.time())
        await asyncio.sleep(2.1)
    found = trail.facts([site.name], []).memory
    assert found is not None, seen
    return found


def seen_from_outside(pid: int, instance: str) -> int:
    """The number that this machine knows the host's process by."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(numbers) > 1 and int(numbers[-1]) == pid and instance in (status.parent / "cmdline").read_text():
                return int(numbers[0])
    raise AssertionError(f"no process of {instance} is {pid} inside")
