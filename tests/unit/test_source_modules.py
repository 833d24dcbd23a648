"""go.mod, go.sum and vendor/ as data: what is read, and what is found different."""

import json
from pathlib import Path

import pytest

from gopub.errors import GopubError, SpecError
from gopub.source.golang import DEFAULT_SUMDB, Toolchain
from gopub.source.modfile import Module, is_folder, read_mod_file, read_sums
from gopub.source.modules import check_modules, module_root
from gopub.source.tree import SourceTree
from gopub.source.vendortree import compare


@pytest.mark.parametrize(
    ("target", "folder"),
    [("./internal", True), ("../x", True), ("..", True), ("/abs", True), ("example.org/x", False), (".x/y", False)],
)
def test_what_go_takes_for_a_folder(target: str, *, folder: bool) -> None:
    assert is_folder(target) is folder


def test_only_replacements_by_folders_are_local() -> None:
    text = json.dumps(
        {
            "Module": {"Path": "example.org/a"},
            "Go": "1.24",
            "Replace": [
                {"Old": {"Path": "example.org/b"}, "New": {"Path": "../b"}},
                {"Old": {"Path": "example.org/c"}, "New": {"Path": "example.org/fork", "Version": "v1.0.0"}},
            ],
        }
    )
    mod_file = read_mod_file(text)
    assert (mod_file.module, mod_file.go) == ("example.org/a", "1.24")
    assert [replacement.folder for replacement in mod_file.local] == ["../b"]


def test_go_sum_names_the_modules_whose_bytes_it_pins() -> None:
    text = "example.org/b v1.0.0 h1:abc=\nexample.org/b v1.0.0/go.mod h1:def=\nexample.org/c v2.0.0/go.mod h1:ghi=\n"
    assert read_sums(text) == (Module("example.org/b", "v1.0.0", "h1:abc="),)


def a_folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_equal_trees_do_not_differ(tmp_path: Path) -> None:
    files = {"modules.txt": "x", "a/b.go": "package b"}
    assert not compare(a_folder(tmp_path / "1", files), a_folder(tmp_path / "2", files))


def test_every_kind_of_difference_is_named(tmp_path: Path) -> None:
    ours = a_folder(tmp_path / "1", {"a.go": "1", "b.go": "2", "link.go": ""})
    (ours / "link.go").unlink()
    (ours / "link.go").symlink_to("/etc/passwd")
    theirs = a_folder(tmp_path / "2", {"a.go": "changed", "c.go": "3", "link.go": ""})
    difference = compare(ours, theirs)
    assert str(difference) == "changed: a.go, link.go; added: b.go; missing: c.go"


def test_go_mod_is_found_above_but_never_outside_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "go.mod").touch()
    checkout = a_folder(tmp_path / "clone", {"deploy/x": "", "app/go.mod": "", "app/deploy/x": ""})
    assert module_root(checkout, "app/deploy") == checkout / "app"
    with pytest.raises(SpecError, match="GP210"):
        module_root(checkout, "deploy")
    with pytest.raises(SpecError, match="GP210"):
        module_root(checkout, "..")


def test_the_environment_of_go_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOFLAGS", "GOENV", "GOWORK", "CGO_ENABLED", "GOAMD64", "GOEXPERIMENT", "GODEBUG"):
        monkeypatch.setenv(name, "planted")
    sources = (("GOPROXY", "https://proxy.example.org"), ("GOSUMDB", "off"), ("GOFLAGS", "-buildvcs=false"))
    toolchain = Toolchain(Path("go"), "1.26.0", Path("root"), Path("cache"), sources)
    alone, online = toolchain.environment(), toolchain.environment(online=True)
    assert "planted" not in {*alone.values(), *online.values()}
    assert (alone["GOPROXY"], alone["GOFLAGS"], alone["GOENV"]) == ("off", "", "off")
    assert (online["GOPROXY"], online["GOFLAGS"]) == ("https://proxy.example.org", "")
    assert online["GOSUMDB"] == DEFAULT_SUMDB


@pytest.mark.parametrize("said", ["Get", "SECURITY ERROR: Get"])
@pytest.mark.parametrize("proxy", ["https://token-4711@proxy.example/x", "https://proxy.example/x?t=token-4711"])
async def test_the_token_of_a_proxy_is_not_shown(tmp_path: Path, proxy: str, said: str) -> None:
    """Go masks a password in an address, and neither a token in the place of the user nor a query."""
    a_folder(tmp_path, {"commit/go.mod": "module example.org/a\n"})
    go = tmp_path / "go"
    edit = 'case "$2" in edit) echo \'{"Module": {"Path": "example.org/a"}}\'; exit 0;; esac'
    go.write_text(f"#!/bin/sh\n{edit}\necho 'go: {said} \"{proxy}\": refused' >&2\nexit 1\n")
    go.chmod(0o755)
    tree = SourceTree(tmp_path / "commit", "https://git.example/a", "a" * 40, "main", 0)
    with pytest.raises(GopubError, match=r"GP21[57] .*https://proxy\.example/x") as caught:
        await check_modules(tree, "auto", toolchain=Toolchain(go, "1.26", tmp_path, tmp_path / "cache"))
    assert "4711" not in str(caught.value)
