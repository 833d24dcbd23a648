"""From a commit to a published, verified release, with the real Go, git, syft and cosign."""

import asyncio
import json
import shutil
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gopub.build import find_toolchain
from gopub.canon import sha256_file
from gopub.errors import RefusedError
from gopub.evidence import generate
from gopub.evidence.provenance import commit_of
from gopub.evidence.verifier import KeyVerifier
from gopub.process import run
from gopub.release import SignedRelease, verify_release
from gopub.source.golang import Toolchain, run_go
from gopub.store.backends.directory import DirectoryStore
from tests.e2e.release_kit import CACHE, EXAMPLES, SMALL, a_repository, build_release, config, files_of, git, payload
from tests.minio_server import program

pytestmark = [pytest.mark.go]

HOSTILE = {
    "GOFLAGS": "-buildvcs=false -mod=mod",
    "GOWORK": "/nowhere/go.work",
    "CGO_ENABLED": "1",
    "GOAMD64": "v3",
    "GOOS": "plan9",
    "GOEXPERIMENT": "nosuch",
}


@pytest.fixture
async def go() -> Toolchain:
    return await find_toolchain(None, cache=CACHE)


@pytest.fixture(autouse=True)
async def writable(tmp_path: Path) -> AsyncIterator[None]:
    """Go writes its module cache read-only; pytest wants to remove it."""
    yield
    await run(["chmod", "-R", "u+w", str(tmp_path)])


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DirectoryStore, SignedRelease]:
    """examples/hello as a repository, released once for all tests here, under hostile Go settings."""
    folder = tmp_path_factory.mktemp("hello")
    shutil.copytree(EXAMPLES / "hello", folder / "repository")
    asyncio.run(a_repository(folder / "repository", {}))
    store = DirectoryStore(folder / "store")
    key = generate(folder / "keys").private
    with pytest.MonkeyPatch.context() as patch:
        for name, value in HOSTILE.items():
            patch.setenv(name, value)
        order = config(folder / "repository", folder / "work", "v1.0.0")
        signed = asyncio.run(build_release(order, key=key, store=store))
    return folder, store, signed


async def test_the_release_verifies_and_names_its_commit(hello: Any) -> None:
    folder, store, signed = hello
    report = await verify_release(store, signed, KeyVerifier(generate(folder / "keys").public_key()))
    assert report.accepted, report.checks
    assert signed.release.commit == await git(folder / "repository", "rev-parse", "v1.0.0")
    assert list(signed.release.targets) == ["linux/amd64", "linux/arm64", "windows/amd64"]
    assert signed.release.version == "1.0.0"


async def test_each_program_is_for_its_machine_and_static(hello: Any, tmp_path: Path) -> None:
    _, store, signed = hello
    for target, machine in (("linux/amd64", 62), ("linux/arm64", 183)):
        data = (await files_of(store, signed, target, tmp_path))["binary"].read_bytes()
        assert data[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", data, 18)[0] == machine
        assert 3 not in _segment_types(data), "PT_INTERP: it asks for a dynamic loader"
    windows = await files_of(store, signed, "windows/amd64", tmp_path)
    assert windows["binary"].name.endswith(".exe")
    assert windows["binary"].read_bytes()[:2] == b"MZ"


def _segment_types(elf: bytes) -> set[int]:
    offset, size, count = (struct.unpack_from(kind, elf, at)[0] for kind, at in (("<Q", 32), ("<H", 54), ("<H", 56)))
    return {struct.unpack_from("<I", elf, offset + index * size)[0] for index in range(count)}


async def test_the_program_runs_and_says_its_version(hello: Any, tmp_path: Path, go: Toolchain) -> None:
    _, store, signed = hello
    binary = (await files_of(store, signed, "linux/amd64", tmp_path))["binary"]
    binary.chmod(0o755)
    (tmp_path / "config.yaml").write_text("listen: nowhere\n")
    refused = await run([str(binary), "--check-config", str(tmp_path / "config.yaml")], check=False)
    assert refused.code == 1
    said = (await run_go(go, tmp_path, "version", "-m", str(binary))).text
    assert f"vcs.revision={signed.release.commit}" in said
    assert "mod\texample.org/hello\tv1.0.0" in said
    assert "GOAMD64=v1" in said


async def test_stock_cosign_accepts_every_signature(hello: Any, tmp_path: Path) -> None:
    folder, store, signed = hello
    files = await files_of(store, signed, "linux/amd64", tmp_path)
    for name in ("archive", "binary"):
        assert await cosign(folder, "verify-blob", files[f"bundle {name}"], files[name]) == 0
    (tmp_path / "release.json").write_bytes(signed.manifest)
    (tmp_path / "release.bundle").write_bytes(signed.bundle)
    assert await cosign(folder, "verify-blob", tmp_path / "release.bundle", tmp_path / "release.json") == 0


async def test_stock_cosign_accepts_every_statement(hello: Any, tmp_path: Path) -> None:
    folder, store, signed = hello
    files = await files_of(store, signed, "linux/arm64", tmp_path)
    for what in ("archive", "binary", "sbom spdx", "sbom cyclonedx"):
        assert await attested(folder, "slsaprovenance1", files["bundle provenance"], files[what]) == 0
    for what in ("archive", "binary"):
        assert await attested(folder, "spdxjson", files["bundle sbom-spdx"], files[what]) == 0
        assert await attested(folder, "cyclonedx", files["bundle sbom-cyclonedx"], files[what]) == 0


async def test_stock_cosign_refuses_what_it_should(hello: Any, tmp_path: Path) -> None:
    """The control: the two tests above could fail."""
    folder, store, signed = hello
    files = await files_of(store, signed, "linux/amd64", tmp_path)
    flipped = tmp_path / "flipped"
    data = bytearray(files["archive"].read_bytes())
    data[100] ^= 1
    flipped.write_bytes(data)
    stranger = tmp_path / "stranger"
    generate(stranger / "keys")
    assert await cosign(folder, "verify-blob", files["bundle archive"], flipped) != 0
    assert await cosign(folder, "verify-blob", files["bundle binary"], files["archive"]) != 0
    assert await cosign(stranger, "verify-blob", files["bundle archive"], files["archive"]) != 0
    assert await attested(folder, "slsaprovenance1", files["bundle provenance"], flipped) != 0
    assert await attested(folder, "spdxjson", files["bundle provenance"], files["archive"]) != 0
    assert await attested(stranger, "slsaprovenance1", files["bundle provenance"], files["archive"]) != 0


async def cosign(folder: Path, verb: str, bundle: Path, file: Path, *more: str) -> int:
    key = str(folder / "keys" / "gopub.pub")
    words = [verb, "--key", key, "--bundle", str(bundle), "--insecure-ignore-tlog", *more, str(file)]
    return (await run([str(program("cosign")), *words], env={"HOME": str(folder)}, check=False)).code


async def attested(folder: Path, kind: str, bundle: Path, file: Path) -> int:
    return await cosign(folder, "verify-blob-attestation", bundle, file, "--type", kind)


async def test_provenance_names_toolchain_and_commit(hello: Any, tmp_path: Path, go: Toolchain) -> None:
    _, store, signed = hello
    files = await files_of(store, signed, "linux/amd64", tmp_path)
    said = payload(files["bundle provenance"])
    assert commit_of(said) == signed.release.commit
    dependencies = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {
        "name": "go",
        "uri": f"pkg:golang/toolchain@go{go.version}",
        "digest": {"sha256": go.digest},
    } in dependencies
    assert len(said["subject"]) == 3 * 4  # archive, binary and two SBOMs per target


async def test_the_same_commit_is_not_built_twice(hello: Any, tmp_path: Path) -> None:
    folder, store, signed = hello
    key = generate(folder / "keys").private
    order = config(folder / "repository", tmp_path / "work", "v1.0.0")
    assert await build_release(order, key=key, store=store) == signed
    assert not (tmp_path / "work" / "out").exists()


async def test_another_commit_never_gets_the_version(hello: Any, tmp_path: Path) -> None:
    folder, store, _ = hello
    other = tmp_path / "other"
    shutil.copytree(folder / "repository", other)
    await a_repository(other, {"behaviour.json": '{"version": "evil"}'}, tag="")
    order = replace(config(other, tmp_path / "work"), version="1.0.0")
    with pytest.raises(RefusedError, match="GP320"):
        await build_release(order, key=generate(folder / "keys").private, store=store)


async def test_two_folders_give_the_same_bytes(tmp_path: Path) -> None:
    """Two clones and two build caches, one of them empty: every file that is not a signature is the same."""
    spec = SMALL["gopub.yaml"].replace("{", "{test: false, ", 1)
    await a_repository(tmp_path / "origin", SMALL | {"gopub.yaml": spec})
    made = []
    for name, cache in (("a", CACHE), ("somewhere/else/b", tmp_path / "cache")):
        work = tmp_path / name
        order = replace(config(tmp_path / "origin", work), cache=cache)
        signed = await build_release(
            order, key=generate(tmp_path / "keys").private, store=DirectoryStore(work / "store")
        )
        files = signed.release.targets["linux/amd64"]
        made.append((files.archive, files.binary, files.sboms, signed.release.environments))
    assert made[0] == made[1]


SHARED = 'package shared\n\nfunc Word() string { return "shared" }\n'
SERVICE = """package main

import (
	"os"

	"example.org/mono/shared"
)

func main() { os.Stdout.WriteString("orders " + shared.Word()) }
"""
MONO = {
    "go.mod": "module example.org/mono\n\ngo 1.24\n",
    "main.go": 'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("root") }\n',
    "shared/shared.go": SHARED,
    "services/orders/main.go": SERVICE,
    "services/orders/gopub.yaml": "app: orders\n",
    "services/orders/cmd/tool/main.go": SERVICE.replace("orders ", "tool "),
}


@pytest.mark.parametrize("named", ["spec file", "folder"])
@pytest.mark.parametrize(("main", "said"), [(".", "orders shared"), ("./cmd/tool", "tool shared")])
async def test_one_module_of_many_programs_releases_the_one_beside_gopub_yaml(
    tmp_path: Path, main: str, said: str, named: str
) -> None:
    """Not the one beside go.mod; whether the file or its folder was named, provenance says where both lie."""
    spec = f"app: orders\nbuild: {{main: {main}}}\n"
    await a_repository(tmp_path / "origin", MONO | {"services/orders/gopub.yaml": spec}, tag="orders/v1.4.0")
    await git(tmp_path / "origin", "tag", "billing/v9.0.0")
    if named == "folder":
        order = config(tmp_path / "origin/services/orders", tmp_path / "work")
    else:
        order = replace(config(tmp_path / "origin", tmp_path / "work"), spec_file="services/orders/gopub.yaml")
    store = DirectoryStore(tmp_path / "store")
    signed = await build_release(order, key=generate(tmp_path / "keys").private, store=store)
    files = await files_of(store, signed, "linux/amd64", tmp_path / "out")
    files["binary"].chmod(0o755)
    assert (await run([str(files["binary"])])).text == said
    assert signed.release.version == "1.4.0"
    told = payload(files["bundle provenance"])["predicate"]["buildDefinition"]["externalParameters"]
    place = "./services/orders" + main.removeprefix(".")
    assert (told["spec"], told["main"]) == ("services/orders/gopub.yaml", place)


async def test_a_main_package_in_a_module_of_its_own_is_built_there(tmp_path: Path) -> None:
    files = {
        "gopub.yaml": "app: small\nbuild: {main: ./svc/cmd}\n",
        "svc/go.mod": SMALL["go.mod"],
        "svc/cmd/main.go": SMALL["main.go"],
    }
    await a_repository(tmp_path / "origin", files)
    store = DirectoryStore(tmp_path / "store")
    order = config(tmp_path / "origin", tmp_path / "work")
    signed = await build_release(order, key=generate(tmp_path / "keys").private, store=store)
    told = payload((await files_of(store, signed, "linux/amd64", tmp_path / "out"))["bundle provenance"])
    assert told["predicate"]["buildDefinition"]["externalParameters"]["main"] == "./svc/cmd"


async def test_without_trimpath_they_would_differ(tmp_path: Path, go: Toolchain) -> None:
    """The control: the folder does get into a program that is built carelessly."""
    digests = set()
    for name in ("a", "b"):
        folder = await a_repository(tmp_path / name, SMALL)
        await run_go(go, folder, "build", "-buildvcs=false", "-o", str(tmp_path / f"{name}.out"), ".")
        digests.add(sha256_file(tmp_path / f"{name}.out"))
    assert len(digests) == 2


async def test_httpbin_is_released_with_its_modules(tmp_path: Path) -> None:
    """A service that knows nothing of gopub, with a module from the real proxy."""
    shutil.copytree(EXAMPLES / "httpbin", tmp_path / "origin")
    await a_repository(tmp_path / "origin", {})
    store = DirectoryStore(tmp_path / "store")
    key = generate(tmp_path / "keys")
    signed = await build_release(config(tmp_path / "origin", tmp_path / "work"), key=key.private, store=store)
    assert (await verify_release(store, signed, KeyVerifier(key.public_key()))).accepted
    files = await files_of(store, signed, "linux/amd64", tmp_path / "out")
    sbom = json.loads(files["sbom spdx"].read_bytes())
    assert "github.com/mccutchen/go-httpbin/v2" in {package["name"] for package in sbom["packages"]}
