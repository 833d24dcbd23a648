"""The router with 4 rules, alone and with ten endpoints, against plain nginx: requests and CPU, as ratios of one run.

All of them keep their connections.

    python tests/bench/bench_router.py [--seconds 4] [--rounds 5]

Aims: requests at least 0.75 of plain, CPU of the proxy at most 1.5 times per request. Rounds of all take turns
and medians are compared, since the machine is shared; the worker's CPU time is the steadier figure.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.process import run
from gopub.traffic import Endpoint, Peer, RouteTable, Rule, Track
from gopub.traffic.conditions import Header
from tests.contracts.edge_nginx import LocalEdge, running_edge
from tests.support.ports import free_port

CONNECTIONS = 32
ENDPOINTS = tuple(Endpoint(f"/some/*/path/{n}", 0.1) for n in range(9))
"""Those that do not fit come first: the longest way to the one that does."""
PLAIN = """
upstream plain {{ server 127.0.0.1:{stable}; keepalive 256; keepalive_requests 1000000; }}
server {{
    listen 127.0.0.1:{plain};
    location / {{
        proxy_pass http://plain;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_connect_timeout 2s;
    }}
}}
"""
UPSTREAM = """
user root;
worker_processes 1;
pid {root}/up.pid;
error_log {root}/up.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    {servers}
}}
"""


@dataclass(frozen=True)
class Round:
    """One run of wrk: requests per second, and microseconds of the proxy's CPU per request."""

    rate: float
    cpu: float


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes so far, from the scheduler."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


async def measure(edge: LocalEdge, port: int, seconds: int) -> Round:
    """Load one port of the edge, which has one worker."""
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", "Host: hello.lab", "-H", "x-user-id: user-7"]
    before = cpu_seconds(edge.workers())
    done = await run([*argv, f"http://127.0.0.1:{port}/some/path"], timeout=seconds + 60)
    spent = cpu_seconds(edge.workers()) - before
    counted = re.search(r"(\d+) requests in ([0-9.]+)(s|m)", done.text)
    if counted is None or "Non-2xx" in done.text or "Socket errors" in done.text:
        raise SystemExit(f"wrk was not answered:\n{done.text}")
    requests, took = int(counted[1]), float(counted[2]) * (60 if counted[3] == "m" else 1)
    return Round(requests / took, spent / requests * 1e6)


def table_of(ports: tuple[int, int]) -> RouteTable:
    """Three header rules that do not match, then the percentage: the longest way to stable."""
    stable, canary = (Peer(f"h{at}", f"127.0.0.1:{port}") for at, port in enumerate(ports))
    return RouteTable(
        app="hello",
        env="lab",
        upstream="hello",
        salt="r-1",
        sticky="header:x-user-id",
        weight=1,
        stable=Track("a" * 64, (stable,)),
        canary=Track("b" * 64, (canary,)),
        canary_until=4e9,
        rules=tuple(Rule(f"r-{n}", Header(f"x-canary-{n}", "true")) for n in range(3)),
    )


async def put(edge: LocalEdge, table: RouteTable) -> None:
    """A table in force, or the end."""
    status, said = await edge.put(table)
    if status != 200:
        raise SystemExit(f"the edge refused the table: {said}")


async def bench(root: Path, seconds: int, rounds: int) -> dict[str, list[Round]]:
    """Rounds of plain and router in turn, against upstreams in an nginx of their own."""
    ports = (free_port(), free_port())
    servers = "".join(f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}' for port in ports)
    conf = root / "up.conf"
    conf.write_text(UPSTREAM.format(root=root, servers=servers))
    upstream = await asyncio.create_subprocess_exec("nginx", "-c", str(conf), "-g", "daemon off;")
    plain = free_port()
    try:
        async with running_edge(root / "edge", extra=PLAIN.format(stable=ports[0], plain=plain), workers=1) as edge:
            table = table_of(ports)
            arms = {"router": (), "endpoints": (*ENDPOINTS, Endpoint("/some/*", 0.1))}
            found: dict[str, list[Round]] = {"plain": [], **{name: [] for name in arms}}
            for at in range(rounds):
                found["plain"].append(await measure(edge, plain, seconds))
                for name, endpoints in arms.items():
                    number = 2 * at + len(endpoints) // 10 + 1
                    await put(edge, replace(table, revision=number, n=number, endpoints=endpoints))
                    found[name].append(await measure(edge, edge.port, seconds))
            return found
    finally:
        upstream.terminate()
        await upstream.wait()


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(bench(Path(folder), options.seconds, options.rounds))
    rate = {name: statistics.median(one.rate for one in rounds) for name, rounds in found.items()}
    cpu = {name: statistics.median(one.cpu for one in rounds) for name, rounds in found.items()}
    for name in found:
        print(f"{name:9} {rate[name]:9.0f} requests/s   {cpu[name]:6.1f} us CPU of the proxy per request")
    for name in ("router", "endpoints"):
        print(f"requests {name}/plain {rate[name] / rate['plain']:.2f}   (aim: at least 0.75)")
        print(f"CPU      {name}/plain {cpu[name] / cpu['plain']:.2f}   (aim: at most 1.50)")


if __name__ == "__main__":
    main()
