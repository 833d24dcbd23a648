"""Signed orders on a booted host: jobs outlive connections, and an order that somebody kept does nothing again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncssh
import pytest

from gopub.clock import new_token
from gopub.evidence.keys import KeySigner, private_key_in
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.backends.stream import talk
from gopub.fleet.facts import Fence
from gopub.fleet.orders import Order, Record
from gopub.fleet.program import INSTALLED
from gopub.fleet.signed import OrderKey, signed_lines
from tests.e2e.enrolled_ground import ENV, Enrolled
from tests.e2e.host_kit import open_site
from tests.e2e.test_enrolled_admission import Instance

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = pytest.mark.e2e


@pytest.fixture
def key(enrolled: Enrolled) -> OrderKey:
    signer = KeySigner.load(private_key_in(enrolled.keys / "controller").private)
    return OrderKey(signer.public.fingerprint, signer.sign)


@pytest.fixture
async def here(enrolled: Enrolled, key: OrderKey) -> AsyncIterator[Instance]:
    async with SshFleet(orders=key) as fleet:
        site = await open_site(enrolled.lab, fleet, "app2")
        site.fence = Fence((await site.facts()).seen + 1, new_token())
        yield Instance(enrolled, site)
        await site.close()


async def sent(enrolled: Enrolled, data: bytes, command: str = INSTALLED) -> Record:
    """What a thief of user gopub's SSH key gets for these bytes."""
    host = enrolled.lab.layout.host("app2")
    async with asyncssh.connect(
        host.address, username="gopub", client_keys=[str(enrolled.login)], config=None, agent_path=None,
        known_hosts=str(enrolled.lab.layout.known_hosts),
    ) as connection:  # fmt: skip
        done = await talk(connection, command, [data], ("thief",))
    return Record.parse(done.out.decode(), host="app2", verb="switch")


async def test_a_job_outlives_its_connection_and_an_order_that_was_kept_does_nothing(
    here: Instance, enrolled: Enrolled, key: OrderKey
) -> None:
    site = here.site
    slow, second = await site.slow("1"), await here.cargo("2")
    slow = replace(slow, wanted=replace(slow.wanted, env=ENV))
    assert (await here.release(slow)).ok
    here.next_seat()
    for_second = here.admitted(second)
    assert (await site.do("stage", second, admission=for_second)).ok
    order = replace(await site.order("switch", second), admission=for_second)
    asking = asyncio.create_task(site.channel.run(order, timeout=300))
    await site.switching_to(second.folder)
    (await site.channel.connect()).abort()
    await site.let_go()
    record = await asking
    assert (record.ok, record.values["current"]) == (True, second.folder), record
    assert await site.sh(f"journalctl -q -o cat -u {site.instance} | grep -c '^Started'") == "2", "once each"
    assert await site.sh(f"ls {site.home}/.gopub/jobs | wc -l") == "0"

    nonce = (await site.channel.run(replace(order, verb="facts", n=0))).values["nonce"]
    kept = signed_lines(order, key, nonce)
    back = Order("rollback", order.host, order.machine_id, order.instance, order.app, ENV, order.epoch, order.token,
                 order.n + 1)  # fmt: skip
    assert (await site.channel.run(back)).ok
    site.fence = Fence(order.epoch, order.token, order.n + 1)
    before = await here.stands()
    assert before[0] == slow.folder
    assert (await sent(enrolled, kept)).code == "GP433", "a later order came"
    here.next_seat()
    assert (await site.do("prune", slow)).ok
    assert (await sent(enrolled, kept)).code == "GP431", "a higher epoch came"
    later = replace(order, epoch=site.fence.epoch, token=site.fence.token, n=site.fence.n + 1)
    assert (await sent(enrolled, signed_lines(later, key, nonce))).code == "GP463", "its nonce was another seat's"
    assert (await sent(enrolled, later.lines())).code == "GP460"
    for data in (b"", b"gopub=2\n\n", kept[: len(kept) // 2], kept.replace(b"verb=switch", b"verb=stop", 1)):
        assert not (await sent(enrolled, data)).ok
    assert await here.stands() == before
    await site.whole()


async def test_control_the_same_bytes_by_who_may_order_are_obeyed(here: Instance, enrolled: Enrolled, key: OrderKey):
    """The thief's way carries orders: it is what is signed that counts. Without sudo's word nobody is root."""
    site = here.site
    order = await site.order("prune", await here.cargo("1"))
    nonce = (await site.channel.run(replace(order, verb="facts", n=0))).values["nonce"]
    assert (await sent(enrolled, signed_lines(order, key, nonce), "sh -c id")).code == "GP472"
    assert (await sent(enrolled, signed_lines(order, key, nonce))).ok
    again = await sent(enrolled, signed_lines(order, key, nonce))
    assert again.values["repeated"] == "true"
    assert await site.sh(f"stat -c %U:%a {INSTALLED}") == "root:755"
    assert await site.sh("ls -A /run/gopub-orders") == "", "nothing stays of what came in"


async def test_an_enrolled_host_runs_two_releases_side_by_side(here: Instance) -> None:
    site, ports = here.site, (here.site.port, here.site.port - 10_000)
    cargos = []
    for version in ("1", "2"):
        made = await site.cargo(version, mode="side-by-side", ports=ports, env={"ADDR": ":{{ port }}"})
        made = made.with_arguments("stage", ports=f"{ports[0]},{ports[1]}")
        cargos.append(replace(made, wanted=replace(made.wanted, env=ENV)))
    for slot, cargo in zip("ab", cargos, strict=True):
        here.next_seat()
        record = await here.release(cargo)
        assert (record.ok, record.values.get("slot")) == (True, slot), record
    serving = [await site.sh(f"curl -s http://127.0.0.1:{port}/healthz") for port in ports]
    assert [said.strip() for said in serving] == ["1", "2"]
    read = Order("logs", site.name, (await site.facts()).machine_id, site.instance, "service", ENV,
                 arguments={"age": "60", "most": "1000", "lines": "10", "within": "10"})  # fmt: skip
    assert (await site.channel.run(read)).ok
    back = await site.do("rollback", cargos[0], admission=here.admitted(cargos[0]))
    assert (back.ok, (await site.facts()).slots.slot) == (True, "a"), back
    assert (await site.do("prune", cargos[0])).ok
    assert await site.sh(f"ls /etc/systemd/system | grep -F {site.instance}@") == f"{site.instance}@a.service"
