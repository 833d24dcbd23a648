"""Servers that give little: few sessions on one connection (MaxSessions), and logins that take long."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.fleet.backends.handshake import Patience
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.sshwords import seconds
from gopub.process import base_environment, run

from .ssh_server import serving

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


async def test_what_finds_no_room_is_run_once_there_is(tmp_path: Path) -> None:
    async with serving(tmp_path, most_sessions=1) as server, SshFleet() as fleet:
        channel = await fleet.channel(server.host())
        script = "sleep 0.3; echo $0 >>" + str(tmp_path / "ran") + "; echo $0"
        done = await asyncio.gather(*(channel.exec(("sh", "-c", script, str(n))) for n in range(4)))
        assert [one.out for one in done] == [b"0\n", b"1\n", b"2\n", b"3\n"]
        assert sorted((tmp_path / "ran").read_text().split()) == ["0", "1", "2", "3"], "each once"
        assert server.refused_sessions, "control: there was no room for all of them"
        assert server.handshakes == 1


@pytest.mark.parametrize(("said", "in_time"), [("", False), ("ConnectTimeout 1", False), ("ConnectTimeout 1m", True)])
async def test_a_login_over_a_long_way_has_the_time_that_the_configuration_gives_it(
    tmp_path: Path, said: str, in_time: bool
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(said, "utf-8")
    async with serving(tmp_path) as server, SshFleet(patience=Patience(login=2.0)) as fleet:
        server.slow = 3.0
        if in_time:
            assert (await (await fleet.channel(server.host())).exec(("echo", "there"))).out == b"there\n"
            return
        with pytest.raises(GopubError) as caught:
            await fleet.channel(server.host())
        assert caught.value.problem.endswith("did not finish the login of ops within 2s"), "never shorter than ours"
        assert "ConnectTimeout" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90.0),
        ("1m30s", 90.0),
        ("2H", 7200.0),
        ("0", 0.0),
        ("", None),
        ("1.5", None),
        ("m", None),
        ("5x", None),
        ("-1", None),
    ],
)
def test_times_are_read_as_ssh_writes_them(text: str, found: float | None) -> None:
    assert seconds(text) == found


async def test_a_server_that_opens_none_at_all_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path, most_sessions=0) as server, SshFleet() as fleet:
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError) as caught:
            await channel.facts("hello")
        assert (caught.value.code, caught.value.problem[:35]) == ("GP416", "h1 let us in and opens no session: ")
        assert "MaxSessions" in caught.value.hint
        assert server.refused_sessions == 4


MANY_FILES = """
import resource, socket
from gopub.fleet.backends.ssh import SshFleet

def holds(number):
    held = []
    try:
        held += (socket.socket() for _ in range(number))
        return True
    except OSError:
        return False
    finally:
        for one in held:
            one.close()

resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(holds(200), SshFleet() and holds(200))
"""


async def test_a_fleet_has_more_connections_than_the_files_that_a_process_begins_with() -> None:
    """A stock system begins with 1,024, so the last of a thousand hosts were not reached; here it is 64."""
    here = base_environment(extra={"PYTHONPATH": str(Path(__file__).parents[2])})
    done = await run((sys.executable, "-c", MANY_FILES), env=here)
    assert done.text == "False True", "the first is the control"
