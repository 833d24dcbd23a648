"""What a service behind a real edge is told of where a request came from: believed of trusted proxies alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub.traffic import RouteTable, Track
from tests.contracts.edge_nginx import STABLE, LocalEdge, running_edge
from tests.contracts.edge_witness import Place, Witness, send, witness
from tests.contracts.test_edge_websocket import WEBSOCKET
from tests.support.ports import free_port

BALANCER, STRANGER = "127.0.0.9", "127.0.0.1"
TOLD = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port")
CLAIMS = (
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.example",
    "X-Forwarded-Port: 8443",
)


@dataclass
class World:
    """An edge that listens on IPv4, IPv6 and a unix socket, with one service behind it."""

    edge: LocalEdge
    service: Witness
    v6: Place
    socket: Path
    revision: int = 0

    async def trust(self, *networks: str) -> None:
        self.revision += 1
        table = RouteTable(app="hello", env="lab", upstream="hello", revision=self.revision, n=self.revision,
                           stable=Track(STABLE, (self.service.peer,)), trust=networks)  # fmt: skip
        assert (await self.edge.put(table))[0] == 200

    async def told(self, *lines: str, source: str = BALANCER, place: Place | None = None) -> dict[str, str | None]:
        """What the service was told, in short names; a header of several lines is an error."""
        here = self.edge.port if place is None else place
        answer = await send(here, *lines, source=None if place else source)
        assert answer.status == 200, answer
        found = {name: self.service.values(name) for name in TOLD}
        assert all(len(values) <= 1 for values in found.values()), found
        return {name[12:].lower(): values[0] if values else None for name, values in found.items()}

    def own(self, source: str, chain: str = "") -> dict[str, str | None]:
        """What the edge sees itself of a request from there."""
        return {"for": chain + source, "proto": "http", "host": "hello.lab", "port": str(self.edge.port)}


def _more_doors(port: int, socket: Path, root: Path) -> str:
    listen = f"listen [::1]:{port}; listen unix:{socket};"
    return (
        f"server {{ {listen} location / {{ set $gopub_upstream hello; include {root}/gopub/gopub-location.conf; }} }}"
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """It trusts the balancer."""
    port, socket = free_port(), tmp_path / "front.sock"
    extra = _more_doors(port, socket, tmp_path)
    async with witness() as service, running_edge(tmp_path, extra=extra, workers=1) as edge:
        built = World(edge, service, ("::1", port), socket)
        await built.trust(BALANCER)
        yield built


async def test_a_trusted_proxy_is_believed_word_for_word(world):
    told = await world.told(*CLAIMS, "Forwarded: for=192.0.2.7;proto=https", "X-Real-IP: 192.0.2.7")
    assert told == {"for": f"192.0.2.7, {BALANCER}", "proto": "https", "host": "shop.example", "port": "8443"}
    assert world.service.values("forwarded") == ["for=192.0.2.7;proto=https"]
    assert world.service.values("x-real-ip") == ["192.0.2.7"]
    assert world.service.values("host") == ["hello.lab"]


async def test_of_a_strangers_words_nothing_reaches_the_service(world):
    """The control of the test before: the same lines from another address."""
    more = ("Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X-Forwarded-User: root", "X-FORWARDED-PROTO: ftp",
            "X-Forwarded-For: 10.0.0.1", "Via: 1.1 stays")  # fmt: skip
    assert await world.told(*CLAIMS, *more, source=STRANGER) == world.own(STRANGER)
    for name in ("forwarded", "x-real-ip", "x-forwarded-user"):
        assert world.service.values(name) == []
    assert world.service.values("via") == ["1.1 stays"]
    await world.trust()
    assert await world.told(*CLAIMS) == world.own(BALANCER), "without trust nobody is believed"


async def test_a_stranger_who_writes_underscores_says_the_same_as_with_hyphens(tmp_path):
    """Where nginx is told to let such names pass, it drops none."""
    async with witness() as service, running_edge(tmp_path, extra="underscores_in_headers on;") as edge:
        seen = World(edge, service, 0, tmp_path)
        await seen.trust(BALANCER)
        lines = ("X_Forwarded_Proto: https", "x_gopub_release: x", "X_Gray-Tag: x", "x_request_id: 7")
        await seen.told(*lines, source=STRANGER)
        assert [line for line in service.heads[-1] if "_" in line.partition(":")[0]] == ["x_request_id: 7"]
        await seen.told(*lines)
        assert sum("_" in line.partition(":")[0] for line in service.heads[-1]) == 4, "a proxy of ours may"


CASES = (
    (("X-Forwarded-Proto: https",), "https", "hello.lab", "443"),
    (("X-Forwarded-Proto: HTTPS",), "https", "hello.lab", "443"),
    (("X-Forwarded-Proto: http",), "http", "hello.lab", "80"),
    (("X-Forwarded-Proto: https", "X-Forwarded-Host: a.b:8443"), "https", "a.b:8443", "8443"),
    (("X-Forwarded-Proto: https, http",), "http", "hello.lab", "80"),
    (("X-Forwarded-Proto: http", "X-Forwarded-Proto: https"), "https", "hello.lab", "443"),
    (("X-Forwarded-Host: evil.example, shop.example",), "http", "shop.example", None),
    (("X-Forwarded-Port: 8443",), "http", "hello.lab", "8443"),
    (("X-Forwarded-Port: 0443",), "http", "hello.lab", "443"),
    (("X-Forwarded-Host: [2001:db8::1]:8443",), "http", "[2001:db8::1]:8443", None),
    (("X-Forwarded-Proto:",), "http", "hello.lab", None),
    (("X-Forwarded-Proto: javascript",), "http", "hello.lab", None),
    (("X-Forwarded-Port: 65536",), "http", "hello.lab", None),
    (("X-Forwarded-Port: 443;x",), "http", "hello.lab", None),
    (("X-Forwarded-Proto: https", "X-Forwarded-Host: 2001:db8::1"), "https", "hello.lab", "443"),
    (("X-Forwarded-Proto: https", "X-Forwarded-Host: [2001:db8::1]"), "https", "[2001:db8::1]", "443"),
    (("X-Forwarded-Host: :80",), "http", "hello.lab", None),
    (("X-Forwarded-Host: a b",), "http", "hello.lab", None),
    (("X-Forwarded-Host: a/@b",), "http", "hello.lab", None),
    (("X-Forwarded-Host: " + "a" * 300,), "http", "hello.lab", None),
)
"""Lines of a proxy, and the protocol, host and port that the service is told; None is the edge's own port."""


async def test_what_a_proxy_leaves_out_or_writes_twice_is_settled(world):
    """The nearest proxy's word is the last one."""
    for lines, proto, host, port in CASES:
        wanted = {"for": BALANCER, "proto": proto, "host": host, "port": port or str(world.edge.port)}
        assert await world.told(*lines) == wanted, lines


async def test_several_lines_of_a_chain_become_one(world):
    told = await world.told("X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8, 10.0.0.1")
    assert told["for"] == f"192.0.2.7, 192.0.2.8, 10.0.0.1, {BALANCER}"


async def test_ipv6_networks_are_trusted_as_others_are(world):
    await world.trust("::1/128")
    told = await world.told(*CLAIMS, place=world.v6)
    assert told == {"for": "192.0.2.7, ::1", "proto": "https", "host": "shop.example", "port": "8443"}
    assert await world.told(*CLAIMS) == world.own(BALANCER)
    await world.trust("2001:db8::/32")
    own = world.own("::1") | {"port": str(world.v6[1])}
    assert await world.told(*CLAIMS, place=world.v6) == own


async def test_a_peer_of_a_unix_socket_has_no_address_and_so_no_trust(world):
    await world.trust("0.0.0.0/0", "::/0")
    told = await world.told(*CLAIMS, place=world.socket)
    assert told == {"for": None, "proto": "http", "host": "hello.lab", "port": None}


async def test_a_websocket_is_told_the_same(world):
    lines = [f"{name}: {value}" for name, value in WEBSOCKET.items() if name != "Connection"]
    assert (await world.told("Connection: Upgrade", *lines, *CLAIMS))["proto"] == "https"
    assert world.service.values("upgrade") == ["websocket"]
    assert world.service.values("connection") == ["upgrade"]


async def test_a_request_that_error_page_sends_on_is_told_once(tmp_path):
    """Its second location is routed, too: the address must not be added again."""
    dead = Witness("b1")
    mine = f"""server {{ listen 127.0.0.1:%d; location / {{
        proxy_intercept_errors on; error_page 502 = @again;
        set $gopub_upstream gone; include {tmp_path}/gopub/gopub-location.conf; }}
        location @again {{ set $gopub_upstream hello; include {tmp_path}/gopub/gopub-location.conf; }} }}"""
    port = free_port()
    async with witness() as service, running_edge(tmp_path, extra=mine % port) as edge:
        seen = World(edge, service, 0, tmp_path)
        await seen.trust(BALANCER)
        gone = RouteTable(app="gone", env="lab", upstream="gone", stable=Track("c" * 64, (dead.peer,)),
                          trust=(BALANCER,))  # fmt: skip
        assert (await edge.put(gone))[0] == 200
        answer = await send(port, *CLAIMS, source=BALANCER)
        assert answer.status == 200
        assert service.values("x-forwarded-for") == [f"192.0.2.7, {BALANCER}"]
