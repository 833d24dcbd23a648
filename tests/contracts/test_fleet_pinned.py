"""Channels to enrolled hosts: the installed program behind a forced command, signed orders, nonces, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.fleet import program
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.orders import Order
from gopub.fleet.signed import OrderKey
from tests.support.enrolled import SHELLS, TOKEN, EnrolledHost, fresh_signer, order_key
from tests.support.rooted import MACHINE, RootedHost

from .ssh_server import Server, serving
from .test_fleet_contract import FleetContract, an_order


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.ssh/config of whoever runs the tests must not matter."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def host(tmp_path: Path) -> EnrolledHost:
    return EnrolledHost(tmp_path / "host")


@pytest.fixture
async def server(tmp_path: Path, host: EnrolledHost) -> AsyncIterator[Server]:
    async with serving(tmp_path) as made:
        made.instead = f"exec {' '.join(SHELLS['dash'])} {host.program}"
        yield made


@pytest.fixture
async def fleet(host: EnrolledHost) -> AsyncIterator[SshFleet]:
    async with SshFleet(orders=host.key) as made:
        yield made


class TestPinned(FleetContract):
    """What holds for orders holds for signed ones."""


async def test_an_order_is_signed_and_its_nonce_kept(server: Server, fleet: SshFleet, host: EnrolledHost) -> None:
    channel = await fleet.channel(server.host())
    assert await channel.enrolled()
    for n in (1, 2):
        record = await channel.run(host.order(n=n))
        assert (record.ok, record.n) == (True, n), record
    assert len((host.folder / "var/nonces/orders").read_text().splitlines()) == 1
    again = await channel.run(host.order(n=2))
    assert again.values["repeated"] == "true"


async def test_a_nonce_that_counts_no_more_is_asked_for_once(server: Server, fleet: SshFleet, host: EnrolledHost):
    channel = await fleet.channel(server.host())
    assert (await channel.run(host.order())).ok
    host.tick(901)
    assert (await channel.run(host.order(n=2))).ok
    host.reboot()
    assert (await channel.run(host.order(n=3))).ok
    (host.folder / "var/nonces/orders").unlink()
    assert (await channel.run(host.order(n=4))).ok


async def test_an_epoch_that_is_over_is_called_so(server: Server, fleet: SshFleet, host: EnrolledHost) -> None:
    channel = await fleet.channel(server.host())
    assert (await channel.run(host.order(epoch=5))).ok
    assert (await channel.run(host.order(epoch=4, token="cd" * 16))).code == "GP431"


async def test_facts_know_of_the_enrolment(server: Server, fleet: SshFleet, host: EnrolledHost) -> None:
    facts = await (await fleet.channel(server.host())).facts("orders")
    assert facts.enrolled is not None
    assert (facts.enrolled.names, facts.enrolled.envs) == (("h1", "app1"), ("prod", "lab"))
    assert facts.enrolled.controllers == (host.key.fingerprint,)


async def test_no_program_is_run_there(server: Server, fleet: SshFleet) -> None:
    channel = await fleet.channel(server.host())
    with pytest.raises(GopubError, match="GP487 h1 is enrolled: it runs no program, so not cat"):
        await channel.exec(("cat", "/etc/passwd"))
    with pytest.raises(GopubError, match="GP487 h1 is enrolled: it runs no program, so not cat"):
        await channel.exec(("cat", "/etc/passwd"), by_root=True)  # the forced command


@pytest.mark.parametrize("key", [None, order_key(fresh_signer())], ids=["none", "another"])
async def test_without_its_key_nothing_is_obeyed(server: Server, key: OrderKey | None, host: EnrolledHost) -> None:
    async with SshFleet(orders=key) as fleet:
        channel = await fleet.channel(server.host())
        record = await channel.run(host.order())
        assert record.code == ("GP461" if key else "GP460")
        with pytest.raises(GopubError, match="GP461" if key else "GP460"):
            await channel.facts("orders")


async def test_a_host_that_is_not_enrolled_is_told_as_ever(tmp_path: Path, host: EnrolledHost) -> None:
    (tmp_path / "plain").mkdir()
    async with serving(tmp_path / "plain") as server, SshFleet(orders=host.key) as fleet:
        channel = await fleet.channel(server.host())
        assert not await channel.enrolled()
        assert (await channel.run(an_order())).verb == "status"
        assert (await channel.facts("orders")).enrolled is None
        order = Order("logs", "h1", "", "orders", "orders", "prod")
        assert (await channel.ask(order, ("cat",), b"as ever")).out == b"as ever"


async def test_a_word_without_a_fence_has_a_nonce_of_its_own(server: Server, fleet: SshFleet, host: EnrolledHost):
    channel = await fleet.channel(server.host())
    word = replace(host.order("disown"), epoch=0, token="", n=0)
    first = await channel.run(word)
    assert (first.ok, first.message) == (True, "nothing was adopted here"), first
    assert (await channel.run(word)).ok
    many = await asyncio.gather(*(channel.run(replace(word, epoch=3, token=TOKEN)) for _ in range(4)))
    assert [record.ok for record in many] == [True] * 4, "a seat's token is no word's: each has its own"


async def test_a_key_that_was_rotated_under_way_is_read_anew(server: Server, host: EnrolledHost) -> None:
    other, read = fresh_signer(), 0

    def anew() -> OrderKey:
        nonlocal read
        read += 1
        return replace(order_key(other), anew=anew)

    async with SshFleet(orders=replace(host.key, anew=anew)) as fleet:
        channel = await fleet.channel(server.host())
        assert (await channel.run(host.order())).ok
        host.believe(other)
        host.believe(host.signer).unlink()
        assert (await channel.run(host.order(n=2))).ok, "the driver goes on"
        assert (await channel.run(host.order(n=3))).ok
        assert read == 1
        host.believe(other).unlink()
        host.believe(fresh_signer())
        refused = await channel.run(host.order(n=4))
        assert (refused.code, read) == ("GP461", 2), "read once more, and it is the same"


async def test_control_a_key_that_is_not_read_anew_is_refused(
    server: Server, fleet: SshFleet, host: EnrolledHost
) -> None:
    channel = await fleet.channel(server.host())
    assert (await channel.run(host.order())).ok
    host.believe(fresh_signer())
    host.believe(host.signer).unlink()
    assert (await channel.run(host.order(n=2))).code == "GP461"


async def test_roots_speak_without_a_key_of_orders(server: Server, tmp_path: Path) -> None:
    rooted = RootedHost.enrolled(tmp_path / "rooted")
    server.instead = f"exec dash {rooted.program}"
    async with SshFleet() as fleet:
        channel = await fleet.channel(server.host())
        asked = await channel.root("ask")
        assert asked is not None
        assert (asked.ok, asked.serial, asked.values["machine_id"]) == (True, 3, MACHINE)
        refused = await channel.root("roles", b"serial=9\n")
        assert refused is not None
        assert (refused.ok, refused.code) == (False, "GP474")
        assert refused.error().code == "GP474"


async def test_a_host_that_is_not_enrolled_has_no_roots(server: Server) -> None:
    server.instead, server.greeting = "", b"Welcome, and\ngopub-enrolled: no\n"
    async with SshFleet() as fleet:
        assert await (await fleet.channel(server.host())).root("ask") is None


SILENT = {
    "nothing": "true",
    "sudo asks for a password": "echo sudo: a password is required >&2; false",
    "sudo does not find it": "echo sudo: /usr/local/lib/gopub/order: command not found >&2; false",
    "a full disk": "echo /usr/local/lib/gopub/order: 7: cannot create /run/x: No space left on device >&2; exit 2",
    "no sh": "echo env: sh: No such file or directory >&2; exit 127",
    "a banner": "echo gopub-enrolled: no; false",
    "both": "echo gopub-enrolled=no; echo gopub-enrolled=yes",
    "no end": "echo gopub-enrolled=no; exit 3",
}


@pytest.mark.parametrize("case", SILENT)
async def test_silence_is_no_word_of_not_being_enrolled(server: Server, fleet: SshFleet, case: str) -> None:
    """Such a host would be sent an order that nobody signed, and a rotation would go past it."""
    server.instead = SILENT[case]
    channel = await fleet.channel(server.host())
    for asked in (channel.root("ask"), channel.enrolled(), channel.run(an_order()), channel.facts("orders")):
        with pytest.raises(GopubError, match=r"(?s)GP416 h1: .*; whether it is enrolled it does not say"):
            await asked


@pytest.fixture
def silent(server: Server, tmp_path: Path) -> Path:
    """A host reached as root, whose program prints nothing: its folder, where both that make an enrolment are."""
    place = tmp_path / "silent"
    place.mkdir()
    (place / "order").write_text("#!/bin/sh\necho no space >&2\nexit 2\n")
    (place / "order").chmod(0o755)
    (place / "host").write_text("names=h1\n")
    server.instead, server.places = "", {program.INSTALLED: place / "order", program.ENROLMENT_FILE: place / "host"}
    return place


@pytest.mark.parametrize("gone", [(), ("order",), ("host",)], ids=["silent", "no program", "not begun"])
async def test_what_is_there_of_an_enrolment_makes_silence_an_error(
    server: Server, fleet: SshFleet, silent: Path, gone: tuple[str, ...]
) -> None:
    for name in gone:
        (silent / name).unlink()
    channel = await fleet.channel(server.host())
    for asked in (channel.root("ask"), channel.enrolled(), channel.run(an_order())):
        with pytest.raises(
            GopubError, match=r"GP416 h1: .*no space; it is enrolled" if "order" not in gone else "it is enrolled"
        ):
            await asked


async def test_control_without_either_it_is_not_enrolled(server: Server, fleet: SshFleet, silent: Path) -> None:
    for name in ("order", "host"):
        (silent / name).unlink()
    channel = await fleet.channel(server.host())
    assert await channel.root("ask") is None
    assert not await channel.enrolled()
    assert (await channel.run(an_order())).verb == "status"


async def test_user_gopub_of_an_enrolled_host_never_says_that_it_is_not(server: Server, fleet: SshFleet) -> None:
    """Its rule for sudo is broken; what looks for the program is refused as any other."""
    record = "gopub-record=1 host= verb= epoch=0 token= n=0 ok=false changed=false code=GP472 message=none end=1"
    server.instead = f'case $1 in {program.INSTALLED}) sudo-is-broken ;; *) printf "%s\\n" {record}; exit 1 ;; esac'
    channel = await fleet.channel(server.host())
    with pytest.raises(GopubError, match=r"GP416 h1: facts: .*\(exit 127\): .*sudo-is-broken.*; it is enrolled"):
        await channel.enrolled()


async def test_a_host_that_is_enrolled_meanwhile_is_known_with_the_next_connection(
    tmp_path: Path, host: EnrolledHost
) -> None:
    (tmp_path / "plain").mkdir()
    async with serving(tmp_path / "plain") as server, SshFleet(orders=host.key) as fleet:
        channel = await fleet.channel(server.host())
        assert not await channel.enrolled()
        server.instead = f"exec dash {host.program}"
        with pytest.raises(GopubError, match="GP460"):
            await channel.facts("orders")
        await server.drop()
        await asyncio.sleep(0.1)
        assert await channel.enrolled()
        assert (await channel.facts("orders")).enrolled
