"""A server that opens few sessions on one connection (MaxSessions): those that it refuses wait for those that run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.fleet.backends.ssh import SshFleet

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


async def test_a_server_that_opens_none_at_all_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path, most_sessions=0) as server, SshFleet() as fleet:
        channel = await fleet.channel(server.host())
        with pytest.raises(GopubError) as caught:
            await channel.facts("hello")
        assert (caught.value.code, caught.value.problem[:35]) == ("GP416", "h1 let us in and opens no session: ")
        assert "MaxSessions" in caught.value.hint
        assert server.refused_sessions == 4
