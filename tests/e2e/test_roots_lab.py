"""Keys of orders that change on booted hosts, over the SSH key of user gopub: under load, after a theft or a loss."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gopub.evidence.keys import generate
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order, Record
from gopub.fleet.protocol import OrderSigning
from gopub.process import Result
from gopub.wiring.order_keys import open_order_key
from tests.e2e.enrolled_ground import APP, ENV, Enrolled

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = pytest.mark.e2e
TOKEN = "ab" * 16


@pytest.fixture(scope="module")
def signed(enrolled: Enrolled, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a controller runs with that reaches hosts as user gopub and signs its orders."""
    folder, layout = tmp_path_factory.mktemp("signed"), enrolled.lab.layout
    inventory = layout.inventory.read_text() + f"gopub_user=gopub\ngopub_key={enrolled.login}\n"
    (folder / "hosts.ini").write_text(inventory)
    sign = f"sign: {{key: {enrolled.keys}/controller/gopub.key, roles: {enrolled.roles}}}"
    known = f"known_hosts: {layout.known_hosts}"
    text = enrolled.lab.connections.read_text().replace(str(layout.inventory), str(folder / "hosts.ini"))
    lines = [line for line in text.splitlines() if not line.startswith("ssh:")]
    ssh = f"ssh: {{kind: ssh, user: gopub, key: {enrolled.login}, {known}, {sign}}}"
    (folder / "connections.yaml").write_text("\n".join([*lines, ssh, ""]))
    return {"GOPUB_CONNECTIONS": str(folder / "connections.yaml")}


async def told(enrolled: Enrolled, signed: dict[str, str], *words: str) -> Result:
    done = await enrolled.gopub("host", *words, "--env", ENV, "--json", **signed)
    assert done.code == 0, done.complaint
    return done


@dataclass
class Driver:
    """Whoever gives one host orders."""

    fleet: SshFleet
    host: Host
    order: Order

    async def says(self) -> Record:
        self.order = replace(self.order, n=self.order.n + 1)
        return await (await self.fleet.channel(self.host)).run(self.order)


@asynccontextmanager
async def driving(enrolled: Enrolled, name: str, key: Path, epoch: int = 0) -> AsyncIterator[Driver]:
    """With the key that lies in a file; under an epoch that is new to the host, where none is named."""
    layout = enrolled.lab.layout
    ways = SshOptions(key=enrolled.login, known_hosts=layout.known_hosts)
    host = Host(name, layout.host(name).address, user="gopub", ssh=ways)
    async with SshFleet(orders=open_order_key(OrderSigning(key))) as fleet:
        facts = await (await fleet.channel(host)).facts("hello-prod")
        epoch = epoch or facts.seen + 1
        yield Driver(fleet, host, Order("prune", name, facts.machine_id, "hello-prod", APP, ENV, epoch, TOKEN))


async def test_a_key_rotates_under_load_and_no_order_is_refused(enrolled: Enrolled, signed: dict[str, str]) -> None:
    key = enrolled.keys / "controller/gopub.key"
    old = key.read_bytes()
    async with driving(enrolled, "app1", key) as driver:
        assert (await driver.says()).ok
        rotating = asyncio.create_task(told(enrolled, signed, "rotate"))
        said = []
        while not rotating.done():
            said.append(await driver.says())
        found = json.loads((await rotating).text)
        said += [await driver.says(), await driver.says()]
    assert [record for record in said if not record.ok] == []
    assert len(said) > 4
    assert {one["outcome"] for one in found["hosts"]} == {"taken"}
    assert {one["host"] for one in found["hosts"]} == set(enrolled.names)
    stolen = enrolled.folder / "stolen.key"
    stolen.write_bytes(old)
    stolen.chmod(0o600)
    with pytest.raises(Exception, match="GP461"):
        async with driving(enrolled, "app1", stolen) as thief:
            await thief.says()


async def test_a_revoked_key_is_refused_at_the_next_order(enrolled: Enrolled, signed: dict[str, str]) -> None:
    other = generate(enrolled.folder / "other")
    more = ("--also", f"controller={other.public}")
    assert (await enrolled.gopub("keys", "make", str(enrolled.keys), *more)).code == 0
    await told(enrolled, signed, "roles")
    async with driving(enrolled, "app2", other.private) as driver:
        assert (await driver.says()).ok, "control: it is believed"
        await told(enrolled, signed, "revoke", other.public_key().fingerprint[:16])
        assert (await driver.says()).code == "GP461"
    async with driving(enrolled, "app2", enrolled.keys / "controller/gopub.key", epoch=1) as ours:
        assert (await ours.says()).ok, "epochs start anew: the key that let the last one in counts no more"


async def test_a_lost_controllers_key_is_replaced_by_roots(enrolled: Enrolled, signed: dict[str, str]) -> None:
    lost = enrolled.folder / "lost"
    shutil.move(enrolled.keys / "controller", lost)
    assert (await enrolled.gopub("keys", "make", str(enrolled.keys))).code == 0
    key = enrolled.keys / "controller/gopub.key"
    with pytest.raises(Exception, match="GP461"):
        async with driving(enrolled, "app3", key) as early:
            await early.says()
    await told(enrolled, signed, "roles")
    async with driving(enrolled, "app3", key) as driver:
        assert (await driver.says()).ok
    with pytest.raises(Exception, match="GP461"):
        async with driving(enrolled, "app3", lost / "gopub.key") as thief:
            await thief.says()


async def test_a_program_that_roots_signed_takes_the_place_of_another(
    enrolled: Enrolled, signed: dict[str, str]
) -> None:
    older = "f=/usr/local/lib/gopub/order; sed '2i : older' $f >$f.older && chmod 755 $f.older && mv $f.older $f"
    assert (await enrolled.lab.exec("app1", ("sh", "-c", older))).code == 0
    found = json.loads((await told(enrolled, signed, "upgrade")).text)["hosts"]
    outcomes = {one["host"]: one["outcome"] for one in found}
    assert outcomes == {name: "taken" if name == "app1" else "had" for name in enrolled.names}
    async with driving(enrolled, "app1", enrolled.keys / "controller/gopub.key") as driver:
        assert (await driver.says()).ok
    assert (await enrolled.enrol()).code == 0


async def test_roots_end_an_enrolment_over_the_ssh_of_orders(enrolled: Enrolled, signed: dict[str, str]) -> None:
    """It takes away the very user and program by whom it came."""
    root = ("--root", str(enrolled.keys / "root"))
    asked = await enrolled.gopub("host", "unenroll", "app3", "--env", ENV, *root, **signed)
    assert (asked.code, "GP458" in asked.complaint) == (2, True)
    try:
        done = await told(enrolled, signed, "unenroll", "app3", *root, "--yes")
        assert json.loads(done.text)["hosts"] == [{"host": "app3", "outcome": "taken", "why": ""}]
        listed = json.loads((await enrolled.gopub("host", "list", "app3", "--env", ENV, "--json")).text)
        assert listed["hosts"]["app3"]["stands"] == "none", listed
    finally:
        healed = await enrolled.enrol()
        assert healed.code == 0, healed.complaint
