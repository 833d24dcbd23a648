"""Route tables pushed to a real edge by mutual TLS: by whose certificate, what else is reached, where it is closed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from gopub.traffic import RouteTable
from gopub.traffic.backends.nginx import EdgeLayout, NginxRouter
from gopub.traffic.backends.nginx.push import pushed
from gopub.traffic.signed import TableKey
from gopub.traffic.sources.push import Push, PushedRouter
from tests.contracts.edge_nginx import Backend, LocalEdge, route_table
from tests.contracts.test_edge_signed import lay, table_key
from tests.contracts.tls_server import HERE, Authority
from tests.support.ports import free_port


@dataclass
class PushEdge(LocalEdge):
    """An edge that takes tables by mutual TLS."""

    push_port: int = field(default_factory=free_port)

    @property
    def layout(self) -> EdgeLayout:
        return replace(
            super().layout,
            push=f"include {self.root}/gopub/gopub-push.conf;",
            push_port=f"listen 127.0.0.1:{self.push_port} ssl",
            certificates=f"{self.root}/push",
        )


@dataclass
class Door:
    """The edge, and certificates by what is wrong with them."""

    edge: PushEdge
    ca: Path
    shown: dict[str, tuple[Path, Path]]

    def router(
        self, shows: str = "right", ca: Path | None = None, port: int = 0, signs: TableKey | None = None
    ) -> PushedRouter:
        cert, key = self.shown[shows]
        said = Push(ca=ca or self.ca, cert=cert, key=key, port=port or self.edge.push_port, host=HERE)

        async def connect(_: str) -> LocalEdge:
            return self.edge

        opens = (lambda: signs) if signs else None
        inner = NginxRouter(("e1",), connect, socket=str(self.edge.socket), limit=60, key=opens)
        return pushed(said, inner, ("e1",), limit=60)


def signed(authority: Authority, folder: Path, *names: str, **days: int) -> tuple[Path, Path]:
    folder.mkdir()
    return replace(authority, folder=folder).sign(*names, **days)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority, dict[str, tuple[Path, Path]]]:
    root = tmp_path_factory.mktemp("papers")
    (root / "others").mkdir()
    ours, others = Authority.new(root), Authority.new(root / "others", "other")
    shown = {
        "right": signed(ours, root / "right", "gopub"),
        "expired": signed(ours, root / "expired", "gopub", since=-2, until=-1),
        "early": signed(ours, root / "early", "gopub", since=1, until=2),
        "another's": signed(others, root / "anothers", "gopub"),
        "server": signed(ours, root / "server", HERE),
    }
    return ours, others, shown


@pytest.fixture
async def door(papers, tmp_path: Path) -> AsyncIterator[Door]:
    ours, _, shown = papers
    edge = PushEdge(tmp_path, free_port(), free_port(), grpc_port=free_port())
    edge.write()
    folder = tmp_path / "push"
    folder.mkdir()
    for name, path in zip(("server.pem", "server.key", "clients.pem"), (*shown["server"], ours.ca), strict=True):
        (folder / name).write_bytes(path.read_bytes())
    await edge.start()
    try:
        yield Door(edge, ours.ca, shown)
    finally:
        for client in edge.clients:
            await client.close()
        await edge.stop()


def order(backends: list[Backend], number: int, weight: int = 0) -> RouteTable:
    return route_table(
        backends[:1], backends[1:], rollout="r-1", weight=weight, revision=number, epoch=1, token="t", n=number
    )


async def test_a_table_is_pushed_and_in_force(door, backends, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no proxy stands between
    router = door.router()
    for number, weight in enumerate((0, 10_000, 0), 1):
        [ack] = await router.put(order(backends, number, weight))
        assert (ack.edge, ack.ok, ack.revision, ack.error) == ("e1", True, number, "")
        assert (await door.edge.client().ask()).peer == ("b1" if weight else "a1")
    [status] = await router.status("hello", "lab", "hello")
    assert (status.table, status.error) == (order(backends, 3), "")
    counts = await router.count("e1", "hello", "lab", "hello", ["a" * 12])
    assert counts.error == ""
    [late] = await router.put(order(backends, 2))
    assert (late.ok, late.revision) == (False, 3)
    await router.close()


@pytest.mark.parametrize("shows", ["expired", "early", "another's"])
async def test_a_certificate_that_does_not_count_gets_nothing_in(door, backends, shows):
    router = door.router(shows)
    [ack] = await router.put_for(order(backends, 1), "grow")
    assert not ack.ok
    assert (await door.edge.control("GET", "/v1/tables/hello"))[0] == 404
    [ack] = await router.put_for(order(backends, 1), "back")
    assert ack.ok, "by the other way"
    await router.close()


async def test_who_shows_no_certificate_gets_no_answer_of_gopub(door):
    context = ssl.create_default_context(cafile=str(door.ca))
    async with httpx.AsyncClient(verify=context) as client:
        answer = await client.put(f"https://{HERE}:{door.edge.push_port}/v1/tables/hello", content=b"{}")
    assert answer.status_code == 400
    assert "No required SSL certificate" in answer.text


async def test_nothing_but_tables_and_their_state_is_reached(door, backends):
    context = ssl.create_default_context(cafile=str(door.ca))
    context.load_cert_chain(*door.shown["right"])
    base = f"https://{HERE}:{door.edge.push_port}"
    asked = {
        ("GET", "/v1/status"): 200, ("PUT", "/v1/status"): 403, ("GET", "/v1/tables/hello"): 403,
        ("DELETE", "/v1/tables/hello"): 403, ("POST", "/v1/tables/hello"): 403, ("PUT", "/v1/source"): 404,
        ("GET", "/v1/counters/hello"): 404, ("GET", "/"): 404, ("PUT", "/v1/tables/../source"): 404,
        ("PUT", "/v1/tables/hello"): 422,
    }  # fmt: skip
    async with httpx.AsyncClient(verify=context) as client:
        for (method, path), status in asked.items():
            request = client.build_request(method, base + path, content=b"{}" if method == "PUT" else b"")
            assert (await client.send(request)).status_code == status, (method, path)
    old = ssl.create_default_context(cafile=str(door.ca))
    old.load_cert_chain(*door.shown["right"])
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with httpx.AsyncClient(verify=old) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(base + "/v1/status")


async def test_a_table_that_no_key_signed_is_refused_although_the_certificate_is_right(door, backends):
    key = table_key()
    lay(door.edge, key)
    await door.edge.restart()
    router = door.router()
    [ack] = await router.put(order(backends, 1))
    assert not ack.ok
    assert "GP520" in ack.error
    assert (await door.edge.control("GET", "/v1/tables/hello"))[0] == 404
    await router.close()
    router = door.router(signs=key)
    [ack] = await router.put(order(backends, 1))
    assert (ack.ok, ack.error) == (True, "")
    await router.close()


async def test_an_edge_of_another_authority_is_told_nothing(door, backends, papers):
    _, others, _ = papers
    router = door.router(ca=others.ca)
    [ack] = await router.put(order(backends, 1))
    assert not ack.ok
    assert "certificate" in ack.error
    assert (await door.edge.control("GET", "/v1/tables/hello"))[0] == 404
    await router.close()


async def test_where_the_door_is_closed_nothing_grows_terms_go_on_and_the_way_back_is_open(door, backends):
    first = door.router()
    await first.put(order(backends, 1, 1_000))
    await first.close()
    closed = door.router(port=free_port())
    [ack] = await closed.put_for(order(backends, 2, 5_000), "grow")
    assert (ack.ok, "refused" in ack.error) == (False, True)
    [ack] = await closed.put_for(order(backends, 3, 1_000), "renew")
    assert (ack.ok, ack.revision) == (True, 3)
    [ack] = await closed.put_for(order(backends, 4), "back")
    assert (ack.ok, ack.revision) == (True, 4)
    [status] = await closed.status("hello", "lab", "hello")
    assert (status.revision, status.error) == (4, "")
    await closed.close()


async def test_files_that_are_missing_are_no_reason_not_to_go_back(door, backends):
    router = door.router(ca=Path("/missing.pem"))
    [ack] = await router.put_for(order(backends, 1), "grow")
    assert not ack.ok
    assert "/missing.pem" in ack.error
    [ack] = await router.put_for(order(backends, 1), "back")
    assert ack.ok
    await router.close()
