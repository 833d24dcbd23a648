"""The key that signs route tables: which it may be, how it is opened, and what it signs on the way to the edges."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from pydantic import SecretStr

from blocks.traffic import NginxEdges
from gopub import schemas
from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError
from gopub.evidence.keys import PublicKey, generate
from gopub.evidence.roles import Role
from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.process import Result
from gopub.traffic import EdgeStatus, Endpoint, Peer, RouteTable, Track, encode, to_json
from gopub.traffic.backends.nginx import Nginx, NginxRouter
from gopub.traffic.backends.nginx.client import read_status
from gopub.traffic.backends.nginx.files import EdgeLayout
from gopub.traffic.backends.nginx.install import archive
from gopub.traffic.door import KeysLaid, TableSigning
from gopub.traffic.saying import say_status
from gopub.traffic.signed import DOMAIN, HEADER, EdgeSigning, read_signing
from gopub.usecases.lay_keys import refuse_loss
from gopub.usecases.make_keys import make_keys
from gopub.usecases.refuse_table_key import refuse_table_key
from gopub.wiring.backends import BACKENDS
from gopub.wiring.project import Project, open_project
from gopub.wiring.table_keys import believed_keys, open_table_key
from tests.support.rollout_world import SPEC, World, in_memory

TABLE = RouteTable(
    app="hello", env="lab", upstream="hello", revision=4, stable=Track("a" * 64, (Peer("a1", "10.0.0.1:80"),))
)
A, B = "a" * 64, "b" * 64


class Asked:
    """An edge's channel: keeps what was asked, and says what it is told to."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers) or ['{"revision": 4}\n200']
        self.asked: list[tuple[tuple[str, ...], bytes]] = []

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        self.asked.append((tuple(argv), stdin))
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Result(("curl",), 0, said.encode(), b"")


def router(edge: Asked, signing: TableSigning) -> NginxRouter:
    async def connect(name: str) -> Asked:
        del name
        return edge

    return NginxRouter(("e1",), connect, key=lambda: open_table_key(signing))


def is_signed(public: PublicKey, argv: Sequence[str], body: bytes) -> bool:
    """Whether a command line brings these bytes' signature by that key."""
    [line] = [word for word in argv if word.startswith(f"{HEADER}: ")]
    key, _, text = line.partition(": ")[2].partition(":")
    digest = hashlib.sha256(DOMAIN + body).digest()
    return key == public.fingerprint and public.accepts(base64.b64decode(text), digest=digest)


async def test_every_table_goes_with_the_signature_of_its_very_bytes(tmp_path):
    files = generate(tmp_path)
    edge = Asked('{"code":"GP501","error":"endpoints is not known"}\n422', '{"revision": 4}\n200')
    signed = router(edge, TableSigning(files.private))
    table = replace(TABLE, endpoints=(Endpoint("/checkout"),))
    assert [ack.ok for ack in await signed.put(table)] == [True]
    assert [json.loads(body) for _, body in edge.asked] == [to_json(table), to_json(TABLE)]
    assert all(is_signed(files.public_key(), argv, body) for argv, body in edge.asked)
    assert edge.asked[0][1] == encode(table)
    files.private.unlink()
    assert [ack.ok for ack in await signed.put(TABLE)] == [True], "the key is opened once"
    secret = tmp_path.joinpath("gopub.pub").read_bytes()
    assert not any(secret in body or b"PRIVATE" in " ".join(argv).encode() for argv, body in edge.asked)
    await signed.status("hello", "lab", "hello")
    assert not any(word.startswith(HEADER) for word in edge.asked[-1][0]), "control: what is asked is not signed"


async def test_a_key_that_cannot_be_opened_fails_each_edge_and_raises_nothing(tmp_path):
    """Going back goes on: the canary's term ends by itself, and the hosts go back."""
    edge = Asked()
    [ack] = await router(edge, TableSigning(tmp_path / "gone.key")).put(TABLE)
    assert (ack.ok, edge.asked) == (False, [])
    assert ack.error.startswith("the table could not be signed: GP300 ")


def test_a_key_is_opened_by_its_file_and_never_one_that_others_may_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TABLE_PASS", "correct horse")
    shut = generate(tmp_path / "shut", "correct horse")
    connection = Nginx(inventory="lab", hosts="role=edge", sign=shut.private, passphrase={"env": "TABLE_PASS"})
    assert open_table_key(connection.signing()).fingerprint == shut.signer("correct horse").public.fingerprint
    assert "horse" not in repr(connection) and "PRIVATE" not in repr(open_table_key(connection.signing()))
    other = generate(tmp_path / "other")
    both = Nginx(inventory="lab", hosts="role=edge", sign=other.private, keys=(shut.public, other.public))
    assert [key.fingerprint for key in believed_keys(both)] == [
        other.public_key().fingerprint, shut.public_key().fingerprint
    ]  # fmt: skip
    assert believed_keys(Nginx(inventory="lab", hosts="role=edge")) == ()
    other.private.chmod(0o644)
    with pytest.raises(RefusedError, match=r"^GP301 "):
        believed_keys(both)
    with pytest.raises(GopubError, match=r"^GP300 .*gone\.pub.*cannot be read"):
        believed_keys(connection.model_copy(update={"keys": (tmp_path / "gone.pub",)}))


@pytest.mark.parametrize("given", [None, {"env": "TABLE_PASS"}, {"file": "/run/secrets/table"}])
def test_a_connection_is_read_back_from_a_kit(given, tmp_path):
    sign = {"sign": tmp_path / "table.key", "passphrase": given, "keys": [tmp_path / "next.pub"]}
    connection = Nginx(inventory="lab", hosts="role=edge", **sign)
    assert Nginx.model_validate(json.loads(connection.model_dump_json())) == connection


def test_a_rollback_has_the_key_by_its_kit(tmp_path, monkeypatch):
    """With nothing else at hand: no connections.yaml is read for it."""
    in_memory(monkeypatch)
    world = World(tmp_path)
    files = generate(tmp_path / "keys")
    connection = Nginx(inventory="lab", hosts="role=edge", sign=files.private, passphrase={"env": "TABLE_PASS"})
    kit = Kit(1, world.driver().plan, world.ports().hosts, world.environment, (), connection)
    written = write_kit(tmp_path, kit).read_text()
    assert read_kit(tmp_path, "hello", "lab", BACKENDS).router == connection
    assert "PRIVATE" not in written
    assert jsonschema.Draft202012Validator(schemas.schema("kit")).is_valid(json.loads(written))


def test_a_passphrase_of_a_block_is_in_no_kit(tmp_path):
    block = NginxEdges(inventory="lab", hosts="role=edge", sign=str(tmp_path), passphrase=SecretStr("correct horse"))
    written = block.to_connection().model_dump_json()
    assert "horse" not in written
    assert Nginx.model_validate(json.loads(written)).passphrase is None


# Which key it may be ------------------------------------------------------------------------------------------------


def project(folder: Path, sign: Path, admit: str = "") -> Project:
    (folder / "gopub.yaml").write_text(SPEC.rstrip().removesuffix("}") + f"{admit}}}\n")
    (folder / "hosts.ini").write_text("a1 role=app\ne1 role=edge\n")
    (folder / "connections.yaml").write_text(
        f"edge: {{kind: nginx, inventory: hosts.ini, hosts: role=edge, sign: {sign}}}\n"
    )
    return open_project(folder)


def refused(made: Project) -> str:
    try:
        refuse_table_key(made, made.environment("lab"))
    except GopubError as error:
        return error.problem if error.code == "GP521" else f"{error.code} {error.problem}"
    return ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, with nothing of this machine's user."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_the_key_of_tables_signs_nothing_else(home):
    release, admission, table = (generate(home / name) for name in ("release", "admission", "table"))
    admit = f", admit: {{key: release/gopub.pub, statement: {{key: {admission.private}}}}}"
    assert refused(project(home, table.private, admit)) == ""
    assert refused(project(home, release.private, admit)).endswith("is to sign route tables, signs releases")
    assert refused(project(home, admission.private, admit)).endswith("is to sign route tables, signs admissions")
    assert refused(project(home, home / "gone.key", admit)).startswith("GP300 ")
    assert refused(project(home, table.private)) == "", "nothing was released here yet"


def test_a_list_of_roles_says_who_may_sign_tables(home):
    make_keys(home / "keys", 86400.0, ManualClock(1_800_000_000.0))
    keys = {role: home / "keys" / role / "gopub.key" for role in Role}
    admit = (
        f", admit: {{key: keys/release/gopub.pub, statement: {{key: {keys[Role.ADMISSION]}}},"
        " roles: {file: keys/roles, root: keys/root/gopub.pub}}"
    )
    assert refused(project(home, keys[Role.CONTROLLER], admit)) == ""
    assert "signs releases" in refused(project(home, keys[Role.RELEASE], admit))
    assert refused(project(home, keys[Role.ROOT], admit)).endswith(
        "does not hold the role controller in the list of roles 1"
    )
    assert "does not hold the role" in refused(project(home, generate(home / "other").private, admit))


# What an edge says --------------------------------------------------------------------------------------------------


def said(own: Mapping[str, object], keys: Sequence[str] = (), **more: object) -> dict[str, object]:
    upstream = {"table": to_json(TABLE), "inflight": {}, **own}
    return {"keys": {"believed": list(keys), "broken": {}}, "refused": None, "upstreams": {"hello": upstream}, **more}


def lines(answer: dict[str, object]) -> list[str]:
    status = read_status("e1", answer, "hello", "lab", "hello")
    return [line.strip() for line in say_status(status, 1000.0).splitlines() if "sign" in line or "refused" in line]


def by(key: str | None, *, believed: bool) -> dict[str, object]:
    return {"signature": {"key": key, "believed": believed, "since": 940.0}}


def test_whose_a_table_is_is_said():
    assert lines(said(by(A, believed=True), [A])) == ["signed by key aaaaaaaaaaaaaaaa since 1m"]
    assert lines(said(by(None, believed=False))) == ["unsigned"]
    assert lines(said(by(A, believed=False))) == ["signed by key aaaaaaaaaaaaaaaa; no key lies there, so nobody checks"]
    gone = "which counts no more: the edge's next start will not use this table"
    assert lines(said(by(A, believed=False), [B])) == [f"signed by key aaaaaaaaaaaaaaaa, {gone}"]
    assert lines(said(by(None, believed=False), [B])) == [f"unsigned, {gone}"]
    refusal = {"upstream": "hello", "at": 995.0, "code": "GP520", "reason": "the table is not signed"}
    broken = said(by(A, believed=True) | {"refused": refusal}, [A])
    broken["keys"]["broken"] = {"b.pem": "it is not a public key in PEM"}
    assert lines(broken)[1:] == [
        "key file b.pem cannot be used, so nothing unsigned is taken: it is not a public key in PEM",
        "refused a table 5s ago: GP520 the table is not signed",
    ]
    assert lines({"upstreams": {"hello": {"table": to_json(TABLE), "inflight": {}}}}) == [], (
        "an older edge says nothing"
    )
    first = said({}, [A], refused=refusal)
    del first["upstreams"]["hello"]
    assert lines(first) == ["refused a table 5s ago: GP520 the table is not signed"]


@pytest.mark.parametrize(
    "junk", [None, 7, [], {"keys": 7}, {"keys": {"believed": 7, "broken": []}, "upstreams": []},
             {"keys": {}, "refused": {"upstream": "hello", "at": "x"}, "upstreams": {"hello": {"signature": []}}}]
)  # fmt: skip
def test_what_an_edge_says_of_signatures_may_be_junk(junk):
    found = read_signing(junk, "hello")
    assert found is None or found == EdgeSigning(standing=found.standing)


def test_keys_are_not_laid_so_that_a_table_that_stands_is_lost():
    def edge(keys: tuple[str, ...], **standing: str) -> EdgeStatus:
        return EdgeStatus("e1", signing=EdgeSigning(keys=keys, standing=standing))

    laid = KeysLaid(((A, b""),))
    refuse_loss([edge((), hello=A, shop=A), EdgeStatus("source etcd", error="it is away", is_source=True)], laid)
    for silent, why in ((EdgeStatus("e2", error="it is away"), "it is away"), (EdgeStatus("e2"), "it says nothing of")):
        with pytest.raises(RefusedError, match=rf"^GP527 what stands on edge e2 is not known \({why}"):
            refuse_loss([edge((), hello=A), silent], laid)
    refuse_loss([edge((B,), hello=A, shop=B)], laid)
    refuse_loss([edge((), hello="")], KeysLaid())
    for status, change in (
        (edge((), hello=A, shop=""), laid),
        (edge((B,), hello=A, shop=B), replace(laid, off=(B,))),
        (edge((A,), hello=A, shop=B), laid),
    ):
        with pytest.raises(RefusedError, match=r"^GP527 .*\(edge e1: shop\)"):
            refuse_loss([status], change)
    refuse_loss([edge((B,), hello=B)], KeysLaid(off=(B,))), "with no key left nothing is asked for"


def test_keys_travel_with_the_files_and_nothing_else_does():
    plain = archive(EdgeLayout())
    assert plain == archive(EdgeLayout(), KeysLaid())
    with tarfile.open(fileobj=io.BytesIO(archive(EdgeLayout(), KeysLaid(((A, b"PEM"),), (B,))))) as tar:
        keys = {name: tar.extractfile(name).read() for name in tar.getnames() if name.startswith("keys")}
    assert keys == {f"keys/{A}.pem": b"PEM", "keys/.off": f"{B}\n".encode()}
