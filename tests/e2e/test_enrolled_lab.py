"""Enrolment on booted hosts, by the command: user gopub can do one thing, and what was interrupted is healed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.fleet.backends.ssh import Ssh, SshFleet
from gopub.fleet.backends.stream import talk
from gopub.fleet.facts import HostFacts
from gopub.fleet.inventory import load_inventory
from gopub.fleet.loginkey import make_login
from gopub.journal.store import open_journal
from gopub.process import Result
from gopub.spec.connections import parse_connections
from gopub.spec.selector import parse_selector
from gopub.wiring.backends import BACKENDS
from gopub.wiring.order_keys import open_order_key
from tests.e2e.enrolled_ground import APP, ENV, Enrolled

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = pytest.mark.e2e


async def as_gopub(enrolled: Enrolled, name: str, command: str, stdin: bytes = b"") -> Result:
    """What whoever has the SSH key of user gopub gets for a command line."""
    host = enrolled.lab.layout.host(name)
    async with asyncssh.connect(
        host.address, username="gopub", client_keys=[str(enrolled.login)], config=None, agent_path=None,
        known_hosts=str(enrolled.lab.layout.known_hosts),
    ) as connection:  # fmt: skip
        return await talk(connection, command, [stdin], (command,))


async def test_every_host_is_enrolled_and_listed(enrolled: Enrolled) -> None:
    listed = json.loads((await enrolled.gopub("host", "list", "--env", ENV, "--edges", "--json")).text)
    assert {name: host["stands"] for name, host in listed["hosts"].items()} == dict.fromkeys(enrolled.names, "enrolled")
    assert all(host["names"] == [name] and host["root_keys"] == 1 for name, host in listed["hosts"].items())
    again = await enrolled.enrol("--json")
    assert again.code == 0, again.complaint
    assert [one["changed"] for one in json.loads(again.text)["done"].values()] == [False] * len(enrolled.names)
    assert "user: gopub" in (await enrolled.enrol()).complaint


async def test_the_ssh_key_of_user_gopub_runs_one_program(enrolled: Enrolled) -> None:
    for command in ("id", "sh -c id", "/usr/local/lib/gopub/shell; id", "sudo -n id", "sftp", ""):
        done = await as_gopub(enrolled, "app1", command, b"id\n")
        assert b"uid=" not in done.out + done.err, command
        assert b"gopub-record=1" in done.out, (command, done)  # the program refuses what is no order
    assert b"uid=0" in (await enrolled.lab.exec("app1", ("id",))).out, "control: root's SSH runs what it is told"


async def test_no_tunnel_no_terminal_no_agent(enrolled: Enrolled) -> None:
    host = enrolled.lab.layout.host("app1")
    async with asyncssh.connect(
        host.address, username="gopub", client_keys=[str(enrolled.login)], config=None, agent_path=None,
        known_hosts=str(enrolled.lab.layout.known_hosts),
    ) as connection:  # fmt: skip
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 22)
        with pytest.raises((asyncssh.ChannelListenError, asyncssh.ChannelOpenError)):
            await connection.forward_remote_port("", 0, "127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("id", term_type="xterm")


async def test_a_host_that_crashes_meanwhile_is_healed_by_the_same_command(enrolled: Enrolled) -> None:
    """The power goes while all hosts are enrolled anew; whatever stands there then, the same again makes it whole."""
    assert (await enrolled.gopub("host", "unenroll", "app2", "--env", ENV, "--yes")).code == 0
    going = asyncio.create_task(enrolled.enrol())
    await enrolled.lab.kill_host("app2")
    await going
    await enrolled.lab.start_host("app2")
    done = await enrolled.enrol()
    assert done.code == 0, done.complaint
    stands = json.loads((await enrolled.gopub("host", "list", "app2", "--env", ENV, "--json")).text)
    assert stands["hosts"]["app2"]["stands"] == "enrolled"


async def test_a_certificate_of_the_moment_lets_orders_in_and_a_standing_key_no_more(enrolled: Enrolled) -> None:
    ca = make_login(enrolled.folder / "ca")
    certified = enrolled.folder / "certified.yaml"
    certified.write_text(
        enrolled.orders.read_text().replace("user: gopub,", f"user: gopub, certificate: {{ca: {ca}}},")
    )
    assert (await ordered(enrolled, enrolled.orders)).enrolled, "control: the standing key"
    done = await enrolled.gopub("host", "enroll", "app3", "-e", ENV, "--yes", "--only-this-login",
                                GOPUB_CONNECTIONS=str(certified))  # fmt: skip
    assert done.code == 0, done.complaint
    try:
        assert (await ordered(enrolled, certified)).enrolled
        with pytest.raises(GopubError, match="GP414"):
            await ordered(enrolled, enrolled.orders)
        with pytest.raises(GopubError, match="GP414"):
            await ordered(enrolled, certified, clock=YesterdayClock())
    finally:
        assert (await enrolled.enrol("--only-this-login")).code == 0
    assert (await ordered(enrolled, enrolled.orders)).enrolled


async def test_a_host_whose_pam_keeps_user_gopub_out_is_enrolled_and_told(enrolled: Enrolled) -> None:
    keep_out = "printf 'gopub\\n' >/etc/nologin-gopub; sed -i '1i account required "
    keep_out += "pam_listfile.so item=user sense=deny file=/etc/nologin-gopub onerr=succeed' /etc/pam.d/sshd"
    await enrolled.lab.exec("app3", ("sh", "-c", keep_out))
    try:
        done = await enrolled.enrol()
        assert (done.code, "GP496 app3 is enrolled" in done.complaint) == (5, True), done.complaint
    finally:
        await enrolled.lab.exec("app3", ("sh", "-c", "sed -i /nologin-gopub/d /etc/pam.d/sshd; rm /etc/nologin-gopub"))
    assert (await enrolled.enrol()).code == 0, "control"


class YesterdayClock(SystemClock):
    """A controller whose clock is a day behind: what it certifies is over."""

    def now(self) -> float:
        return super().now() - 86400


def way_of(connections: Path) -> Ssh:
    found = parse_connections(connections.read_text(), str(connections), connections.parent, BACKENDS)["ssh"]
    assert isinstance(found, Ssh)
    return found


async def ordered(enrolled: Enrolled, connections: Path, clock: Clock | None = None) -> HostFacts:
    """What app3 answers to facts that are signed."""
    way = way_of(connections)
    signing = way.signing()
    assert signing
    fleet = SshFleet(orders=open_order_key(signing), authority=way.certificate, clock=clock)
    hosts = load_inventory(enrolled.folder / "orders/hosts.ini").select(parse_selector("role=app"))
    try:
        host = next(replace(host, ssh=host.ssh.over(way.options())) for host in hosts if host.name == "app3")
        return await (await fleet.channel(host)).facts("hello-prod")
    finally:
        await fleet.close()


async def test_other_roots_are_refused_and_the_others_are_done(enrolled: Enrolled, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    other = tmp_path_factory.mktemp("other")
    assert (await enrolled.gopub("host", "unenroll", "app3", "--env", ENV, "--yes")).code == 0
    try:
        done = await enrolled.gopub("host", "enroll", "--env", ENV, "--yes", XDG_STATE_HOME=str(other))
        assert done.code == 5, done.complaint
        assert done.complaint.count("GP482") >= 2
        stands = json.loads((await enrolled.gopub("host", "list", "--env", ENV, "--json")).text)["hosts"]
        assert {name: one["stands"] for name, one in stands.items()} == dict.fromkeys(stands, "enrolled")
    finally:
        assert (await enrolled.gopub("host", "unenroll", "app3", "--env", ENV, "--yes")).code == 0
        assert (await enrolled.enrol()).code == 0


async def test_the_word_is_asked_for_and_the_journal_says_who(enrolled: Enrolled) -> None:
    told = await enrolled.gopub("host", "unenroll", "--env", ENV)
    assert (told.code, "GP458" in told.complaint) == (2, True)
    assert (await enrolled.gopub("host", "unenroll", "--env", ENV, "--dry-run")).code == 0
    assert (await enrolled.gopub("host", "unenroll", "--env", ENV, "no-such", "--yes")).code == 2
    journal = open_journal(str(enrolled.folder / "state/gopub/journal.db"), SystemClock())
    kept = [entry for entry in journal.read(f"env/{APP}/{ENV}") if type(entry.event).__name__ == "HostsEnrolled"]
    assert set(kept[0].event.hosts) == set(enrolled.names)
    assert kept[0].actor
