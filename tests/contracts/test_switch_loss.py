"""What a client that never tries again loses while a service is switched under load, directly at the host.

GOPUB_SWITCHES says how many switches of each kind; there are few by default.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.switched import EVERY, VERSIONS, Home, Programs, Served, asked

SWITCHES = int(os.environ.get("GOPUB_SWITCHES", "4"))
KINDS = 5
"""Of requests: fresh and kept connections, GET and POST, and one whose body takes its time. Streams count apart."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return asyncio.run(Programs(tmp_path_factory.mktemp("programs")).build())


@pytest.fixture
def home(programs: Programs, tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "opt/hello", programs)
    yield made
    made.close()


@pytest.fixture
def kept() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_handing_over_loses_nothing(home: Home) -> None:
    home.start()
    pids, versions = [home.found().serves(but=0)], cycle(reversed(VERSIONS))
    with asked(home.programs, home.listen) as seen:
        for _ in range(SWITCHES):
            home.turn(next(versions))
            os.kill(pids[-1], signal.SIGUSR2)
            pids.append(home.serves(but=pids[-1]))
    print(seen)
    assert seen["lost"] == {} and seen["answered"] == seen["asked"] > SWITCHES * KINDS, home.said()
    assert set(seen["by"]) == set(VERSIONS) and len(set(pids)) == SWITCHES + 1, (seen, pids)
    assert seen["streams"] >= SWITCHES, "what lasts was told, and went on with the next process"
    assert home.started[0].wait() == 0, "the first one ended well"


def everything(seen: dict[str, Any], cut: Counter[str]) -> None:
    """Nothing of any kind was lost; what outlived its drain was cut, and the service said how much that was."""
    assert seen["lost"] == {}, seen
    assert seen["asked"] == seen["answered"] + sum(seen["told"].get(kind, 0) for kind in seen["kinds"]), seen
    assert set(seen["kinds"]) == {kind for kind in EVERY if "stream" not in kind and "deaf" not in kind}, seen
    assert set(seen["told"]) >= {"stream", "gRPC stream", "WebSocket"}, seen
    assert set(seen["cut"]) == {"endless stream", "deaf WebSocket"}, seen
    assert cut["requests"] >= seen["cut"]["endless stream"], (cut, seen)
    assert cut["taken"] >= seen["cut"]["deaf WebSocket"], (cut, seen)


def test_handing_over_loses_nothing_of_any_protocol_and_tells_what_it_cuts(programs: Programs, tmp_path: Path) -> None:
    home = Served(tmp_path / "opt/served", programs, f"127.0.0.1:{free_port()}")
    try:
        home.start()
        pids, versions = [home.found().serves(but=0)], cycle(reversed(VERSIONS))
        with asked(programs, home.listen, "-each", "2", "-kinds", ",".join(EVERY)) as seen:
            for _ in range(SWITCHES):
                home.turn(next(versions))
                os.kill(pids[-1], signal.SIGUSR2)
                pids.append(home.serves(but=pids[-1]))
        print(seen)
        everything(seen, home.cut())
        assert set(seen["by"]) == set(VERSIONS) and {int(one.rpartition("/")[2]) for one in seen["pids"]} == set(
            pids
        ), (seen, pids)
    finally:
        home.close()


def test_a_socket_that_systemd_keeps_loses_nothing(home: Home, kept: ExitStack) -> None:
    """Connections queue while nobody serves: the next process answers them."""
    _ = [kept.enter_context(socket.socket()) for _ in range(8)]  # systemd's files have any numbers
    listeners = [kept.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096)) for _ in range(2)]
    home.listen, home.house = (f"127.0.0.1:{one.getsockname()[1]}" for one in listeners)
    home.turn(VERSIONS[0])
    home.start(listeners)
    pid, versions = home.serves(but=0), cycle(reversed(VERSIONS))
    with asked(home.programs, home.listen) as seen:
        for _ in range(SWITCHES):
            home.turn(next(versions))
            home.started[-1].send_signal(signal.SIGTERM)
            assert home.started[-1].wait() == 0, home.said()
            home.start(listeners)
            pid = home.serves(but=pid)
    print(seen)
    assert seen["lost"] == {} and seen["answered"] == seen["asked"] > SWITCHES * KINDS, home.said()
    assert set(seen["by"]) == set(VERSIONS), seen


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM], ids=["at once", "with a drain"])
def test_control_a_plain_restart_is_seen_to_lose(home: Home, way: signal.Signals) -> None:
    """Also with a drain: while nobody listens, who comes is refused."""
    home.start()
    pid = home.found().serves(but=0)
    with asked(home.programs, home.listen) as seen:
        home.started[-1].send_signal(way)
        home.started[-1].wait()
        home.turn(VERSIONS[1])
        home.start()
        while home.started[-1].poll() is None and not home.status():
            pass  # it serves, or somebody took the port meanwhile: both lose
    print(seen)
    assert seen["lost"], (pid, seen)
    assert way is signal.SIGTERM or seen["cut"].get("stream"), seen
    assert way is signal.SIGKILL or any("refused" in kind for kind in seen["lost"]), seen
