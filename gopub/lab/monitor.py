"""Prometheus beside the hosts: on the machine, at an address of the lab's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import h11

from gopub.errors import GopubError
from gopub.lab import kernel
from gopub.lab.http1 import Connection, LostError
from gopub.lab.layout import PROMETHEUS_PORT, Layout
from gopub.process import which

_PROGRAM = "prometheus"
_TRIES = 200
_READY = h11.Request(method="GET", target="/-/ready", headers=[("Host", "prometheus")])


def _configuration(home: Path) -> str:
    return f"--config.file={home / 'prometheus.yml'}"


def process(home: Path) -> kernel.Process | None:
    """The Prometheus of the lab in this state folder, if it runs."""
    found = kernel.find(_PROGRAM, _configuration(home))
    return found[0] if found else None


async def start(layout: Layout) -> None:
    """Start Prometheus and wait until it answers queries.

    Raises:
        GopubError: GP809 it did not start.
    """
    if not process(layout.home):
        data = layout.home / "prometheus"
        data.mkdir(exist_ok=True)
        argv = (
            str(which(_PROGRAM) or _PROGRAM),
            _configuration(layout.home),
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address={layout.gateway}:{PROMETHEUS_PORT}",
            "--log.level=warn",
        )
        await kernel.start(argv, log=layout.home / "prometheus.log", pidfile=layout.home / "prometheus.pid")
    await _until_ready(layout)


async def _until_ready(layout: Layout) -> None:
    for _ in range(_TRIES):
        if await _ready(layout):
            return
        await asyncio.sleep(0.1)
    log = (layout.home / "prometheus.log").read_text(errors="replace").splitlines()[-4:]
    raise GopubError(
        "GP809",
        "\n".join([f"Prometheus of lab {layout.name!r} did not start", *log]),
        hint=f"see {layout.home / 'prometheus.log'}",
    )


async def _ready(layout: Layout) -> bool:
    """It listens some time before it answers queries; ``/-/ready`` tells the difference."""
    try:
        connection = await Connection.open(layout.gateway, PROMETHEUS_PORT)
    except LostError:
        return False
    try:
        answer = await connection.exchange(_READY)
    except LostError:
        return False
    finally:
        connection.close()
    return answer.status == 200


async def stop(home: Path) -> None:
    """Stop the lab's Prometheus; its data stays."""
    running = process(home)
    if running:
        await kernel.end(running)
