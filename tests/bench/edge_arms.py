"""What bench_router.py loads: a plain nginx without Lua, and edges with one table each; every one its own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.traffic import Endpoint, Peer, RouteTable, Rule, Track
from gopub.traffic.conditions import All, Condition, Header, Not, Share, Tag, Within
from gopub.traffic.conditions import Any as Some
from tests.contracts.edge_nginx import Client, LocalEdge, lives, running_edge
from tests.support.ports import free_port

HEADERS = {
    "Host": "hello.lab",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://shop.example.com/catalogue?page=2",
    "Cookie": "sid=3f2a9b7c51d04e8f; theme=dark",
    "Authorization": "Bearer 0123456789abcdef0123456789abcdef",
    "Cache-Control": "no-cache",
    "X-Request-Id": "7f9c24e5-2f6b-4d3c-9a51-0d8e6b1c7a42",
    "X-User-Id": "user-7",
    "X-Gray-Tag": "user-v2, region-bj",
}
ENDPOINTS = (*(Endpoint(f"/some/*/path/{n}", 0.1) for n in range(9)), Endpoint("/some/*", 0.1))
"""Those that do not fit come first: the longest way to the one that does."""
HTTP = """
user root;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    keepalive_requests 1000000;
    {http}
}}
"""
PLAIN = """
    server_tokens off;
    log_format line '$time_iso8601 $remote_addr "$request" $status $request_time '
                    'upstream=$http_host release=- rule=- tried="$upstream_addr" got="$upstream_status"';
    access_log {root}/access.log line buffer=32k flush=1s;
    upstream plain {{
        server 127.0.0.1:{up}; keepalive 256; keepalive_requests 1000000; keepalive_timeout 60s;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://plain;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_connect_timeout 2s;
            proxy_next_upstream error timeout;
        }}
    }}
"""
"""What an operator would write who wants the same for the service, without any choice of a release."""


@dataclass(frozen=True)
class Arm:
    """Something that is loaded: its port, and the process whose workers' CPU is counted."""

    name: str
    port: int
    master: int

    def workers(self) -> list[int]:
        """The pids of the master's children."""
        path = Path(f"/proc/{self.master}/task/{self.master}/children")
        return [int(text) for text in path.read_text().split()]


def four(number: int) -> tuple[Rule, ...]:
    """A header, tags with AND, OR and NOT, a window and a share; none holds of what is sent."""
    tags = All((Tag("user-v2"), Some((Tag("region-sh"), Tag(f"lane-{number}"))), Not(Tag("beta"))))
    kinds: tuple[Condition, ...] = (
        Header(f"x-canary-{number}", "true"),
        tags,
        All((Within(((1.0, 2.0), (4e9, 4.1e9))), Header("x-user-id", "user-7"))),
        Share(number + 1),
    )
    return tuple(Rule(f"r-{number}-{at}", kind) for at, kind in enumerate(kinds))


def tables(stable: int, canary: int) -> Mapping[str, RouteTable]:
    """The tables by the name of their arm: all send the request to stable, on the longest way there."""

    def table(rules: tuple[Rule, ...] = (), endpoints: tuple[Endpoint, ...] = ()) -> RouteTable:
        return RouteTable(
            app="hello",
            env="lab",
            upstream="hello",
            salt="r-1",
            sticky="header:x-user-id",
            weight=1,
            stable=Track("a" * 64, (Peer("h0", f"127.0.0.1:{stable}"),)),
            canary=Track("b" * 64, (Peer("h1", f"127.0.0.1:{canary}"),)),
            canary_until=4e9,
            trust=("127.0.0.0/8",),
            rules=rules,
            endpoints=endpoints,
        )

    twenty = tuple(rule for number in range(5) for rule in four(number))
    return {
        "no rules": table(),
        "4 rules": table(four(0)),
        "20 rules": table(twenty),
        "4 rules, 10 endpoints": table(four(0), ENDPOINTS),
    }


def written(root: Path, http: str) -> Path:
    """The file of an nginx with this in its http block."""
    root.mkdir(parents=True)
    conf = root / "nginx.conf"
    conf.write_text(HTTP.format(root=root, http=http))
    return conf


@asynccontextmanager
async def process(root: Path, http: str) -> AsyncIterator[int]:
    """An nginx with this in its http block, as the pid of its master; ended at the end."""
    conf = written(root, http)
    started = await asyncio.create_subprocess_exec("nginx", "-c", str(conf), "-g", "daemon off;")
    try:
        yield started.pid
    finally:
        started.terminate()
        await started.wait()


async def answers(port: int) -> None:
    """Waits until somebody listens there."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise SystemExit(f"nothing listens on port {port}")


async def put(edge: LocalEdge, table: RouteTable) -> None:
    """A table in force, or the end."""
    status, said = await edge.put(table)
    if status != 200:
        raise SystemExit(f"the edge refused the table: {said}")


def master_of(edge: LocalEdge) -> int:
    """The pid of its master."""
    assert edge.process is not None
    assert lives(edge.process.pid)
    return edge.process.pid


NOTHING = """
local router, balancer = require "gopub.router", require "ngx.balancer"
for _, name in ipairs({{ "decide", "name_peer", "note_end", "log" }}) do
  router[name] = function() end
end
router.balance = function()
  balancer.set_current_peer("127.0.0.1", {up})
end
"""
"""Every phase of the edge is entered, and does nothing."""
PHASES = Path(__file__).parent / "phase_clock.lua"


def with_lua(root: Path, lua: str) -> None:
    """Has the edge whose files are written there run this at its start."""
    (root / "more.lua").write_text(lua)
    conf = root / "gopub" / "gopub-http.conf"
    begin = "init_by_lua_block { "
    text = conf.read_text()
    assert text.count(begin) == 1
    conf.write_text(text.replace(begin, f'{begin}dofile("{root}/more.lua") '))


@asynccontextmanager
async def edge_with(root: Path, lua: str, extra: str = "") -> AsyncIterator[LocalEdge]:
    """An edge with one worker that runs this once its modules are there."""
    edge = LocalEdge.at(root)
    edge.write(workers=1, extra=extra)
    with_lua(root, lua)
    await edge.start()
    try:
        yield edge
    finally:
        await edge.stop()


@asynccontextmanager
async def running_ups(root: Path) -> AsyncIterator[tuple[int, int]]:
    """The ports of two services that answer at once."""
    ups = (free_port(), free_port())
    servers = "".join(f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}' for port in ups)
    async with process(root / "up", f"access_log off; {servers}"):
        for port in ups:
            await answers(port)
        yield ups


@asynccontextmanager
async def running_arms(root: Path) -> AsyncIterator[list[Arm]]:
    """Services, the plain proxy, an edge that does nothing, and one edge for each table."""
    async with AsyncExitStack() as stack:
        ups = await stack.enter_async_context(running_ups(root))
        port = free_port()
        plain = PLAIN.format(root=root / "plain", up=ups[0], port=port)
        arms = [Arm("plain", port, await stack.enter_async_context(process(root / "plain", plain)))]
        await answers(port)
        nothing = await stack.enter_async_context(edge_with(root / "nothing", NOTHING.format(up=ups[0])))
        arms.append(Arm("Lua that decides nothing", nothing.port, master_of(nothing)))
        for at, (name, table) in enumerate(tables(*ups).items()):
            edge = await stack.enter_async_context(running_edge(root / f"edge{at}", workers=1))
            await put(edge, table)
            arms.append(Arm(name, edge.port, master_of(edge)))
        yield arms


async def phases(root: Path, load: Callable[[Arm, int], Awaitable[object]]) -> str:
    """How long each of the router's functions takes, by a clock around it, with 4 rules."""
    port = free_port()
    tell = f"""server {{ listen 127.0.0.1:{port}; location / {{ access_log off;
        content_by_lua_block {{ ngx.print(require("gopub.router").tell_phases()) }} }} }}"""
    async with running_ups(root) as ups, edge_with(root / "edge", PHASES.read_text(), tell) as edge:
        await put(edge, tables(*ups)["4 rules"])
        await load(Arm("phases", edge.port, master_of(edge)), 4)
        return (await Client(port, "edge", keep=False).ask("/")).body.decode()
