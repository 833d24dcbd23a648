"""Modules from a proxy behind an authority of one's own: the real Go, a real server, one error that says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gopub import connecting
from gopub.errors import GopubError
from gopub.process import run
from gopub.source.golang import Toolchain
from gopub.source.modules import check_modules
from gopub.source.tree import SourceTree
from tests.contracts.tls_server import HERE, Authority, Server, serving

pytestmark = [pytest.mark.go]

FILES = {
    "go.mod": "module example.org/a\n\ngo 1.24\n\nrequire lib.invalid/lib v1.0.0\n",
    "main.go": 'package main\n\nimport "lib.invalid/lib"\n\nfunc main() { lib.Do() }\n',
}


@pytest.fixture(autouse=True)
async def _writable(tmp_path: Path) -> AsyncIterator[None]:
    """Go writes its module cache read-only; pytest wants to remove it."""
    yield
    await run(["chmod", "-R", "u+w", str(tmp_path)])


async def refusal(folder: Path, server: Server) -> GopubError:
    """How the modules of a commit fail whose proxy is this server."""
    commit = folder / "commit"
    commit.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (commit / name).write_text(text)
    root = Path((await run(["go", "env", "GOROOT"])).text)
    sources = (("GOPROXY", f"https://{HERE}:{server.port}"), ("GONOSUMDB", "*"))
    toolchain = Toolchain(root / "bin/go", "1.26", root, folder / "cache", sources)
    tree = SourceTree(commit, "https://git.example/a", "a" * 40, "main", 0)
    with pytest.raises(GopubError) as caught:
        await check_modules(tree, "auto", toolchain=toolchain)
    assert caught.value.code == "GP217"
    return caught.value


async def test_an_authority_of_ones_own_is_told_with_what_to_do(tmp_path: Path) -> None:
    with serving(Authority.new(tmp_path).sign(HERE)) as server:
        error = await refusal(tmp_path, server)
    assert f"of the server: {connecting.UNKNOWN_CA}" in error.problem
    assert "SSL_CERT_FILE" in error.hint
    assert not server.asked


async def test_control_what_the_hint_says_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.new(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    with serving(authority.sign(HERE), lambda _path, _headers: (404, {}, b"none")) as server:
        error = await refusal(tmp_path, server)
    assert server.asked, "now Go asks it"
    assert connecting.UNKNOWN_CA not in error.problem
    assert "404" in error.problem
