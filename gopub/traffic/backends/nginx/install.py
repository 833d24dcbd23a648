"""gopub's own files on an edge: laid there, tried by its nginx, and taken back where that refuses them."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Sequence
from importlib.resources import files

from gopub.canon import bounded
from gopub.errors import GopubError
from gopub.process import Result
from gopub.traffic.backends.nginx.files import EdgeLayout, edge_files
from gopub.traffic.door import Connect, KeysLaid
from gopub.traffic.protocol import EdgeFiles

_SCRIPT = files("gopub.traffic.backends.nginx").joinpath("install.sh").read_text(encoding="utf-8")
_REFUSED, _NOT_RUNNING, _NOT_TAKEN_UP, _NO_WATCHER = 3, 4, 5, 6
_NO_PROGRAM = "GP487"
_MOST = 20
"""Lines of what nginx says."""
_LIMIT = 60.0
_OFF = "keys/.off"
"""Names the keys that the script takes off; it takes this file away as well."""


async def look_at_files(
    edges: Sequence[str],
    connect: Connect,
    *,
    install: bool,
    layout: EdgeLayout | None = None,
    nginx: Sequence[str] = ("nginx",),
    laid: KeysLaid | None = None,
) -> tuple[EdgeFiles, ...]:
    """Ask the nginx of every edge about its files; ``install``: one edge after another gets ours first, and these keys.

    An edge whose nginx refuses them, or tries them and cannot use them, has its old ones again, and the next ones are
    not touched.
    """
    chosen = layout or EdgeLayout()
    mode, error_log = "install" if install else "check", f"{chosen.log}/error.log"
    argv = ("sh", "-c", _SCRIPT, "sh", chosen.config, chosen.pid, error_log, mode, *nginx)
    body = archive(chosen, laid) if install else b""
    if not install:
        return tuple(await asyncio.gather(*(_ask(edge, connect, argv, body) for edge in edges)))
    done: list[EdgeFiles] = []
    for edge in edges:
        done.append(await _ask(edge, connect, argv, body))
        if not done[-1].fine:
            break
    left = edges[len(done) :]
    return (*done, *(EdgeFiles(edge, fine=False, said="not touched, as the edge before was refused") for edge in left))


def archive(layout: EdgeLayout, laid: KeysLaid | None = None) -> bytes:
    """What belongs into the folder of gopub on an edge, as tar; the same files are the same bytes."""
    own = f"{layout.config}/"
    files = {path.removeprefix(own): content for path, content in edge_files(layout).items() if path.startswith(own)}
    files |= {f"keys/{name}.pem": pem for name, pem in laid.keys} if laid else {}
    if laid and laid.off:
        files[_OFF] = "".join(f"{name}\n" for name in laid.off).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


async def _ask(edge: str, connect: Connect, argv: Sequence[str], body: bytes) -> EdgeFiles:
    try:
        async with asyncio.timeout(_LIMIT):
            done = await (await connect(edge)).exec(argv, body)
    except TimeoutError:
        return EdgeFiles(edge, fine=False, said=f"no answer within {_LIMIT:g}s")
    except (GopubError, OSError) as error:
        return EdgeFiles(edge, fine=False, said=_told(error))
    return _read(edge, done)


def _told(error: GopubError | OSError) -> str:
    """Of an edge that is enrolled also how it is done: that it runs no program is no fault to be mended."""
    if not isinstance(error, GopubError):
        return str(error)
    return f"{error.code} {error.problem}; {error.hint}" if error.code == _NO_PROGRAM else error.problem


def _read(edge: str, done: Result) -> EdgeFiles:
    lines = (done.out + done.err).decode(errors="replace").strip().splitlines()[:_MOST]
    said = "\n".join(bounded(line, 400) for line in lines)
    if done.code == _NOT_RUNNING:
        return EdgeFiles(edge, fine=False, said=f"its files are right, but nginx does not run: {said}")
    if done.code == _REFUSED:
        return EdgeFiles(edge, fine=False, said=f"nginx refuses its files: {said}")
    if done.code == _NOT_TAKEN_UP:
        why = said or "look into its error log"
        return EdgeFiles(edge, fine=False, said=f"the nginx that runs did not take its files up, and goes on: {why}")
    if done.code == _NO_WATCHER:
        return EdgeFiles(
            edge, fine=False, said=f"its files are right, but the watcher of its source does not run: {said}"
        )
    if done.code:
        return EdgeFiles(edge, fine=False, said=said or f"exit code {done.code}")
    return EdgeFiles(edge, fine=True, said=said)
