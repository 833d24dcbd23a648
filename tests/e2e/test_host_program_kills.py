"""The host program dies at any instruction, the connection drops, the power fails: the next order finds a way."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gopub.fleet import program
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.orders import Order, Record
from gopub.rollout.hosts import RELEASE_AT_FAULT, health_of
from tests.support.chance import seed as chance_seed

from .host_kit import PATIENCE, Cargo, Site, old_service, open_site

pytestmark = pytest.mark.e2e

SOAK = bool(os.environ.get("GOPUB_SOAK"))
# Kills bash before its K-th command. The program runs in dash on hosts; bash only counts the steps for us.
STEP_BY_STEP = """set -T
gopub_steps=0
trap 'gopub_steps=$((gopub_steps+1)); if [ $gopub_steps -eq "$GOPUB_KILL_AT" ]; then kill -9 $$; fi' DEBUG
"""


@pytest.fixture
async def fleet() -> AsyncIterator[SshFleet]:
    async with SshFleet() as opened:
        yield opened


@pytest.fixture
async def site(spare_lab: Any, fleet: SshFleet) -> AsyncIterator[Site]:
    made = await open_site(spare_lab, fleet, spare_lab.hosts[0].name)
    yield made
    await made.close()


@pytest.fixture
def dice() -> random.Random:
    seed = chance_seed()
    return random.Random(seed)


async def killed_at(site: Site, order: Order, payload: bytes, step: int) -> bool:
    """Carry out an order in a bash that dies before its ``step``-th command; whether it died."""
    text = STEP_BY_STEP + program.text()
    argv = ["env", f"GOPUB_KILL_AT={step}", "bash", "-c", text, "gopub", order.verb]
    if order.verb in ("switch", "rollback", "stop"):  # as the job of systemd runs it, with files
        await site.sh(f"mkdir -p {site.home}/.gopub")
        place = f"{site.home}/.gopub/killed.order"
        await site.lab.exec(site.name, ("sh", "-c", f"cat > {place}"), stdin=order.lines())
        argv += [place, f"{site.home}/.gopub/killed.answer"]
    done = await site.lab.exec(site.name, argv, stdin=order.lines() + payload, check=False)
    return done.code != 0 and b"end=1" not in done.out


def moments(dice: random.Random, steps: int, few: int) -> list[int]:
    few = int(os.environ.get("GOPUB_KILLS", few))
    return list(range(1, steps + 1)) if SOAK else sorted(dice.sample(range(1, steps + 1), min(few, steps)))


async def steps_of(site: Site, cargo: Cargo, verb: Any) -> int:
    """How many commands the program runs for this order."""
    counting = STEP_BY_STEP + "trap 'echo $gopub_steps >&2' EXIT\n"
    order = await site.order(verb, cargo)
    text = counting + program.text()
    argv = ["env", "GOPUB_KILL_AT=0", "bash", "-c", text, "gopub", verb]
    if verb in ("switch", "stop"):
        await site.lab.exec(site.name, ("sh", "-c", f"cat > {site.home}/.gopub/o"), stdin=order.lines())
        argv += [f"{site.home}/.gopub/o", f"{site.home}/.gopub/a"]
    payload = b"".join(cargo.payload) if verb == "stage" else b""
    done = await site.lab.exec(site.name, argv, stdin=order.lines() + payload)
    return int(done.err.split()[-1])


async def test_stage_killed_at_any_command_is_whole_when_repeated(site: Site, dice: random.Random) -> None:
    one = await site.cargo("1")
    await site.release(one)
    steps = await steps_of(site, await site.cargo("2", env={"WORD": "counted"}), "stage")
    assert steps > 100
    died = 0
    for step in moments(dice, steps, 12):
        cargo = await site.cargo("2", env={"WORD": str(step)})
        order = await site.order("stage", cargo)
        died += await killed_at(site, order, b"".join(cargo.payload), step)
        assert (await site.facts()).runs == one.folder, f"step {step}"
        record = await site.channel.run(order, cargo.payload)
        assert record.ok, (step, record)
        assert await site.whole() == one.folder
        assert cargo.folder in (await site.facts()).releases
        await site.run("prune", one.keeping(1))
    assert died >= 8, "control: it has to die nearly every time"


async def test_switch_killed_at_any_command_is_finished_or_undone(site: Site, dice: random.Random) -> None:
    cargos = [await site.cargo("1"), await site.cargo("2")]
    for cargo in cargos:
        await site.run("stage", cargo)
    await site.run("switch", cargos[0])
    steps = await steps_of(site, cargos[1], "switch")
    assert steps > 100
    await site.run("switch", cargos[0])
    now, died = 0, 0
    for step in moments(dice, steps, 16):
        cargo, before = cargos[1 - now], cargos[now]
        order = await site.order("switch", cargo)
        died += await killed_at(site, order, b"", step)
        await serves_one_of(site, cargos)
        if dice.random() < 0.5:
            record = await site.channel.run(order)  # the driver asks again
            assert record.ok, (step, record)
            assert await site.whole() == cargo.folder
        else:  # another driver orders something else: what is half done is settled first
            record = await site.run("stage", before)
            assert await site.whole() in {cargo.folder, before.folder}, (step, record)
        now = [c.folder for c in cargos].index((await site.facts()).runs)
    assert died >= 10, "control: it has to die nearly every time"


async def serves_one_of(site: Site, cargos: list[Cargo]) -> None:
    """Right after a kill: `current` names a complete release, and the process that runs is one of them, whole."""
    facts = await site.facts()
    assert facts.current is not None
    assert facts.current.name in {cargo.folder for cargo in cargos}
    await site.sh(f"cd {site.home}/current/ && sha256sum -c --quiet .gopub-sums")
    if facts.unit.active == "active" and facts.unit.exe:
        folder = facts.unit.exe.split("/releases/")[1].split("/")[0]
        env = await site.sh(f"tr '\\0' '\\n' < /proc/{facts.unit.main_pid}/environ | grep ^ADDR=")
        assert (folder in {cargo.folder for cargo in cargos}, env) == (True, f"ADDR=:{site.port}")


async def test_a_first_switch_killed_at_any_command(site: Site, dice: random.Random) -> None:
    cargo = await site.cargo("1")
    await site.run("stage", cargo)
    steps = await steps_of(site, cargo, "switch")
    for step in moments(dice, steps, 6):
        await site.run("stop", cargo)
        order = await site.order("switch", cargo)
        await killed_at(site, order, b"", step)
        if dice.random() < 0.5:
            assert (await site.channel.run(order)).ok
            assert await site.whole() == cargo.folder
        else:
            await site.run("prune", cargo)
            facts = await site.facts()
            assert facts.half is None
            assert (facts.runs, facts.unit.load) in {(cargo.folder, "loaded"), ("", "not-found")}, (step, facts)


async def test_taking_over_an_old_service_killed_at_any_command_ends_whole_or_as_it_was(
    site: Site, dice: random.Random
) -> None:
    await old_service(site, "/etc", link=dice.random() < 0.5)
    before = await site.facts()
    order, died = await site.word_order("adopt"), 0
    for step in sorted(dice.sample(range(1, 200), 4)):
        await site.word("disown")
        died += await killed_at(site, order, b"", step)
        assert (await site.facts()).unit == before.unit, f"step {step}: it runs on"
    assert (await site.word("adopt")).ok
    adopted = await site.facts()
    assert (adopted.standing.adopted, adopted.unit) == (True, before.unit)
    cargo = await site.cargo("1")
    await site.run("stage", cargo)
    steps = {verb: await steps_of(site, cargo, verb) for verb in ("switch", "stop")}
    for verb in ("switch", "stop", "switch", "stop", "switch", "stop"):
        step = dice.randrange(1, steps[verb] + 1)
        order = await site.order(verb, cargo)
        died += await killed_at(site, order, b"", step)
        if dice.random() < 0.5:
            assert (await site.channel.run(order)).ok, (verb, step)
        else:  # another order settles what was left half-way
            await site.run("stage", cargo)
        facts = await site.facts()
        assert facts.half is None
        taken_over = facts.runs == cargo.folder and not facts.standing.found
        as_it_was = facts.standing == adopted.standing and facts.unit.exe == before.unit.exe
        assert (taken_over or as_it_was, facts.unit.active) == (True, "active"), (verb, step, facts)
    assert died >= 4, "control: it has to die nearly every time"


async def test_a_driver_killed_at_random_moments_repeats_its_orders(site: Site, dice: random.Random) -> None:
    """Kill -9 of the program and of its job as they really run, from outside, at moments of chance."""
    cargos = [await site.cargo("1"), await site.cargo("2")]
    await site.release(cargos[0])
    for number in range(8 if not SOAK else 60):
        cargo = cargos[(number + 1) % 2]
        for verb in ("stage", "switch"):
            order = await site.order(verb, cargo)
            payload = cargo.payload if verb == "stage" else ()
            asking = asyncio.create_task(site.channel.run(order, payload))
            await asyncio.sleep(dice.uniform(0, 0.5))
            await site.sh(KILL_ALL.format(home=site.home), check=False)
            await outcome(asking)
            record = await site.channel.run(order, payload)
            assert record.ok, record
        assert await site.whole() == cargo.folder
        await site.run("verify", cargo)


KILL_ALL = """for p in /proc/[0-9]*; do
  pid=${{p#/proc/}}
  [ $pid -ne $$ ] || continue
  words=$(tr '\\0' '\\n' < $p/cmdline 2>/dev/null | head -n 400)
  case $words in *'gopub-record=1'*|*{home}/.gopub/jobs/*) kill -9 $pid 2>/dev/null ;; esac
done"""


async def outcome(asking: asyncio.Task[Record]) -> None:
    (found,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(found, Record) or getattr(found, "code", "") in {"GP416", "GP417"}, found


async def test_a_connection_that_drops_in_a_switch_neither_kills_nor_repeats_it(site: Site) -> None:
    slow, next_one = await site.slow("1"), await site.cargo("2")
    await site.release(slow)
    await site.run("stage", next_one)
    order = await site.order("switch", next_one)
    asking = asyncio.create_task(site.channel.run(order))
    await site.switching_to(next_one.folder)
    lost = await site.channel.connect()
    lost.abort()
    await site.let_go()
    record = await asking
    assert (record.ok, record.values["current"]) == (True, next_one.folder), record
    starts = f"journalctl -q -o cat -u {site.instance} | grep -c '^Started'"
    assert await site.sh(starts) == "2", "one start for each release, and no more"
    again = await site.channel.run(order)
    assert again.values["repeated"] == "true"
    assert again.values["invocation"] == record.values["invocation"]
    assert await site.whole() == next_one.folder


async def test_a_driver_that_never_comes_back_leaves_the_switch_to_finish(site: Site) -> None:
    slow, next_one = await site.slow("1"), await site.cargo("2")
    await site.release(slow)
    await site.run("stage", next_one)
    order = await site.order("switch", next_one)
    async with SshFleet() as other:
        gone = await other.channel(site.channel.host)
        asking = asyncio.create_task(gone.run(order))
        await site.switching_to(next_one.folder)
        asking.cancel()
        (await gone.connect()).abort()
        await asyncio.gather(asking, return_exceptions=True)
    await site.let_go()
    late = replace(order, epoch=order.epoch + 1, n=1, verb="verify", arguments=next_one.wanted.arguments["verify"])
    record = await site.channel.run(late)
    assert record.ok, record
    assert await site.whole() == next_one.folder


async def test_a_power_cut_in_a_switch_leaves_one_whole_release(spare_lab: Any, dice: random.Random) -> None:
    async with SshFleet() as fleet:
        site = await open_site(spare_lab, fleet, spare_lab.hosts[0].name)
        cargos = [await site.cargo("1"), await site.cargo("2")]
        await site.release(cargos[0])
        await site.run("stage", cargos[1])
        order = await site.order("switch", cargos[1])
        asking = asyncio.create_task(site.channel.run(order))
        await asyncio.sleep(dice.uniform(0.05, 0.5))
        await spare_lab.kill_host(site.name)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await site.channel.close()
        await spare_lab.start_host(site.name)
        await running(site)
        facts = await site.facts()
        assert facts.runs in {cargo.folder for cargo in cargos} or facts.half, facts
        assert (await site.channel.run(order)).ok
        assert await site.whole() == cargos[1].folder
        await site.close()


async def test_a_host_that_goes_down_in_a_switch_does_not_blame_the_release(site: Site) -> None:
    slow, next_one = await site.slow("1"), await site.cargo("2")
    await site.release(slow)
    await site.run("stage", next_one)
    status, switch = await site.order("status", slow), await site.order("switch", next_one)
    place = f"{site.home}/.gopub/late"
    argv = ("sh", "-c", program.text(), "gopub")
    await site.channel.exec(("sh", "-c", f"cat > {place}.order"), switch.lines())
    await site.channel.exec(("systemctl", "--no-block", "poweroff"))  # and the old service does not end yet
    first = await site.channel.exec((*argv, "status"), status.lines())
    await site.channel.exec((*argv, "switch", f"{place}.order", f"{place}.answer"))  # as the job would be run
    second = await site.channel.exec(("cat", f"{place}.answer"))
    seen, said = (Record.parse(done.text, host=site.name) for done in (first, second))
    assert (seen.ok, seen.code, said.ok, said.code) == (False, "GP451", False, "GP451"), (seen, said)
    assert "stopping" in said.message
    assert not {seen.code, said.code} & RELEASE_AT_FAULT
    assert health_of(site.name, seen).reachable is False
    await site.channel.exec(("touch", site.may_end))  # a machine that goes down takes no new connection
    await site.channel.close()
    await site.lab.stop_host(site.name)
    await site.lab.start_host(site.name)
    await running(site)
    record = await site.channel.run(switch)
    assert (record.ok, record.values.get("repeated")) == (True, None), record
    assert await site.whole() == next_one.folder
    await site.run("verify", next_one)


async def running(site: Site) -> None:
    """Wait until the service was started at boot."""
    for _ in range(PATIENCE):
        if (await site.facts()).unit.active == "active":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the service was not started at boot")
