"""Whether the lab can run on this machine, said in one sentence."""

from __future__ import annotations

import os

from gopub.errors import GopubError
from gopub.process import run, which

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "prometheus": "prometheus",
    "start-stop-daemon": "dpkg",
    "unshare": "util-linux",
}


async def why_not() -> str:
    """One clear sentence why the lab cannot run here; empty when it can."""
    if os.geteuid():
        return "the lab cannot run here: it needs root, and this is user id " + str(os.geteuid())
    missing = sorted({package for program, package in _PROGRAMS.items() if not which(program)})
    if missing:
        return f"the lab cannot run here: Debian packages are missing: {' '.join(missing)}"
    fence = ("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true")
    if (await run(fence, check=False)).code:
        return "the lab cannot run here: this kernel or container allows no new namespaces"
    probe = ("unshare", "--mount", "mount", "-t", "tmpfs", "gopub-lab", "/mnt")
    if (await run(probe, check=False)).code:
        return "the lab cannot run here: this container may not mount file systems"
    return ""


async def require() -> None:
    """Go on only where the lab can run.

    Raises:
        GopubError: GP801 with the sentence of ``why_not``.
    """
    sentence = await why_not()
    if sentence:
        raise GopubError(
            "GP801", sentence, hint="use a Debian 12 machine as root; `scripts/setup.sh` installs the packages"
        )
