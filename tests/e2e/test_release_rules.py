"""Which commits are refused, and that nothing of them is published; modules come from a proxy made of files."""

import json
import shutil
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gopub.build import find_toolchain
from gopub.canon import canonical, sha256
from gopub.errors import GopubError, RefusedError
from gopub.evidence import generate
from gopub.process import run
from gopub.release import (
    ReleaseConfig,
    check_modules,
    checkout,
    compile_target,
    plan,
    unit_tests,
)
from gopub.source.golang import run_go
from gopub.store import blob_key
from gopub.store.backends.directory import DirectoryStore
from tests.e2e.release_kit import CACHE, SMALL, a_repository, build_release, config, files_of, payload

pytestmark = [pytest.mark.go]


@pytest.fixture(autouse=True)
async def writable(tmp_path: Path) -> AsyncIterator[None]:
    """Go writes its module cache read-only; pytest wants to remove it."""
    yield
    await run(["chmod", "-R", "u+w", str(tmp_path)])


GOOD_TEST = 'package main\n\nimport "testing"\n\nfunc TestIt(t *testing.T) {}\n'
BAD_TEST = 'package main\n\nimport "testing"\n\nfunc TestIt(t *testing.T) { t.Fatal("nonce-4711") }\n'


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
EMBEDDING = (
    'package main\n\nimport _ "embed"\n\n//go:embed logo.png\nvar logo string\n\nfunc main() { println(logo) }\n'
)


ASSETS = {
    ".gitignore": "dist/\n",
    "dist/app.js": "1",
    "main.go": 'package main\n\nimport "embed"\n\n//go:embed dist\nvar dist embed.FS\n\nfunc main() { _ = dist }\n',
}
CGO_ONLY = {
    "main.go": 'package main\n\nimport "example.org/small/c"\n\nfunc main() { println(c.One()) }\n',
    "c/c.go": 'package c\n\nimport "C"\n\nfunc one() int { return 1 }\n\nfunc One() int { return one() }\n',
}
CGO_IN_PART = CGO_ONLY | {
    "c/c.go": 'package c\n\nimport "C"\n\nfunc one() int { return 1 }\n',
    "c/d.go": "package c\n\nfunc One() int { return one() }\n",
}
WORKSPACE = {
    "go.work": "go 1.24\n\nuse (\n\t.\n\t./lib\n)\n",
    "lib/go.mod": "module lib.invalid/lib\n\ngo 1.24\n",
    "lib/lib.go": 'package lib\n\nfunc Word() string { return "lib" }\n',
    "main.go": 'package main\n\nimport "lib.invalid/lib"\n\nfunc main() { println(lib.Word()) }\n',
}


async def refused(tmp_path: Path, files: dict[str, str]) -> GopubError:
    """The error of a release of these files; nothing may be published."""
    await a_repository(tmp_path / "origin", SMALL | files)
    store = DirectoryStore(tmp_path / "store")
    with pytest.raises(GopubError) as caught:
        await build_release(
            config(tmp_path / "origin", tmp_path / "work"),
            key=generate(tmp_path / "keys").private,
            store=store,
        )
    assert await store.list("") == []
    return caught.value


@pytest.mark.parametrize(
    ("code", "files", "said"),
    [
        ("GP227", {"main_test.go": BAD_TEST}, "nonce-4711"),
        ("GP226", {"bad.go": 'package main\n\nimport "fmt"\n\nfunc bad() { fmt.Printf("%d", "x") }\n'}, "Printf"),
        (
            "GP221",
            {"gopub.yaml": "app: small\nbuild: {test: false}\n", "bad.go": 'package main\n\nvar x int = ""\n'},
            "cannot use",
        ),
        ("GP210", {"gopub.yaml": "app: small\n", "go.mod": "modul x\n"}, "go.mod"),
        ("GP213", {"go.mod": SMALL["go.mod"] + "\nreplace example.org/x => ./internal\n"}, "past go.sum"),
        ("GP212", {"go.mod": SMALL["go.mod"] + "\nreplace example.org/x => ../outside\n"}, "outside the repository"),
        ("GP214", {"go.mod": SMALL["go.mod"] + "\nrequire example.org/unused v1.0.0\n"}, "go mod tidy"),
        ("GP220", {"gopub.yaml": 'app: small\nbuild: {go: "1.2"}\n'}, "no Go 1.2 here"),
        ("GP220", {"go.mod": "module example.org/small\n\ngo 1.99.3\n"}, "no Go 1.99.3 or later here"),
        ("GP220", {"go.mod": "module example.org/small\n\ngo 1.24\n\ntoolchain go1.99.4\n"}, "no Go 1.99.4 or later"),
        (
            "GP224",
            {"gopub.yaml": "app: small\nbuild: {main: ./lib}\n", "lib/lib.go": "package lib\n"},
            "build information",
        ),
        ("GP225", {"gopub.yaml": 'app: small\nbuild: {ldflags: "-X main.version={{ verison }}"}\n'}, "verison"),
        ("GP208", {"main.go": EMBEDDING, "logo.png": POINTER}, "logo.png: "),
        (
            "GP211",
            {
                "gopub.yaml": "app: small\nsource: {modules: vendor}\n",
                "go.mod": SMALL["go.mod"] + "\nrequire example.org/unused v1.0.0\n",
            },
            "vendor/modules.txt",
        ),
        ("GP217", WORKSPACE, "go.work: GP217"),
        ("GP228", ASSETS, "main.go:5 embeds dist, and no such file is in the commit"),
        ("GP229", CGO_ONLY, "it needs cgo: example.org/small/c"),
        ("GP229", CGO_IN_PART, "it needs cgo: example.org/small/c"),
    ],
)
async def test_a_commit_that_breaks_a_rule_publishes_nothing(
    tmp_path: Path, code: str, files: dict[str, str], said: str
) -> None:
    error = await refused(tmp_path, files)
    assert error.code == code, str(error)
    assert said in str(error)


async def test_a_program_without_modules_has_nothing_to_vendor(tmp_path: Path) -> None:
    folder = await a_repository(tmp_path / "origin", SMALL | {"gopub.yaml": "app: small\nsource: {modules: vendor}\n"})
    order = config(folder, tmp_path / "work")
    planned = await plan(order, await checkout(order), started=0.0)
    modules = await check_modules(planned)
    assert (modules.vendored, modules.modules) == (False, ())
    assert (await compile_target(planned, modules, planned.targets[0])).binary.is_file()


async def test_a_pointer_of_lfs_that_the_program_does_not_embed_does_no_harm(tmp_path: Path) -> None:
    folder = await a_repository(tmp_path / "origin", SMALL | {"logo.png": POINTER})
    order = config(folder, tmp_path / "work")
    planned = await plan(order, await checkout(order), started=0.0)
    built = await compile_target(planned, await check_modules(planned), planned.targets[0])
    assert built.binary.is_file()


async def test_a_test_that_writes_into_the_checkout_does_not_reach_the_build(tmp_path: Path) -> None:
    writing = GOOD_TEST.replace("{}", '{ os.WriteFile("planted.go", []byte("package main"), 0o600) }').replace(
        'import "testing"', 'import (\n\t"os"\n\t"testing"\n)'
    )
    await a_repository(tmp_path / "origin", SMALL | {"main_test.go": writing})
    order = config(tmp_path / "origin", tmp_path / "work")
    planned = await plan(order, await checkout(order), started=0.0)
    modules = await check_modules(planned)
    report = await unit_tests(planned, modules)
    assert report is not None
    assert report.tested == 1
    assert (tmp_path / "work" / "tested" / "planted.go").exists()
    built = await compile_target(planned, modules, planned.targets[0])
    assert built.info.settings["vcs.modified"] == "false"


@pytest.fixture
async def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module proxy made of files, with one module, example.org/dep v1.0.0; nothing else can be reached."""
    folder = tmp_path / "proxy" / "example.org" / "dep" / "@v"
    folder.mkdir(parents=True)
    mod, code = "module example.org/dep\n\ngo 1.24\n", 'package dep\n\nfunc Word() string { return "dep" }\n'
    (folder / "list").write_text("v1.0.0\n")
    (folder / "v1.0.0.info").write_text('{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}')
    (folder / "v1.0.0.mod").write_text(mod)
    with zipfile.ZipFile(folder / "v1.0.0.zip", "w") as archive:
        archive.writestr("example.org/dep@v1.0.0/go.mod", mod)
        archive.writestr("example.org/dep@v1.0.0/dep.go", code)
    monkeypatch.setenv("GOPROXY", f"file://{tmp_path}/proxy")
    monkeypatch.setenv("GONOSUMDB", "example.org")
    return tmp_path / "proxy"


USING = {
    "go.mod": "module example.org/small\n\ngo 1.24\n\nrequire example.org/dep v1.0.0\n",
    "main.go": 'package main\n\nimport "example.org/dep"\n\nfunc main() { println(dep.Word()) }\n',
}


async def a_project(tmp_path: Path, *, vendored: bool) -> tuple[Path, ReleaseConfig]:
    """A repository that uses the proxy's module, tidy, with its own empty module cache."""
    folder = tmp_path / "origin"
    await a_repository(folder, SMALL | USING, tag="")
    cache = tmp_path / "cache"
    cache.mkdir()
    for compiled in ("go-compiled", "go-checked"):  # what was compiled may be shared, what was downloaded not
        (CACHE / compiled).mkdir(exist_ok=True)
        (cache / compiled).symlink_to(CACHE / compiled)
    toolchain = replace(await find_toolchain(None, cache=CACHE), cache=cache)
    for words in (["mod", "tidy"], *([["mod", "vendor"]] if vendored else [])):
        result = await run_go(toolchain, folder, *words, online=True)
        assert result.code == 0, result.complaint
    order = replace(config(folder, tmp_path / "work"), cache=cache)
    return folder, order


async def report_of(order: ReleaseConfig) -> Any:
    return await check_modules(await plan(order, await checkout(order), started=0.0))


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("vendored", [False, True])
async def test_good_modules_pass_and_are_listed_with_their_sums(tmp_path: Path, vendored: bool) -> None:
    folder, order = await a_project(tmp_path, vendored=vendored)
    await a_repository(folder, {})
    report = await report_of(order)
    assert (report.vendored, [module.path for module in report.modules]) == (vendored, ["example.org/dep"])
    assert report.modules[0].sum.startswith("h1:")


@pytest.mark.usefixtures("proxy")
async def test_one_byte_under_vendor_is_found(tmp_path: Path) -> None:
    folder, order = await a_project(tmp_path, vendored=True)
    changed = (folder / "vendor/example.org/dep/dep.go").read_text().replace('"dep"', '"dpe"')
    await a_repository(folder, {"vendor/example.org/dep/dep.go": changed})
    with pytest.raises(RefusedError, match=r"GP216 .*changed: example\.org/dep/dep\.go"):
        await report_of(order)


@pytest.mark.usefixtures("proxy")
async def test_go_itself_builds_that_byte(tmp_path: Path) -> None:
    """The control: without our comparison the change would be released."""
    folder, order = await a_project(tmp_path, vendored=True)
    path = folder / "vendor/example.org/dep/dep.go"
    path.write_text(path.read_text().replace('"dep"', '"dpe"'))
    own = replace(await find_toolchain(None, cache=CACHE), cache=order.cache)
    assert (
        await run_go(own, folder, "build", "-mod=vendor", "-buildvcs=false", "-o", str(tmp_path / "x"), ".")
    ).code == 0
    assert (await run_go(own, folder, "mod", "verify")).code == 0


async def test_a_module_that_changed_at_the_proxy_is_refused(tmp_path: Path, proxy: Path) -> None:
    folder, order = await a_project(tmp_path, vendored=False)
    await a_repository(folder, {})
    with zipfile.ZipFile(proxy / "example.org/dep/@v/v1.0.0.zip", "w") as archive:
        archive.writestr("example.org/dep@v1.0.0/go.mod", "module example.org/dep\n\ngo 1.24\n")
        archive.writestr("example.org/dep@v1.0.0/dep.go", 'package dep\n\nfunc Word() string { return "evil" }\n')
    fresh = replace(order, cache=tmp_path / "cache-fresh")
    with pytest.raises(RefusedError, match="GP215"):
        await report_of(fresh)


async def test_a_module_that_changed_in_the_cache_is_refused(tmp_path: Path, proxy: Path) -> None:
    folder, order = await a_project(tmp_path, vendored=False)
    await a_repository(folder, {})
    await report_of(order)
    planted = order.cache / "go-mod/example.org/dep@v1.0.0/dep.go"
    await run(["chmod", "-R", "u+w", str(order.cache / "go-mod")])
    planted.write_text('package dep\n\nfunc Word() string { return "evil" }\n')
    with pytest.raises(RefusedError, match="GP215"):
        await report_of(order)
    shutil.rmtree(proxy)


@pytest.mark.usefixtures("proxy")
async def test_a_vendored_release_carries_the_sums_in_its_provenance_and_sbom(tmp_path: Path) -> None:
    folder, order = await a_project(tmp_path, vendored=True)
    await a_repository(folder, {})
    store = DirectoryStore(tmp_path / "store")
    signed = await build_release(order, key=generate(tmp_path / "keys").private, store=store)
    files = await files_of(store, signed, "linux/amd64", tmp_path / "out")
    dependencies = payload(files["bundle provenance"])["predicate"]["buildDefinition"]["resolvedDependencies"]
    (dep,) = [entry for entry in dependencies if entry["uri"] == "pkg:golang/example.org/dep@v1.0.0"]
    assert len(dep["digest"]["dirHash1"]) == 64
    sbom = json.loads(files["sbom spdx"].read_bytes())
    assert "example.org/dep" in {package["name"] for package in sbom["packages"]}
    assert sha256(canonical(sbom)) == signed.release.targets["linux/amd64"].sboms["spdx"].digest
    assert (store.root / blob_key(signed.release.targets["linux/amd64"].archive.digest)).exists()


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "vendor"])
async def test_a_file_of_the_module_is_no_link_to_this_machine(tmp_path: Path, name: str) -> None:
    """Go would read it, and print the first line that it does not understand."""
    secret = tmp_path / "secret"
    secret.write_text("machine git.example.org password nonce-4711\n")
    folder = await a_repository(tmp_path / "origin", SMALL)
    order = config(folder, tmp_path / "work", "main")
    planned = await plan(order, await checkout(order), started=0.0)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    await a_repository(folder, {}, tag="")
    with pytest.raises(RefusedError, match=f"GP233 {name}") as caught:
        await check_modules(replace(planned, tree=await checkout(order)))
    assert "nonce-4711" not in str(caught.value)
