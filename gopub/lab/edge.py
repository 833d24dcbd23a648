"""What makes a host an edge: the Nginx backend's files, nginx enabled, and proof that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gopub.errors import GopubError
from gopub.lab.layout import LabHost, Layout
from gopub.lab.remote import execute

_WANTED = "etc/systemd/system/multi-user.target.wants/nginx.service"
_WHY = "systemctl --no-pager --lines=5 status nginx; tail -n 5 /var/log/nginx/error.log"


def lay(root: Path, files: Mapping[str, bytes]) -> bool:
    """Copy the files (path on the edge → bytes) into its root and enable nginx; whether anything changed."""
    stale = [(root / name.lstrip("/"), data) for name, data in files.items()]
    stale = [(path, data) for path, data in stale if not path.is_file() or path.read_bytes() != data]
    for path, data in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    wanted = root / _WANTED
    if not wanted.is_symlink():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.symlink_to("/lib/systemd/system/nginx.service")
    return bool(stale)


async def run_nginx(layout: Layout, host: LabHost, *, changed: bool) -> None:
    """See to it that nginx runs with the files that lie there.

    Raises:
        GopubError: GP810 it does not start; the text ends with what it said.
    """
    verb = "restart" if changed else "start"
    script = f"systemctl daemon-reload; systemctl reset-failed nginx; systemctl {verb} nginx"
    done = await execute(layout, host, ("sh", "-c", script), check=False)
    if done.code:
        why = (await execute(layout, host, ("sh", "-c", _WHY), check=False)).text
        raise GopubError(
            "GP810",
            f"nginx does not start on {host.name} of lab {layout.name!r}\n{why}",
            hint=f"gopub lab exec --name {layout.name} {host.name} -- nginx -t",
        )
