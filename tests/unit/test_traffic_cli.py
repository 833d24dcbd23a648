from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gopub.cli import route
from gopub.errors import UsageError
from gopub.traffic import EdgeStatus, Peer, RouteTable, Rule, Track, encode
from gopub.traffic import conditions as asks
from gopub.traffic.saying import say_status, status_json
from tests.support.doubles import MemoryEdges, MemoryHost
from tests.support.memory import known_as
from tests.support.rollout_world import SPEC

TABLE = RouteTable(
    app="hello",
    env="lab",
    upstream="hello",
    revision=7,
    epoch=2,
    n=9,
    rollout="r-1",
    salt="r-1",
    weight=2500,
    stable=Track("a" * 64, (Peer("a1", "10.1.0.1:80"), Peer("a2", "10.1.0.2:80"))),
    canary=Track("b" * 64, (Peer("b1", "10.1.0.3:80"),)),
    canary_until=1000.0,
    rules=(Rule("me", asks.Header("x-canary", "true")),),
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "table.json"
    path.write_bytes(encode(TABLE))
    return str(path)


def said(*arguments: str, stdin: bytes = b"") -> str:
    done = CliRunner().invoke(route.app, arguments, input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_request_is_explained_from_a_file(file):
    assert said("explain", "--table", file, "--address", "10.0.0.1", "--at", "999") == (
        "canary bbbbbbbbbbbb: b1\n  rule weight (revision 7): bucket 523 of address '10.0.0.1' is below 2500\n"
        "  rule me: no, not so: header x-canary is 'true'\n"
    )
    assert said("explain", "--table", file, "-a", "10.0.0.1", "--at", "1000.5") == (
        "stable aaaaaaaaaaaa: a1, a2\n  rule lapsed (revision 7): the canary's term ended 0.500s ago\n"
    )


class Outside:
    """Edges in memory, and their hosts."""

    def __init__(self, *names: str) -> None:
        self.router = MemoryEdges(*names)
        self.machines = {name: MemoryHost(name, f"id-{name}") for name in names}

    def project(self, folder: Path, router: str) -> str:
        """A folder whose project has these edges behind that connection."""
        (folder / "gopub.yaml").write_text(SPEC)
        (folder / "hosts.ini").write_text("".join(f"{name} role=edge\n" for name in self.machines))
        ssh = f"{{kind: memory, world: {known_as(self)}}}"
        (folder / "connections.yaml").write_text(f"ssh: {ssh}\nedge: {router.format(known_as(self))}\n")
        return str(folder)


def test_edges_are_reached_the_way_that_the_project_names(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    edges = Outside("e1")
    folder = edges.project(tmp_path, "{{kind: nginx, inventory: hosts.ini, hosts: role=edge}}")
    done = CliRunner().invoke(route.app, ["show", "--file", folder], catch_exceptions=False)
    assert (done.exit_code, "not in memory" in done.stdout) == (5, True), done.output


def test_a_request_is_explained_by_the_clock_of_the_edge(tmp_path, monkeypatch):
    """The edge is 45 s ahead: for it the term is over, whatever time it is here."""
    table = replace(TABLE, canary_until=time.time() + 30, rules=(), weight=10_000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    edges = Outside("e1", "e2", "e3")
    for edge, skew in zip(edges.router.edges.values(), (45.0, 0.1, None), strict=True):
        edge.table, edge.skew = table, skew
    folder = edges.project(tmp_path, "{{kind: memory-edges, world: {}, inventory: hosts.ini, hosts: role=edge}}")
    lines = said("explain", "--file", folder).splitlines()
    assert lines[0] == "stable aaaaaaaaaaaa: a1, a2"
    assert lines[1].startswith("  rule lapsed (edge e1, revision 7): the canary's term ended 1")
    assert lines[2] == "  its clock is 45s ahead of this machine's: no canary can grow; set the one that is wrong"
    assert [lines[3], lines[5]] == ["canary bbbbbbbbbbbb: b1"] * 2
    assert len(lines) == 7
    assert said("explain", "--file", folder, "--at", "1").count("canary bbbbbbbbbbbb") == 3


def test_headers_are_given_as_lines(file):
    text = said("explain", "--table", file, "--at", "1", "-H", "X-Canary:true", "-H", "Cookie: a=b; c=d")
    assert text.endswith("rule me (revision 7): header x-canary is 'true'\n")


def test_a_table_comes_from_stdin_and_the_answer_as_json():
    text = said("explain", "--table", "-", "--at", "1", "--address", "10.0.0.1", "--json", stdin=encode(TABLE))
    [row] = json.loads(text)["explained"]
    assert (row["revision"], row["track"], row["rule"], row["bucket"]) == (7, "canary", "weight", 523)


def test_of_several_lines_of_a_header_the_first_counts_whatever_its_case(file):
    told = said("explain", "--table", file, "--at", "1", "-H", "X-Canary:\ttrue", "-H", "x-canary: no")
    assert "rule me (revision 7): header x-canary is 'true'" in told
    told = said("explain", "--table", file, "--at", "1", "-H", "x-canary: no", "-H", "X-Canary: true")
    assert "rule me: no, not so: header x-canary is 'true'" in told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["explain", "--table", "nowhere.json"],
            "GP506 'nowhere.json' cannot be read as a route table: .*No such file",
        ),
        (["explain", "--table", __file__], "GP506 .* cannot be read as a route table: .*Expecting value"),
        (["explain", "--table", "-", "-H", "x"], "GP505 'x' is no header\nhint: write"),
        (["explain", "--table", "-", "-H", "x y: 1"], "GP505 'x y: 1' is no header\nhint: write"),
    ],
)
def test_mistakes_are_told(arguments, problem):
    with pytest.raises(UsageError, match=problem):
        CliRunner().invoke(route.app, arguments, catch_exceptions=False)


def test_an_edge_is_told_in_a_few_lines():
    status = EdgeStatus("e1", TABLE, {"a1": 2, "a2": 0, "b1": 0, "c1": 1})
    assert say_status(status, 910.0) == (
        "edge e1\n"
        "  hello/lab: revision 7, epoch 2, order 9\n"
        "  stable aaaaaaaaaaaa: a1 (2 in flight), a2 (0 in flight)\n"
        "  canary bbbbbbbbbbbb: b1 (0 in flight)\n"
        "  leaving: c1 (1 in flight)\n"
        "  weight 25% by address, ends by itself in 1m30s\n"
        "  rule me: header x-canary is 'true', to canary"
    )
    assert "its term is over\n" in say_status(status, 1000.0)
    behind = say_status(replace(status, skew=-30.0), 1000.0)
    assert "ends by itself in 30s\n" in behind
    assert behind.endswith("its clock is 30s behind this machine's: no canary can grow; set the one that is wrong")
    assert "clock" not in say_status(replace(status, skew=-3.0), 1000.0)
    assert say_status(EdgeStatus("e1"), 0) == "edge e1: no table"
    assert say_status(EdgeStatus("e1", tables=1), 0).endswith("`gopub route install`")
    assert say_status(EdgeStatus("e1", tables=2), 0) == "edge e1: no table"
    assert say_status(EdgeStatus("e1", error="out of reach"), 0) == "edge e1: out of reach"
    assert status_json(status)["inflight"] == {"a1": 2, "a2": 0, "b1": 0, "c1": 1}


PROJECT = """\
app: orders
environments:
  prod:
    inventory: hosts.ini
    hosts: role=app
    health: http://127.0.0.1:8080/healthz
    traffic: edge
"""


def project(folder: Path, connection: str) -> str:
    """A project with one edge, behind a port on which nobody listens."""
    (folder / "gopub.yaml").write_text(PROJECT)
    (folder / "connections.yaml").write_text(f"edge: {{{connection}, inventory: hosts.ini, hosts: role=edge}}\n")
    (folder / "hosts.ini").write_text("[edge]\ne1 ansible_host=127.0.0.1 ansible_port=1\n[edge:vars]\nrole=edge\n")
    return str(folder)


@pytest.mark.parametrize("verb", ["check", "install"])
def test_an_edge_whose_files_cannot_be_seen_is_told_by_exit_code_5(tmp_path, verb):
    done = CliRunner().invoke(route.app, [verb, "-f", project(tmp_path, "kind: nginx")], catch_exceptions=False)
    assert done.exit_code == 5
    assert done.stdout.startswith("edge e1: ")
    assert "its files are right" not in done.stdout


@pytest.mark.parametrize("verb", ["check", "install"])
def test_edges_of_another_kind_have_no_files_of_ours(tmp_path, verb):
    folder = project(tmp_path, "kind: memory-edges, world: w")
    with pytest.raises(UsageError, match="GP511 edges of kind memory-edges have no files of gopub's"):
        CliRunner().invoke(route.app, [verb, "-f", folder], catch_exceptions=False)


def test_a_request_has_a_method_and_a_target(tmp_path):
    rules = (Rule("shop", asks.All((asks.Path("/shop"), asks.Query("lane", "beta"), asks.Method(("POST",))))),)
    place = tmp_path / "table.json"
    place.write_bytes(encode(replace(TABLE, rules=rules)))
    words = ("explain", "--table", str(place), "--at", "1", "--target", "//x/../sh%6fp?lane=beta")
    assert "rule shop (revision 7): path /shop and query lane is 'beta' and method POST" in said(*words, "-X", "POST")
    assert "rule shop: no, not so: method POST" in said(*words), "control: by GET"


@pytest.mark.parametrize(("address", "line"), [
    ("10.0.0.7", "10.0.0.7 is trusted (10.0.0.0/29): its x-gray-tag count"),
    ("192.0.2.7", "192.0.2.7 is in no network of `trust`: its x-gray-tag do not count, and are taken off"),
])  # fmt: skip
def test_explain_says_whether_what_a_request_claims_counts(tmp_path, address, line):
    file = tmp_path / "table.json"
    file.write_bytes(encode(replace(TABLE, trust=("10.0.0.0/29",))))
    argv = ["explain", "--table", str(file), "--at", "0", "--address", address]
    assert f"  {line}" in said(*argv, "-H", "X-Gray-Tag: beta").splitlines()
    assert "trust" not in said(*argv), "control: where nothing is claimed nothing is said"


def test_explain_says_which_tag_a_request_carries_on(tmp_path):
    file = tmp_path / "table.json"
    file.write_bytes(encode(replace(TABLE, canary=replace(TABLE.canary, tag="v2"))))
    argv = ["explain", "--table", str(file), "--at", "0"]
    assert "  it carries the tag v2 on" in said(*argv, "-H", "X-Canary: true").splitlines()
    assert "carries" not in said(*argv, "--address", "10.0.0.1", "--at", "5000"), "control: stable has none"
