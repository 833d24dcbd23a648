"""Instructions that a proxy takes for a request outside the kernel, by valgrind: alike on any machine.

What bench_router.py tells as CPU time has the neighbours of a shared machine in it, and most of it is the kernel's: a
change of some percent drowns in that. Here each arm runs alone under callgrind, warm, and is then counted for 3000
requests with the same 12 headers. Two counts of one arm differ by a percent or two: LuaJIT draws which traces it makes.

    python tests/bench/bench_instructions.py        (needs Debian's valgrind)

Beside the arms of bench_router.py there is the edge with a part left out: what that part takes is the difference.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from gopub.traffic import RouteTable
from tests.bench.edge_arms import HEADERS, NOTHING, PLAIN, answers, put, running_ups, tables, with_lua, written
from tests.contracts.edge_nginx import LocalEdge
from tests.support.ports import free_port

WARM, COUNTED, CONNECTIONS = 4000, 3000, 8
LEFT_OUT = {
    "headers for the service": """
        package.loaded["ngx.req"] = setmetatable({ add_header = function() end }, { __index = require "ngx.req" })
        ngx.req.set_header = function() end""",
    "reading the headers": """
        local scan, kept = require "gopub.scan", nil
        local read = scan.read
        scan.read = function(wants, request, claims)
          if not kept then
            read(wants, request, claims)
            kept = {}
            for name, value in pairs(request.headers) do
              kept[name] = value
            end
          end
          request.headers = kept
          return 0
        end""",
    "asking for the connection": """
        local connection, kept = require "gopub.connection", nil
        local read = connection.read
        connection.read = function()
          kept = kept or read()
          return kept
        end""",
    "counting": 'require("gopub.metrics").observe = function() end',
}
"""Parts of the edge by what takes their place at its start."""
PHASES = ("access", "header_filter", "body_filter", "log")


async def ask(port: int, many: int) -> None:
    """So many requests over a few connections; each answer must be a 200."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    request = f"GET /some/path HTTP/1.1\r\n{lines}\r\n".encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(many // CONNECTIONS):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if not head.startswith(b"HTTP/1.1 200") or length is None:
                raise SystemExit(f"port {port} answered {head!r}")
            await reader.readexactly(int(length[1]))
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


async def control(pid: int, *options: str) -> None:
    """Tells the callgrind of that process what to do."""
    done = await asyncio.create_subprocess_exec(
        "callgrind_control", *options, str(pid), stdout=asyncio.subprocess.DEVNULL
    )
    if await done.wait():
        raise SystemExit(f"callgrind_control {' '.join(options)} failed")


def counted(root: Path) -> float:
    """What callgrind wrote there, for each request."""
    sums = (re.search(r"(?m)^totals: (\d+)", path.read_text()) for path in root.glob("counts*"))
    most = max((int(found[1]) for found in sums if found), default=0)
    if not most:
        raise SystemExit("callgrind counted nothing")
    return most / COUNTED


async def count(root: Path, conf: Path, port: int, prepare: Callable[[], Awaitable[None]]) -> float:
    """Instructions for a request of the nginx with this file."""
    out = root / "counts"
    nginx = await asyncio.create_subprocess_exec(
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--smc-check=all-non-file", f"--callgrind-out-file={out}",
        "nginx", "-c", str(conf), "-g", "daemon off; master_process off;",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await answers(port)
        await prepare()
        await ask(port, WARM)
        await control(nginx.pid, "-i", "on")
        await ask(port, COUNTED)
        await control(nginx.pid, "-i", "off")
        await control(nginx.pid, "-d")
    finally:
        nginx.terminate()
        await nginx.wait()
    return counted(root)


async def count_edge(root: Path, table: RouteTable | None, lua: str = "", without: str = "") -> float:
    """The same of an edge that runs this Lua at its start, without one of its phases."""
    edge = LocalEdge.at(root)
    edge.write(workers=1)
    with_lua(root, lua)
    for conf in (root / "gopub" / name for name in ("gopub-http.conf", "gopub-location.conf") if without):
        conf.write_text(re.sub(rf"(?m)^{without}_by_lua_block.*\n", "", conf.read_text()))

    async def prepare() -> None:
        if table:
            await put(edge, table)

    return await count(root, root / "nginx.conf", edge.port, prepare)


async def count_plain(root: Path, up: int) -> float:
    """The same of a plain nginx."""
    port = free_port()

    async def prepare() -> None:
        """It is ready."""

    return await count(root, written(root / "conf", PLAIN.format(root=root / "conf", up=up, port=port)), port, prepare)


def line(name: str, found: float, of: float, among: str) -> None:
    """One arm: thousands, and the difference from another one."""
    print(f"{name:36} {found / 1000:6.1f}   {(found - of) / 1000:+6.1f}{among}", flush=True)


async def bench(root: Path) -> None:
    """Counts one arm after another."""
    async with running_ups(root) as ups:
        nothing = NOTHING.format(up=ups[0])
        plain = await count_plain(root / "plain", ups[0])
        line("plain", plain, plain, "")
        entered = await count_edge(root / "nothing", None, nothing)
        line("Lua that decides nothing", entered, plain, " from plain")
        for at, phase in enumerate(PHASES):
            found = await count_edge(root / f"phase{at}", None, nothing, phase)
            line(f"  the same without {phase}", found, entered, "")
        whole = {}
        for at, (name, table) in enumerate(tables(*ups).items()):
            whole[name] = await count_edge(root / f"edge{at}", table)
            line(name, whole[name], plain, " from plain")
        for at, (name, lua) in enumerate(LEFT_OUT.items()):
            found = await count_edge(root / f"part{at}", tables(*ups)["4 rules"], lua)
            line(f"  4 rules without {name}", found, whole["4 rules"], "")


def main() -> None:
    """Print thousands of instructions for a request."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(bench(Path(folder)))


if __name__ == "__main__":
    main()
