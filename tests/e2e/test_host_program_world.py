"""The host program and the world around it: downloads, full disks, changed machines, and what nobody may see."""

from __future__ import annotations

import asyncio
import gzip
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gopub.canon import sha256
from gopub.errors import RefusedError
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.inventory import load_inventory
from gopub.health.backends.journald import JournaldSource
from gopub.health.samples import LogCounts
from gopub.health.sources import LogTarget

from .host_kit import APP, PATIENCE, Site, binary, entry, open_site, tar_gz

pytestmark = pytest.mark.e2e


@pytest.fixture
async def site(lab: Any) -> AsyncIterator[Site]:
    async with SshFleet() as fleet:
        made = await open_site(lab, fleet, lab.hosts[2].name)
        yield made
        await made.close()


BEGINNING = 1_000_000
"""Bytes of an archive."""


@dataclass
class Store:
    """A web server on this machine with one secret address, as a presigned URL has one."""

    base: str
    data: bytes = b""
    status: str = "200 OK"
    length: int | None = None
    endless: bool = False
    held: asyncio.Event | None = None
    """What it waits for, if anything, once it has sent the beginning."""
    secret: str = field(default_factory=lambda: secrets.token_hex(12))
    asked: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.base}/archive?X-Amz-Signature={self.secret}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self.begun.set()
        known = self.secret.encode() in request.split(b"\r\n")[0]
        status = self.status if known else "403 Forbidden"
        length = len(self.data) if self.length is None else self.length
        if self.endless:
            await self._without_end(writer)
            return
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode())
        with suppress(ConnectionError):  # a host that has no room for more goes away
            writer.write(self.data[:BEGINNING])
            await writer.drain()
            if self.held:
                await self.held.wait()
            writer.write(self.data[BEGINNING:])
            await writer.drain()
        writer.close()

    async def _without_end(self, writer: asyncio.StreamWriter) -> None:
        """In chunks, and so without a length that anybody could compare: until the reader has enough."""
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            for _ in range(1000):
                writer.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                await writer.drain()
        writer.close()


@pytest.fixture
async def store(lab: Any) -> AsyncIterator[Store]:
    made = Store("")
    server = await asyncio.start_server(made.answer, lab.gateway, 0)
    made.base = f"http://{lab.gateway}:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


async def test_an_archive_is_fetched_by_its_url_which_nobody_sees(site: Site, store: Store) -> None:
    cargo = await site.cargo("1")
    store.data, store.held = cargo.archive, asyncio.Event()
    cargo = cargo.with_arguments("stage", url=store.url)
    staging = asyncio.create_task(site.channel.run(await site.order("stage", cargo), (cargo.files,)))
    await store.begun.wait()
    words = await site.sh("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
    assert "curl" in words, "control: it is being downloaded right now"
    assert store.secret not in words
    store.held.set()
    record = await staging
    assert record.ok, record
    assert store.secret not in str(record)
    await site.run("switch", cargo)
    assert (await site.run("verify", cargo)).ok
    found = await site.sh(f"grep -rl {store.secret} {site.home} /run /tmp /var/log 2>/dev/null; true")
    assert found == ""
    assert store.secret not in await site.sh("journalctl -q -o cat")


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"status": "403 Forbidden"}, "GP423", "403"),
        ({"length": 10_000_000_000}, "GP423", "Maximum file size exceeded"),
        ({"cut": 1000}, "GP423", "of"),
        ({"flip": True}, "GP425", "the archive has the digest"),
        ({"grow": 1000}, "GP423", "Maximum file size exceeded"),
        ({"endless": True}, "GP423", ""),
        ({"gone": True}, "GP423", "Failed to connect"),
        ({"scheme": "file:///etc/passwd?"}, "GP430", "neither http nor https"),
        ({"scheme": 'http://x/"\\'}, "GP430", "character that is not allowed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_download_that_goes_wrong(site: Site, store: Store, change: Any, code: str, text: str) -> None:
    cargo = await site.cargo("1")
    store.data = cargo.archive
    store.status, store.length = change.get("status", store.status), change.get("length")
    store.endless = "endless" in change
    await site.sh(f"mkdir -p {site.home} && mount -t tmpfs -o size=200m none {site.home}")
    if "cut" in change:
        store.data = store.data[: -change["cut"]]
    if "grow" in change:
        store.data += b"x" * change["grow"]
    if "flip" in change:
        store.data = store.data[:-9] + bytes([store.data[-9] ^ 1]) + store.data[-8:]
    url = change.get("scheme", store.url) if "gone" not in change else "http://127.0.0.1:9/x"
    cargo = cargo.with_arguments("stage", url=url)
    record = await site.channel.run(await site.order("stage", cargo), (cargo.files,))
    assert (record.ok, record.code) == (False, code), record
    assert text in record.message
    assert store.secret not in record.message
    facts = await site.facts()
    assert (facts.releases, facts.current) == ((), None)


async def test_a_full_disk_is_seen_before_it_is_full(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.sh(f"mkdir -p {site.home} && mount -t tmpfs -o size=20m none {site.home}")
    record = await site.do("stage", cargo)
    assert (record.ok, record.code) == (False, "GP421"), record
    await site.sh(f"mount -o remount,size=200m {site.home}")
    assert (await site.run("stage", cargo)).changed
    await site.sh(f"mount -o remount,size=200m,nr_inodes=500 {site.home}")
    record = await site.do("stage", await site.cargo("2"))
    assert (record.ok, record.code) == (False, "GP422"), record


@pytest.mark.parametrize("left", [1, 8, 14, 20])
async def test_a_disk_that_fills_up_meanwhile(site: Site, store: Store, left: int) -> None:
    """The check said yes, but somebody else took the room: nothing half is left, and the next try works."""
    program = await binary("1") + secrets.token_bytes(12 << 20)
    cargo = (await site.cargo("1")).with_archive(tar_gz([(entry(f"bin/{APP}"), program)]))
    digests = {**cargo.wanted.digests, "binary": sha256(program)}
    cargo = replace(cargo, wanted=replace(cargo.wanted, digests=digests))
    cargo = cargo.with_arguments("stage", url=store.url, binary_size=str(len(program)))
    store.data, store.held = cargo.archive, asyncio.Event()
    await site.sh(f"mkdir -p {site.home} && mount -t tmpfs -o size=120m none {site.home}")
    staging = asyncio.create_task(site.channel.run(await site.order("stage", cargo), (cargo.files,)))
    await store.begun.wait()
    free = f"$(df --output=avail -B1 {site.home} | tail -n 1)"
    await site.sh(f"head -c $(({free} - {left << 20})) /dev/zero >{site.home}/fill || true")
    store.held.set()
    record = await staging
    assert (record.ok, record.code) == (False, "GP421"), record
    assert "no room for" in record.message, "control: it was not the check before"
    assert (await site.facts()).releases == ()
    await site.sh(f"rm {site.home}/fill")
    again = await site.channel.run(await site.order("stage", cargo), (cargo.files,))
    assert again.changed, again
    assert await site.whole() == ""


@pytest.mark.parametrize("how", ["one file", "many files", "zeros after the end"])
async def test_an_archive_that_unpacks_to_more_stops_at_the_signed_size(site: Site, how: str) -> None:
    """The bomb is larger than the disk: had it been unpacked, the disk would have been full."""
    cargo = await site.cargo("1")
    zeros, program = bytes(64 << 20), (entry(f"bin/{APP}"), await binary("1"))
    bomb = {
        "one file": lambda: tar_gz([(entry(f"bin/{APP}"), zeros * 5)]),
        "many files": lambda: tar_gz([program, *((entry(f"bin/{n}"), zeros) for n in range(5))]),
        "zeros after the end": lambda: tar_gz([program]) + gzip.compress(zeros * 5),
    }[how]()
    await site.sh(f"mkdir -p {site.home} && mount -t tmpfs -o size=200m none {site.home}")
    record = await site.do("stage", cargo.with_archive(bomb))
    assert (record.ok, record.code) == (False, "GP453"), record
    assert (await site.facts()).releases == ()
    assert int(await site.sh(f"du -s -B1 {site.home} | cut -f 1")) < 1_000_000
    undeclared = cargo.with_archive(bomb).with_arguments("stage", binary_size=str(30 << 20))
    record = await site.do("stage", undeclared)
    assert record.code == "GP453", record
    assert (await site.run("stage", cargo)).changed, "control: the right archive fits"


async def test_a_disk_that_is_full_already_is_named_as_such(site: Site) -> None:
    """Not even the intent of the order can be written; with room again the same release goes in."""
    cargo = await site.cargo("1")
    await site.sh(f"mkdir -p {site.home} && mount -t tmpfs -o size=1m none {site.home}")
    await site.sh(f"head -c 2000000 /dev/zero >{site.home}/fill || true")
    record = await site.do("stage", cargo)
    assert (record.ok, record.code) == (False, "GP421"), record
    assert "the disk is full: no room for" in record.message
    await site.sh(f"rm {site.home}/fill && mount -o remount,size=200m {site.home}")
    assert (await site.run("stage", cargo)).changed


async def test_a_replaced_machine_is_refused_and_changes_nothing(site: Site) -> None:
    cargo = await site.cargo("1")
    record = await site.do("stage", cargo, machine_id="f" * 32)
    assert (record.ok, record.code) == (False, "GP434"), record
    assert await site.sh(f"ls {site.home} 2>/dev/null || true") == ""


async def test_a_host_whose_key_changed_is_refused(lab: Any, site: Site, tmp_path: Path) -> None:
    host = site.channel.host
    assert host.ssh.known_hosts is not None
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    pins = tmp_path / "known_hosts"
    pins.write_text(f"{host.address} {other}")
    async with SshFleet() as fleet:
        with pytest.raises(RefusedError, match="GP412"):
            await fleet.channel(replace(host, ssh=replace(host.ssh, known_hosts=pins)))
        pins.write_text("")
        with pytest.raises(RefusedError, match="GP411"):
            await fleet.channel(replace(host, ssh=replace(host.ssh, known_hosts=pins)))
        assert (await fleet.channel(host)).host.name == site.name, "control: the pinned key gets in"


async def test_verify_does_not_take_another_process_s_port_for_ours(site: Site) -> None:
    """Somebody answers 200 on our port while our process listens nowhere: health alone would be fooled."""
    cargo = (await site.cargo("1", env={"ADDR": ":1998"})).with_arguments("verify", within="1")
    await site.sh(
        f"systemd-run -q --unit=fake-{site.instance} sh -c 'cd /tmp && echo ok > healthz && "
        f'exec perl -MIO::Socket::INET -e "\\$s=IO::Socket::INET->new(LocalPort=>{site.port},Listen=>5,ReuseAddr=>1);'
        'while(\\$c=\\$s->accept){sysread(\\$c,\\$x,4096);print \\$c \\"HTTP/1.0 200 OK\\r\\n\\r\\nok\\";close \\$c}"\''
    )
    await site.run("stage", cargo)
    await site.run("switch", cargo)
    record = await site.do("verify", cargo)
    await site.sh(f"systemctl stop fake-{site.instance}", check=False)
    assert record.values["check.health"] == "200", "control: the answer alone looks healthy"
    assert (record.ok, record.code) == (False, "GP445"), record
    assert "held by process" in record.message


async def test_a_crash_after_a_while_is_seen_by_status(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.release(cargo)
    quiet = await site.do("status", cargo)
    assert int(quiet.values["unit.memory"]) > 100_000, "bytes that a running process took"
    assert 3 < int(quiet.values["unit.files"]) < 100, "what it holds open: standard streams, its socket"
    assert (quiet.ok, quiet.values["restarts"], quiet.values["check.health"]) == (True, "0", "200"), quiet
    await site.sh(f"kill -9 {(await site.facts()).unit.main_pid}")
    record = await site.do("status", cargo)
    for _ in range(PATIENCE):
        if record.values["restarts"] != "0" and record.values["unit.active"] == "active":
            break
        await asyncio.sleep(0.1)
        record = await site.do("status", cargo)
    assert (record.ok, record.code, record.values["restarts"]) == (False, "GP443", "1"), record


async def test_a_user_with_sudo_can_do_it_all(lab: Any, site: Site, tmp_path: Path) -> None:
    user = f"d{secrets.token_hex(3)}"
    await site.sh(
        f"useradd -m -s /bin/sh {user} && install -d -m 700 -o {user} /home/{user}/.ssh && "
        f"install -m 600 -o {user} /root/.ssh/authorized_keys /home/{user}/.ssh/ && "
        f"echo '{user} ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/{user}"
    )
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(
        lab.inventory.read_text() + f"\n[app:vars]\nansible_user={user}\nansible_become=true\n", encoding="utf-8"
    )
    cargo = await site.cargo("1")
    async with SshFleet() as fleet:
        host = load_inventory(inventory).host(site.name)
        assert host is not None
        assert (host.ssh.user, host.ssh.sudo) == (user, True)
        plain = await fleet.channel(replace(host, ssh=replace(host.ssh, sudo=False)))
        refused = await plain.run(await site.order("stage", cargo), cargo.payload)
        assert (refused.ok, refused.code) == (False, "GP420"), "control: without sudo the user is nobody"
        site.channel = await fleet.channel(host)
        await site.release(cargo)
        assert await site.whole() == cargo.folder
    await site.sh(f"rm /etc/sudoers.d/{user}; userdel -r {user} 2>/dev/null", check=False)


async def test_a_burst_of_log_lines_blinds_the_judge_for_one_reading_at_most(site: Site) -> None:
    source, unit = JournaldSource(warmup=0), f"{site.instance}.service"
    target = LogTarget(site.name, "c", unit, site.channel)
    say = f"systemd-run --quiet --collect --wait --unit={unit} sh -c"
    began = time.time()

    async def read(script: str) -> LogCounts:
        await site.sh(f"{say} '{script}'; journalctl --sync")
        found = await source.read(target, began)
        assert isinstance(found, LogCounts), found
        return found

    assert "template:ERROR one" in (await read("echo ERROR one")).classes
    line = "GET /api/v1/orders " + "x" * 400
    burst = await read(f"yes {line.replace(' ', '_')} | head -n 9000; echo ERROR two")
    assert "template:ERROR two" in burst.classes
    assert "lines were skipped" in burst.notes[0]
    after = await read("echo ERROR three")
    assert [name for name in after.classes if name.startswith("template:")] == ["template:ERROR three"]
    assert (after.notes, (await read("echo all well")).classes) == ((), {})
