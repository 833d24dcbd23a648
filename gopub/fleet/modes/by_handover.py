"""The mode handover: the process that serves starts its successor and gives it the listeners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.fleet.modes.protocol import Mode, Service
from gopub.fleet.modes.reading import by_link, settings


@dataclass(frozen=True, slots=True)
class Handover:
    """Works for a program that hands over on SIGUSR2, such as one with ``go/handover``."""

    name: str = "handover"
    says: str = "the process that serves starts the new one, gives it the listeners, and drains"
    needs: str = (
        "the program hands over on SIGUSR2 to what `/opt/INSTANCE/current/bin/APP` is then (`go/handover` does), tells "
        "systemd its main process, and says why not: `STATUS=upgrade refused: …` or `upgrade failed: …`"
    )
    keeps: str = "all requests, and streams as long as the old one drains; a restart where unit or limits change"
    proves: str = (
        "another main process (number and start), which stands in no other release's folder; whether the old one is "
        "gone is told"
    )
    mixes: bool = True

    def unit_lines(self, _service: Service, /) -> tuple[str, ...]:
        """None."""
        return ()

    def service_lines(self, _service: Service, /) -> tuple[str, ...]:
        """It says when it is ready, and its successor says that it is the main one."""
        return ("Type=notify", "NotifyAccess=all")

    def files(self, _service: Service, /) -> Mapping[str, str]:
        """None."""
        return {}

    def lacks(self, service: Service, units: Mapping[str, str], /) -> tuple[str, ...]:
        """What starts services must hear of the new main process, and the new one must come by the link."""
        unit, found = units[service.unit], []
        if settings(unit, "Service", "Type")[-1:] not in {("notify",), ("notify-reload",)}:
            found.append(f"{service.unit} does not say Type=notify in [Service]")
        if settings(unit, "Service", "NotifyAccess")[-1:] != ("all",):
            found.append(f"{service.unit} does not say NotifyAccess=all in [Service]: the new process tells its number")
        return (*found, *by_link(service, unit))


HANDOVER: Mode = Handover()
