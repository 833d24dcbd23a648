"""Every parser of what lies in a store or in a file of a team: drawn bytes give a value or an error of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.api.deploy import read_request
from deployments.api.hook import _event
from deployments.hooks.forges import FORGES
from gopub.build.artifact import FileRef
from gopub.build.buildinfo import BuildInfo, parse_build_info
from gopub.build.target import Target
from gopub.canon import canonical, read_json, sha256
from gopub.errors import GopubError
from gopub.evidence import KeySigner, PublicKey, Signer
from gopub.evidence.bundle import PAYLOAD_TYPE, pre_authentication, sign_blob, sign_statement, verify_blob, verify_dsse
from gopub.evidence.keys import generate
from gopub.evidence.provenance import BuildFacts, builder_of, commit_of, provenance
from gopub.evidence.sbom import check_complete, even_out
from gopub.evidence.statement import Subject, subject_digests
from gopub.evidence.verifier import KeyVerifier
from gopub.release import Release, load_release, publish
from gopub.release.environments import read_environment
from gopub.source.modfile import Module
from gopub.spec.connections import parse_connections
from gopub.spec.loader import load_spec
from gopub.spec.people import load_people
from gopub.spec.projects import load_projects
from gopub.store import blob_key
from gopub.store.backends.directory import DirectoryStore
from gopub.wiring.backends import BACKENDS
from tests.releases import SPEC, a_plan, prepare

from .drawn import Parser, changed_bytes, changed_json, check, inputs
from .test_spec_connections import EVERY_KIND

FOLDER = Path(tempfile.mkdtemp(prefix="gopub-drawn-"))
HERE = Path(__file__).parent
SIGNER: Signer = generate(FOLDER / "keys").signer()
FILE = FileRef.of("hello", b"data")
FACTS = BuildFacts(
    "https://git.example/x",
    "main",
    "c" * 40,
    "gopub.yaml",
    "./cmd/x",
    ("linux/amd64",),
    "-s",
    "mod",
    "1.26.0",
    "d" * 64,
    (Module("a.example/b", "v1.0.0", "h1:AAAA"),),
    "0.1",
    "1",
    1.0,
    2.0,
)
STATEMENT = canonical(provenance([Subject.of(FILE)], FACTS))
SPDX = canonical({"creationInfo": {"created": "x"}, "documentNamespace": "", "packages": [{"name": "stdlib"}]})
CYCLONEDX = canonical({"metadata": {"timestamp": "x"}, "serialNumber": "", "components": [{"name": "stdlib"}]})
PEOPLE = """\
people: {ann: {login: [ann@corp.example], os: [ann]}, bob: {}}
groups: {ops: [ann, bob]}
verified: [prod, "*"]
proxy: {header: X-User, from: [127.0.0.1, "::1"], secret: {env: A}, seal: {file: b}}
"""
PROJECTS = """\
apps:
  orders:
    repository: https://gitlab.example/trade/orders.git
    project_ref: refs/heads/main
    envs: [staging, prod]
    rules: [{tag: "v*", env: prod}, {branch: release/*, env: staging}]
gitlab: {token: {env: HOOK}}
"""
REQUEST = b'{"app":"orders","env":"prod","reason":"x","ref":"v1","targets":[],"version":"1.4.0"}'


async def _published() -> Release:
    store = DirectoryStore(FOLDER / "store")
    return (await publish(store, await prepare(FOLDER / "work", a_plan(FOLDER / "work")))).release


RELEASE = asyncio.run(_published())
KEY = generate(FOLDER / "work/keys").public_key()


def manifest(data: bytes) -> None:
    """What is done with a manifest before anything of it is believed, and what its environments become."""
    release = Release.parse(data)
    for ref in release.files():
        blob_key(ref.digest)
    for text in release.targets:
        Target.parse(text)
    for name, files in release.environments.items():
        read_environment(name, files)


def environment(data: bytes) -> None:
    """A manifest that is right but for one environment."""
    value = RELEASE.manifest()
    value["environments"] = {"lab": {"spec": json.loads(data), "templates": {}, "unit": None}}
    manifest(canonical(value))


def pointer(data: bytes) -> None:
    path = FOLDER / "store/apps/hello/1.0.0"
    path.write_bytes(data)
    asyncio.run(load_release(DirectoryStore(FOLDER / "store"), "hello", "1.0.0", KeyVerifier(KEY)))


def signed_statement(data: bytes) -> None:
    """The key is the right one: whoever has it can sign a statement of any shape."""
    said = verify_dsse(sign_statement(SIGNER, json.loads(data)), SIGNER.public, FILE.digest)
    for read in (commit_of, builder_of, subject_digests):
        read(said)
    canonical(said["predicate"])


def raw_payload(data: bytes) -> None:
    """The same with a payload that is not even JSON."""
    bundle = json.loads(sign_statement(SIGNER, {}))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(data).decode()
    signature = SIGNER.sign(pre_authentication(PAYLOAD_TYPE, data))
    bundle["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(signature).decode()}]
    verify_dsse(canonical(bundle), SIGNER.public, FILE.digest)


def sbom(name: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        document = read_json(data, limit=1 << 20) if data[:1] == b"{" else {}
        check_complete(name, even_out(name, document, app="x", moment=0), BuildInfo("1.26", "x", None, ()))

    return read


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def written(data: bytes) -> object:
        (FOLDER / name).write_bytes(data)
        return read(FOLDER / name)

    return written


def connections(data: bytes) -> object:
    return parse_connections(data.decode(errors="replace"), "connections.yaml", FOLDER, BACKENDS)


BUILD_INFO = (
    b"hello: go1.26.8\n\tpath\texample.org/hello\n\tmod\texample.org/hello\t(devel)\t\n"
    b"\tdep\ta.example/b\tv1.0.0\th1:AAAA\n\t=>\ta.example/c\tv1.0.1\th1:AAAA\n\tbuild\tGOOS=linux\n"
)
PARSERS = [
    Parser("manifest", manifest, RELEASE.manifest_bytes(), is_json=True),
    Parser("release pointer", pointer, RELEASE.release_id.encode()),
    Parser("bundle", lambda data: verify_blob(data, b"data", SIGNER.public), sign_blob(SIGNER, b"data"), is_json=True),
    Parser("envelope", lambda data: verify_dsse(data, SIGNER.public, FILE.digest),
           sign_statement(SIGNER, json.loads(STATEMENT)), is_json=True),
    Parser("signed payload", raw_payload, STATEMENT, is_json=True),
    Parser("public key", PublicKey.parse, SIGNER.public.pem),
    Parser("private key", KeySigner.parse, (FOLDER / "keys/gopub.key").read_bytes()),
    Parser("go version -m", lambda data: parse_build_info(data.decode(errors="replace")), BUILD_INFO),
    Parser("gopub.yaml", of_file("gopub.yaml", load_spec), SPEC.encode()),
    Parser("connections.yaml", connections, EVERY_KIND.encode()),
    Parser("projects.yaml", of_file("projects.yaml", lambda path: load_projects(path, BACKENDS)), PROJECTS.encode()),
    Parser("people.yaml", of_file("people.yaml", lambda path: load_people(path, BACKENDS)), PEOPLE.encode()),
    Parser("webhook", lambda data: _event(FORGES["gitlab"], {}, data), (HERE / "webhooks/push.json").read_bytes(),
           is_json=True),
    Parser("webhook of GitHub", lambda data: _event(FORGES["github"], {"x-github-event": "push"}, data),
           (HERE / "webhooks/github/push.json").read_bytes(), is_json=True),
    Parser("REST body", read_request, REQUEST, is_json=True),
]  # fmt: skip
ONLY_JSON = [
    Parser("statement", signed_statement, STATEMENT, is_json=True),
    Parser("environment", environment, canonical(RELEASE.environments["lab"].spec), is_json=True),
    Parser("SPDX", sbom("spdx"), SPDX, is_json=True),
    Parser("CycloneDX", sbom("cyclonedx"), CYCLONEDX, is_json=True),
]


IN_STORE = {"manifest", "environment", "release pointer", "bundle", "envelope", "signed payload", "statement"}
PARSERS = [replace(parser, quiet=parser.name in IN_STORE) for parser in PARSERS]
ONLY_JSON = [replace(parser, quiet=parser.name in IN_STORE) for parser in ONLY_JSON]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HOOK", "x" * 40)
    yield
    pointer(RELEASE.release_id.encode())


@pytest.mark.parametrize("parser", [*PARSERS, *ONLY_JSON], ids=repr)
def test_the_example_is_read(parser: Parser) -> None:
    parser.read(parser.example)


@pytest.mark.parametrize("parser", PARSERS, ids=repr)
@settings(max_examples=150)
@given(st.data())
def test_drawn_bytes_give_a_value_or_an_error_of_ours(parser: Parser, data: st.DataObject) -> None:
    check(parser, data.draw(inputs(parser)))


@pytest.mark.parametrize("parser", ONLY_JSON, ids=repr)
@settings(max_examples=150)
@given(st.data())
def test_drawn_values_give_a_value_or_an_error_of_ours(parser: Parser, data: st.DataObject) -> None:
    check(parser, data.draw(changed_json(parser.example)))


def untyped(data: bytes) -> Any:
    """As parsers are written that nobody attacks."""
    value = json.loads(data)
    return value["buildDefinition"]["resolvedDependencies"][0]["digest"].get("gitCommit")


def shouting(data: bytes) -> None:
    """Says what it was given, as it was given."""
    if data != b"owned":
        raise GopubError("GP310", f"the file holds {data.decode(errors='replace')}")


PREDICATE = canonical(json.loads(STATEMENT)["predicate"])


@pytest.mark.parametrize(
    ("parser", "draw"),
    [
        (Parser("untyped", untyped, PREDICATE, is_json=True), changed_json),
        (Parser("untyped", untyped, PREDICATE), changed_bytes),
        (Parser("shouting", shouting, b"owned", quiet=True), changed_bytes),
    ],
    ids=["structure", "bytes", "echo"],
)
def test_a_parser_that_does_not_care_is_caught(
    parser: Parser, draw: Callable[[bytes], st.SearchStrategy[bytes]]
) -> None:
    """The control: the same draws find a parser without types, and one that repeats what it reads."""
    parser.read(parser.example)

    @settings(max_examples=300, database=None, report_multiple_bugs=False)
    @given(draw(parser.example))
    def drawn(data: bytes) -> None:
        check(parser, data)

    with pytest.raises(AssertionError):
        drawn()


def test_the_table_has_no_two_of_a_name() -> None:
    names = [parser.name for parser in (*PARSERS, *ONLY_JSON)]
    assert len(names) == len(set(names))
    assert sha256(RELEASE.manifest_bytes()) == RELEASE.release_id
