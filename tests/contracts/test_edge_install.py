"""The files of gopub and of a user on a real edge: what breaks nginx is told by its line, and the old stay in force."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.traffic.backends.nginx.install import look_at_files
from gopub.traffic.protocol import EdgeFiles
from gopub.traffic.saying import say_files
from tests.contracts.edge_nginx import LocalEdge, route_table

OWN = """server {
    listen 127.0.0.1:%d;
    location / {
        set $gopub_upstream hello;
        include %s/gopub/gopub-location.conf;
        %s
    }
}
"""


def write_own(edge: LocalEdge, line: str) -> Path:
    """A server of the user's own, with this line beside the include (line 6 of the file)."""
    path = edge.root / "gopub.d" / "mine.conf"
    path.parent.mkdir(exist_ok=True)
    path.write_text(OWN % (edge.port, edge.root, line))
    return path


def laid(edge: LocalEdge) -> Mapping[str, bytes]:
    """What lies in gopub's folder."""
    folder = edge.root / "gopub"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def ask(*edges: LocalEdge, install: bool, missing: str = "") -> tuple[EdgeFiles, ...]:
    """What the command does, with the nginx of the first edge."""
    names = {f"e{at}": edge for at, edge in enumerate(edges, start=1)}

    async def connect(name: str) -> LocalEdge:
        if name == missing:
            raise GopubError("GP412", "its key is another one")
        return names[name]

    root = edges[0].root
    noting = f'echo "$@" >>{root}/asked; exec nginx -c {root}/nginx.conf "$@"'
    nginx = ("sh", "-c", noting, "nginx")
    return await look_at_files(tuple(names), connect, install=install, layout=edges[0].layout, nginx=nginx)


@pytest.fixture
async def serving(edge, backends) -> LocalEdge:
    await edge.put(route_table(backends[:1]))
    return edge


async def test_what_a_users_file_breaks_is_told_by_file_and_line_and_the_edge_goes_on(serving):
    [before] = await ask(serving, install=False)
    assert (before.fine, say_files(before)) == (True, "edge e1: its files are right")
    path = write_own(serving, "proxy_pass http://elsewhere;")
    [found] = await ask(serving, install=False)
    first, *more = say_files(found).splitlines()
    assert not found.fine
    assert first.startswith("edge e1: nginx refuses its files: ")
    assert first.endswith(f'"proxy_pass" directive is duplicate in {path}:6')
    assert more == [f"  nginx: configuration file {serving.root}/nginx.conf test failed"]
    workers = serving.workers()
    os.kill(serving.process.pid, signal.SIGHUP)
    assert (await serving.client().ask()).peer == "a1"
    assert serving.workers() == workers, "a reload with wrong files changes nothing"


async def test_new_files_are_laid_and_read_and_those_of_others_stay(serving):
    location, own = serving.root / "gopub/gopub-location.conf", serving.root / "gopub/mine.conf"
    new, old = laid(serving), location.read_text() + "# older\n"
    location.write_text(old)
    own.write_text("# mine\n")
    workers = serving.workers()
    [found] = await ask(serving, install=True)
    assert found.fine, found
    assert laid(serving) == {**new, "mine.conf": b"# mine\n"}
    assert (await serving.client().ask()).peer == "a1"
    while set(serving.workers()) & set(workers):
        assert (await serving.client(keep=False).ask()).status == 200
    [again] = await ask(serving, install=True)
    assert again.fine
    asked = (serving.root / "asked").read_text().splitlines()
    assert asked == ["-t", "-s reload", "-t"], "nothing is new: nothing is read again"


async def test_files_that_nginx_refuses_are_taken_back_and_the_next_edge_is_not_touched(serving):
    """An older location said nothing of a thing that the user's own file says: the new one is a duplicate."""
    location = serving.root / "gopub/gopub-location.conf"
    location.write_text(location.read_text().replace("proxy_http_version 1.1;\n", ""))
    write_own(serving, "proxy_http_version 1.1;")
    assert (await ask(serving, install=False))[0].fine
    old = laid(serving)
    found, following = await ask(serving, serving, install=True)
    assert '"proxy_http_version" directive is duplicate in ' in found.said
    assert not found.fine
    assert following == EdgeFiles("e2", fine=False, said="not touched, as the edge before was refused")
    assert laid(serving) == old
    assert {path.name for path in serving.root.glob("gopub*")} == {
        "gopub", "gopub.conf", "gopub.d", "gopub.lock",  # gopub.conf is systemd's
    }  # fmt: skip
    assert (await ask(serving, install=False))[0].fine
    assert (await serving.client().ask()).peer == "a1"


async def test_files_that_the_nginx_that_runs_cannot_use_are_taken_back_and_told(serving):
    """`nginx -t` binds nothing: that a port belongs to somebody else shows in the log of the master alone."""
    location = serving.root / "gopub/gopub-location.conf"
    location.write_text(location.read_text() + "# older\n")
    old, workers = laid(serving), serving.workers()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        path = serving.root / "gopub.d" / "mine.conf"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"server {{ listen 127.0.0.1:{port}; }}\n")
        assert (await ask(serving, install=False))[0].fine, "control: it reads well"
        found, following = await ask(serving, serving, install=True)
    assert not found.fine
    assert found.said.startswith("the nginx that runs did not take its files up, and goes on: ")
    assert f"bind() to 127.0.0.1:{port} failed (98: " in found.said
    assert not following.fine
    assert laid(serving) == old
    assert serving.workers() == workers
    assert (await serving.client().ask()).peer == "a1"
    [again] = await ask(serving, install=True)
    assert again.fine, "the port is free by now"
    assert laid(serving) != old


@pytest.mark.parametrize("tried", [False, True])
async def test_an_attempt_that_was_cut_off_is_made_good(serving, tried):
    """As where the machine went down between the two renames, or before nginx was asked about what was laid."""
    folder = serving.root / "gopub"
    (folder / "mine.conf").write_text("# mine\n")
    new = laid(serving)
    folder.rename(serving.root / "gopub.old")
    if tried:
        folder.mkdir()
        (folder / "gopub-http.conf").write_text("nonsense;\n")
    [found] = await ask(serving, install=True)
    assert found.fine, found
    assert laid(serving) == new
    assert not list(serving.root.glob("gopub.[ogn]*"))


async def test_a_first_edge_gets_the_whole_folder(serving):
    new = laid(serving)
    shutil.rmtree(serving.root / "gopub")
    assert not (await ask(serving, install=False))[0].fine
    assert (await ask(serving, install=True))[0].fine
    assert laid(serving) == new


async def test_an_edge_out_of_reach_and_one_that_does_not_run_are_told(serving):
    missing, there = await ask(serving, serving, install=False, missing="e1")
    assert (missing.fine, missing.said, there.fine) == (False, "its key is another one", True)
    (serving.root / "gopub/gopub-location.conf").write_text("# older\n")
    await serving.stop()
    [found] = await ask(serving, install=True)
    assert not found.fine
    assert found.said.startswith("its files are right, but nginx does not run: ")
