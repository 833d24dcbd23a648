"""What ssh(1) does on the way to a host, gopub does: host keys, login keys, the agent, ~/.ssh/config, and deadlines."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.fleet.backends.handshake import Patience
from gopub.fleet.backends.known import Pinned
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.host import Host, SshOptions

from .ssh_server import MAX_AUTH_TRIES, Server, serving

SHORT = Patience(login=2.0, session=0.5)  # long enough for a busy machine to come as far as the server lets it


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as made:
        yield made


@pytest.fixture
async def fleet() -> AsyncIterator[SshFleet]:
    async with SshFleet() as made:
        yield made


def listens(place: str) -> bool:
    with socket.socket(socket.AF_UNIX) as door:
        return door.connect_ex(place) == 0


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """OpenSSH's own agent, empty."""
    place = str(tmp_path / "agent")
    process = subprocess.Popen(("ssh-agent", "-D", "-a", place), stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", place)
    while not listens(place):
        time.sleep(0.01)
    try:
        yield place
    finally:
        process.terminate()
        process.wait()


async def hold(place: str, *keys: asyncssh.SSHKey) -> None:
    """Give the agent keys."""
    async with asyncssh.connect_agent(place) as agent:
        for key in keys:
            await agent.add_keys([key])


def lock(path: Path, form: str) -> None:
    """Give a key a passphrase; without bcrypt only OpenSSH itself can do so in its format."""
    path.chmod(0o600)
    if form == "openssh":
        subprocess.run(("ssh-keygen", "-p", "-N", "secret", "-f", str(path)), check=True, capture_output=True)
    else:
        asyncssh.read_private_key(str(path)).write_private_key(path, form, passphrase="secret")


def hash_names(pins: Path) -> None:
    subprocess.run(("ssh-keygen", "-H", "-f", str(pins)), check=True, capture_output=True)


def strangers(count: int = 7) -> list[asyncssh.SSHKey]:
    return [asyncssh.generate_private_key("ssh-ed25519") for _ in range(count)]


def host_key(server: Server, name: str, kind: str) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key(kind)
    key.write_private_key(server.keys / name)
    key.write_public_key(server.keys / f"{name}.pub")
    return key


def configure(home: Path, server: Server, *lines: str, user: str = "ops") -> Host:
    """The server as ``box`` in ~/.ssh/config, with these lines under ``Host *``; the inventory says nothing."""
    text = f"Host box\n  HostName {server.address}\n  Port {server.port}\n  User {user}\nHost *\n"
    (home / ".ssh/config").write_text(text + "".join(f"  {line}\n" for line in lines))
    return Host("h1", "box")


async def gets_in(fleet: SshFleet, host: Host) -> bool:
    return (await (await fleet.channel(host)).exec(("echo", "in"))).text == "in"


async def told(fleet: SshFleet, host: Host) -> GopubError:
    with pytest.raises(GopubError) as caught:
        await fleet.channel(host)
    return caught.value


class TestHostKeys:
    async def test_a_host_that_has_the_pinned_kind_beside_others_shows_that(self, server: Server, fleet: SshFleet):
        host_key(server, "ecdsa", "ecdsa-sha2-nistp256")
        server.show("host_key", "ecdsa")
        server.pin(key="ecdsa")
        assert await gets_in(fleet, server.host())

    async def test_a_key_of_another_kind_alone_is_refused_at_once(self, server: Server, fleet: SshFleet) -> None:
        pinned = host_key(server, "ecdsa", "ecdsa-sha2-nistp256")
        shown = asyncssh.read_public_key(str(server.keys / "host_key.pub"))
        path = server.pin(key="ecdsa")
        error = await told(fleet, server.host())
        assert isinstance(error, RefusedError)
        assert str(error) == (
            f"GP412 h1 shows another host key than the one pinned in {path}: "
            f"ED25519 {shown.get_fingerprint()}, and pinned is ECDSA-NISTP256\n"
            "hint: if the machine was replaced, check that fingerprint at its console, then change the pin: "
            f"`ssh-keygen -R '[127.0.0.1]:{server.port}' -f {path}` takes the old one out"
        )
        assert server.handshakes == 1
        server.show("ecdsa")  # the control
        assert pinned and await gets_in(fleet, server.host())

    async def test_an_unknown_key_is_told_with_its_fingerprint_whatever_the_configuration_says(
        self, server: Server, fleet: SshFleet, home: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").touch()
        host = configure(home, server, f"UserKnownHostsFile {tmp_path}/empty", "StrictHostKeyChecking accept-new")
        error = await told(fleet, host)
        shown = asyncssh.read_public_key(str(server.keys / "host_key.pub"))
        assert error.code == "GP411" and shown.get_fingerprint() in error.problem
        assert f"[127.0.0.1]:{server.port}" in error.problem and "StrictHostKeyChecking does not" in error.hint
        assert (tmp_path / "empty").read_text() == ""

    async def test_several_files_of_the_configuration_count_and_missing_ones_do_not(
        self, server: Server, fleet: SshFleet, home: Path, tmp_path: Path
    ) -> None:
        (home / "pins-ops").write_text(server.pin().read_text())
        key = f"IdentityFile {tmp_path}/user_key"
        host = configure(home, server, key, 'UserKnownHostsFile /none/there "~/pins-%r"')
        assert await gets_in(fleet, host)
        host = configure(home, server, key, "UserKnownHostsFile none", f"GlobalKnownHostsFile {home}/pins-ops")
        assert await gets_in(fleet, replace(host, name="h2"))
        host = configure(home, server, key, "UserKnownHostsFile none", "GlobalKnownHostsFile none")
        error = await told(fleet, replace(host, name="h3"))  # the control
        assert (error.code, error.problem) == ("GP418", "no file with pinned host keys is there: no file at all")

    async def test_a_key_is_looked_for_under_its_alias_in_hashed_files_too(
        self, server: Server, fleet: SshFleet, home: Path, tmp_path: Path
    ) -> None:
        pins = home / ".ssh/known_hosts"
        pins.write_text("the-box " + (server.keys / "host_key.pub").read_text())
        hash_names(pins)
        assert "the-box" not in pins.read_text()
        key = f"IdentityFile {tmp_path}/user_key"
        assert await gets_in(fleet, configure(home, server, key, "HostKeyAlias The-Box"))
        error = await told(fleet, replace(configure(home, server, key), name="h2"))  # the control
        assert error.code == "GP411"

    async def test_an_authority_vouches_for_a_host_and_another_does_not(self, server: Server, fleet: SshFleet) -> None:
        authority, other = strangers(2)
        for signer, name in ((authority, "host_key"), (other, "other_key")):
            public = asyncssh.read_private_key(str(server.keys / name)).convert_to_public()
            certificate = signer.generate_host_certificate(public, "h1", principals=["127.0.0.1"])
            certificate.write_certificate(server.keys / f"{name}-cert.pub")
        (server.keys / "pins").write_text(f"@cert-authority 127.* {authority.export_public_key().decode()}")
        server.show("host_key")
        host = server.host(known_hosts=server.keys / "pins")
        (server.keys / "pins").write_text(
            f"@cert-authority [127.*]:{server.port} {authority.export_public_key().decode()}"
        )
        assert await gets_in(fleet, host)
        server.show("other_key")
        error = await told(fleet, replace(host, name="h2"))
        assert error.code == "GP412" and f"ED25519 {other.get_fingerprint()}" in error.problem
        assert "pinned is ED25519 authority" in error.problem

    async def test_a_revoked_key_is_said_to_be_revoked(self, server: Server, fleet: SshFleet) -> None:
        path = server.pin()
        path.write_text(f"@revoked * {(server.keys / 'host_key.pub').read_text()}")
        error = await told(fleet, server.host())
        assert error.code == "GP412" and f"shows a host key that {path} revokes" in error.problem

    def test_a_damaged_line_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "pins"
        path.write_text("# pins\n\nbox\n")
        with pytest.raises(UsageError) as caught:
            Pinned(path, "box")
        assert str(caught.value).startswith(f"{path}:3: GP418 the pinned host keys '{path}' cannot be read: ")


class TestLoginKeys:
    async def test_the_inventory_s_key_comes_before_an_agent_full_of_others(
        self, server: Server, fleet: SshFleet, agent: str
    ) -> None:
        await hold(agent, *strangers())
        assert await gets_in(fleet, server.host())
        assert server.refused_keys == []

    async def test_an_agent_s_keys_come_after_those_that_the_configuration_names(
        self, server: Server, fleet: SshFleet, agent: str, home: Path, tmp_path: Path
    ) -> None:
        await hold(agent, *strangers())
        host = configure(home, server, f"IdentityFile {tmp_path}/user_key", f"UserKnownHostsFile {server.pin()}")
        assert await gets_in(fleet, host)
        assert server.refused_keys == []

    async def test_too_many_keys_are_said_to_be_too_many(self, server: Server, fleet: SshFleet, agent: str) -> None:
        await hold(agent, *strangers())
        error = await told(fleet, server.host(key=None))
        assert error.code == "GP414"
        assert error.problem.startswith(
            f"h1 ended the login of ops after {MAX_AUTH_TRIES} keys were shown to it: Too many"
        )
        assert "IdentitiesOnly yes" in error.hint
        assert server.handshakes == 1

    async def test_identities_only_leaves_the_agent_s_others_out(
        self, server: Server, fleet: SshFleet, agent: str, home: Path
    ) -> None:
        others = strangers()
        await hold(agent, *others)
        others[3].write_public_key(home / "mine.pub")
        pins = f"UserKnownHostsFile {server.pin()}"
        error = await told(
            fleet, configure(home, server, pins, "IdentitiesOnly yes", "IdentityFile ~/mine.pub", "IdentityFile ~/x")
        )
        assert [key.public_data for key in server.refused_keys] == [others[3].public_data]
        assert "does not let ops in" in error.problem and f"(keys shown: 1); {home}/x is not there" in error.problem

    async def test_a_key_that_is_not_there_is_passed_over(
        self, server: Server, fleet: SshFleet, agent: str, home: Path, tmp_path: Path
    ) -> None:
        await hold(agent, asyncssh.read_private_key(str(tmp_path / "user_key")))
        host = configure(home, server, "IdentityFile ~/.ssh/none", f"UserKnownHostsFile {server.pin()}")
        assert await gets_in(fleet, host)

    @pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
    async def test_a_key_with_a_passphrase_that_the_agent_holds_is_used(
        self, server: Server, fleet: SshFleet, agent: str, form: str
    ) -> None:
        mine = host_key(server, "mine", "ecdsa-sha2-nistp256")
        lock(server.keys / "mine", form)
        (server.keys / "user_key.pub").write_bytes(mine.export_public_key())
        if form == "openssh":
            (server.keys / "mine.pub").unlink()
        await hold(agent, *strangers(), mine)
        assert await gets_in(fleet, server.host(key=server.keys / "mine"))
        assert server.refused_keys == []

    @pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
    async def test_a_key_with_a_passphrase_that_nobody_holds_is_told(
        self, server: Server, fleet: SshFleet, agent: str, form: str
    ) -> None:
        await hold(agent, *strangers(1))
        path = server.keys / "user_key"
        lock(path, form)
        error = await told(fleet, server.host())
        assert (error.code, len(server.refused_keys)) == ("GP414", 1)
        assert error.problem.endswith(f"(keys shown: 1); {path} has a passphrase, and no agent holds it")
        assert error.hint.startswith(f"give it to an agent (`ssh-add {path}`)")

    async def test_an_agent_that_is_gone_or_silent_keeps_nobody_out(
        self, server: Server, fleet: SshFleet, home: Path, tmp_path: Path
    ) -> None:
        pins = f"UserKnownHostsFile {server.pin()}"
        host = configure(home, server, pins, f"IdentityFile {tmp_path}/user_key", "IdentityAgent ~/gone")
        assert await gets_in(fleet, host)
        guests: list[asyncio.StreamWriter] = []
        mute = await asyncio.start_unix_server(lambda _, writer: guests.append(writer), str(home / "mute"))
        async with SshFleet(patience=Patience(agent=0.1)) as hasty:
            host = configure(home, server, pins, f"IdentityFile {tmp_path}/user_key", "IdentityAgent ~/mute")
            assert await gets_in(hasty, host)
        await leave(mute, guests)
        assert guests, "it was asked"


async def leave(server: asyncio.Server, guests: list[asyncio.StreamWriter]) -> None:
    """End a server and its connections, and see them ended."""
    server.close()
    for guest in guests:
        guest.close()
    await asyncio.gather(*(guest.wait_closed() for guest in guests), return_exceptions=True)
    await server.wait_closed()


@asynccontextmanager
async def listening(greeting: bytes) -> AsyncIterator[int]:
    """A server that says only this, and holds the connection."""
    guests: list[asyncio.StreamWriter] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guests.append(writer)
        writer.write(greeting)

    silent = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield silent.sockets[0].getsockname()[1]
    finally:
        await leave(silent, guests)
        assert len(guests) == 1, "a host that hangs is not asked again: it would hang again"


class _Stuck(asyncssh.SSHServer):
    """Lets everybody in, and never opens a session."""

    def begin_auth(self, username: str) -> bool:
        del username
        return False

    async def session_requested(self) -> bool:
        await asyncio.get_running_loop().create_future()
        return False


class TestDeadlines:
    @pytest.mark.parametrize(
        ("greeting", "said"),
        [
            (b"", "accepted the connection and said nothing for 2s"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "greeted and then did not agree on keys within 2s"),
        ],
    )
    async def test_a_host_that_hangs_before_the_login_is_told(self, server: Server, greeting: bytes, said: str) -> None:
        async with listening(greeting) as port, SshFleet(patience=SHORT) as fleet:
            error = await told(fleet, Host("h1", "127.0.0.1", port=port, ssh=server_options(server, port)))
        assert (error.code, error.problem) == ("GP413", f"h1 (127.0.0.1) {said}")
        assert "look at its console" in error.hint

    async def test_a_login_that_hangs_is_told(self, server: Server) -> None:
        server.slow = 30
        async with SshFleet(patience=SHORT) as fleet:
            error = await told(fleet, server.host())
        assert error.problem == ("h1 (127.0.0.1) showed its key and then did not finish the login of ops within 2s")
        assert server.handshakes == 1

    async def test_a_session_that_is_never_opened_is_told(self, server: Server) -> None:
        stuck = await asyncssh.create_server(
            _Stuck, "127.0.0.1", 0, server_host_keys=[str(server.keys / "host_key")], encoding=None
        )
        port = stuck.get_port()
        async with SshFleet(patience=replace(SHORT, login=30.0)) as fleet:
            channel = await fleet.channel(Host("h1", "127.0.0.1", port=port, ssh=server_options(server, port)))
            with pytest.raises(GopubError, match=r"^GP415 h1 let us in and then opened no session for 0\.5s\n"):
                await channel.exec(("true",))
        stuck.close()
        await stuck.wait_closed()

    async def test_what_hangs_up_is_asked_again_and_counted(self, server: Server) -> None:
        guests: list[asyncio.StreamWriter] = []

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            guests.append(writer)
            writer.close()

        door = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = door.sockets[0].getsockname()[1]
        async with SshFleet(clock=ManualClock()) as fleet:
            error = await told(fleet, Host("h1", "127.0.0.1", port=port, ssh=server_options(server, port)))
        await leave(door, guests)
        assert error.problem.startswith("h1 (127.0.0.1) cannot be reached: it hung up before it greeted: ")
        assert error.problem.endswith(" (tried 7 times)")


def server_options(server: Server, port: int) -> SshOptions:
    pins = server.keys / "pins"
    pins.write_text(f"[127.0.0.1]:{port} {(server.keys / 'host_key.pub').read_text()}")
    return replace(server.host().ssh, known_hosts=pins)


class TestLoginShells:
    async def test_what_an_rc_file_prints_is_nobody_s_answer(self, server: Server, fleet: SshFleet) -> None:
        server.greeting = b"Welcome!\n{} \n"
        channel = await fleet.channel(server.host())
        done = await channel.exec(("sh", "-c", "cat; printf '\\n!\\n'; exit 3"), b"mine")
        assert (done.out, done.code, done.argv[:2]) == (b"mine\n!\n", 3, ("sh", "-c"))

    async def test_a_shell_that_begins_nothing_is_told(self, server: Server, fleet: SshFleet) -> None:
        server.instead = "echo This account is currently not available.; exit 1"
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError) as caught:
            await channel.exec(("true",))
        assert caught.value.problem == "h1: true was not begun (exit 1): This account is currently not available."
        with pytest.raises(GopubError, match=r"^GP416 h1: facts: .* \(exit 1\): This account is currently not"):
            await channel.facts("orders")
        assert server.handshakes == 1

    async def test_the_host_program_finds_its_own_text(self, server: Server, fleet: SshFleet) -> None:
        """A job of systemd gets it from the third word of its command line, however it was sent."""
        text = "cat >/dev/null\nsed -z -n 3p /proc/$$/cmdline | tr -d '\\0'\n"
        done = await (await fleet.channel(server.host())).exec(("sh", "-c", text, "gopub"))
        assert done.out.decode() == text

    async def test_hosts_of_several_users_share_a_bastion(self, server: Server, fleet: SshFleet) -> None:
        place = f"ops@127.0.0.1:{server.port}"
        for name, user in (("h1", "ops"), ("h2", "dev")):
            assert await gets_in(fleet, server.host(name, jump=place, user=user))
        assert (server.handshakes, server.tunnels) == (3, 2)


class TestWays:
    async def test_a_jump_of_the_configuration_leads_through_with_its_own_pins_and_keys(
        self, server: Server, fleet: SshFleet, home: Path, tmp_path: Path
    ) -> None:
        (home / ".ssh/known_hosts").write_text(server.pin().read_text())
        text = f"Host *\n  IdentityFile {tmp_path}/user_key\n  User ops\nHost hop\n  HostName 127.0.0.1\n"
        (home / ".ssh/config").write_text(f"{text}  Port {server.port}\nHost 127.*\n  ProxyJump hop\n")
        assert await gets_in(fleet, server.host(key=None))
        assert (server.handshakes, server.tunnels) == (2, 1)

    async def test_a_bastion_under_its_own_jump_is_reached_directly(
        self, server: Server, fleet: SshFleet, home: Path
    ) -> None:
        (home / ".ssh/known_hosts").write_text(server.pin().read_text())
        (home / ".ssh/config").write_text(
            f"Host *\n  ProxyJump 127.0.0.1:{server.port}\n  IdentityFile {server.keys}/user_key\n  User ops\n"
        )
        assert await gets_in(fleet, server.host(key=None))
        assert server.tunnels == 1

    async def test_bastions_that_name_one_another_do_not_wait_for_one_another(
        self, server: Server, fleet: SshFleet, home: Path
    ) -> None:
        (home / ".ssh/known_hosts").write_text(server.pin().read_text())
        here = f"  HostName 127.0.0.1\n  Port {server.port}\n"
        (home / ".ssh/config").write_text(
            f"Host *\n  IdentityFile {server.keys}/user_key\n  User ops\n"
            f"Host a\n  ProxyJump b\n{here}Host b\n  ProxyJump a\n{here}"
        )
        async with asyncio.timeout(300):
            found = await asyncio.gather(gets_in(fleet, Host("h1", "a")), gets_in(fleet, Host("h2", "b")))
        assert found == [True, True]

    async def test_a_proxy_command_of_the_configuration_is_the_shell_s(
        self, server: Server, fleet: SshFleet, home: Path, tmp_path: Path
    ) -> None:
        key, pins = f"IdentityFile {tmp_path}/user_key", f"UserKnownHostsFile {server.pin()}"
        (tmp_path / "user_key").chmod(0o600)  # ssh itself insists on it
        relay = (
            f"ssh -F none -i {tmp_path}/user_key -o UserKnownHostsFile={server.pin()} -W %h:%p -p {server.port} ops@%h"
        )
        host = configure(home, server, key, pins, f"ProxyCommand echo words >&2; {relay} 2>/dev/null")
        assert await gets_in(fleet, host)
        assert server.tunnels == 1

    async def test_a_proxy_command_that_is_not_there_is_told_at_once(self, server: Server, fleet: SshFleet) -> None:
        error = await told(fleet, server.host(proxy_command="/no/such/program %h"))
        assert error.problem.startswith("h1 (127.0.0.1) cannot be reached: its proxy command cannot be started: ")
