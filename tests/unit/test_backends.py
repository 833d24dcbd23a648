"""Doors: a backend is one module and one line, is imported when it is named, and when broken stops nothing else."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
from pydantic import SecretStr

import gopub
from blocks.derived import block_of
from deployments.projects import hook_secrets, token_digests
from gopub import schemas
from gopub.errors import ErrorGroup, GopubError, SpecError, UsageError
from gopub.evidence import generate
from gopub.evidence.keys import SignerConnection
from gopub.evidence.trust import SigstoreConnection
from gopub.fleet.protocol import FleetConnection
from gopub.health.samples import CounterSnapshot, LogCounts
from gopub.health.sources import LogsConnection, LogTarget
from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.process import Executor, Result, base_environment, run
from gopub.spec.connections import Connections, parse_connections
from gopub.spec.kinds import SecretRef, kind_of
from gopub.spec.projects import load_projects, parse_projects
from gopub.spec.references import Reference
from gopub.spec.selector import parse_selector
from gopub.store.protocol import StoreConnection
from gopub.telemetry import REDACTOR
from gopub.traffic.backends.nginx import Nginx
from gopub.traffic.door import RouterConnection
from gopub.traffic.protocol import EdgeStatus
from gopub.wiring.backends import BACKENDS, DOORS, Backends
from gopub.wiring.project import inventory_of
from tests.support.plugin import LINES, MODULE, acme, install, loaded
from tests.support.rollout_world import World, in_memory

INSTALLED = BACKENDS.names()
"""Asked before a test installs anything: they are read once in a process."""

FILE = """\
things: {kind: shelf, folder: things}
all: {kind: names, names: [h1, h2]}
edges: {kind: paper, folder: paper, inventory: all, hosts: role=app}
counts: {kind: abacus, file: series, token: {env: GOPUB_TEST_KEY}}
lines: {kind: diary, folder: diary}
ssh: {kind: pigeon, loft: roof}
wax: {kind: seal, private: {env: GOPUB_TEST_KEY}}
nobody: {kind: notary}
"""


SERIES = (
    '{"name": "gopub_edge_table_revision", "labels": {"app": "hello", "env": "lab", "instance": "e1"}, '
    '"samples": [[0, 1], [15, 1]]}\n'
)


class Here:
    """Programs are run in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        return await run(argv, stdin=stdin, cwd=self.folder, check=False)


async def nobody(edge: str) -> Executor:
    raise GopubError("GP413", f"{edge} is away")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backends:
    monkeypatch.delenv("GOPUB_CONNECTIONS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    return acme(tmp_path, monkeypatch)


@pytest.fixture
def known(plugin: Backends, tmp_path: Path) -> Connections:
    (tmp_path / "connections.yaml").write_text(FILE)
    return Connections.load(tmp_path, plugin)


def test_every_door_has_ours_and_a_plug_in() -> None:
    assert {line.partition(".")[0] for line in LINES} == {*DOORS, "secret"}
    for name, door in DOORS.items():
        for kind in door.ours:
            model = BACKENDS.find(kind)
            assert model is not None and issubclass(model, door.model) and kind_of(model) == kind and model.door == name


def test_each_is_read_and_opened_by_its_line(
    known: Connections, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("things", "all", "edges", "counts", "lines", "ssh", "wax", "nobody"):
        entry = known.find(name)
        assert entry is not None and isinstance(entry, DOORS[entry.door].model)
    monkeypatch.setenv("GOPUB_TEST_KEY", generate(tmp_path / "keys").private.read_text())
    hosts = inventory_of(known, "all").select(parse_selector("role=app"))
    assert [host.name for host in hosts] == ["h1", "h2"]
    router = known.get("edges", RouterConnection).open(["h1", "h2"], nobody)
    unreached = [EdgeStatus("h1", error="h1 is away"), EdgeStatus("h2", error="h2 is away")]
    assert list(asyncio.run(router.status("hello", "lab", "hello"))) == unreached
    assert known.get("ssh", FleetConnection).options().user == "roof"
    of = {
        name: known.get(name, DOORS[door].model)
        for name, door in (("counts", "metrics"), ("lines", "logs"), ("wax", "signer"))
    }
    (tmp_path / "series").write_text(SERIES)
    counted = asyncio.run(of["counts"].open().counters("hello", "lab", [], 20.0))
    assert isinstance(counted, CounterSnapshot)
    assert counted.edges == {"e1": 15.0}
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "hello.service").write_text("4 level=error msg=old\n6 level=error msg=new\n")
    lines = known.get("lines", LogsConnection).open()
    target = LogTarget("h1", "r1", "hello.service", Here(tmp_path))
    found = asyncio.run(lines.read(target, 5.0)), asyncio.run(lines.read(target, 5.0))
    assert [(one.lines, one.classes.get("level:error", 0)) for one in found if isinstance(one, LogCounts)] == [
        (2, 1),
        (0, 0),
    ]
    assert known.get("nobody", SigstoreConnection).open("corp").name == "corp"
    signer = known.get("wax", SignerConnection).open()
    assert signer.public.accepts(signer.sign(b"x"), digest=hashlib.sha256(b"x").digest())


def test_what_no_connection_names_is_not_imported(plugin: Backends, tmp_path: Path) -> None:
    parse_connections("a: {kind: directory, path: a}\n", "c.yaml", tmp_path, plugin)
    with pytest.raises(GopubError):
        parse_connections("a: {kind: shell, folder: a}\n", "c.yaml", tmp_path, plugin)
    assert "shelf" in plugin.names("store")
    assert loaded("acme_gopub") is None
    parse_connections("a: {kind: shelf, folder: a}\n", "c.yaml", tmp_path, plugin)
    assert loaded("acme_gopub") is not None, "control: it is imported when it is named"


def test_an_unknown_kind_is_told_with_its_place_and_all_that_there_are(plugin: Backends, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        parse_connections("a:\n  path: x\n  kind: microfiche\n", "c.yaml", tmp_path, plugin)
    assert str(caught.value.where) == "c.yaml:3:9"
    assert (caught.value.code, caught.value.problem) == ("GP118", "`a.kind`: 'microfiche' is not allowed")
    every = sorted([*LINES, "fleet.memory", "notify.memory-room", "router.memory-edges"])  # of the tests' own
    theirs = [line.partition(".")[2] for line in every if not line.startswith("secret.")]
    assert caught.value.hint == "one of " + ", ".join([*BACKENDS.ours(), *theirs])


CLOSED = MODULE.replace("def open(", "def closed(").replace('"shelf"', '"tape"')
ALL = ", ".join([*DOORS, "secret"])
BROKEN = {
    "raises": ("raise RuntimeError('no tape drive')", "store.tape", "tapes:Tape",
               "its module failed: RuntimeError: no tape drive"),
    "exits": ("raise SystemExit(3)", "store.tape", "tapes:Tape",
               "its module failed: SystemExit: 3"),
    "names nothing": ("", "store.tape", "tapes:Tape",
               "its module failed: AttributeError: module 'tapes' has no attribute 'Tape'"),
    "is no connection": ("class Tape: pass", "store.tape", "tapes:Tape", "tapes:Tape is no StoreConnection"),
    "is for another door": (MODULE, "store.tape", "tapes:Diary", "tapes:Diary is no StoreConnection"),
    "is of another kind": (MODULE, "store.tape", "tapes:Shelf", "the kind of tapes:Shelf is 'shelf', not its name"),
    "does not open": (CLOSED,
                      "store.tape", "tapes:Shelf", "tapes:Shelf has no open()"),
    "has no door": (MODULE, "tape", "tapes:Shelf", "its name 'tape' is not DOOR.KIND, with one of " + ALL),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plug_in_is_one_error_and_stops_nothing_else(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, line, place, why = BROKEN[case]
    acme(tmp_path, monkeypatch)
    kinds = install(tmp_path, monkeypatch, "tapes", module, {line: place})
    parse_connections("a: {kind: shelf, folder: a}\nb: {kind: directory, path: b}\n", "c.yaml", tmp_path, kinds)
    with pytest.raises(SpecError) as caught:
        parse_connections("a:\n  kind: tape\nb: {kind: shelf, folder: b}\n", "c.yaml", tmp_path, kinds)
    assert not isinstance(caught.value, ErrorGroup)
    assert (caught.value.code, str(caught.value.where)) == ("GP968", "c.yaml:2:9")
    assert caught.value.problem == f"`a.kind`: the backend 'tape' of tapes 1.0 cannot be used: {why}"


def test_a_secret_is_fetched_where_a_plug_in_says(plugin: Backends, tmp_path: Path) -> None:
    def token(where: str) -> SecretRef:
        text = f"a: {{kind: prometheus, url: 'http://p:9090', token: {where}}}\n"
        return parse_connections(text, "c.yaml", tmp_path, plugin)["a"].token  # type: ignore[attr-defined,no-any-return]

    assert token("{env: X}") == SecretRef(env="X")
    assert loaded("acme_gopub") is None
    assert token("{drawer: top}").reveal() == "of-the-top-drawer"
    assert "of-the-top-drawer" not in REDACTOR.clean("it says of-the-top-drawer")
    with pytest.raises(UsageError, match="GP142 drawer bottom holds no secret"):
        token("{drawer: bottom}").reveal()
    with pytest.raises(SpecError) as caught:
        token("{cellar: top}")
    assert str(caught.value.where).startswith("c.yaml:1:"), "control: what nobody knows is refused as ever"
    with pytest.raises(SpecError):
        parse_connections("a: {kind: drawer, drawer: top}\n", "c.yaml", tmp_path, plugin)


PROJECTS = """\
apps:
  hello:
    repository: https://git.example.org/hello
    project: /srv/hello
    envs: [lab]
    gitlab: {token: {drawer: top}}
    rules: [{tag: "v*", env: lab}]
tokens: {ci: {secret: {drawer: top}}}
"""


def test_projects_yaml_fetches_its_secrets_where_a_plug_in_says(plugin: Backends, tmp_path: Path) -> None:
    path = tmp_path / "projects.yaml"
    path.write_text(PROJECTS)
    projects = load_projects(path, plugin)
    secret = "of-the-top-drawer"
    assert token_digests(projects)["ci"] == hashlib.sha256(secret.encode()).hexdigest()
    assert hook_secrets(projects)["hello"].tokens == (secret,)
    with pytest.raises(SpecError) as caught:
        load_projects(path, BACKENDS)
    assert "drawer" in str(caught.value), "control: without the plug-in nobody knows a drawer"


def test_a_broken_way_to_secrets_in_projects_yaml_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = install(tmp_path, monkeypatch, "tapes", MODULE, {"secret.tape": "tapes:Drawer"})
    with pytest.raises(SpecError) as caught:
        parse_projects(PROJECTS.replace("drawer: top", "tape: top"), "projects.yaml", tmp_path, kinds)
    why = "the backend 'tape' of tapes 1.0 cannot be used: tapes:Drawer has no field 'tape'"
    assert (caught.value.code, caught.value.problem) == ("GP968", why)


def test_a_broken_way_to_secrets_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = install(tmp_path, monkeypatch, "tapes", MODULE, {"secret.tape": "tapes:Drawer"})
    text = "b: {kind: directory, path: b}\na: {kind: prometheus, url: 'http://p:9090', token: {tape: top}}\n"
    with pytest.raises(SpecError) as caught:
        parse_connections(text, "c.yaml", tmp_path, kinds)
    assert (caught.value.code, str(caught.value.where)) == ("GP968", "c.yaml:2:1")
    assert (
        caught.value.problem == "`a`: the backend 'tape' of tapes 1.0 cannot be used: tapes:Drawer has no field 'tape'"
    )


def test_a_name_that_is_ours_stays_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = install(tmp_path, monkeypatch, "tapes", "raise RuntimeError", {"store.s3": "tapes:S3"})
    with caplog.at_level("WARNING"):
        assert kinds.names() == INSTALLED
    assert kinds.find("s3") is BACKENDS.find("s3")
    assert "the backend 's3' of tapes 1.0 cannot be used: its name is taken by one of gopub's own" in caplog.text
    assert loaded("tapes") is None


def test_two_plug_ins_of_one_name_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "tapes", MODULE, {"store.shelf": "tapes:Shelf"})
    kinds = acme(tmp_path, monkeypatch)
    with pytest.raises(GopubError, match=r"acme_gopub 1\.0 and tapes 1\.0 both have one of that name"):
        kinds.find("shelf")
    assert kinds.find("paper") is not None, "control: the others are there"


def test_a_kit_holds_a_plug_in_s_connections(
    known: Connections, plugin: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(monkeypatch)
    world = World(tmp_path)
    plan = world.driver().plan
    kit = Kit(1, plan, world.ports().hosts, world.environment, (), known.get("edges", RouterConnection),
              fleet=known.get("ssh", FleetConnection))  # fmt: skip
    path = write_kit(tmp_path, kit)
    fits = jsonschema.Draft202012Validator(schemas.schema("kit")).is_valid
    assert fits(json.loads(path.read_text()) | {"router": None})
    kept = read_kit(tmp_path, "hello", "lab", plugin)
    assert (kept.router, kept.fleet) == (known.find("edges"), known.find("ssh"))
    with pytest.raises(GopubError, match=r"no router of kind paper is known here") as caught:
        read_kit(tmp_path, "hello", "lab", BACKENDS)
    assert caught.value.code == "GP717", "control: without the plug-in nobody guesses"


def test_a_kit_of_before_is_read_and_one_with_our_own_kinds_is_written_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(monkeypatch)
    world = World(tmp_path)
    router = Nginx(inventory="lab", hosts="role=edge", metrics="prom")
    kit = Kit(1, world.driver().plan, world.ports().hosts, world.environment, (), router)
    path = write_kit(tmp_path, kit)
    written = json.loads(path.read_text())
    said = {"inventory": "lab", "hosts": "role=edge", "socket": "/run/gopub/edge.sock", "metrics": "prom", "logs": None}
    assert written["router"] == {"kind": "nginx", **said}
    assert "fleet" not in written
    for router_said in (written["router"], said):
        path.write_text(json.dumps(written | {"router": router_said}))
        assert read_kit(tmp_path, "hello", "lab", BACKENDS).router == router


def test_a_block_is_made_of_a_kind(known: Connections) -> None:
    block = block_of(type(known.get("counts", DOORS["metrics"].model)))
    made = block(file="series", token=SecretStr("hunter2-hunter2"))  # type: ignore[call-arg]
    assert "hunter2" not in f"{made} {made.to_connection()!r}"
    assert made.to_connection().token.reveal() == "hunter2-hunter2"  # type: ignore[attr-defined]
    shelf = block_of(type(known.get("things", StoreConnection)))
    assert shelf(folder="/things").to_connection() == type(known.get("things", StoreConnection))(folder="/things")  # type: ignore[call-arg]
    assert (shelf._block_type_slug, shelf.model_fields["label"].description) == ("gopub-shelf", "A label.")


def test_a_door_is_answered_with_all_its_kinds(known: Connections) -> None:
    with pytest.raises(SpecError, match="of kind directory or s3 or shelf"):
        known.get("nothing", StoreConnection)
    assert Reference("things", (StoreConnection,)).kinds == (StoreConnection,)


ROOT = Path(gopub.__file__).parent.parent
ABOVE = ("gopub/usecases", "gopub/views", "gopub/rollout", "gopub/judge", "gopub/journal", "gopub/plan",
         "gopub/release", "gopub/spec", "gopub/cli", "flows", "tasks", "deployments")  # fmt: skip
MEANT = {"gopub/cli/demo/real.py": {"S3"}}
"""The demo starts a MinIO of its own and makes the bucket in it."""


def named_in(path: Path) -> set[str]:
    """What a file imports out of packages of backends, and the loader that takes a path alone."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gopub.")]
    named = {(f"{node.module}.{alias.name}", alias.name) for node in imports for alias in node.names}
    return {
        name for place, name in named if (".backends." in place and "wiring" not in place) or name == "load_inventory"
    }


def test_only_wiring_knows_a_backend() -> None:
    files = [path for place in ABOVE for path in (ROOT / place).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): named for path in files if (named := named_in(path))}
    assert found == MEANT
    assert named_in(ROOT / "gopub/wiring/project.py") == {"Directory"}, "control: it is found where it is"


SPEC = """\
app: hello
build: {main: ".", targets: [linux/amd64]}
publish: {store: things}
environments:
  lab:
    inventory: all
    hosts: role=app
    health: http://127.0.0.1:8080/healthz
    traffic: {router: edges, port: 8080}
    judge: {source: counts, logs: lines}
"""


async def checked(folder: Path, module: str, lines: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Result:
    """What `gopub check` says of a project whose connections are a plug-in's alone."""
    install(folder, monkeypatch, "acme_gopub", module, lines)
    project = folder / "project"
    project.mkdir()
    for name, text in (("gopub.yaml", SPEC), ("connections.yaml", FILE), ("main.go", "package main\n")):
        (project / name).write_text(text)
    path = os.pathsep.join([str(folder / "site-acme_gopub"), str(ROOT)])
    env = base_environment(extra={"PYTHONPATH": path, "HOME": str(folder), "GOPUB_TEST_KEY": "x"})
    return await run([sys.executable, "-m", "gopub.cli.main", "check"], cwd=project, env=env, check=False)


async def test_check_opens_what_a_plug_in_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = await checked(tmp_path, MODULE, LINES, monkeypatch)
    assert (said.code, "lab: 2 of 2 hosts, judged on counts" in said.text + said.err.decode()) == (0, True), said


async def test_control_check_says_where_a_plug_in_that_is_broken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = LINES | {"router.paper": "acme_gopub:Diary"}
    said = await checked(tmp_path, MODULE, lines, monkeypatch)
    assert said.code == 2, said
    assert "connections.yaml:3:15: GP968 `edges.kind`: the backend 'paper' of acme_gopub 1.0" in said.err.decode()


def test_the_page_lists_every_door_with_its_kinds() -> None:
    page = (ROOT / "docs/reference/connections-yaml.md").read_text("utf-8")
    rows = [f"| {name} | {', '.join(f'`{kind}`' for kind in door.ours)} |" for name, door in DOORS.items()]
    rows.append(f"| secret | {', '.join(f'`{name}`' for name in SecretRef.model_fields)} |")
    assert "\n".join(["| door | kinds |", "|---|---|", *rows, "", ""]) in page
