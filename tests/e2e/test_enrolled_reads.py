"""Logs and tables of enrolled hosts on the lab, over user gopub: the same answers, and nothing that is no verb's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from gopub.errors import GopubError
from gopub.fleet.asking import Asked, to_edge
from gopub.fleet.backends.ssh import Ssh
from gopub.fleet.inventory import load_inventory
from gopub.fleet.orders import Order
from gopub.fleet.protocol import Fleet, HostChannel
from gopub.health.backends import journald, logfile
from gopub.process import Call, Result, call_on
from gopub.traffic import Peer, RouteTable, Track
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.backends.nginx.client import Question
from gopub.wiring.outside import open_fleet
from tests.e2e.enrolled_ground import ENV, Enrolled

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = pytest.mark.e2e
INSTANCE = "hello-prod"
TABLE = RouteTable(
    app="hello", env=ENV, upstream=INSTANCE, revision=4, stable=Track("a" * 64, (Peer("a1", "10.0.0.1:80"),)),
    epoch=2, token="ab" * 16, n=7,
)  # fmt: skip


@pytest.fixture
async def fleet(enrolled: Enrolled) -> AsyncIterator[Fleet]:
    sign = {"key": enrolled.keys / "controller/gopub.key", "roles": enrolled.roles}
    fleet = open_fleet(Ssh.model_validate({"kind": "ssh", "sign": sign}))
    try:
        yield fleet
    finally:
        await fleet.close()


async def as_gopub(enrolled: Enrolled, fleet: Fleet, name: str) -> HostChannel:
    """Over the SSH of user gopub."""
    host = load_inventory(enrolled.lab.inventory).host(name)
    assert host is not None
    ssh = replace(host.ssh, user="gopub", key=enrolled.login, known_hosts=enrolled.lab.layout.known_hosts)
    return await fleet.channel(replace(host, user="gopub", ssh=ssh))


async def by_root(enrolled: Enrolled, name: str, call: Call, body: bytes = b"") -> Result:
    """As a host that is not enrolled is asked."""
    return await enrolled.lab.exec(name, call.argv, stdin=body, check=False)


def reader(channel: HostChannel, instance: str = INSTANCE) -> Asked:
    return Asked(channel, Order("logs", channel.host.name, "", instance, "hello", ENV))


async def refused(asked: Asked, call: Call) -> str:
    with pytest.raises(GopubError) as told:
        await call_on(asked, call)
    return told.value.code


async def test_the_journal_of_the_instance_is_read_and_no_other_units(enrolled: Enrolled, fleet: Fleet) -> None:
    channel = await as_gopub(enrolled, fleet, "app1")
    say = "printf 'ERROR one\\nall well\\n'"
    await enrolled.lab.exec(
        "app1", ("systemd-run", "--quiet", "--wait", "--collect", f"--unit={INSTANCE}", "sh", "-c", say)
    )
    await enrolled.lab.exec("app1", ("journalctl", "--sync"))
    for cursor in ("", "s=0;i=1"):
        call = journald.to_read(f"{INSTANCE}.service", cursor, 3600.0)
        mine, roots = await call_on(reader(channel), call), await by_root(enrolled, "app1", call)
        read = journald.parse_reading(mine.out)
        assert (mine.code, read, mine.err) == (roots.code, journald.parse_reading(roots.out), roots.err)
        assert "ERROR one" in [entry.text for entry in read[0]]  # journalctl gives the fields of a line in any order
    ssh = journald.to_read("ssh.service", "", 3600.0)
    assert b"_SYSTEMD_UNIT" in (await by_root(enrolled, "app1", ssh)).out, "control: sshd says things"
    assert await refused(reader(channel, "ssh"), ssh) == "GP473"


async def test_a_file_is_read_byte_for_byte_and_none_elsewhere(enrolled: Enrolled, fleet: Fleet) -> None:
    channel = await as_gopub(enrolled, fleet, "app2")
    folder = f"/var/log/{INSTANCE}"
    files = f"cd {folder} && printf 'one\\0\\377\\nend=1\\n' >a.log && ln -sf /etc/shadow b.log && mkfifo c.log"
    await enrolled.lab.exec("app2", ("sh", "-c", f"mkdir -p {folder} && {files}"))
    try:
        call = logfile.to_read(f"{folder}/a.log", "", 0, 1000)
        mine, roots = await call_on(reader(channel), call), await by_root(enrolled, "app2", call)
        assert (mine.code, mine.out, mine.err) == (roots.code, roots.out, roots.err)
        assert mine.out.endswith(b"one\0\xff\nend=1\n")
        for path in ("/etc/shadow", f"{folder}/b.log", f"{folder}/c.log", f"{folder}/../../../etc/shadow"):
            assert await refused(reader(channel), logfile.to_read(path, "", 0, 1000)) == "GP473", path
        control = await by_root(enrolled, "app2", logfile.to_read(f"{folder}/b.log", "", 0, 1000))
        assert b"root:" in control.out, "control: root's own link to a file of root's is followed today"
    finally:
        await enrolled.lab.exec("app2", ("rm", "-rf", folder))


async def test_an_edge_is_told_and_asked_and_nothing_else_of_it(enrolled: Enrolled, fleet: Fleet) -> None:
    edge = enrolled.lab.edges[0].name
    channel = await as_gopub(enrolled, fleet, edge)

    async def connect(_name: str) -> Asked:
        return to_edge(channel, edge)

    router = NginxRouter((edge,), connect)
    (ack,) = await router.put(TABLE)
    assert (ack.ok, ack.revision, ack.error) == (True, 4, "")
    (status,) = await router.status("hello", ENV, INSTANCE)
    assert (status.table, status.error) == (TABLE, "")
    counts = await router.count(edge, "hello", ENV, INSTANCE, ("a" * 12,))
    assert (counts.error, counts.identity) == ("", status.identity)
    call = router.to_ask(Question("GET", f"/v1/status?upstream={INSTANCE}", app="hello", env=ENV))
    mine, roots = await call_on(to_edge(channel, edge), call), await by_root(enrolled, edge, call)
    assert (mine.code, without_time(mine.out), mine.err) == (0, without_time(roots.out), roots.err)
    for method, path in (("GET", "/v1/status"), ("PUT", "/v1/source"), ("GET", "/v1/tables/hello")):
        asked = router.to_ask(Question(method, path, b"{}" if method == "PUT" else b"", app="hello", env=ENV))
        with pytest.raises(GopubError, match="GP473"):
            await call_on(to_edge(channel, edge), asked, b"{}" if method == "PUT" else b"")
    other = router.to_ask(Question("GET", f"/v1/status?upstream={INSTANCE}", app="hello", env="staging"))
    with pytest.raises(GopubError, match="GP466"):
        await call_on(to_edge(channel, edge), other)


def without_time(answer: bytes) -> bytes:
    return re.sub(rb'"(now|since)":[0-9.]+', b"", answer)


async def test_files_of_an_edge_are_roots_matter(enrolled: Enrolled, fleet: Fleet) -> None:
    """Over user gopub it is told how; over root's SSH it works as ever."""
    edge = enrolled.lab.edges[0].name
    channel = await as_gopub(enrolled, fleet, edge)
    for asked in (to_edge(channel, edge), to_edge(channel, edge, by_root=True)):
        with pytest.raises(GopubError, match=f"GP487 {edge} is enrolled: it runs no program, so not nginx"):
            await asked.exec(("nginx", "-t"))
    root: Sequence[str] = ("--as", "root", "--key", str(enrolled.lab.layout.key))
    done = await enrolled.gopub("route", "check", "--env", ENV, *root)
    assert (done.code, edge in done.text) == (0, True), done.complaint
    over = {"GOPUB_CONNECTIONS": str(enrolled.orders)}
    done = await enrolled.gopub("route", "check", "--env", ENV, **over)
    assert (done.code, "GP487" in done.text, "--as root --key FILE" in done.text) == (5, True, True), done.complaint
    seen = (await enrolled.gopub("doctor", **over)).text
    assert f"{len(enrolled.names)} of {len(enrolled.names)} hosts are enrolled" in seen
    assert all(f"host {name} " in seen for name in enrolled.names), "their clocks, by facts"
