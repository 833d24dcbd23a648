"""The mode restart: the old process ends, then the new one starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.fleet.modes.protocol import Mode, Service


@dataclass(frozen=True, slots=True)
class Restart:
    """Works for any program."""

    name: str = "restart"
    says: str = "the old process ends, then the new one starts"
    needs: str = "nothing"
    keeps: str = "behind an edge all requests: the host gets none meanwhile; direct clients are refused"
    proves: str = "a new start (InvocationID)"
    mixes: bool = False

    def unit_lines(self, _service: Service, /) -> tuple[str, ...]:
        """None."""
        return ()

    def service_lines(self, _service: Service, /) -> tuple[str, ...]:
        """It runs once its file does."""
        return ("Type=exec",)

    def files(self, _service: Service, /) -> Mapping[str, str]:
        """None."""
        return {}

    def lacks(self, _service: Service, _units: Mapping[str, str], /) -> tuple[str, ...]:
        """Nothing."""
        return ()


RESTART: Mode = Restart()
