"""Faults for tests and demonstrations; each is done on real parts and can be undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gopub.lab import kernel
from gopub.lab.lab import Lab

_FILLER = "/opt/.gopub-lab-filler"


async def kill_unit(lab: Lab, host: str, unit: str, *, sign: str = "KILL") -> None:
    """Send a signal to every process of a unit."""
    await lab.exec(host, ("systemctl", "kill", f"--signal={sign}", unit))


async def unplug(lab: Lab, host: str) -> None:
    """Pull the host's network cable; the host runs on and nobody reaches it."""
    await kernel.set_link(lab.layout.cable(lab.layout.host(host)), up=False)


async def plug(lab: Lab, host: str) -> None:
    """Put the cable back."""
    await kernel.set_link(lab.layout.cable(lab.layout.host(host)), up=True)


@asynccontextmanager
async def unplugged(lab: Lab, host: str) -> AsyncIterator[None]:
    """The host without network for as long as the block lasts."""
    await unplug(lab, host)
    try:
        yield
    finally:
        await plug(lab, host)


async def fill_disk(lab: Lab, host: str, *, leave: int = 0) -> None:
    """Leave only so many bytes free on the host; its disk is its own, no other host loses room."""
    script = f"free=$(df --output=avail -B1 /opt | tail -n 1); fallocate -l $((free - {leave})) {_FILLER}"
    await lab.exec(host, ("sh", "-c", script))


async def empty_disk(lab: Lab, host: str) -> None:
    """Give the room back."""
    await lab.exec(host, ("rm", "-f", _FILLER))


@asynccontextmanager
async def without_prometheus(lab: Lab) -> AsyncIterator[None]:
    """No metrics for as long as the block lasts."""
    await lab.stop_prometheus()
    try:
        yield
    finally:
        await lab.start_prometheus()
