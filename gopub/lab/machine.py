"""One host of a lab under systemd-nspawn: its root, its boot, its end."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from gopub.errors import GopubError
from gopub.lab import cgroup, edge, kernel
from gopub.lab.files import host_files
from gopub.lab.keys import host_key_path, private_key, public_key
from gopub.lab.layout import LabHost, Layout
from gopub.lab.remote import execute
from gopub.lab.state import write
from gopub.process import run

_DISK = "1g"  # a host's disk is memory: a full one harms nobody else, and unmounting is cleaning up
_PRIVATE = 0o600
_BOOT = 60.0
_MARK = "GOPUB_LAB_ROOT"  # in the environment of a host's first process: how it is found when its parent is gone
_NSPAWN = ("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no")
_PLAIN = ("--resolv-conf=off", "--timezone=off", "--console=read-only")


def process(layout: Layout, host: LabHost) -> kernel.Process | None:
    """The host's systemd-nspawn, if it runs."""
    found = kernel.find("systemd-nspawn", f"--directory={layout.root(host)}")
    return found[0] if found else None


def inside(root: Path) -> tuple[kernel.Process, ...]:
    """The first process of the host with this root: it would outlive a systemd-nspawn that is killed."""
    return kernel.find_marked(f"{_MARK}={root}")


def supervisors(home: Path) -> tuple[kernel.Process, ...]:
    """Every systemd-nspawn of the lab in this state folder."""
    return kernel.find("systemd-nspawn", f"--directory={home}/", prefix=True)


def all_inside(home: Path) -> tuple[kernel.Process, ...]:
    """The first process of every host of the lab in this state folder."""
    return kernel.find_marked(f"{_MARK}={home}/", prefix=True)


async def ensure(layout: Layout, host: LabHost, base: Path, edge_files: Mapping[str, bytes]) -> None:
    """Bring the host to what it should be: root there, files in place, running, answering.

    Raises:
        GopubError: GP807 it did not boot.
    """
    running = process(layout, host)
    whole = _mounted(layout, host)
    if running and not whole:
        await crash(layout, host)
        running = None
    if not whole:
        await build(layout, host, base)
    changed = host.role == "edge" and edge.lay(layout.root(host), edge_files)
    if running:
        await kernel.set_link(layout.cable(host), up=True)
    else:
        await boot(layout, host)
    await wait_until_up(layout, host)
    if host.role == "edge":
        await edge.run_nginx(layout, host, changed=bool(running and changed))


def _mounted(layout: Layout, host: LabHost) -> bool:
    points = kernel.mounts_below(layout.folder(host))
    return str(layout.root(host)) in points and (layout.root(host) / "etc/machine-id").stat().st_size > 0


async def build(layout: Layout, host: LabHost, base: Path) -> None:
    """A fresh root: the base below, an empty disk above, an identity of its own."""
    await discard(layout.folder(host))
    folder, root = layout.folder(host), layout.root(host)
    disk = folder / "disk"
    for path in (disk, root):
        path.mkdir(parents=True)
    await run(("mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0755", "gopub-lab", str(disk)))
    for path in (disk / "upper", disk / "work"):
        path.mkdir()
    layers = f"lowerdir={base},upperdir={disk / 'upper'},workdir={disk / 'work'}"
    await run(("mount", "-t", "overlay", "-o", layers, "gopub-lab", str(root)))
    host_key = private_key(host_key_path(layout, host))
    texts = host_files(layout, host, public_key=public_key(layout.key), host_key=host_key)
    for name, text in texts.items():
        write(root / name, text, _PRIVATE if "ssh" in name else 0o644)
    write(root / "etc/machine-id", f"{secrets.token_hex(16)}\n", 0o444)


async def boot(layout: Layout, host: LabHost) -> None:
    """Start the host; it keeps running when we end."""
    await crash(layout, host)
    await _cable_gone(layout, host)
    root = layout.root(host)
    identity = (root / "etc/machine-id").read_text().strip()
    place = (
        f"--directory={root}",
        f"--machine={layout.machine(host)}",
        f"--uuid={identity}",
        f"--setenv={_MARK}={root}",
        f"--network-bridge={layout.bridge}",
    )
    folder = layout.folder(host)
    argv = ("/usr/bin/systemd-nspawn", *_NSPAWN[1:], *_PLAIN, *place)
    name = f"gopub-{layout.machine(host)}"
    await cgroup.clear(name)  # version 2 lets nobody into a group that has groups of a life before
    groups = cgroup.make(name)
    await kernel.start(cgroup.within(groups, argv), log=folder / "console.log", pidfile=folder / "pid")


async def _cable_gone(layout: Layout, host: LabHost) -> None:
    """The kernel takes the cable of a killed host away a moment after its death; a new one has the same name."""
    for _ in range(20):
        if not await kernel.link_exists(layout.cable(host)):
            return
        await asyncio.sleep(0.1)
    await kernel.remove_link(layout.cable(host))


async def wait_until_up(layout: Layout, host: LabHost) -> None:
    """Wait for sshd, then for systemd to have booted.

    Raises:
        GopubError: GP807 it did not come up in time, or died; the text ends with the host's console.
    """
    try:
        async with asyncio.timeout(_BOOT):
            await _sshd(layout, host)
        await execute(layout, host, ("systemctl", "is-system-running", "--wait"), limit=_BOOT, check=False)
    except (TimeoutError, GopubError) as error:
        console = (layout.folder(host) / "console.log").read_text(errors="replace").splitlines()[-8:]
        said = "\n".join([f"host {host.name} of lab {layout.name!r} did not boot", *console])
        raise GopubError("GP807", said, hint="gopub lab down, then up, builds it anew") from error


async def _sshd(layout: Layout, host: LabHost) -> None:
    while not await _greets(host.address):
        await asyncio.sleep(0.1)
        if not process(layout, host):
            raise TimeoutError


async def _greets(address: str) -> bool:
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(address, 22)
            try:
                return (await reader.readline()).startswith(b"SSH-")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def power_off(layout: Layout, host: LabHost) -> None:
    """Shut the host down cleanly, within reason."""
    running = process(layout, host)
    if running:
        await kernel.end(running)


async def crash(layout: Layout, host: LabHost) -> None:
    """Pull the plug: the kernel ends every process of the host with its first one, nothing is shut down."""
    for first in inside(layout.root(host)):
        await kernel.end(first, ask=signal.SIGKILL)
    running = process(layout, host)
    if running:
        await kernel.end(running, ask=signal.SIGKILL)


async def discard(folder: Path) -> None:
    """Unmount and remove a host's folder; the host must not run."""
    await kernel.unmount_below(folder)
    if kernel.mounts_below(folder):  # never delete through a mount
        return
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
