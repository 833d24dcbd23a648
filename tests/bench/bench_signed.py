"""What a signature of a route table costs: the edge beside an edge without keys and openssl, the driver beside its put.

    PYTHONPATH=. python tests/bench/bench_signed.py

Ratios of medians of one run; the sides take turns.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from gopub.cli.saying import say
from gopub.process import run
from gopub.traffic import RouteTable, encode
from gopub.traffic.signed import DOMAIN, TableKey
from tests.contracts.edge_nginx import LocalEdge, route_table, running_backends, running_edge
from tests.contracts.test_edge_signed import driver, large, lay, put, table_key

ROUNDS = 150


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that it takes."""
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def puts(plain: LocalEdge, keyed: LocalEdge, key: TableKey, tables: list[RouteTable]) -> tuple[float, float]:
    """Seconds of a PUT to an edge without keys, and of a signed one, in turn."""
    unsigned, signed = [], []
    for table in tables:
        body = encode(table)
        header = key.header(body)
        unsigned.append(await timed(lambda body=body: put(plain, body)))
        signed.append(await timed(lambda body=body, header=header: put(keyed, body, header)))
    return median(unsigned), median(signed)


async def refusals(keyed: LocalEdge, key: TableKey, body: bytes) -> float:
    """Seconds of the verification alone: a signature that is wrong against none, which is refused before."""
    header = key.header(body + b" ")
    wrong = [await timed(lambda: put(keyed, body, header)) for _ in range(ROUNDS)]
    missing = [await timed(lambda: put(keyed, body)) for _ in range(ROUNDS)]
    return median(wrong) - median(missing)


async def openssl(key: TableKey, body: bytes, folder: Path) -> float:
    """Seconds of ``openssl dgst -verify`` of the same."""
    (folder / "key").write_bytes(key.pem)
    (folder / "body").write_bytes(DOMAIN + body)
    (folder / "der").write_bytes(base64.b64decode(key.header(body).partition(":")[2]))
    names = [str(folder / name) for name in ("key", "der", "body")]
    argv = ["openssl", "dgst", "-sha256", "-verify", names[0], "-signature", names[1], names[2]]
    return median([await timed(lambda: run(argv)) for _ in range(40)])


async def main() -> None:
    """Measure and say."""
    key = table_key()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / one for one in ("plain", "keyed")]
        async with (
            running_backends("a1") as backends,
            running_edge(folders[0]) as plain,
            running_edge(folders[1]) as keyed,
        ):
            lay(keyed, key)
            await keyed.reload()
            table = route_table(backends, epoch=5, token="seat")
            small = [replace(table, revision=at, n=at) for at in range(1, ROUNDS)]
            big = [replace(large(table), revision=at, n=at) for at in range(ROUNDS, 2 * ROUNDS)]
            for what, tables in (("small table", small), ("27 KB", big)):
                unsigned, signed = await puts(plain, keyed, key, tables)
                say(f"PUT of a {what}, signed / unsigned: {signed / unsigned:.2f}")
            body = encode(big[-1])
            verifying = await refusals(keyed, key, body)
            say(f"verifying 27 KB / openssl dgst -verify: {verifying / await openssl(key, body, Path(name)):.3f}")
            signing = median([await timed(lambda: asyncio.to_thread(key.header, body)) for _ in range(ROUNDS)])
            late = [replace(big[0], revision=at, n=at) for at in range(2 * ROUNDS, 2 * ROUNDS + 40)]
            whole = median([await timed(lambda one=one: driver(keyed, key).put(one)) for one in late])
            say(f"signing 27 KB / the driver's whole put: {signing / whole:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
