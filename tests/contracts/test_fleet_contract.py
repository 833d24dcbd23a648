"""What every way to hosts must do; and what SSH does on top of it when keys, logins and connections go wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.fleet.backends import ssh
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order
from gopub.fleet.protocol import Fleet, HostChannel

from .ssh_server import Server, serving

MACHINE_ID = Path("/etc/machine-id").read_text().strip()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.ssh/config of whoever runs the tests must not matter."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as made:
        yield made


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with SshFleet() as made:
        yield made


def an_order(**fields: object) -> Order:
    return Order("status", "h1", "", "orders", "orders", "prod", **fields)  # type: ignore[arg-type]


class FleetContract:
    """What holds of orders, also on enrolled hosts; a subclass gives ``server`` and ``fleet``."""

    async def test_the_channel_of_a_host_is_kept(self, server: Server, fleet: Fleet) -> None:
        host = server.host()
        channels = await asyncio.gather(*(fleet.channel(host) for _ in range(5)))
        assert len({id(channel) for channel in channels}) == 1
        assert channels[0].host == host
        assert server.handshakes == 1

    async def test_an_order_is_answered_with_a_record(self, server: Server, fleet: Fleet) -> None:
        channel: HostChannel = await fleet.channel(server.host())
        record = await channel.run(an_order(arguments={"surprise": "1"}))
        assert (record.host, record.ok, record.code) == ("h1", False, "GP430")
        assert record.message == "the order has the key 'arg.surprise', which this program does not know"

    async def test_facts_of_an_instance_that_is_not_there(self, server: Server, fleet: Fleet) -> None:
        facts = await (await fleet.channel(server.host())).facts("surely-not-installed-here")
        assert (facts.current, facts.releases, facts.epoch, facts.half) == (None, (), 0, None)
        assert facts.machine_id == MACHINE_ID
        assert facts.free_bytes > 0

    async def test_an_order_is_asked_again_when_the_connection_drops(self, server: Server, fleet: Fleet) -> None:
        channel = await fleet.channel(server.host())
        asking = asyncio.create_task(channel.run(an_order(), (b"x" * 2_000_000,)))
        await server.asked.wait()
        await server.drop()
        assert (await asking).verb == "status"
        assert server.handshakes == 2

    async def test_a_greeting_before_the_record_is_passed_over(self, server: Server, fleet: Fleet) -> None:
        server.greeting = b"Welcome!\nend=1\nok=false\n"
        assert (await (await fleet.channel(server.host())).facts("orders")).host == "h1"

    async def test_a_host_that_answers_something_else_says_what(self, server: Server, fleet: Fleet) -> None:
        server.instead = "echo sudo: a password is required >&2; exit 1"
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError, match=r"GP416 h1: status: .* \(exit 1\): sudo: a password is required"):
            await channel.run(an_order())

    async def test_half_a_record_is_none(self, server: Server, fleet: Fleet) -> None:
        server.instead = "echo gopub-record=1; echo host=h1"
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError, match="GP416 h1: its record has no end"):
            await channel.run(an_order())


class ProgramContract(FleetContract):
    """The same, and that programs are run where a host is not enrolled."""

    async def test_exec_gives_code_and_output_and_takes_input(self, server: Server, fleet: Fleet) -> None:
        channel = await fleet.channel(server.host())
        done = await channel.exec(("sh", "-c", "cat; echo oops >&2; exit 3"), b"hello")
        assert (done.code, done.out, done.err) == (3, b"hello", b"oops\n")

    async def test_words_reach_the_program_as_they_are(self, server: Server, fleet: Fleet) -> None:
        words = ("a b", "$HOME", "'", '"', "\\", "*", ";", "", "é", "a\nb")
        done = await (await fleet.channel(server.host())).exec(("printf", "%s|", *words))
        assert done.out.decode() == "".join(f"{word}|" for word in words)

    async def test_much_goes_in_and_out(self, server: Server, fleet: Fleet, tmp_path: Path) -> None:
        data = os.urandom(3_000_000)
        path = tmp_path / "payload"
        path.write_bytes(data)
        channel = await fleet.channel(server.host())
        assert (await channel.exec(("cat",), data)).out == data
        digest = hashlib.sha256(data).hexdigest()
        done = await asyncio.gather(*(channel.exec(("sha256sum",), data) for _ in range(4)))
        assert {one.text.split()[0] for one in done} == {digest}

    async def test_output_without_end_is_cut_off(self, server: Server, fleet: Fleet) -> None:
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError, match="GP416"):
            await channel.exec(("yes",))

    async def test_a_program_need_not_read_its_input(self, server: Server, fleet: Fleet) -> None:
        done = await (await fleet.channel(server.host())).exec(("echo", "done"), b"x" * 3_000_000)
        assert done.text == "done"

    async def test_waiting_has_an_end(self, server: Server, fleet: Fleet) -> None:
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError, match=r"GP415 h1: sleep had no answer within 0\.2s"):
            await channel.exec(("sleep", "60"), timeout=0.2)
        assert (await channel.exec(("echo", "still there"))).text == "still there"

    async def test_a_connection_that_was_lost_is_made_again(self, server: Server, fleet: Fleet) -> None:
        channel = await fleet.channel(server.host())
        await server.drop()
        await asyncio.sleep(0.1)
        assert (await channel.exec(("echo", "again"))).text == "again"
        assert server.handshakes == 2

    async def test_who_stops_waiting_for_a_connection_leaves_it_to_the_others(self, server: Server, fleet: Fleet):
        server.slow = 2.0
        hasty = asyncio.create_task(fleet.channel(server.host()))
        patient = asyncio.create_task(fleet.channel(server.host()))
        await asyncio.sleep(0.1)
        hasty.cancel()
        assert (await (await patient).exec(("echo", "there"))).text == "there"
        assert hasty.cancelled()
        assert server.handshakes == 1

    async def test_a_program_is_not_run_twice_by_itself(self, server: Server, fleet: Fleet) -> None:
        channel = await fleet.channel(server.host())
        asking = asyncio.create_task(channel.exec(("sleep", "5")))
        await server.asked.wait()
        await asyncio.sleep(0.1)
        await server.drop()
        with pytest.raises(GopubError, match="GP417"):
            await asking


class TestSsh(ProgramContract):
    KIND = "ssh"

    async def test_a_host_without_a_pinned_key_is_refused(self, server: Server, fleet: Fleet, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("")
        with pytest.raises(RefusedError, match="GP411 h1 has no host key in"):
            await fleet.channel(server.host(known_hosts=tmp_path / "empty"))

    async def test_a_changed_key_is_refused(self, server: Server, fleet: Fleet) -> None:
        server.pin(key="other_key")
        with pytest.raises(RefusedError, match="GP412 h1 shows another host key than the one pinned in"):
            await fleet.channel(server.host())

    async def test_a_key_of_another_kind_is_a_changed_one(self, fleet: Fleet, tmp_path: Path) -> None:
        async with serving(tmp_path, algorithm="ecdsa-sha2-nistp256") as server:
            server.pin(key="other_key")
            with pytest.raises(RefusedError, match="GP412"):
                await fleet.channel(server.host())

    async def test_a_revoked_key_is_refused(self, server: Server, fleet: Fleet) -> None:
        path = server.pin()
        path.write_text(path.read_text() + f"@revoked * {(server.keys / 'host_key.pub').read_text()}")
        with pytest.raises(RefusedError, match="GP412"):
            await fleet.channel(server.host())

    async def test_pins_that_cannot_be_read(self, server: Server, fleet: Fleet, tmp_path: Path) -> None:
        with pytest.raises(GopubError, match="GP418"):
            await fleet.channel(server.host(known_hosts=tmp_path / "none"))

    async def test_the_user_s_own_pins_and_configuration_count(self, server: Server, tmp_path: Path) -> None:
        home = tmp_path / "home/.ssh"
        home.mkdir()
        (home / "known_hosts").write_text((tmp_path / "known_hosts").read_text())
        (home / "config").write_text(
            f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  User ops\n  IdentityFile {tmp_path}/user_key\n"
        )
        async with SshFleet() as fleet:
            assert (await (await fleet.channel(Host("h1", "box"))).exec(("echo", "in"))).text == "in"

    async def test_a_login_that_is_refused(self, server: Server, fleet: Fleet) -> None:
        with pytest.raises(GopubError, match="GP414 h1 does not let ops in"):
            await fleet.channel(server.host(key=server.keys / "other_key"))
        assert server.handshakes == 1, "asking again would only look like an attack"

    async def test_a_key_that_is_not_there(self, server: Server, fleet: Fleet, tmp_path: Path) -> None:
        with pytest.raises(GopubError, match="GP414"):
            await fleet.channel(server.host(key=tmp_path / "none"))

    async def test_nobody_listens(self, server: Server, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ssh, "TRIES", 2)
        host = Host("h1", "127.0.0.1", port=1, ssh=server.host().ssh)
        with pytest.raises(GopubError, match=r"GP413 h1 \(127\.0\.0\.1\) cannot be reached"):
            await fleet.channel(host)

    async def test_at_most_eight_handshakes_at_a_time(self, server: Server, fleet: Fleet) -> None:
        server.slow = 0.5
        await asyncio.gather(*(fleet.channel(server.host(f"h{n}")) for n in range(40)))
        assert server.handshakes == 40
        assert 4 <= server.most_at_once <= 8

    async def test_the_limit_is_what_holds_them_back(
        self, server: Server, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Control: without the limit the server sees them all at once."""
        monkeypatch.setattr(ssh, "HANDSHAKES", 100)
        server.slow = 3.0
        await asyncio.gather(*(fleet.channel(server.host(f"h{n}")) for n in range(20)))
        assert server.most_at_once > 8

    async def test_hosts_behind_a_bastion_share_one_connection_to_it(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        async with serving(tmp_path / "inner") as inner, SshFleet() as fleet:
            pins = tmp_path / "both"
            pins.write_text(server.pin().read_text() + inner.pin().read_text())
            options = SshOptions(
                user="ops", key=tmp_path / "user_key", known_hosts=pins, jump=f"ops@127.0.0.1:{server.port}"
            )
            (tmp_path / "inner/user_key.pub").write_text((tmp_path / "user_key.pub").read_text())
            inner.acceptor.update(authorized_client_keys=str(tmp_path / "user_key.pub"))  # type: ignore[union-attr]
            hosts = [Host(f"h{n}", "127.0.0.1", port=inner.port, ssh=options) for n in range(5)]
            channels = await asyncio.gather(*(fleet.channel(host) for host in hosts))
            assert (await channels[4].exec(("echo", "deep"))).text == "deep"
            assert (server.handshakes, server.tunnels, inner.handshakes) == (1, 5, 5)

    async def test_two_bastions_one_behind_the_other(self, server: Server, fleet: Fleet) -> None:
        place = f"ops@127.0.0.1:{server.port}"
        channel = await fleet.channel(server.host(jump=f"{place},{place}"))
        assert (await channel.exec(("echo", "deeper"))).text == "deeper"
        assert (server.handshakes, server.tunnels) == (3, 2)

    @pytest.mark.parametrize("told", ["host", "fleet"])
    async def test_none_is_no_bastion_whatever_else_is_said(self, server: Server, tmp_path: Path, told: str) -> None:
        (tmp_path / "home/.ssh").mkdir()
        (tmp_path / "home/.ssh/config").write_text("Host *\n  ProxyJump 127.0.0.1:9\n")
        jump = {"host": "none", "fleet": None}[told]
        async with SshFleet(SshOptions(jump="127.0.0.1:9" if told == "host" else "none")) as fleet:
            channel = await fleet.channel(server.host(jump=jump))
            assert (await channel.exec(("echo", "direct"))).text == "direct"
            assert server.tunnels == 0

    async def test_a_bastion_may_have_an_ipv6_address(self, tmp_path: Path) -> None:
        async with serving(tmp_path, address="::1") as server, SshFleet() as fleet:
            places = [f"ops@[::1]:{server.port}", f"ssh://ops@[::1]:{server.port}"]
            host = Host("h1", "::1", port=server.port, ssh=server.host().ssh)
            for place in places:
                channel = await fleet.channel(replace(host, ssh=replace(host.ssh, jump=place)))
                assert (await channel.exec(("echo", "six"))).text == "six"
            assert server.tunnels == 2

    async def test_a_bastion_that_is_none_is_told(self, server: Server, fleet: Fleet) -> None:
        with pytest.raises(UsageError) as caught:
            await fleet.channel(server.host(jump="a:b:c"))
        assert str(caught.value) == (
            "GP413 'a:b:c' is no bastion: 'b:c' is no port\n"
            "hint: write [user@]host[:port], with brackets around an IPv6 address, or none"
        )

    async def test_the_key_of_a_user_who_is_not_there(self, server: Server, fleet: Fleet) -> None:
        with pytest.raises(GopubError, match="GP414 h1: the key ~nosuchuser/id cannot be used"):
            await fleet.channel(server.host(key=Path("~nosuchuser/id")))
        with pytest.raises(UsageError, match="GP418"):
            await fleet.channel(server.host(known_hosts=Path("~nosuchuser/known_hosts")))

    async def test_a_bastion_s_key_is_pinned_too(self, server: Server, fleet: Fleet, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("")
        host = server.host(jump=f"127.0.0.1:{server.port}", known_hosts=tmp_path / "empty")
        with pytest.raises(RefusedError, match="GP411"):
            await fleet.channel(host)

    async def test_a_proxy_command_leads_to_the_host(self, server: Server, fleet: Fleet, tmp_path: Path) -> None:
        hop = tmp_path / "hop.py"
        hop.write_text(
            "import os, socket, sys, threading\n"
            "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
            "def back():\n"
            "    while data := s.recv(65536):\n"
            "        os.write(1, data)\n"
            "threading.Thread(target=back, daemon=True).start()\n"
            "while data := os.read(0, 65536):\n"
            "    s.sendall(data)\n"
        )
        channel = await fleet.channel(server.host(proxy_command=f"python3 {hop} %h %p"))
        assert (await channel.exec(("echo", "through"))).text == "through"


async def test_the_double_is_a_real_server(server: Server) -> None:
    """Control: asyncssh itself, without gopub, gets in with the pinned key."""
    async with asyncssh.connect(
        "127.0.0.1",
        server.port,
        username="ops",
        known_hosts=str(server.keys / "known_hosts"),
        client_keys=[str(server.keys / "user_key")],
        config=None,
    ) as connection:
        assert (await connection.run("echo in", check=True)).stdout == "in\n"
