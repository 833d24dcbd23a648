"""The mode reload: the unit's own ExecReload= brings the new binary in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.fleet.modes.protocol import Mode, Service
from gopub.fleet.modes.reading import by_link, settings


@dataclass(frozen=True, slots=True)
class Reload:
    """Works for a program that executes its new binary when it is told to reload."""

    name: str = "reload"
    says: str = "the unit's own ExecReload= brings the new binary in, in the same process or in another one"
    needs: str = (
        "a unit of your own with `ExecReload=`, after which the main process runs what "
        "`/opt/INSTANCE/current/bin/APP` is then; one that only reads its configuration anew is refused (GP536)"
    )
    keeps: str = "what the program keeps; it is a restart where unit, environment or limits change"
    proves: str = "the digest of what the main process runs; it stands in no other release"
    mixes: bool = True

    def unit_lines(self, _service: Service, /) -> tuple[str, ...]:
        """None."""
        return ()

    def service_lines(self, _service: Service, /) -> tuple[str, ...]:
        """Nobody but the team knows how its program reloads."""
        return ("Type=exec",)

    def files(self, _service: Service, /) -> Mapping[str, str]:
        """None."""
        return {}

    def lacks(self, service: Service, units: Mapping[str, str], /) -> tuple[str, ...]:
        """The command, and the new binary must come by the link."""
        unit, found = units[service.unit], []
        if not settings(unit, "Service", "ExecReload"):
            found.append(f"{service.unit} has no ExecReload= in [Service]")
        return (*found, *by_link(service, unit))


RELOAD: Mode = Reload()
