"""Prometheus beside the hosts: on the machine, at an address of the lab's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gopub.errors import GopubError
from gopub.lab import kernel
from gopub.lab.layout import Layout
from gopub.process import which

_PROGRAM = "prometheus"


def _configuration(home: Path) -> str:
    return f"--config.file={home / 'prometheus.yml'}"


def process(home: Path) -> kernel.Process | None:
    """The Prometheus of the lab in this state folder, if it runs."""
    found = kernel.find(_PROGRAM, _configuration(home))
    return found[0] if found else None


async def start(layout: Layout) -> None:
    """Start Prometheus and wait until it listens.

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
            f"--web.listen-address={layout.gateway}:9090",
            "--log.level=warn",
        )
        await kernel.start(argv, log=layout.home / "prometheus.log", pidfile=layout.home / "prometheus.pid")
    await _listening(layout)


async def _listening(layout: Layout) -> None:
    for _ in range(150):
        try:
            _, writer = await asyncio.open_connection(layout.gateway, 9090)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    log = (layout.home / "prometheus.log").read_text(errors="replace").splitlines()[-4:]
    raise GopubError(
        "GP809",
        "\n".join([f"Prometheus of lab {layout.name!r} did not start", *log]),
        hint=f"see {layout.home / 'prometheus.log'}",
    )


async def stop(home: Path) -> None:
    """Stop the lab's Prometheus; its data stays."""
    running = process(home)
    if running:
        await kernel.end(running)
