"""The modes of switching: how the process that serves becomes that of another release.

What a host does is in ``program/mode_*.sh``; here is what a mode asks of a release, and what people are told of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gopub.fleet.modes.by_handover import HANDOVER
from gopub.fleet.modes.by_reload import RELOAD
from gopub.fleet.modes.by_restart import RESTART
from gopub.fleet.modes.by_side import SIDE
from gopub.fleet.modes.by_socket import SOCKET
from gopub.fleet.modes.protocol import Mode, Service

MODES: Mapping[str, Mode] = {mode.name: mode for mode in (RESTART, SOCKET, HANDOVER, RELOAD, SIDE)}
"""Every mode by the name that it has in gopub.yaml, in the order of the docs."""


def table() -> str:
    """The table of docs/concepts/switching.md."""
    rows = [f"| `{mode.name}` | {mode.says} | {mode.needs} | {mode.keeps} | {mode.proves} |" for mode in MODES.values()]
    return "\n".join(("| `switch:` | what happens | needs | keeps | proves besides |", "|---|---|---|---|---|", *rows))


__all__ = ["MODES", "Mode", "Service", "table"]
