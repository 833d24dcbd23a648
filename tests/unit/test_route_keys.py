"""``gopub route install`` and ``gopub route sign``: the way of a first key and of the next, over edges in memory."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.keys import KeyFiles, generate
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order
from gopub.fleet.protocol import FleetConnection
from gopub.plan.model import Plan
from gopub.process import Result
from gopub.traffic import RouteTable, to_json
from gopub.traffic.signed import HEADER
from gopub.usecases.lay_keys import files_of
from gopub.usecases.sign_table import sign_table
from gopub.wiring.project import Project, open_project
from tests.support.rollout_world import TwoEdges, drive, in_memory

EDGES: dict[str, Edge] = {}


@dataclass
class Edge:
    """What an edge answers to curl and to the script that lays files; it checks nothing, as others do that."""

    table: RouteTable | None = None
    key: str = ""
    keys: set[str] = field(default_factory=set)
    older: bool = False
    """Its files are of a gopub that knew no signatures."""
    down: bool = False
    foreign: str | None = None
    """Whose signature the table of another project has, "" none; None: there is no such table."""
    installs: int = 0
    later: int = 0
    """So often it is asked before it shows a signature, as behind a source."""
    coming: str = ""

    async def ask(self, order: Order, argv: Sequence[str], stdin: bytes = b"") -> Result:
        assert order.host.startswith("edge")
        return await self.exec(argv, stdin)

    async def exec(self, argv: Sequence[str], stdin: bytes = b"", *, by_root: bool = False) -> Result:
        assert by_root == (argv[0] == "sh"), "programs are root's"
        if self.down:
            raise GopubError("GP417", "it is away")
        said = self.install(stdin) if argv[0] == "sh" else self.answer(argv, stdin)
        return Result(tuple(argv), 0, said.encode(), b"")

    def install(self, body: bytes) -> str:
        self.installs += 1
        self.older = False
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            names = [Path(name) for name in tar.getnames() if name.startswith("keys/")]
            self.keys |= {name.stem for name in names if name.suffix == ".pem"}
            if Path("keys/.off") in names:
                self.keys -= set(tar.extractfile("keys/.off").read().decode().split())
        return ""

    def answer(self, argv: Sequence[str], body: bytes) -> str:
        if "PUT" in argv:
            assert json.loads(body) == to_json(self.table)
            [line] = [word for word in argv if word.startswith(f"{HEADER}: ")] or [f"{HEADER}: :"]
            self.coming = line.partition(": ")[2].partition(":")[0]
            self.key = self.key if self.later else self.coming
            return json.dumps({"revision": self.table.revision}) + "\n200"
        self.later, shows = max(0, self.later - 1), self.later == 1
        self.key = self.coming if shows else self.key
        upstreams: dict[str, object] = {}
        if self.table:
            upstreams["hello"] = {"table": to_json(self.table), "inflight": {}, **self.signature(self.key)}
        if self.foreign is not None:
            upstreams["shop"] = {"table": {}, "inflight": {}, **self.signature(self.foreign)}
        more = {} if self.older else {"keys": {"believed": sorted(self.keys), "broken": {}}}
        return json.dumps({"upstreams": upstreams, **more}) + "\n200"

    def signature(self, key: str) -> dict[str, object]:
        if self.older:
            return {}
        return {"signature": {"key": key or None, "believed": key in self.keys, "since": 1.0}}


class Here(FleetConnection):
    """Edges in this test's memory."""

    kind: Literal["here"] = "here"

    def options(self) -> SshOptions:
        return SshOptions()

    def open(self) -> HereFleet:
        return HereFleet()


class HereFleet:
    async def channel(self, host: Host) -> Edge:
        return EDGES[host.name]

    async def close(self) -> None:
        """Nothing is open."""


class Numbered(TwoEdges):
    """Its hosts have addresses as edges take them."""

    def plan(self) -> Plan:
        plan = super().plan()
        hosts = (replace(host, peer=f"10.0.0.{at}:8080") for at, host in enumerate(plan.hosts, start=1))
        return replace(plan, hosts=tuple(hosts))


@pytest.fixture
def edges(tmp_path, monkeypatch) -> list[Edge]:
    """Two edges with the table that a rollout left, whose journal is the one that is asked."""
    in_memory(monkeypatch)
    world = Numbered(tmp_path)
    drive(world, "good")
    world.at_home(monkeypatch)
    EDGES.clear()
    EDGES.update({name: Edge(edge.table) for name, edge in world.router.edges.items()})
    return list(EDGES.values())


def project(key: KeyFiles | None = None, *also: Path) -> Project:
    """The project in this folder, with an nginx connection that says so."""
    says = f", sign: {key.private}, keys: [{', '.join(map(str, also))}]" if key else ""
    Path("connections.yaml").write_text(f"edge: {{kind: nginx, inventory: hosts.ini, hosts: role=edge{says}}}\n")
    Path("gopub.yaml").write_text(Path("gopub.yaml").read_text().replace("publish: {store: artifacts}\n", ""))
    found = open_project(".")
    return replace(found, connections=replace(found.connections, entries={**found.connections.entries, "ssh": Here()}))


def installed(made: Project, *off: str) -> list[bool]:
    return [one.fine for one in asyncio.run(files_of(made, "lab", install=True, off=off))]


def signed(made: Project) -> list[bool]:
    return [ack.ok for ack in asyncio.run(sign_table(made, "lab"))]


def name(key: KeyFiles) -> str:
    return key.public_key().fingerprint


def test_a_first_key_and_the_next_one(edges, tmp_path):
    first, following = generate(tmp_path / "first"), generate(tmp_path / "next")
    with pytest.raises(RefusedError, match=r"^GP527 .*\(edge edge1: hello; edge edge2: hello\)"):
        installed(project(first))
    assert [edge.installs for edge in edges] == [0, 0], "nothing was laid"
    assert signed(project(first)) == [True, True]
    assert installed(project(first)) == [True, True]
    assert [edge.keys for edge in edges] == [{name(first)}] * 2
    with pytest.raises(RefusedError, match=r"^GP527 "):
        installed(project(following), name(first))
    assert installed(project(first, following.public)) == [True, True]
    assert signed(project(following, first.public)) == [True, True]
    assert installed(project(following), name(first)) == [True, True]
    assert [(edge.keys, edge.key) for edge in edges] == [({name(following)}, name(following))] * 2


def test_edges_of_an_older_gopub_get_their_files_before_a_key(edges, tmp_path):
    key = generate(tmp_path / "key")
    for edge in edges:
        edge.older = True
    with pytest.raises(RefusedError, match=r"^GP527 "):
        installed(project(key))
    assert [(edge.installs, edge.keys) for edge in edges] == [(1, set())] * 2, "the files, which say what stands"
    assert signed(project(key)) == [True, True]
    assert installed(project(key)) == [True, True]


def test_the_table_of_another_project_is_not_lost_either(edges, tmp_path):
    key, other = generate(tmp_path / "key"), generate(tmp_path / "other")
    edges[1].foreign = ""
    assert signed(project(key)) == [True, True]
    with pytest.raises(RefusedError, match=r"^GP527 .*\(edge edge2: shop\)"):
        installed(project(key))
    edges[1].foreign, edges[1].keys = name(other), {name(other)}
    assert installed(project(key)) == [True, True]
    assert edges[1].keys == {name(key), name(other)}, "the key of the other stays"


def test_a_signature_that_comes_by_a_source_is_waited_for(edges, tmp_path):
    key = generate(tmp_path / "key")
    edges[0].later = 4
    assert signed(project(key)) == [True, True]
    assert [(edge.later, edge.key) for edge in edges] == [(0, name(key))] * 2


def test_what_is_no_key_or_one_that_counts_is_not_taken_off(edges, tmp_path):
    key = generate(tmp_path / "key")
    for off in ("", "abc", name(key)[:16], name(key).upper(), "../../../etc/passwd"):
        with pytest.raises(UsageError, match=r"^GP524 .* is no key's fingerprint"):
            installed(project(key), off)
    with pytest.raises(UsageError, match=r"^GP524 .* is to be believed here"):
        installed(project(key), name(key))
    assert [edge.installs for edge in edges] == [0, 0]


def test_without_a_key_files_are_laid_as_ever_and_nothing_is_signed(edges):
    assert installed(project()) == [True, True]
    assert [(edge.installs, edge.keys) for edge in edges] == [(1, set())] * 2
    with pytest.raises(UsageError, match=r"^GP522 the connection 'edge' names no key"):
        signed(project())


def test_an_edge_that_is_away_is_told_and_what_an_edge_made_up_is_not_signed(edges, tmp_path):
    key = generate(tmp_path / "key")
    edges[1].down = True
    assert signed(project(key)) == [True, False]
    with pytest.raises(RefusedError, match=r"^GP527 what stands on edge edge2 is not known \(it is away\)"):
        installed(project(key))
    edges[1].down = False
    [peer, *more] = edges[1].table.stable.peers
    stolen = replace(peer, address="203.0.113.66:80")
    edges[1].table = replace(edges[1].table, revision=99, stable=replace(edges[1].table.stable, peers=(stolen, *more)))
    with pytest.raises(RefusedError, match=r"^GP523 "):
        signed(project(key))
    assert edges[1].key == ""
