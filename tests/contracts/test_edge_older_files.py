"""New Lua on an edge whose own nginx files are of an older gopub: everything is told and counted all the same."""

from __future__ import annotations

import re

from tests.contracts.edge_nginx import STABLE, LocalEdge, route_table

CLAIM = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


async def told_and_counted(edge: LocalEdge, backends) -> tuple[dict[str, str], float]:
    """What the service is told of where a request came from, and how many whole answers were counted."""
    await edge.put(route_table(backends[:1], backends[1:], trust=("127.0.0.1",)))
    assert (await edge.client(keep=False).ask("/", headers=CLAIM)).status == 200
    _, _, headers = backends[0].seen.pop()
    told = {name: value for name, value in headers.items() if name.startswith("x-forwarded-")}
    name = f'gopub_edge_attempts_total{{app="hello",env="lab",release="{STABLE[:12]}",host="a1",class="2xx"}}'
    return told, (await edge.metrics())[name]


async def test_files_without_what_nginx_puts_together_for_the_router_and_that_load_it_late(tmp_path, backends):
    edge = LocalEdge.at(tmp_path)
    edge.write()
    await edge.start()
    try:
        now = await told_and_counted(edge, backends)
        await edge.stop()
        http, location = tmp_path / "gopub" / "gopub-http.conf", tmp_path / "gopub" / "gopub-location.conf"
        new = http.read_text()
        old = re.sub(r"map \S+ \$gopub_(seen|sized|attempt) \{[^}]*\}\n", "", new)
        old = old.replace('require("gopub.router"); ', "")
        assert "gopub_seen" in new
        assert "gopub_seen" not in old
        http.write_text(re.sub(r'package\.loaded\["gopub\.router"\]', 'require("gopub.router")', old))
        location.write_text(
            location.read_text().replace('package.loaded["gopub.router"]', 'require("gopub.router")'),
        )
        for name in (tmp_path / "state").iterdir():
            name.unlink()
        await edge.start()
        assert await told_and_counted(edge, backends) == now == ({
            "x-forwarded-for": "192.0.2.7, 127.0.0.1", "x-forwarded-proto": "https",
            "x-forwarded-host": "hello.lab", "x-forwarded-port": "443",
        }, 1)  # fmt: skip
    finally:
        await edge.stop()
