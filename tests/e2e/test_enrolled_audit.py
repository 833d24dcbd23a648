"""On booted hosts: what came with signed orders is remembered there, and a history that was written anew is found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gopub.clock import SystemClock, new_token
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order
from gopub.fleet.protocol import OrderSigning
from gopub.journal import events as ev
from gopub.journal.database import engine_of
from gopub.journal.store import open_journal
from gopub.process import Result
from gopub.wiring.order_keys import open_order_key
from tests.e2e.enrolled_ground import APP, ENV, PROJECT, Enrolled
from tests.support.rewriting import laid, rewritten, rows_of

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = pytest.mark.e2e
INSTANCE = "audited"
"""One of its own: other tests order the same hosts from other journals."""
NAMES = ("app1", "app2", "app3")


@asynccontextmanager
async def fleet_of(enrolled: Enrolled) -> AsyncIterator[SshFleet]:
    """As a driver reaches these hosts: as user gopub, by signed orders."""
    signing = OrderSigning(enrolled.keys / "controller/gopub.key", None, enrolled.roles)
    options = SshOptions("gopub", None, enrolled.login, enrolled.lab.layout.known_hosts)
    async with SshFleet(options, orders=open_order_key(signing)) as fleet:
        yield fleet


async def told(enrolled: Enrolled, head: str) -> None:
    """An order to every host that changes nothing but what they remember."""
    async with fleet_of(enrolled) as fleet:
        for name in NAMES:
            channel = await fleet.channel(Host(name, enrolled.lab.layout.host(name).address))
            facts = await channel.facts(INSTANCE)
            order = Order("prune", name, facts.machine_id, INSTANCE, APP, ENV, facts.epoch + 1, new_token(), 1,
                          journal=head)  # fmt: skip
            assert (await channel.run(order)).ok


async def test_a_history_that_was_written_anew_is_found_by_what_hosts_remember(
    enrolled: Enrolled, tmp_path: Path
) -> None:
    project = tmp_path / "gopub.yaml"
    project.write_text(PROJECT.replace("instance: hello-prod", f"instance: {INSTANCE}"))
    path = str(enrolled.folder / "state/gopub/journal.db")
    journal = open_journal(path, SystemClock())
    version = len(journal.read("asked/audit"))
    journal.append("asked/audit", version, [ev.Asked("hold", "ann", "for the audit")], actor="ann")
    await told(enrolled, journal.head.said("r1"))
    entries = journal.verify()
    journal.close()

    async def audit(*words: str) -> Result:
        return await enrolled.gopub(
            "audit", "verify", "--file", str(project), *words, GOPUB_CONNECTIONS=str(enrolled.orders)
        )

    agreed = await audit("--json")
    assert agreed.code == 0, agreed.complaint
    hosts = {one["host"]: one for one in json.loads(agreed.text)["hosts"]}
    assert {name: one["stands"] for name, one in hosts.items()} == dict.fromkeys(NAMES, "agrees")
    assert hosts["app1"]["memory"]["same"]["seq"] == entries
    assert hosts["app1"]["memory"]["same"]["rollout"] == "r1"

    owner = engine_of(path, 5.0)
    whole = rows_of(owner)
    try:
        rewritten(owner, lambda rows: [{**row, "actor": "mallory"} if row["seq"] == 1 else row for row in rows])
        assert (await enrolled.gopub("status", "--verify")).code == 0, "control: the chain holds in itself"
        found = await audit()
        assert found.code == 3, found.complaint
        assert f"GP488 history differs: app1 ({ENV}): remembers entry" in found.err.decode()
        assert "of rollout r1" in found.err.decode()
    finally:
        laid(owner, whole)
        owner.dispose()
    assert (await audit()).code == 0, "control"


async def test_what_hosts_remember_is_roots_and_reaches_nobody_without_a_signature(enrolled: Enrolled) -> None:
    stat = await enrolled.lab.exec("app1", ("sh", "-c", "cd /var/lib/gopub && stat -c '%n %U %a' heads heads/*"))
    lines = stat.text.splitlines()
    assert lines[0] == "heads root 700"
    assert all(line.split()[1:] == ["root", "600"] for line in lines[1:])
    assert any(line.startswith(f"heads/{INSTANCE} ") for line in lines)
