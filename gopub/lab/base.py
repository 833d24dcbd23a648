"""The base root of every host: a minimal Debian, built once into the cache and shared, read-only, by all hosts.

A killed build leaves a temporary folder and no mount behind (it runs in mount and process namespaces of its own);
the next build starts over from the package archive, which is kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from gopub.canon import Json, digest_of
from gopub.errors import GopubError
from gopub.lab.locks import locked
from gopub.paths import cache_dir
from gopub.process import Result, run

SUITE = "bookworm"
# One root for hosts and edges: nginx sleeps on the hosts. A second layer would cost a second build and win 10 MB.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "libnginx-mod-http-lua",
    "lua-cjson",
    "nginx-light",
    "openssh-server",
    "openssl",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
)
_UNITS = "etc/systemd/system"
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd-wait-online.service",
)
_REMOVED = (
    "etc/hostname",
    "etc/machine-id",
    "etc/nginx/sites-enabled/default",
    "etc/resolv.conf",
    "etc/systemd/system/multi-user.target.wants/nginx.service",
    "var/lib/dbus/machine-id",
)
# sshd offers one key, the one that known_hosts pins; MaxStartups keeps its default, because real fleets have it.
_SSHD = "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\nUseDNS no\nPrintMotd no\n"
_JOURNALD = "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n"
_FILES = {
    "etc/ssh/sshd_config.d/lab.conf": _SSHD,
    "etc/systemd/journald.conf.d/lab.conf": _JOURNALD,
    "etc/machine-id": "",
}


def cache() -> Path:
    """The lab's part of the cache: ``$GOPUB_CACHE/lab``, else below the user's cache folder."""
    chosen = os.environ.get("GOPUB_CACHE")
    return (Path(chosen) if chosen else cache_dir()) / "lab"


def recipe() -> str:
    """The digest of all that goes into a base root; another recipe is another folder."""
    parts: dict[str, Json] = {
        "suite": SUITE,
        "packages": PACKAGES,
        "masked": _MASKED,
        "removed": _REMOVED,
        "files": _FILES,
    }
    return digest_of(parts)[:12]


async def base_root(tell: Callable[[str], None]) -> Path:
    """The base root, built first where it is missing (a minute or two).

    Raises:
        GopubError: GP802 debootstrap failed.
    """
    root = cache() / f"base-{recipe()}"
    if root.is_dir():
        return root
    async with locked(cache() / ".base.lock", tell):
        if not root.is_dir():
            tell("building the base root of the lab's hosts (a minute or two, once)")
            await _build(root)
    return root


async def _build(root: Path) -> None:
    temporary = root.with_suffix(".new")
    archives = cache() / "archives"
    shutil.rmtree(temporary, ignore_errors=True)
    archives.mkdir(parents=True, exist_ok=True)
    result = await _debootstrap(temporary, archives)
    if result.code:
        raise GopubError(
            "GP802",
            f"the base root of the lab could not be built\n{result.complaint}",
            hint=f"see {temporary}/debootstrap/debootstrap.log; the packages come from the machine's own mirror",
        )
    finish(temporary)
    temporary.rename(root)


async def _debootstrap(target: Path, archives: Path) -> Result:
    # The namespaces end every mount and process of debootstrap with it, however it ends.
    fence = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    build = ("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", f"--cache-dir={archives}")
    mirror = await _mirror()
    return await run((*fence, *build, SUITE, str(target), *mirror), timeout=1800, check=False)


async def _mirror() -> tuple[str, ...]:
    """The mirror that this machine's apt uses for the suite; without one debootstrap takes its default."""
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    listed = await run(("apt-get", "indextargets", "--format", form, "Created-By: Packages"), check=False)
    found = [line.split()[2] for line in listed.text.splitlines() if line.startswith(f"{SUITE} main ")]
    return tuple(found[:1])


def finish(root: Path) -> None:
    """Make a bootstrapped root ready to be shared: no identity in it, only what the lab needs starts at boot."""
    for name in _REMOVED:
        (root / name).unlink(missing_ok=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    units = root / _UNITS
    for unit in _MASKED:
        _link(units / unit, "/dev/null")
    _link(units / "multi-user.target.wants/systemd-networkd.service", "/lib/systemd/system/systemd-networkd.service")
    (root / "var/log/journal").mkdir(exist_ok=True)


def _link(at: Path, target: str) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.unlink(missing_ok=True)
    at.symlink_to(target)
